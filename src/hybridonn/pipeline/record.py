"""The record of a run: what it was made with, so that another can make it again."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from hybridonn.core.user_code import hash_code
from hybridonn.data.dataset import Dataset
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.spec import Spec

PACKAGES = ("hybridonn", "torch", "numpy", "scipy", "scikit-learn", "pydantic", "safetensors")


def describe_run(
    spec: Spec, dataset: Dataset, stages: dict[str, Finished], started: str, finished: str
) -> dict[str, Any]:
    """Versions, seeds, hashes, machine and times of a run, for ``record.json``."""
    return {
        "started": started,
        "finished": finished,
        "command": " ".join(["hybridonn", *sys.argv[1:]]),
        "seconds": {name: stage.seconds for name, stage in stages.items()},
        "reused": [name for name, stage in stages.items() if stage.reused],
        "hashes": {name: stage.fingerprint for name, stage in stages.items()},
        "code": describe_code(spec),
        "seeds": {
            "student": spec.seed,
            "teacher": spec.teacher.seed,
            "split": spec.data.split_seed,
        },
        "data": describe_data(dataset),
        "versions": describe_versions(),
        "machine": describe_machine(),
    }


def describe_code(spec: Spec) -> dict[str, str]:
    """The hash of the source of each code of the user's own that the spec names, by its name."""
    named = {
        spec.teacher.name: spec.teacher.code_folder,
        spec.student.backend: spec.student.code_folder,
    }
    return {name: hash_code(name, folder) for name, folder in named.items() if ":" in name}


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """Name, classes, sizes of the parts and checksum of a data set."""
    return {
        "name": dataset.name,
        "classes": list(dataset.classes),
        "image_shape": list(dataset.image_shape),
        "train": len(dataset.train),
        "student_train": len(dataset.student_train),
        "validation": len(dataset.validation),
        "test": len(dataset.test),
        "skipped": list(dataset.skipped),
        "checksum": dataset.checksum,
    }


def describe_versions() -> dict[str, str]:
    """Python and the packages that numbers depend on."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def describe_machine() -> dict[str, Any]:
    """System, processor, cores, threads and accelerator; no host name."""
    import torch

    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
