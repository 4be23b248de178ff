"""What is kept is best on captures that nothing which is judged has seen."""

from dataclasses import replace

import pytest
import torch

from hybridonn.compensation import selection
from hybridonn.compensation.calibration import Calibration
from hybridonn.compensation.capture_pair import CapturePair
from hybridonn.compensation.evaluation import Evaluation
from hybridonn.compensation.fine_tuning_data import FineTuningData
from hybridonn.compensation.selection import PLACE, hold_out, select
from hybridonn.compensation.teacher_targets import CompensationTargets
from hybridonn.core.progress import Silent
from hybridonn.data.dataset import ImageSet
from hybridonn.distillation.teacher_targets import StoredTargets
from hybridonn.networks.backends.dense import DenseBackend
from hybridonn.spec import Compensation, read_spec
from hybridonn.tasks.classification import Classification
from hybridonn.tasks.segmentation import Segmentation

COUNT, OTHERS, CLASSES = 40, 7, 4
BACKEND = DenseBackend(2, 2, (), CLASSES)
SPEC = read_spec(None)


def number_images(count, first=0):
    """Images that are their own number."""
    return torch.arange(first, first + count, dtype=torch.uint8)[:, None, None, None]


def make_data():
    shown = ImageSet(number_images(COUNT), torch.arange(COUNT) % CLASSES)
    pictures = torch.arange(COUNT, dtype=torch.float32)[:, None, None, None].expand(-1, 2, 2, 2)
    others = ImageSet(number_images(OTHERS, 100), torch.zeros(OTHERS, dtype=torch.int64))
    pair = torch.stack([pictures, -pictures], 2)
    return FineTuningData(CapturePair((pair,), shown), others)


def make_targets(table=None):
    data = make_data()
    table = torch.zeros(OTHERS + COUNT, CLASSES) if table is None else table
    features = torch.arange(OTHERS + COUNT)[:, None].float()
    stored = StoredTargets(table, None, features)
    return CompensationTargets(stored, BACKEND, data.shown.images, "last", "teacher")


@pytest.fixture
def candidates(monkeypatch):
    """Stand-ins for the real treatments, right on so many captures; what they were given."""
    given = []

    def stand_in(right, sure=()):
        def compare(spec, settings, student, targets, data, judged, part, progress):
            given.append((targets, data, judged, part))
            design = Calibration(torch.ones(2, 2), torch.zeros(2), BACKEND)
            treated = []
            for method, number in right.items():
                named = judged.shown.labels.clone()
                named[number:] = (named[number:] + 1) % CLASSES
                logits = torch.nn.functional.one_hot(named, CLASSES).float()
                logits = logits * (3 if method in sure else 1)
                treated.append(Evaluation(method, BACKEND, design, logits))
            return treated

        monkeypatch.setattr(selection, "compare_methods", compare)
        return given

    return stand_in


def make_selection(folder, targets=None, **settings):
    settings = Compensation.model_validate(settings)
    targets = targets or make_targets()
    return select(SPEC, settings, BACKEND, targets, make_data(), folder, Silent())


@pytest.mark.parametrize(
    ("right", "best"),
    [
        ({"uncompensated": 1, "calibrated": 5, "none": 6, "kd": 8, "ntkd": 7}, "kd"),
        ({"uncompensated": 1, "calibrated": 8, "none": 3, "kd": 8, "ntkd": 8}, "calibrated"),
        ({"uncompensated": 8, "calibrated": 8, "none": 3, "kd": 8, "ntkd": 8}, "uncompensated"),
        ({"uncompensated": 2, "calibrated": 5, "none": 3, "kd": 4, "ntkd": 4}, "calibrated"),
    ],
)
def test_the_best_is_kept_of_equals_the_one_that_changes_least(tmp_path, candidates, right, best):
    candidates(right)
    found = make_selection(tmp_path)
    assert found.method == best
    assert (found.held_out, found.trained_on) == (8, 32)
    assert found.scores == pytest.approx({name: number / 8 for name, number in right.items()})
    assert found.describe().startswith(f"candidate {best} is kept: of 5 made of 32 captures it is")
    assert found.as_numbers()["held_out"]["captures"] == 8


