"""The chip in the report: what is read, what is said, what is drawn."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tests.reports.conftest import write_mark

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.chip import ChipOptics, Treatment
from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.artefacts.run import read_run
from hybridonn.reports.figures.chip import (
    choose_kernels,
    draw_built_kernels,
    draw_built_psfs,
    draw_fractions,
    draw_treatments,
)
from hybridonn.reports.page import write_report
from hybridonn.reports.sections.all import list_sections
from hybridonn.reports.sections.chip import list_chip_tiles
from hybridonn.reports.sections.chip_wording import describe_chip
from hybridonn.reports.statistics import wilson_interval
from hybridonn.reports.tables.treatments import list_treatments
from hybridonn.reports.verdict import describe_run
from hybridonn.tasks.segmentation import Segmentation

WRONG = {"uncompensated": 90, "calibrated": 30, "none": 36, "kd": 12, "ntkd": 18}  # of 360


def change(path, **sections):
    tree = json.loads(path.read_text())
    for name, numbers in sections.items():
        tree[name] = tree.get(name, {}) | numbers
    path.write_text(json.dumps(tree))


def make_logits(labels, wrong):
    named = labels.copy()
    named[:wrong] = (labels[:wrong] + 1) % 10
    return np.eye(10, dtype=np.float32)[named]


def write_optics(folder, kernels, shift=0):
    """A chip whose kernels are k % brighter than designed, in a window of 11 pixels."""
    brighter = 1 + np.arange(len(kernels))[:, None, None, None] / 100
    built = np.roll(np.pad(kernels * brighter, [(0, 0)] * 2 + [(2, 2)] * 2), shift, -1)
    psf = np.stack([np.maximum(built, 0), np.maximum(-built, 0)], 1)[..., ::-1, ::-1]
    np.savez(folder / "kernels.npz", designed=kernels, built=built)
    np.savez(folder / "psf.npz", psf=psf / 2, gains=np.full(psf.shape[:3], 2.0))


def add_chip(folder, source="simulation", psfs=True, fractions=True):
    """Put the stages ``fabricated`` and ``compensated`` into a run folder."""
    labels = np.load(folder / "student" / "predictions.npz")["labels"]
    kernels = np.load(folder / "student" / "kernels.npz")["kernels"]
    built, won = folder / "fabricated", folder / "compensated"
    built.mkdir()
    won.mkdir()
    before, after = (make_logits(labels, WRONG[name]) for name in ("uncompensated", "ntkd"))
    np.savez(built / "predictions.npz", labels=labels, logits=before)
    np.savez(won / "predictions_before.npz", labels=labels, logits=before)
    np.savez(won / "predictions.npz", labels=labels, logits=after)
    right = {name: np.arange(360) >= wrong for name, wrong in WRONG.items()}
    np.savez(won / "scores.npz", **{name: some.astype(np.float32) for name, some in right.items()})
    places = np.random.default_rng(0).normal(size=(2, 360, 2)) + labels[:, None]
    np.savez(won / "embedding.npz", before=places[0], after=places[1], labels=labels)
    rows = "0.01,12,0.8,0.85\n0.1,120,0.9166,0.95\n1,1200,0.97,0.975\n"
    head = "fraction,captures,calibrated,fine_tuned\n"
    (won / "fractions.csv").write_text(head + (rows if fractions else "0.1,120,0.9166,0.95\n"))
    (won / "origin.json").write_text(json.dumps({"student": "c" * 64}))
    write_mark(won)
    if psfs:
        write_optics(built if source == "simulation" else won, kernels)
    change(
        folder / "results.json",
        fabricated={"accuracy": 0.75, "ideal_accuracy": 350 / 360, "preset": "paper-mnist"},
        compensated={
            "method": "ntkd",
            "accuracy": 0.95,
            "fraction": 0.1,
            "captures": 120,
            "calibration": "layers",
            "labelled": True,
            **{f"{name}_accuracy": 1 - wrong / 360 for name, wrong in WRONG.items()},
            "source": source,
        },
    )
    made = {"fabricated": "e" * 64, "compensated": "f" * 64} if source == "simulation" else {}
    change(folder / "record.json", hashes=made)
    return folder


@pytest.fixture
def chip_folder(run_folder):
    return add_chip(run_folder)


def list_chip_figures(run):
    sections = [one for one in list_sections(run) if one.name.startswith("chip")]
    return [figure for section in sections for figure in section.build(run)]


def names(run):
    return [figure.name for figure in list_chip_figures(run)]


def test_what_was_lost_and_won_back_is_said(chip_folder):
    run = read_run(chip_folder)
    text = describe_chip(run)
    for part in (
        "simulated chip loses 22.2 points of accuracy by fabrication",
        "from 97.2 % with ideal optics to 75.0 % (70.3 to 79.2 %)",  # Wilson, 270 of 360
        "on 10 % of the training images (120 captures), calibration wins 16.7 points back (95 %: ",
        "to 91.7 % (88.4 to 94.1 %); behind it, fine-tuning with neural tangent knowledge "
        "distillation (NTKD) wins 3.3 points (95 %: +1.3 to +5.3), to 95.0 %",
        "Together that is 90 % of the loss.",  # 20 of 22.2
        "Most was reached fine-tuned with KD: 96.7 %",
    ):
        assert part in text
    assert list_chip_tiles(run)[1][:2] == ("on the chip compensated", "95.0 %")
    assert list_chip_figures(replace(run, chip=None)) == []


def test_a_fine_tuning_that_wins_nothing_is_not_praised_for_the_calibration(chip_folder):
    run = read_run(chip_folder)
    calibrated = next(one for one in run.chip.treatments if one.method == "calibrated")
    same = replace(calibrated, method="ntkd")
    treatments = tuple(same if one.method == "ntkd" else one for one in run.chip.treatments)
    text = describe_chip(replace(run, chip=replace(run.chip, treatments=treatments)))
    assert "calibration wins 16.7 points back" in text
    assert "(NTKD) changes nothing (95 %: −0.8 to +0.8, not to be told from zero)" in text
    assert "Together that is 75 % of the loss" in text


def hold_out(folder, method, **scores):
    counts = {"captures": 24, "trained_on": 96, "seconds": 1.0}
    accuracy = 1 - WRONG[method] / 360
    numbers = {"method": method, "accuracy": accuracy, "held_out": counts | scores}
    change(folder / "results.json", compensated=numbers)
    labels = np.load(folder / "student" / "predictions.npz")["labels"]
    logits = make_logits(labels, WRONG[method])
    np.savez(folder / "compensated" / "predictions.npz", labels=labels, logits=logits)
    return read_run(folder)


def test_why_a_treatment_is_kept_is_said(chip_folder):
    scores = {"uncompensated": 0.5, "calibrated": 23 / 24, "none": 22 / 24, "kd": 23 / 24}
    run = hold_out(chip_folder, "calibrated", **scores, ntkd=0.75)
    text = describe_chip(run)
    assert "calibration wins 16.7 points back" in text
    assert "behind it" not in text
    assert (
        "Kept is what was best on 24 captures held out from all candidates: calibrated 95.8 % (as "
        "fabricated 50.0 %, fine-tuned on labels 91.7 %, fine-tuned with KD 95.8 %, fine-tuned "
        "with NTKD 75.0 %); of equals the one with the smallest loss."
    ) in text
    head, *rows = list_treatments(run)
    assert head[-1] == "on 24 captures held out"
    assert [row[-1] for row in rows] == ["–", "50.0 %", "95.8 %", "91.7 %", "95.8 %", "75.0 %"]
    assert rows[2][0] == "calibrated (kept)"
    write_report(chip_folder)


def test_a_chip_that_is_left_as_it_is(chip_folder):
    run = hold_out(chip_folder, "uncompensated", uncompensated=1.0, calibrated=0.5)
    text = describe_chip(run)
    assert "no treatment was better than none, and the chip is left as it is." in text
    assert "as fabricated 100.0 % (calibrated 50.0 %)." in text


def test_without_calibration_the_step_before_is_the_chip_as_built(chip_folder):
    change(chip_folder / "results.json", compensated={"calibration": "none"})
    run = read_run(chip_folder)
    text = describe_chip(run)
    assert "(NTKD) wins 20.0 points back" in text
    assert "calibration" not in text
    assert list_treatments(run)[6][5].startswith("+20.0 (")


def test_the_head_of_the_report_says_as_built_and_compensated(chip_folder):
    text = " ".join(describe_run(read_run(chip_folder)))
    assert "97.2 % accuracy (95 % interval 95.0 to 98.5 %) with ideal optics" in text
    assert (
        "Behind the simulated chip it reaches 75.0 % (70.3 to 79.2 %) as fabricated and "
        "95.0 % (92.2 to 96.8 %) compensated."
    ) in text
    change(chip_folder / "record.json", hashes={"compensated": "0" * 64})
    text = " ".join(describe_run(read_run(chip_folder)))
    assert "75.0 % (70.3 to 79.2 %) as fabricated; nothing was compensated." in text


def test_every_treatment_has_its_row(chip_folder):
    rows = list_treatments(read_run(chip_folder))
    assert [row[0] for row in rows[1:]] == [
        "ideal optics",
        "as fabricated",
        "calibrated",
        "fine-tuned on labels",
        "fine-tuned with KD",
        "fine-tuned with NTKD (kept)",
    ]
    assert rows[2][1:] == ("75.0 %", "70.3 to 79.2 %", "−22.2 (−26.4 to −17.8)", "–", "–")
    assert rows[6][3:] == ("−2.2 (−3.9 to −0.5)", "90 %", "+3.3 (+1.3 to +5.3)")


def test_a_share_of_a_loss_within_chance_is_left_out(chip_folder):
    run = read_run(chip_folder)
    low = run.models["student"].predictions.interval[0]
    treatments = (Treatment("uncompensated", low, (0.9, 1.0)), *run.chip.treatments[1:])
    rows = list_treatments(replace(run, chip=replace(run.chip, treatments=treatments)))
    assert {row[4] for row in rows[1:]} == {"–"}
    just = (Treatment("uncompensated", low - 1e-6, (0.9, 1.0)), *run.chip.treatments[1:])
    rows = list_treatments(replace(run, chip=replace(run.chip, treatments=just)))
    assert "–" not in {row[4] for row in rows[3:]}


def test_a_chip_that_loses_and_wins_nothing_is_called_so(chip_folder):
    run = read_run(chip_folder)
    ideal = run.models["student"].predictions.value
    treatments = (
        Treatment("uncompensated", ideal + 1e-9, (0.9, 1.0)),
        *run.chip.treatments[1:],
    )
    run = replace(run, chip=replace(run.chip, treatments=treatments))
    text = describe_chip(run)
    assert "loses nothing by fabrication" in text
    assert "Together" not in text  # no loss, so no share of it
    assert "Most was reached as fabricated: 97.2 %" in text
    assert list_treatments(run)[2][3] == "±0"


def test_pillars_as_designed_stand_between_ideal_and_built(chip_folder):
    change(chip_folder / "results.json", fabricated={"designed_accuracy": 0.9})
    run = read_run(chip_folder)
    text = describe_chip(run)
    assert "by fabrication" not in text
    assert "97.2 % with ideal optics and 90.0 % with the pillars as designed to 75.0 %" in text
    assert list_treatments(run)[2] == ("pillars as designed", "90.0 %", "–", "−7.2", "–", "–")


def test_the_report_has_one_section_of_the_chip(chip_folder):
    text = write_report(chip_folder).read_text("utf-8")
    contents = text[text.index("<nav") : text.index("</nav>")]
    assert contents.count("#chip") == 1
    for name in ("chip", *(f"chip-{n}" for n in ("fractions", "confusion", "embedding"))):
        assert f'id="{name}"' in text
        assert (chip_folder / "figures" / f"{name}.svg").stat().st_size > 5000
    assert text.count("<h3>") == 5
    assert "<td>75.0 %</td>" in text


def test_confusions_before_and_after_share_one_scale(chip_folder):
    run = read_run(chip_folder)
    section = next(one for one in list_chip_figures(run) if one.name == "chip-confusion")
    figure = section.draw()
    titles = [axes.get_title(loc="left") for axes in figure.axes[:2]]
    assert titles == ["As fabricated: 270 of 360 right", "Compensated: 342 of 360 right"]
    norms = [axes.images[0].norm for axes in figure.axes[:2]]
    assert norms[0] is norms[1]


def test_maps_that_were_laid_out_together_have_the_same_limits(chip_folder):
    run = read_run(chip_folder)
    section = next(one for one in list_chip_figures(run) if one.name == "chip-embedding")
    one, other = section.draw().axes[:2]
    assert one.get_xlim() == other.get_xlim()
    assert one.get_ylim() == other.get_ylim()
    shown = np.concatenate([some.get_offsets() for some in other.collections])
    stored = np.load(chip_folder / "compensated" / "embedding.npz")["after"]
    assert np.allclose(np.sort(shown, 0), np.sort(stored, 0))


def test_treatments_are_drawn_with_their_intervals(chip_folder):
    run = read_run(chip_folder)
    axes = draw_treatments(run.chip, run.task).axes[0]
    lines = [np.asarray(line.get_xdata(), float) for line in axes.lines]
    expected = 100 * np.array(wilson_interval(270, 360))
    assert any(line.shape == (2,) and np.allclose(line, expected) for line in lines)
    bold = [t.get_text() for t in axes.get_yticklabels() if t.get_fontweight() == "bold"]
    assert bold == ["fine-tuned with NTKD"]


def test_the_curve_over_captures_is_the_table(chip_folder):
    run = read_run(chip_folder)
    left, right = draw_fractions(run.chip.fractions, run.chip, run.task).axes
    for axes in (left, right):
        curves = {line.get_label(): line for line in axes.lines}
        tuned = curves["fine-tuned with NTKD"]
        assert np.allclose(tuned.get_xdata(), [0.01, 0.1, 1])
        assert np.allclose(tuned.get_ydata(), [85, 95, 97.5])
    ticks = [tick.get_text() for tick in left.get_xticklabels()]
    assert ticks == ["1 %\n12", "10 %\n120", "100 %\n1,200"]
    words = [[text.get_text() for text in axes.texts] for axes in (left, right)]
    assert words == [["ideal optics 97.2", "as fabricated 75.0"], ["ideal optics 97.2"]]


def test_one_fraction_makes_no_curve_and_the_cure_is_named(run_folder):
    run = read_run(add_chip(run_folder, fractions=False))
    assert "chip-fractions" not in names(run)
    assert "set compensation.fractions" in list_chip_figures(run)[0].caption


def test_designed_and_built_are_the_kernels_and_what_the_subtraction_makes(chip_folder):
    optics = read_run(chip_folder).chip.optics
    kernels = np.load(chip_folder / "student" / "kernels.npz")["kernels"]
    for psfs, factor in ((optics.designed, 0), (optics.built, 1)):
        signed = (psfs[:, 0] - psfs[:, 1])[..., ::-1, ::-1][..., 2:-2, 2:-2]
        brighter = 1 + factor * np.arange(8)[:, None, None, None] / 100
        np.testing.assert_allclose(signed, kernels * brighter, atol=1e-6)


@pytest.mark.parametrize(("most", "chosen"), [(8, list(range(8))), (3, [0, 4, 7]), (1, [0])])
def test_kernels_go_from_the_nearest_to_the_farthest(chip_folder, most, chosen):
    assert choose_kernels(read_run(chip_folder).chip.optics, most) == chosen


def test_errors_are_written_below_the_kernels(chip_folder):
    figure = draw_built_kernels(read_run(chip_folder).chip.optics, "built")
    notes = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert notes == [f"error {k} %" for k in range(8)]


@pytest.mark.parametrize("bands", [1, 3])
def test_point_spread_functions_fit_on_a_page(bands):
    psfs = np.random.default_rng(0).random((16, 2, bands, 21, 21))
    figure = draw_built_psfs(ChipOptics(psfs, psfs, 7), "measured")
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 3 * (16 if bands == 1 else 12)
    assert {axes.images[0].get_array().shape for axes in shown} == {(15, 15)}
    assert {axes.get_ylabel() for axes in shown} == {"designed", "measured", "difference", ""}
    assert figure.get_figheight() < 10


def test_a_chip_that_is_only_built_stands_beside_ideal_optics(chip_folder):
    change(chip_folder / "record.json", hashes={"compensated": "0" * 64})  # of an earlier chip
    run = read_run(chip_folder)
    assert run.chip.kept is None
    assert names(run) == ["chip", "chip-confusion", "chip-kernels", "chip-psfs"]
    assert describe_chip(run).endswith("to 75.0 % (70.3 to 79.2 %).")
    figure = list_chip_figures(run)[1].draw()
    assert figure.axes[0].get_title(loc="left") == "Ideal optics: 350 of 360 right"
    assert len(draw_treatments(run.chip, run.task).axes) == 1


def test_a_chip_of_an_earlier_run_is_not_shown(chip_folder):
    record = json.loads((chip_folder / "record.json").read_text())
    record["hashes"] = {"student": "c" * 64}
    (chip_folder / "record.json").write_text(json.dumps(record))
    assert read_run(chip_folder).chip is None
    shutil.rmtree(chip_folder / "compensated")  # results.json still has its numbers
    assert read_run(chip_folder).chip is None


def test_a_measured_chip_is_shown_while_its_student_is_the_same(run_folder):
    run = read_run(add_chip(run_folder, "captures"))
    assert run.chip.measured
    assert "on 10 % of the captures (120 captures)" in describe_chip(run)
    assert "The measured chip loses 22.2 points of accuracy (95 % on the same" in describe_chip(run)
    kernels = next(one for one in list_chip_figures(run) if one.name == "chip-kernels")
    assert kernels.heading == "Kernels, designed and measured"
    change(run_folder / "record.json", hashes={"student": "d" * 64})
    assert read_run(run_folder).chip is None


def test_without_measured_psfs_the_report_says_so(run_folder):
    run = read_run(add_chip(run_folder, "captures", psfs=False))
    assert not {"chip-kernels", "chip-psfs"} & set(names(run))
    assert "No point spread functions were captured" in list_chip_figures(run)[0].caption


def test_masks_have_neither_confusion_nor_map(chip_folder):
    run = read_run(chip_folder)
    labels = np.random.default_rng(0).integers(0, 2, (6, 8, 8))
    task = Segmentation()
    masks = Predictions(task, labels, labels, 2)
    chip = replace(
        run.chip,
        predictions={"as fabricated": masks, "compensated": masks},
        embeddings={},
        fractions=None,
    )
    models = {"student": replace(run.models["student"], predictions=masks)}
    run = replace(run, chip=chip, models=models, task=task)
    assert names(run) == ["chip", "chip-kernels", "chip-psfs"]
    first = list_chip_figures(run)[0]
    assert first.table[0][1] == "test mIoU"


def spoil_scores(folder):
    scores = dict(np.load(folder / "compensated" / "scores.npz"))
    np.savez(folder / "compensated" / "scores.npz", **scores | {"kd": scores["uncompensated"]})


def make_no_scores(folder):
    scores = dict(np.load(folder / "compensated" / "scores.npz"))
    odd = scores["kd"].astype(float)
    odd[0] = 1e9
    np.savez(folder / "compensated" / "scores.npz", **scores | {"kd": odd})


def spoil_predictions(folder):
    (folder / "compensated" / "predictions_before.npz").write_bytes(
        (folder / "compensated" / "predictions.npz").read_bytes()
    )


def spoil_map(folder):
    (folder / "compensated" / "embedding.npz").unlink()


def spoil_optics(folder):
    gains = np.ones((3, 2, 1))
    np.savez(folder / "fabricated" / "psf.npz", psf=np.ones((3, 2, 1, 9, 9)), gains=gains)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (spoil_scores, r"scores\.npz .* mean of kd is 0\.7500, and results\.json says 0\.9667"),
        (make_no_scores, r"scores\.npz .* kd holds values that are no accuracy of an image"),
        (spoil_predictions, r"predictions_before\.npz .* uncompensated_accuracy"),
        (spoil_map, r"compensated.embedding\.npz .* missing"),
        (spoil_optics, r"psf\.npz .* shape \(3, 2, 1, 9, 9\), and the kernels are \(8, 1, 7, 7\)"),
    ],
)
def test_files_that_contradict_one_another_are_named(chip_folder, spoil, sentence):
    spoil(chip_folder)
    with pytest.raises(ArtefactError, match=sentence):
        read_run(chip_folder)


def keep_captures(folder, some):
    """Of a measured chip the captures of some test images alone."""
    add_chip(folder, "captures")
    place = folder / "compensated"
    for name in ("predictions_before", "predictions"):
        arrays = dict(np.load(place / f"{name}.npz"))
        np.savez(place / f"{name}.npz", **{key: values[some] for key, values in arrays.items()})
    scores = {key: each[some] for key, each in np.load(place / "scores.npz").items()}
    np.savez(place / "scores.npz", **scores)
    found = {f"{name}_accuracy": float(each.mean()) for name, each in scores.items()}
    change(folder / "results.json", compensated=found | {"accuracy": found["ntkd_accuracy"]})
    return place


def test_ideal_optics_are_those_of_the_captured_images(run_folder):
    some = np.arange(60, 160)[::-1]
    place = keep_captures(run_folder, some)
    np.savez(place / "test_images.npz", positions=some)
    run = read_run(run_folder)
    right = read_run(run_folder).models["student"].predictions.scores[some]
    assert run.chip.ideal.value == right.mean()
    np.testing.assert_array_equal(run.chip.ideal.scores, right)
    assert "The measured chip loses 30.0 points of accuracy (95 % on the same" in describe_chip(run)
    assert "ideal optics on the same images" in list_chip_figures(run)[0].caption
    np.savez(place / "test_images.npz", positions=some[::-1])
    with pytest.raises(ArtefactError, match=r"test_images\.npz .* not those of the test images"):
        read_run(run_folder)


def test_captures_of_other_images_than_ideal_opticss_are_not_compared(run_folder):
    keep_captures(run_folder, slice(60, 160))
    run = read_run(run_folder)
    caption = list_chip_figures(run)[0].caption
    assert "Dots are the metric on 100 test captures" in caption
    assert "ideal optics on all 360 test images, which are not the same ones" in caption
    text = describe_chip(run)
    assert "The measured chip reaches 70.0 % (60.4 to 78.1 %) accuracy on 100 captured" in text
    assert "ideal optics reach 97.2 % on all test images, which is another set" in text
    assert "of the loss" not in text
    assert {(row[3], row[4]) for row in list_treatments(run)[1:]} == {("–", "–")}
    assert "it reaches on 100 captured test images 70.0 %" in " ".join(describe_run(run))
