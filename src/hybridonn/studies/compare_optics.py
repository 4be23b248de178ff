"""The same sensor, pooling and backend behind a plain lens, designed optics and ideal kernels.

Under full read-out no incoherent mask has to beat an ideal lens (arXiv 2606.09792): the row of a
lens says what the optics buy. A seed gives the students of all optics the same data order. Students
train with a perfect camera; what is compared is their metric on test images that the camera of the
spec has taken, one camera pixel for each colour of a pixel of the image. The backend behind a
lens has the same hidden widths and pooled size, but fewer inputs: a lens has as many kernels as
images have channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch

from hybridonn.core.files import read_arrays, write_json, write_table, write_text
from hybridonn.core.parts import hold
from hybridonn.core.progress import Progress, Silent
from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.deployment.cost import SIGNS, count_macs
from hybridonn.distillation.training import fitting_images, predict
from hybridonn.networks.frontends.behind_camera import BehindCamera
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.networks.frontends.metasurface import MetasurfaceFrontend
from hybridonn.networks.frontends.table import DIGITAL
from hybridonn.networks.hybrid import HybridNetwork, count_parameters
from hybridonn.pipeline.chip import in_branches, list_readouts
from hybridonn.pipeline.from_spec import (
    draw_camera_noise,
    read_plain_sensor,
)
from hybridonn.pipeline.preflight import refuse_early, refuse_unread
from hybridonn.pipeline.run_folder import open_folder
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.pipeline.stages.fabricated import take_backend
from hybridonn.pipeline.stages.metasurface import METASURFACE, load_student
from hybridonn.pipeline.stages.student import STUDENT
from hybridonn.reports.figures.comparison import write_comparison
from hybridonn.reports.studies import write_study_report
from hybridonn.spec import Spec, dump_spec, narrow
from hybridonn.studies.compare import flatten_row, summarise
from hybridonn.studies.counts import refuse_count
from hybridonn.studies.engine import map_runs
from hybridonn.studies.optics_choice import DESIGNED, LABELS, LENS, state_all, state_optics
from hybridonn.studies.rows import name_row, open_rows
from hybridonn.studies.runs import Opened, Run, Work
from hybridonn.studies.settings import describe_section
from hybridonn.studies.shared_teacher import (
    SharedTeacher,
    describe_shared_teacher,
    name_values,
    open_shared_teacher,
    pack_shared_teacher,
    train_shared_teacher,
)
from hybridonn.studies.workers import HERE, Workers
from hybridonn.tasks.task import make_task

STUDY = "compare --optics"
OPEN = "hybridonn.studies.compare_optics:open_optics"
DO = "hybridonn.studies.compare_optics:measure_optics"
MOST_NUMBERS = 2**27  # of the images of a batch in all colours: half a gigabyte
SIZES = ("kernels", "digital_parameters", "macs", "read_out_pixels")


def compare_optics(
    spec: Spec,
    optics: tuple[str, ...],
    seeds: int,
    folder: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
    workers: Workers = HERE,
) -> dict[str, Any]:
    """Train the same design behind several optics on the same seeds and compare them in pairs.

    All are trained by the method of the spec, with what its ``tuned`` says for it. Designed optics
    are the metasurface of the ideal kernels of the same seed, the authors' chip if the spec states
    none, or the 4f system of the spec. Interrupted and called again, it goes on where it was.

    Args:
        spec: The design.
        optics: What to compare, of :data:`hybridonn.studies.optics_choice.LABELS`.
        seeds: Seeds 0 to ``seeds - 1``.
        folder: Where students, metasurfaces, tables and figure go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who trains and designs.

    Returns:
        What ``comparison.json`` holds, as :func:`hybridonn.studies.compare.compare` has it, with
        sizes of each network and its metric behind a perfect camera.

    Raises:
        SpecError: There is no seed, or a choice does not exist for the spec.
        ArtefactError: The folder holds students of another spec.
    """
    refuse_count("--seeds", seeds)
    progress = progress or Silent()
    method = spec.distillation.method
    whole = state_all(spec, method)
    with open_folder(folder, whole):
        refuse_unread(whole)
        dataset = load_dataset(whole.data, data_root, progress)
        for choice in optics:
            refuse_early(state_optics(whole, choice, dataset.image_shape[0]), dataset)
        rows = open_rows(folder, STUDY, _describe(whole, dataset))
        write_text(folder / "spec.yaml", dump_spec(whole))
        shared = train_shared_teacher(whole, dataset, folder, progress)
        inputs = pack_shared_teacher(whole, (method,), data_root)
        runs = [_list_run(whole, choice, seed) for seed in range(seeds) for choice in optics]

        def write() -> None:
            write_table(folder / "comparison.csv", _tabulate(rows.values))

        map_runs(Work(STUDY, OPEN, DO, inputs), runs, rows, shared, progress, workers, write)
        asked = [_key(whole, choice, seed) for choice in optics for seed in range(seeds)]
        comparison = _summarise(whole, [rows.values[key] for key in asked])
        comparison |= {"teacher": shared.teacher.results[comparison["metric"]]}
        write_json(folder / "comparison.json", comparison)
        write_comparison(folder)
        write_study_report(folder)
    return comparison


def open_optics(inputs: dict[str, Any], folder: Path) -> Opened:
    """What a worker shares between optics: the teacher that the study has trained."""
    shared, _ = open_shared_teacher(inputs, folder)
    return shared, _describe(shared.spec, shared.dataset)


def measure_optics(
    shared: SharedTeacher, arguments: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """Train, design and test the network of the ``optics`` from the ``seed`` of the arguments."""
    choice, seed = arguments["optics"], arguments["seed"]
    dataset = shared.dataset
    spec = state_optics(shared.spec, choice, dataset.image_shape[0]).with_seed(seed)
    trained = _train(shared, spec, progress)
    network = load_student(spec, dataset, trained)
    if METASURFACE.wanted(spec):
        _put_designed(network, shared, spec, trained, progress)
    metric = make_task(spec.task).metric
    found = {"optics": choice, "seed": seed, "method": spec.distillation.method}
    return (
        found
        | {f"perfect_camera_{metric}": _score(network, spec, dataset)}
        | {metric: _score(_behind_camera(network, spec, dataset), spec, dataset)}
        | {"seconds": trained.results["seconds"]}
        | _measure_sizes(network, dataset.image_shape, choice)
    )


def _train(shared: SharedTeacher, spec: Spec, progress: Progress) -> Finished:
    """Train a student; that of a metasurface is that of its ideal kernels."""
    method = spec.distillation.method
    values = name_values(method, spec.tuned.of(method))
    name = f"{spec.frontend}-{values}-{spec.seed}"
    (shared.folder / "students").mkdir(exist_ok=True)
    with hold(shared.folder / "students" / f".{name}.lock", wait=True):
        return shared.train(spec, name, progress)


def _put_designed(
    network: HybridNetwork,
    shared: SharedTeacher,
    spec: Spec,
    trained: Finished,
    progress: Progress,
) -> None:
    """Design the metasurface of trained kernels and put it in their place."""
    done = shared.done | {STUDENT.name: trained}
    place = shared.folder / "metasurfaces" / trained.folder.name
    made = complete(METASURFACE, spec, shared.dataset, done, place, progress)
    network.frontend = read_designed(spec, made)
    take_backend(network, made)


def read_designed(spec: Spec, metasurface: Finished) -> Frontend:
    """The optics of a finished stage ``metasurface``, with a perfect camera."""
    arrays = read_arrays(metasurface.folder / "psf.npz")
    psfs, gains = (torch.from_numpy(arrays[name]).float() for name in ("psf", "gains"))
    readouts = list_readouts(spec.student)
    size = max(branch.size for branch in readouts)
    optics = MetasurfaceFrontend(psfs, size, spec.student.stride, gains)
    return in_branches(optics, readouts)


def _behind_camera(network: HybridNetwork, spec: Spec, dataset: Dataset) -> HybridNetwork:
    """The same network with the camera of the spec."""
    sensor = read_plain_sensor(spec.optics.sensor, dataset.image_shape[0])
    noise = draw_camera_noise(spec)
    return HybridNetwork(BehindCamera(network.frontend, sensor, noise), network.backend).eval()


def _score(network: HybridNetwork, spec: Spec, dataset: Dataset) -> float:
    task, images = make_task(spec.task), dataset.test.images
    numbers = SIGNS * network.frontend.kernels * images[0].numel()
    at_once = max(1, min(fitting_images(images), MOST_NUMBERS // numbers))
    logits = predict(network, images, at_once)
    return task.measure(logits, dataset.test.labels)[task.metric]


@torch.no_grad()
def _measure_sizes(
    network: HybridNetwork, image_shape: tuple[int, int, int], choice: str
) -> dict[str, int]:
    """The numbers of :data:`SIZES`: those of the backend are what its optics leave to it."""
    divided = network.divide()
    branches = divided.frontend(torch.zeros(1, *image_shape))
    # A lens takes one image a channel, a kernel its signs in each channel.
    pictures = 1 if choice in (LENS, DIGITAL) else divided.frontend.exposures * image_shape[0]
    pixels = pictures * sum(prod(one.shape) for one in branches)
    parameters, macs = count_parameters(divided.backend), count_macs(divided.backend, branches)
    return dict(zip(SIZES, (network.frontend.kernels, parameters, macs, pixels), strict=True))


def _describe(whole: Spec, dataset: Dataset) -> dict[str, Any]:
    """What every row depends on beside its optics, method, tuned values and seed."""
    described = describe_shared_teacher(whole, dataset, (whole.distillation.method,))
    return described | describe_section(narrow(whole, "optics"))


def _key(whole: Spec, choice: str, seed: int) -> str:
    method = whole.distillation.method
    return name_row(seed, choice, method, whole.tuned.of(method).model_dump(exclude_none=True))


def _list_run(whole: Spec, choice: str, seed: int) -> Run:
    arguments = {"optics": choice, "seed": seed}
    return Run(_key(whole, choice, seed), f"{LABELS[choice]}, seed {seed}", arguments)


def _tabulate(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All networks that were ever tested, by optics and seed."""
    order = list(LABELS)
    rows = sorted(values.values(), key=lambda row: (order.index(row["optics"]), row["seed"]))
    return [flatten_row(row) for row in rows]


