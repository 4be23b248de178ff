"""Values of other kinds in the files of a run are refused before anything is drawn."""

import json

import numpy as np
import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.numbers import RECORD, check_values, list_result_kinds
from hybridonn.reports.artefacts.reading import read_arrays, read_json, read_table
from hybridonn.reports.artefacts.run import read_run
from hybridonn.reports.page import write_report

RESULTS = list_result_kinds(("accuracy",))
ODD = (None, True, "x", [], [1, 2], {"a": 1}, float("nan"), 10**400, -1, 1e308)


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize(
    "key",
    [
        *("student.accuracy", "teacher.accuracy", "baseline.accuracy", "estimate.uncertainty"),
        *("estimate.test_images", "fabricated.designed_accuracy", "metasurface.height_nm"),
        *("compensated.captures", "compensated.none_accuracy", "compensated.fraction"),
    ],
)
def test_a_number_of_another_kind_is_refused(tmp_path, key, value):
    section, name = key.split(".")
    with pytest.raises(ArtefactError, match=rf"results\.json cannot be used: {key} is .* needed"):
        check_values({section: {name: value}}, RESULTS, tmp_path / "results.json", "the run itself")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("metasurface.psf_residual", 1), ("metasurface.kernel_error_by_colour", ["a"])),
        *(("compensated.held_out", [1]), ("compensated.held_out", {"kd": "x"})),
        *(("compensated.labelled", 1), ("compensated.method", ["kd"])),
    ],
)
def test_lists_mappings_and_texts_of_another_kind_are_refused(tmp_path, key, value):
    section, name = key.split(".")
    with pytest.raises(ArtefactError, match=f"{key} is"):
        check_values({section: {name: value}}, RESULTS, tmp_path / "results.json", "the run itself")


@pytest.mark.parametrize("section", ["student", "estimate", "metasurface", "compensated"])
@pytest.mark.parametrize("value", [1, "x", [1], None])
def test_sections_that_are_no_mappings_are_refused(run_folder, section, value):
    change(run_folder / "results.json", {section: value})
    with pytest.raises(ArtefactError, match=f"{section}"):
        read_run(run_folder)


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"hashes": 5}, "hashes is"),
        ({"hashes": {"student": 5}}, r"hashes\.student is"),
        ({"seconds": {"student": 10**400}}, r"seconds\.student is"),
        ({"seconds": {"student": "long"}}, r"seconds\.student is"),
        ({"data": {"classes": ["a", 5]}}, r"data\.classes is"),
        ({"data": {"classes": "0123456789"}}, r"data\.classes is"),
        ({"data": {"classes": list("0123456789"), "student_train": "x"}}, "student_train is"),
    ],
)
def test_records_of_another_kind_are_refused(run_folder, record, found):
    change(run_folder / "record.json", record)
    with pytest.raises(ArtefactError, match=rf"record\.json cannot be used: .*{found}"):
        read_run(run_folder)


def test_what_a_metasurface_lacks_is_named(tmp_path):
    with pytest.raises(ArtefactError, match=r"lacks metasurface\.narrowest_nm"):
        check_values(
            {"metasurface": {"height_nm": 500.0}}, RESULTS, tmp_path / "r", "the run itself"
        )


def test_what_is_only_shown_may_be_anything(run_folder):
    results = json.loads((run_folder / "results.json").read_text())
    change(run_folder / "results.json", {"student": results["student"] | {"new": [None, "x"]}})
    read_run(run_folder)
    check_values({"data": {"name": 5}}, RECORD, run_folder / "record.json", "the run itself")


@pytest.mark.parametrize(
    "array",
    [
        np.array(1.0),
        np.array(["2020-01-01"], "M8[D]"),
        np.array([1], "m8[s]"),
        np.array([1 + 2j]),
        np.array([True]),
        np.array(["a"]),
        np.ones(1, np.longdouble),
        np.array([np.inf]),
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path, array):
    np.savez(tmp_path / "a.npz", a=array)
    for more in ({"shapes": {"a": 1}}, {"shapes": {}, "optional": {"a": 1}}):
        with pytest.raises(ArtefactError, match=r"a\.npz cannot be used: a h"):
            read_arrays(tmp_path / "a.npz", "the x stage", **more)


def test_whole_numbers_and_foreign_orders_of_bytes(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([1.0]), b=np.array([1, 2], ">i4"))
    with pytest.raises(ArtefactError, match="a holds float64, not whole numbers"):
        read_arrays(tmp_path / "a.npz", "the x stage", {"a": 1}, whole=("a",))
    assert read_arrays(tmp_path / "a.npz", "the x stage", {"b": 1})["b"].dtype == np.int32


@pytest.mark.parametrize(
    "text", ["epoch\n" + "1" * 200_000, 'epoch\n"1', "epoch\ninf", "epoch\n\0"]
)
def test_tables_that_the_library_cannot_read_are_refused(tmp_path, text):
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(ArtefactError, match=r"history\.csv cannot be used"):
        read_table(tmp_path / "history.csv", "the student stage", ("epoch",))


@pytest.mark.parametrize("text", ['{"a": "\\ud800"}', '{"a": ' + "[" * 300 + "]" * 300 + "}"])
def test_trees_that_nothing_can_show_are_refused(tmp_path, text):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(ArtefactError, match=r"record\.json cannot be used: it is damaged"):
        read_json(tmp_path / "record.json", "the run itself")


@pytest.mark.parametrize(
    ("branch", "found"),
    [
        ("{kernels: 8, kernel_size: 0.5}", r"student\.branches"),
        ("{kernels: 8, kernel_size: 7, binning: 0}", r"student\.branches"),
        ("{kernels: 9, kernel_size: 7}", "8 kernels of 7 .* 9 of 7"),
        ("{kernels: 8, kernel_size: 9}", "8 kernels of 7 .* 8 of 9"),
    ],
)
def test_branches_that_cannot_be_are_refused(run_folder, branch, found):
    spec = f"student: {{backend: 'mine:make', branches: [{branch}]}}\n"
    (run_folder / "spec.yaml").write_text(spec)
    with pytest.raises(ArtefactError, match=f"cannot be used: .*{found}"):
        read_run(run_folder)


@pytest.mark.parametrize("text", ["task: painting\n", "student: [", "studnet: {}\n", "\0"])
def test_a_spec_that_cannot_be_read_is_refused(run_folder, text):
    (run_folder / "spec.yaml").write_text(text)
    with pytest.raises(ArtefactError, match=r"spec\.yaml cannot be used: .* SPEC --out"):
        read_run(run_folder)


def test_errors_name_the_command_that_makes_the_file_again(run_folder):
    (run_folder / "results.json").unlink()
    spec = run_folder / "spec.yaml"
    with pytest.raises(ArtefactError, match=f"run `hybridonn run {spec} --out {run_folder}`"):
        write_report(run_folder)


def change(path, values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
