"""The page of a study, of every kind."""

from __future__ import annotations

import json

import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.studies import KINDS, write_study_report

NASTY = "<script>alert(1)</script>"
MEAN = {"mean": 0.9, "low": 0.85, "high": 0.94, "standard_deviation": 0.01}
ALONE = {"error": "kernel_noise_fraction", "magnitude": 0.5}
RANGE = {"mean": 0.9, "lowest": 0.8, "highest": 0.95}
POINT = {"optics": "ideal", "kernels": 4, "pooled_size": 2, "bits": 8, "numbers": 16}
GAIN = {"mean": 0.02, "low": -0.01, "high": 0.05, "n": 3}
CHIPS = {"standard_deviation": None, "yield": 0.5, "yield_low": 0.1, "yield_high": 0.9}
RANKS = {
    **{"spearman": 0.8, "spearman_low": None, "spearman_high": None},
    **{"mean_error_points": 2.0, "bias_points": -1.0, "regret_points": 0.0},
}
STUDIES = {
    "comparison": {
        "design": NASTY,
        "metric": "accuracy",
        "methods": {
            "none": {"label": "task alone", "values": [0.9], "seconds": 2.0} | MEAN,
            "kd": {"label": "task + KD", "values": [0.92], "seconds": 3.0} | MEAN,
        },
        "differences": [{"method": "kd", "baseline": "none"} | GAIN],
        "sentences": [f"{NASTY} is text"],
    },
    "tolerance": {
        "name": NASTY,
        "threshold": 0.95,
        "summary": {"uncompensated": RANGE | CHIPS},
        "alone": [ALONE | RANGE],
    },
    "ranking": {
        "name": NASTY,
        "estimates": {"design": RANKS},
        "designs": [
            {"name": "k1", "parameters": 126, "trained": 0.6}
            | {"design": 0.7, "design_low": 0.6, "design_high": 0.8}
        ],
    },
    "readout": {
        "design": NASTY,
        "label": "accuracy",
        "points": [POINT | MEAN | {"no_more_numbers": GAIN}],
        "sentences": [],
    },
    "strategies": {
        "design": NASTY,
        "label": "accuracy",
        "pillars": "0.0376 mm",
        "points": [
            {"variant": name, "label": name.replace("_", " "), "epochs": 1, "cropped": 0.95}
            | {"seconds": 2.0, "evaluations": 1248}
            | MEAN
            for name in ("kernels_first", "lens")
        ],
        "differences": [{"epochs": 1, "variant": "kernels_first", "baseline": "lens"} | GAIN],
        "sentences": [],
    },
    "regimes": {
        "design": NASTY,
        "label": "accuracy",
        "points": [
            {
                **{"images": 40, "epochs": 1},
                "variants": {"kd": {"label": "KD", "seconds": 0.1} | MEAN},
                "differences": [{"variant": "kd", "baseline": "none"} | GAIN],
            }
        ],
        "sentences": [],
    },
}
SHOWN = {
    "comparison": ("task + KD − task alone", "+2.00", "[−1.00, +5.00]", "85.00 to 94.00 %"),
    "tolerance": ("as fabricated", "10.0 to 90.0 %", "kernel noise", "95.00 % or more"),
    "ranking": ("design kernels", "0.80", "−1.00", "70.00 % (60.00 to 80.00 %)"),
    "readout": ("4 ideal", "2 × 2", "+2.00 [−1.00, +5.00]"),
    "strategies": ("1,248", "95.00 %", "[−1.00, +5.00]"),
    "regimes": ("KD", "90.00 %", "[−1.00, +5.00]"),
}


@pytest.fixture(params=KINDS)
def study(request, tmp_path):
    name = request.param
    (tmp_path / f"{name}.json").write_text(json.dumps(STUDIES[name]))
    (tmp_path / f"{name}.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "spec.yaml").write_text("name: a\n")
    return name, tmp_path


def test_the_page_shows_the_numbers_and_escapes_the_names(study):
    name, folder = study
    page = write_study_report(folder).read_text("utf-8")
    for shown in SHOWN[name]:
        assert shown in page
    assert NASTY not in page
    assert KINDS[name].command in page
    assert "data:image/svg+xml;base64," in page


def test_a_damaged_study_is_a_sentence_and_leaves_no_page(study):
    name, folder = study
    (folder / f"{name}.json").write_text("{}")
    with pytest.raises(ArtefactError, match=f"run the same `{KINDS[name].command}` command"):
        write_study_report(folder)
    (folder / f"{name}.json").unlink()
    with pytest.raises(ArtefactError, match="no finished study"):
        write_study_report(folder)
    assert not (folder / "report.html").exists()