def _summarise(whole: Spec, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Values, differences and sizes by optics, with the sentence on what is the same."""
    task = make_task(whole.task)
    found = summarise(rows, task.metric, "optics", lambda choice: _label(whole, choice))
    for choice, one in found["methods"].items():
        own = [row for row in rows if row["optics"] == choice]
        perfect = [row[f"perfect_camera_{task.metric}"] for row in own]
        one |= {"perfect_camera": sum(perfect) / len(perfect)} | {key: own[0][key] for key in SIZES}
    return found | {
        "design": whole.name,
        "label": f"{task.label} behind the camera",
        "compared": "optics",
        "sentences": [*found["sentences"], *_say_sizes(found["methods"])],
    }


def _label(whole: Spec, choice: str) -> str:
    if choice != DESIGNED:
        return LABELS[choice]
    if METASURFACE.wanted(whole):
        return "designed metasurface"
    return "measured optics" if whole.optics.measured is not None else "designed 4f system"


def _say_sizes(optics: dict[str, dict[str, Any]]) -> list[str]:
    """What is the same behind all optics and what is not."""
    others = [one for choice, one in optics.items() if choice not in (LENS, DIGITAL)]
    said = []
    if DIGITAL in optics and others:
        digital, other = optics[DIGITAL], others[0]
        said.append(
            "the all-digital network has the same kernels and backend, and electronics compute all "
            f"of it behind a lens: {digital['macs']:,} multiply-accumulates an image instead of "
            f"{other['macs']:,}"
        )
    if LENS not in optics or not others:
        return said
    lens, other = optics[LENS], others[0]
    return [
        *said,
        "the backend has the same hidden widths and pooled size behind all optics; behind the "
        f"lens it has the inputs of {lens['kernels']} kernel{'s' * (lens['kernels'] > 1)} instead "
        f"of {other['kernels']}, so {lens['digital_parameters']:,} parameters instead of "
        f"{other['digital_parameters']:,}",
    ]
