"""The spec: what it accepts, and what it says of what it does not."""

from pathlib import Path

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.data.readers.table import DATA_SETS
from hybridonn.distillation.methods import METHODS
from hybridonn.spec import (
    Compensation,
    Spec,
    Teacher,
    Training,
    default_tree,
    dump_spec,
    read_spec,
    validate,
)

ROOT = Path(__file__).parents[2]


def test_the_default_is_the_example():
    assert read_spec(None) == read_spec(ROOT / "examples" / "digits.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.name)
def test_every_example_is_valid_and_survives_a_round_trip(path, tmp_path):
    spec = read_spec(path)
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump_spec(spec))
    assert read_spec(copy) == spec


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("student.kernals=9", ["student.kernals", "9", "did you mean student.kernels?"]),
        ("kernels=9", ["kernels: unknown key", "student.kernels"]),
        ("teac[her.name=x", ["teac[her: unknown key", "did you mean teacher?"]),
        ("student.int=1", ["student.int: unknown key"]),
        ("str=1", ["str: unknown key"]),
        ("student.kernels=0", ["student.kernels is 0", "allowed is 1 or more"]),
        ("student.kernels=many", ["student.kernels is 'many'", "whole number"]),
        ("student.kernel_size=4", ["kernel_size is 4", "odd"]),
        ("data.name=mnits", ["data.name is 'mnits'", *map(repr, DATA_SETS)]),
        ("data.name=idx", ["folder is None", "needs a folder"]),
        ("optics.gap_mm=-0.1", ["optics.gap_mm is -0.1", "allowed is 0 or more"]),
        ("optics.gap_mm=.nan", ["optics.gap_mm is nan", "finite"]),
        ("optics=3", ["optics is 3"]),
        ("seed=1.5", ["seed is 1.5", "whole number"]),
        ("name=../up", ["name is '../up'"]),
        (
            "distillation.tangent.layers=7",
            ["layers is 7: allowed is 'last', 'first' or 'all', or a list of names"],
        ),
        ("student.kernels", ["no key and value", "key.path=value"]),
        ("student.kernels.more=1", ["kernels is a value"]),
        ("student.kernels=[", ["not valid YAML"]),
    ],
)
def test_a_fault_is_named_with_what_is_allowed(setting, words):
    with pytest.raises(SpecError) as caught:
        read_spec(None, (setting,))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("where", ["", "compensation."])
@pytest.mark.parametrize(
    ("discrepancy", "few", "enough"),
    [
        ("debiased_cka", "distillation.tangent.images=3", "distillation.tangent.images=4"),
        ("debiased_cka", "training.batch_size=6", "training.batch_size=7"),
        ("cka", "distillation.tangent.images=2", "distillation.tangent.images=3"),
        ("cka", "training.batch_size=4", "training.batch_size=5"),
        ("auto", "training.batch_size=1", "training.batch_size=5"),
        ("cosine", "training.batch_size=2", "training.batch_size=3"),
    ],
)
def test_a_batch_has_images_enough_for_kernels_to_differ(where, discrepancy, few, enough):
    chip = ("fabrication={}", "compensation={}", "optics.metasurface={}") if where else ()
    settings = (*chip, f"{where}distillation.tangent.discrepancy={discrepancy}")
    said = rf"{where}distillation.*at least \d images, but {where}{few.replace('=', ' is ')}"
    with pytest.raises(SpecError, match=said) as caught:
        read_spec(None, (*settings, f"{where}{few}"))
    cure = f"set it to {enough.split('=')[1]} or more, or train without ntkd"
    assert cure in str(caught.value)
    read_spec(None, (*settings, f"{where}{enough}"))


@pytest.mark.parametrize("method", ["none", "kd"])
def test_methods_without_kernels_take_any_batch(method):
    read_spec(None, ("training.batch_size=1", f"distillation.method={method}"))


def test_all_faults_are_named_at_once():
    tree = default_tree() | {"seed": -1, "nmae": "x"}
    with pytest.raises(SpecError, match="2 faults") as caught:
        validate(tree, "mine.yaml")
    assert "seed is -1" in str(caught.value)
    assert "did you mean name?" in str(caught.value)


@pytest.mark.parametrize("content", ["- a list", "a: [", "just words", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(content, tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(content)
    with pytest.raises(SpecError, match=r"spec\.yaml"):
        read_spec(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpecError, match="No such file"):
        read_spec(tmp_path / "none.yaml")


def test_settings_win_over_the_file_in_order():
    spec = read_spec(None, ("seed=3", "seed=4", "student.hidden=[5, 6]"))
    assert spec.seed == 4
    assert spec.student.hidden == (5, 6)


@pytest.mark.parametrize("section", [Teacher, Compensation])
def test_what_a_part_leaves_out_is_of_the_section_s_default_not_of_its_class(section):
    stated = section.model_validate({"training": {"batch_size": 16}}).training
    assert stated == section().training.model_copy(update={"batch_size": 16})
    assert stated.epochs != Training().epochs


def test_a_setting_of_the_training_of_a_chip_leaves_its_learning_rate():
    spec = read_spec(None, ("compensation.training.epochs=30",))
    assert spec.compensation
    assert spec.compensation.training.learning_rate == Compensation().training.learning_rate


def test_a_method_brings_what_was_tuned_for_it_and_nothing_else():
    spec = read_spec(None, ("tuned.kd.epochs=3", "tuned.kd.temperature=9"))
    kd = spec.for_method("kd")
    assert (kd.training.epochs, kd.distillation.temperature) == (3, 9)
    assert kd.distillation.method == "kd"
    for method in set(METHODS) - {"kd"}:
        other = spec.for_method(method)
        assert other.training == spec.training
        assert other.distillation.temperature == spec.distillation.temperature


def test_the_tree_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Spec().seed = 3


def test_a_setting_fills_a_section_that_is_null():
    spec = read_spec(None, ("optics.metasurface=null", "optics.metasurface.steps=3"))
    assert spec.optics.metasurface is not None
    assert spec.optics.metasurface.steps == 3
    assert spec.with_metasurface() is spec


def test_one_setting_may_be_given_alone():
    assert read_spec(settings="student.kernels=4") == read_spec(settings=["student.kernels=4"])


def test_every_training_is_on_the_device_of_the_student_unless_it_states_one():
    spec = read_spec(None, ("training.device=cpu", "compensation={}"))
    assert spec.teacher.training.device == spec.compensation.training.device == "cpu"
    assert spec.teacher.training.epochs == read_spec().teacher.training.epochs
    stated = ("training.device=cpu", "teacher.training.device=cuda")
    assert read_spec(None, stated).teacher.training.device == "cuda"
    plain = read_spec(None, ("training.device=cpu",))
    assert plain.compensation is None
    assert plain.compensation_or_default().training.device == "cpu"
    assert read_spec().compensation_or_default().training.device == "auto"
