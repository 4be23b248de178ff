"""Robust training by the real stages: what it depends on, and what it leaves alone."""

import pytest

from hybridonn.core.files import read_tensors
from hybridonn.core.progress import Silent
from hybridonn.data import load_dataset
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stage_table import make_stages
from hybridonn.pipeline.stages.alignment import ALIGNMENT
from hybridonn.pipeline.stages.student import PLAIN_STUDENT
from hybridonn.pipeline.stages.teacher import TEACHER
from hybridonn.pipeline.stages.teacher_targets import TEACHER_TARGETS
from hybridonn.spec import read_spec

QUICK = ("teacher.training.epochs=1", "training.epochs=2", "fabrication.preset=paper-mnist")
ROBUST = "distillation.robust=true"


@pytest.fixture(scope="module")
def learn(tmp_path_factory):
    """Train the student of some settings in a folder of the given name."""
    home = tmp_path_factory.mktemp("robust")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_CACHE", str(home / "cache"))
        spec = read_spec(None, QUICK)
        dataset = load_dataset(spec.data)
        done = make_stages(spec, dataset, home, Silent(), (TEACHER, ALIGNMENT, TEACHER_TARGETS))

        def learn(name, *settings):
            spec = read_spec(None, (*QUICK, *settings))
            return complete(PLAIN_STUDENT, spec, dataset, done, home / name, Silent())

        yield learn


def weights(stage):
    return (stage.folder / "weights.safetensors").read_bytes()


def test_the_same_command_twice_gives_the_same_weights(learn):
    first, second = learn("first", ROBUST), learn("second", ROBUST)
    assert weights(first) == weights(second)
    assert weights(first) != weights(learn("plain"))
    kernels = read_tensors(first.folder / "weights.safetensors")[0]["frontend.convolution.weight"]
    assert kernels.shape == (8, 1, 5, 5)


def test_another_size_of_errors_is_another_student_and_another_chip_is_not(learn):
    first = learn("errors", ROBUST)
    assert learn("errors", ROBUST, "fabrication.seed=5", "fabrication.camera=false").reused
    other = learn("errors", ROBUST, "fabrication.shift_pixels=0.5")
    assert not other.reused
    assert other.fingerprint != first.fingerprint


def test_without_it_the_student_does_not_depend_on_fabrication(learn):
    learn("indifferent")
    assert learn("indifferent", "fabrication.shift_pixels=0.5").reused
    assert not learn("indifferent", ROBUST).reused


@pytest.mark.parametrize("method", ["none", "kd"])
def test_other_methods_train_behind_chips_too(learn, method):
    setting = f"distillation.method={method}"
    robust = learn(f"robust-{method}", ROBUST, setting)
    assert weights(robust) != weights(learn(f"plain-{method}", setting))