def test_of_equals_the_one_with_the_smallest_loss_is_kept(tmp_path, candidates):
    candidates({"uncompensated": 8, "calibrated": 8, "none": 8, "kd": 7}, sure=("calibrated", "kd"))
    found = make_selection(tmp_path)
    assert found.method == "calibrated"
    assert "uncompensated, none reach the same with no smaller loss" in found.describe()


def test_no_candidate_sees_what_judges_it(tmp_path, candidates):
    given = candidates({"calibrated": 1})
    make_selection(tmp_path)
    [(targets, data, judged, part)] = given
    seen, unseen = (one.shown.images.flatten().tolist() for one in (data.captured, judged))
    assert sorted(seen + unseen) == list(range(COUNT))
    assert torch.equal(judged.shown.labels.bincount(), torch.full((CLASSES,), 2))
    for captured in (data.captured, judged):  # captures, labels and images go together
        first = captured.branches[0][:, 0, 0, 0, 0]
        assert first.tolist() == captured.shown.images.flatten().tolist()
        assert torch.equal(captured.shown.labels, captured.shown.images.flatten().long() % CLASSES)
    assert torch.equal(targets.images, data.shown.images)  # of the twin's images and of these
    wanted = [*range(OTHERS), *(OTHERS + number for number in seen)]
    assert targets.teacher.features.flatten().tolist() == wanted
    assert len(targets.teacher.table) == OTHERS + 32
    assert part == tmp_path / PLACE


def test_without_labels_the_teacher_says_what_is_right(tmp_path, candidates):
    given = candidates({"calibrated": 1})
    says = torch.nn.functional.one_hot(torch.arange(OTHERS + COUNT) % 3, CLASSES).float()
    settings = {"labelled": False, "methods": ["kd"], "distillation": {"method": "kd"}}
    make_selection(tmp_path, make_targets(says), **settings)
    [(_, _, judged, _)] = given
    wanted = (judged.shown.images.flatten().long() + OTHERS) % 3
    assert torch.equal(judged.shown.labels, wanted)


def test_an_interrupted_choice_is_not_made_twice(tmp_path, candidates):
    given = candidates({"calibrated": 3, "kd": 4})
    found = make_selection(tmp_path)
    assert make_selection(tmp_path) == found
    assert len(given) == 1


@pytest.mark.parametrize("settings", [{"judged_fraction": 0}, {"judged_fraction": 0.01}])
def test_where_nothing_is_held_out_the_stated_method_is_kept(tmp_path, candidates, settings):
    given = candidates({})
    found = make_selection(tmp_path, distillation={"method": "kd"}, **settings)
    assert (found.method, found.scores, found.held_out, found.trained_on) == ("kd", {}, 0, COUNT)
    assert (
        found.describe() == "candidate kd is kept as stated: no captures were held out to choose by"
    )
    assert not given


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("count", [0, 1, 3, 9, 50])
def test_few_captures_are_divided_too(masks, count):
    labels = torch.arange(count) % CLASSES
    labels = labels[:, None, None].expand(-1, 2, 2).to(torch.uint8) if masks else labels
    task = Segmentation() if masks else Classification()
    rest, held = hold_out(labels, task, Compensation())
    assert len(held) == round(0.2 * count)
    assert sorted([*rest.tolist(), *held.tolist()]) == list(range(count))
    again = hold_out(labels, task, Compensation(seed=1))[1]
    assert count < 50 or held.tolist() != again.tolist()


def test_what_is_known_is_taken_together():
    targets = make_targets()
    gram = torch.arange(47.0)[:, None] + 100 * torch.arange(47.0)
    targets = replace(targets, teacher=replace(targets.teacher, gram=gram))
    some = targets.take(torch.tensor([3, 1]))
    assert some.teacher.gram.tolist() == [[303, 103], [301, 101]]
