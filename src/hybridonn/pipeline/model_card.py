"""The model card of a bundle: what the network is, its data, its numbers, licence and citation."""

from __future__ import annotations

from pathlib import Path

from hybridonn.core.files import format_json, write_text
from hybridonn.reports.artefacts.run import Run, read_run
from hybridonn.reports.formats import interval, percent
from hybridonn.reports.verdict import describe_run

CITATION = """\
@inproceedings{xiang2025neural,
  title = {Neural Tangent Knowledge Distillation for Optical Convolutional Networks},
  author = {Xiang and others},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2025},
  note = {arXiv 2508.08421}
}"""
HYBRID_NETWORK = (
    "A hybrid optical neural network: optics compute its first layer, electronics the rest."
)
DIGITAL_NETWORK = "An all-digital network: electronics compute its first layer, too."
USE = """\
    hybridonn predict {name}.zip image.png      # labels or masks
    python -c "import hybridonn; print(hybridonn.load_run('{name}.zip').student())"

`deployed/` holds ONNX files with `run.py`, which needs numpy and onnxruntime alone, if the run was
deployed before it was bundled. `model.safetensors` holds the weights.
"""


def write_model_card(run: Path, path: Path, licence: str, citation: str) -> None:
    """Write the model card of a finished run as Markdown.

    Args:
        run: The run.
        path: The file.
        licence: Licence of the network; empty: not stated.
        citation: What is to be cited beside the method; empty: nothing.
    """
    found = read_run(run)
    name, data = found.spec.name, found.record["data"]
    shape = " x ".join(str(side) for side in data["image_shape"])
    front = ["---", "library_name: hybridonn", "tags: [optical-neural-network]"]
    front += [f"license: {format_json(licence).strip()}"] if licence else []
    lines = [
        *[*front, "---", ""],
        f"# {name}",
        "",
        DIGITAL_NETWORK if found.layout is None else HYBRID_NETWORK,
        "",
        *[f"{sentence}\n" for sentence in describe_run(found)],
        "## Data",
        "",
        f"{data['name']}: images of {shape}; {data['train']:,} to train on, "
        f"{data['validation']:,} for validation, {data['test']:,} for the test. "
        f"Classes: {', '.join(data['classes'])}. What it was not trained on, such as other cameras "
        "or other light, it was not tested on either.",
        "",
        "## Numbers",
        "",
        *_list_numbers(found),
        "",
        "## Use",
        "",
        USE.format(name=name),
        "## Licence",
        "",
        licence or "Not stated. Ask whoever made it before you use it.",
        "",
        "## Citation",
        "",
        *([citation, ""] if citation else []),
        CITATION,
        "",
    ]
    write_text(path, "\n".join(lines))


def _list_numbers(run: Run) -> list[str]:
    """A table of the metric on the test images, with its 95 % intervals."""
    rows = [f"| network | test {run.task.label} | 95 % interval |", "| --- | ---: | ---: |"]
    for name, model in run.models.items():
        predictions = model.predictions
        value = percent(predictions.value, predictions.total)
        rows.append(f"| {name} | {value} | {interval(predictions)} |")
    metric = run.task.metric
    for stage, what in (("metasurface", "with the metasurface"), ("fabricated", "as fabricated")):
        if (share := run.results.get(stage, {}).get(metric)) is not None:
            rows.append(f"| {what} | {percent(share)} | |")
    if (share := run.results.get("compensated", {}).get(metric)) is not None:
        rows.append(f"| compensated | {percent(share)} | |")
    deployed = run.results.get("deployed", {})
    for key, what in (("onnx", "ONNX"), ("int8", "8-bit integers")):
        if (share := deployed.get(key, {}).get(metric)) is not None:
            rows.append(f"| {what} | {percent(share)} | |")
    return rows
