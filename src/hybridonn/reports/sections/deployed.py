"""What the deployed network costs, and how close its files are to torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.cost import draw_cost
from hybridonn.reports.formats import percent
from hybridonn.reports.sections.section import ReportFigure, Section

if TYPE_CHECKING:
    from hybridonn.deployment.cost import NetworkCost

LABELS = {
    "teacher": "teacher",
    "digital": "the same network, all digital",
    "backend": "backend behind the optics",
}
RUNTIMES = {"int8": "onnxruntime, int8", "c": "C, gcc -O2"}
FILES = {
    "onnx": "ONNX",
    "int8": "8-bit integers",
    "hybrid": "optics and backend",
    "tflite_micro": "TensorFlow Lite Micro, 8-bit integers",
}


def _build(run: Run) -> list[ReportFigure]:
    from hybridonn.deployment.energy import ASSUMPTIONS, tabulate_energy

    found = run.results["deployed"]
    energy = tabulate_energy(_list_costs(found, run.layout is not None))
    latency: dict[str, float] = {
        RUNTIMES.get(str(name), str(name)): one for name, one in found["latency_us"].items()
    }
    sources = "; ".join(f"{one.label}: {one.source}" for one in ASSUMPTIONS)
    return [
        ReportFigure(
            "deployed",
            "Deployed",
            "Energy of an image by several assumptions, and latency of the backend",
            "Energies differ by thousands with what is counted: the arithmetic alone, or a whole "
            "processor with its memory. “The same network, all digital” computes the optics as a "
            "convolution and answers the same, so it is the digital network that is as accurate. "
            f"{sources}. Latency is the least of many calls with one image on the machine that "
            "deployed the run.",
            lambda: draw_cost(energy, latency),
            tuple(_list_rows(run, found)),
        )
    ]


def _label(optical: bool) -> dict[str, str]:
    """What tables call the networks; without optics the deployed one is the whole network."""
    from hybridonn.deployment.cost import WITHOUT_OPTICS

    return LABELS if optical else LABELS | {"backend": WITHOUT_OPTICS}


def _list_costs(found: dict[str, Any], optical: bool) -> list[NetworkCost]:
    from hybridonn.deployment.cost import NetworkCost

    macs, parameters = found["macs"], found["parameters"]
    return [
        NetworkCost(
            name, label, macs[name], parameters[name], optical=optical and name == "backend"
        )
        for name, label in _label(optical).items()
    ]


def _list_rows(run: Run, found: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """MACs and parameters of the networks, then each file beside torch."""
    yield ("", "multiply-accumulates", "parameters")
    for name, label in _label(run.layout is not None).items():
        yield (label, f"{found['macs'][name]:,}", f"{found['parameters'][name]:,}")
    yield ("file", f"test {run.task.label}", "same predictions as torch")
    for name, label in FILES.items():
        if name in found:
            own = found[name]
            yield (label, percent(own[run.task.metric]), percent(own["same_predictions"]))


def _is_whole(run: Run) -> bool:
    """Whether the results of the stage hold what is shown here."""
    found = run.results.get("deployed", {})
    numbers = [found.get(key, {}) for key in ("macs", "parameters")]
    return all(name in one for one in numbers for name in LABELS) and "latency_us" in found


DEPLOYED = Section("deployed", wanted=_is_whole, build=_build)
