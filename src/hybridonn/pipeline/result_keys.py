"""What each number of ``results.json`` is: plain data, from which docs/results_json.md is written.

``METRIC`` stands for the metric of the task: ``accuracy``, ``miou`` or ``ap50_images``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

METRICS = ("accuracy", "miou", "ap50_images")

# What a task measures of a test set.
MEASURED = {
    "METRIC": "the metric on the test images, 0 to 1",
    "miou_pixels": "mIoU over the pixels of the whole set rather than over images (segmentation)",
    "ap50": "COCO's AP50 of the whole set (detection)",
    "ap": "COCO's AP over overlaps of 0.5 to 0.95 (detection)",
    "ap_small": "AP of objects below 32 x 32 pixels (detection)",
    "ap_medium": "AP of objects of 32 x 32 to 96 x 96 pixels (detection)",
    "ap_large": "AP of objects above 96 x 96 pixels (detection)",
    "balanced_accuracy": "mean over classes of the share of their images that is told right",
    "sensitivity": "share of the positive images that is found; mean over classes of more than two",
    "specificity": "share of the negative images that is told so; mean over classes",
    "auc": "area under the receiver operating characteristic; mean over classes",
}
STUDENT = {
    **MEASURED,
    "method": "how the student was trained: `none`, `kd`, `cwd`, `ntkd` or code of your own",
    "seed": "seed of weights and of the order of images",
    "intervals": "95 % intervals of the measures beside the metric, by the bootstrap",
    "validation_METRIC": "the metric on the validation images, at the best epoch",
    "alignment": "centred alignment of the student's tangent kernel with the teacher's, 0 to 1, "
    "each of all layers, whichever ones NTKD matches",
    "epochs": "epochs that were trained",
    "best_epoch": "epoch whose weights are kept: best on the validation images",
    "seconds": "time of the training",
    "parameters": "trained parameters, `optical` and `digital`",
    "weights": "weights of the terms of the loss",
}
FABRICATED = {
    **MEASURED,
    "ideal_METRIC": "the metric with ideal kernels",
    "designed_METRIC": "the metric with the metasurface as designed, before errors",
    "drop": "what the chip costs: ideal less fabricated",
    "kernel_error": "relative error of the kernels, mean",
    "preset": "preset of the errors",
    "chip": "seed of the chip",
}

RESULT_KEYS: Mapping[str, Mapping[str, str]] = {
    "layout": {
        "kernels": "signed kernels that find room",
        "kernels_used": "signed kernels of the student",
        "sites": "sites of sub-optics that the metasurface holds",
        "rows": "rows of sites",
        "columns": "columns of sites",
    },
    "estimate": {
        "METRIC": "the metric that the design can reach, by kernel regression",
        "uncertainty": "its standard error",
        "seconds": "time of the estimate",
        "train_images": "images that it was fitted to",
        "test_images": "images that it was measured on",
        "lambda": "ridge that was chosen",
        "kernels": "`design`: drawn kernels of the design; `infinite`: infinitely many; "
        "`lens`: none, the optics are a plain lens",
        "method": "what was computed, in words",
    },
    "teacher": {
        "name": "name of the teacher",
        **MEASURED,
        "intervals": "95 % intervals of the measures beside the metric, by the bootstrap",
        "parameters": "trained parameters",
        "epochs": "epochs that were trained; 0: its weights were given",
        "seconds": "time of the training",
    },
    "teacher_targets": {
        "images": "images whose targets are stored; 0: the teacher is asked at each step",
        "kernel": "how the teacher's tangent kernel is stored",
    },
    "student": STUDENT,
    "baseline": STUDENT | {"teacher_margin": "metric of the teacher less that of the baseline"},
    "metasurface": {
        **MEASURED,
        "ideal_METRIC": "the metric with ideal kernels",
        "crosstalk_METRIC": "the metric with the light of neighbouring sub-optics",
        "camera_METRIC": "the metric with the noise and the bits of the camera",
        "kernels_first_METRIC": "the metric before end-to-end training",
        "kernels_first_kernel_error": "error of the kernels before end-to-end training",
        "kernels_first_efficiency": "efficiency before end-to-end training",
        "kernel_error": "relative error of the kernels, mean",
        "kernel_error_worst": "relative error of the worst kernel",
        "kernel_error_by_colour": "relative error of the kernels, for each colour",
        "kernel_error_by_branch": "relative error of the kernels, for each branch",
        "psf_residual": "light of the PSFs that is not of the kernel, for each colour",
        "authors_loss": "loss of the paper's authors, mean",
        "efficiency": "share of the light that falls on the kernel, mean",
        "efficiency_by_colour": "share of the light that falls on the kernel, for each colour",
        "crosstalk": "light of neighbours over a sub-optic's own, mean",
        "crosstalk_worst": "light of neighbours over a sub-optic's own, worst",
        "cells": "cells along a side of a sub-optic",
        "sub_optics": "sub-optics that were designed",
        "window_pixels": "side of the window in which PSFs are simulated, pixels",
        "material": "material of the pillars",
        "substrate": "material below the pillars",
        "height_nm": "height of the pillars, nm",
        "period_nm": "period of the pillars, nm",
        "cell_nm": "side of a cell, nm",
        "narrowest_nm": "narrowest pillar of the design, nm",
        "widest_nm": "widest pillar of the design, nm",
        "aperture_mm": "side of a sub-optic, mm",
        "distance_mm": "distance from metasurface to sensor, mm",
        "numerical_aperture": "numerical aperture of a sub-optic",
        "strategy": "`kernels-first` or `end-to-end`",
    },
    "fabricated": FABRICATED,
    "compensated": {
        **MEASURED,
        "uncompensated_METRIC": "the metric behind the chip with the backend as it was",
        "calibrated_METRIC": "the metric after the calibration, nothing trained",
        "none_METRIC": "the metric after fine-tuning on the task alone",
        "kd_METRIC": "the metric after fine-tuning with KD",
        "cwd_METRIC": "the metric after fine-tuning with CWD",
        "ntkd_METRIC": "the metric after fine-tuning with NTKD",
        "same_images": "the captured test images: their number, and the metric with ideal kernels",
        "method": "what is kept: the best on held-out captures",
        "kept_because": "why it is kept, in words",
        "held_out": "the metric of each candidate on held-out captures, and their number",
        "calibration": "what the calibration fits: `gains` or `layers`",
        "captures": "captures that are trained on",
        "fraction": "share of the training images that is captured",
        "fractions_by": "method of the curve over shares of captures",
        "labelled": "whether the labels of captured images are used",
        "twin_images": "images that were not captured, seen behind the digital twin",
        "parameters": "trained digital parameters after the compensation",
        "parameters_before": "trained digital parameters before it",
        "seconds": "time of the compensation",
        "source": "`simulation` or `captures`",
    },
    "deployed": {
        "METRIC": "the metric of the network in torch on the images that the files are run on",
        "backend": "which backend is written: that of the student, or the compensated one",
        "optics": "which optics the features come from",
        "calibration_images": "training images that set the ranges of the 8-bit integers",
        "test_images": "test images that the files are run on",
        "onnx": "`backend.onnx` beside torch: metric, and how far it agrees",
        "int8": "`backend.int8.onnx` beside torch",
        "hybrid": "`hybrid.onnx` beside torch",
        "c": "the C files beside torch, and their memory",
        "tflite_micro": "the file for LiteRT for Microcontrollers beside torch, and its memory",
        "macs": "multiply-accumulates of each network and part",
        "parameters": "parameters of each network and part",
        "latency_us": "time of one image on this machine for each runtime, microseconds",
    },
}


def match_key(stage: str, key: str) -> str | None:
    """The name under which a key of a stage is described; None: it is not."""
    known = RESULT_KEYS.get(stage, {})
    for metric in METRICS:
        if key not in known and key.endswith(metric):
            key = key[: -len(metric)] + "METRIC"
    return key if key in known else None


def list_undescribed(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The keys of a run's results that no table describes, such as ``student.seconds``."""
    return [f"{s}.{key}" for s, keys in results.items() for key in keys if not match_key(s, key)]


def write_result_keys() -> str:
    """The tables as Markdown."""
    return "\n".join(_write_stages())


def _write_stages() -> Iterator[str]:
    for stage, keys in RESULT_KEYS.items():
        yield f"## `{stage}`\n\n| key | meaning |\n| --- | --- |"
        yield from (f"| `{key}` | {meaning} |" for key, meaning in keys.items())
        yield ""
