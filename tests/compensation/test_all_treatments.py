"""What holds of every treatment of a chip: as it is, calibrated, fine-tuned by each method."""

from copy import deepcopy

import pytest
import torch

from hybridonn.compensation.capture_pair import capture_images
from hybridonn.compensation.comparison import compare_methods
from hybridonn.compensation.evaluation import measure
from hybridonn.compensation.fine_tuning_data import FineTuningData
from hybridonn.compensation.settings import stated_compensation
from hybridonn.compensation.teacher_targets import compute_targets
from hybridonn.core.progress import Silent
from hybridonn.data import load_dataset, to_scene
from hybridonn.distillation.methods import METHODS, explain_unserved
from hybridonn.networks.student import build_student
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.spec import read_spec
from hybridonn.tasks.table import TASKS

SPEC = read_spec(
    None,
    (
        "student.kernels=4",
        "student.kernel_size=3",
        "student.hidden=[]",
        "compensation.methods=[none, kd, ntkd]",
        "compensation.training.epochs=3",
        "compensation.training.learning_rate=1e-3",
    ),
)
ERRORS = ChipErrors(1, {"kernel_noise_fraction": 0.6, "brightness_fraction": 0.3})
SERVING = [one for one in METHODS if not explain_unserved(one, TASKS[SPEC.task].answers)]
TREATMENTS = ("uncompensated", "calibrated", *SERVING)
CAPTURES, SHOWN = 200, 300


def train_student(dataset):
    """A student that reads digits with ideal optics, trained for a second."""
    student = build_student(SPEC.student, dataset.image_shape, 10, 0, SPEC.optics, SPEC.task)
    optimizer = torch.optim.Adam(student.parameters(), lr=0.02)
    scene, labels = to_scene(dataset.train.images), dataset.train.labels
    for _ in range(80):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(student(scene), labels).backward()
        optimizer.step()
    return student.eval()


class Chip:
    """A student, the chip of its optics, and all treatments of this chip, twice."""

    def __init__(self, folder):
        dataset = load_dataset(SPEC.data)
        self.task, self.student = dataset.task, train_student(dataset)
        self.optics = deepcopy(self.student.frontend.state_dict())
        layout = lay_out_kernels(SPEC.optics, SPEC.student.kernels)
        self.frontend = self.student.frontend.fabricate(ERRORS, layout)
        self.fabricated = deepcopy(self.frontend.state_dict())
        learnt, self.test = (
            capture_images(self.frontend, images.take(torch.arange(count)), seed=2)
            for images, count in ((dataset.student_train, CAPTURES), (dataset.test, SHOWN))
        )
        self.data = FineTuningData(learnt, dataset.student_train.take(torch.arange(0)))
        self.first, self.second = self.treat(folder / "a"), self.treat(folder / "b")

    def treat(self, folder):
        folder.mkdir()
        settings, student, shown, silent = (
            stated_compensation(SPEC),
            self.student,
            self.data.shown,
            Silent(),
        )
        targets = compute_targets(SPEC, settings, student, deepcopy(student), shown, silent)
        found = compare_methods(
            SPEC, settings, student, targets, self.data, self.test, folder, silent
        )
        return {one.method: one for one in found}


@pytest.fixture(scope="module")
def chip(tmp_path_factory):
    torch.manual_seed(0)
    return Chip(tmp_path_factory.mktemp("treatments"))


def test_every_treatment_is_compared_once_and_in_this_order(chip):
    assert tuple(chip.first) == TREATMENTS


@pytest.mark.parametrize("method", TREATMENTS)
def test_it_improves_or_keeps_the_metric_of_captures_that_it_has_not_seen(chip, method):
    bare, treated = (
        measure(chip.task, chip.first[name], chip.test) for name in ("uncompensated", method)
    )
    assert treated >= bare
    assert method == "uncompensated" or treated > bare


@pytest.mark.parametrize("method", TREATMENTS)
def test_it_is_deterministic(chip, method):
    one, other = chip.first[method], chip.second[method]
    assert torch.equal(one.logits, other.logits)
    assert torch.equal(one.calibration.gains, other.calibration.gains)
    pairs = zip(one.backend.parameters(), other.backend.parameters(), strict=True)
    assert all(torch.equal(weight, again) for weight, again in pairs)


@pytest.mark.parametrize("method", TREATMENTS)
def test_its_backend_is_left_in_inference_mode(chip, method):
    assert not any(module.training for module in chip.first[method].backend.modules())


def test_the_optics_stay_as_they_are_designed_and_as_they_were_made(chip):
    for module, before in (
        (chip.student.frontend, chip.optics),
        (chip.frontend, chip.fabricated),
    ):
        after = module.state_dict()
        assert after.keys() == before.keys()
        assert all(torch.equal(after[name], before[name]) for name in before)
    assert not chip.student.training
