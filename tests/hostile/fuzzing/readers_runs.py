"""Readers of what the user states and of what runs leave behind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from fuzzing.damage_arrays import write_npy
from fuzzing.reader import Files, Reader
from hybridonn.core.files import read_json, read_tensors, write_json
from hybridonn.core.journal import Journal
from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.data.store import find_stored
from hybridonn.distillation.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from hybridonn.networks.teachers.build import build_teacher, load_weights
from hybridonn.pipeline.preflight import refuse_early
from hybridonn.pipeline.run import run
from hybridonn.pipeline.run_folder import add_results, open_folder, read_run_spec
from hybridonn.pipeline.stage import finish
from hybridonn.reports.artefacts.run import read_run
from hybridonn.spec import read_spec

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
TINY = (
    "name=tiny",
    "data.train_images=100",
    "student.kernels=2",
    "student.kernel_size=3",
    "student.pooled_size=2",
    "student.hidden=[8]",
    "teacher.arguments={channels: [2, 4], hidden: 8}",
    "teacher.training.epochs=1",
    "teacher.training.batch_size=512",
    "training.epochs=1",
)
# 128 cells a side; a kernel's pixel has 12 cells.
CHIP = (
    "student.kernels=1",
    "optics.kernel_site_mm=0.0752",
    "optics.gap_mm=0.004",
    "optics.metasurface_width_mm=0.5",
    "optics.metasurface_height_mm=0.5",
    "optics.metasurface.sensor_distance_mm=0.2",
    "optics.metasurface.kernel_pixel_um=7.032",
    "optics.metasurface.steps=3",
    "optics.sensor.pixel_um=3.516",
    "fabrication.preset=electron-beam",
    "fabrication.defocus_um=5",
    "fabrication.bandwidth_nm=0",
    "compensation.fraction=0.3",
    "compensation.training.epochs=1",
)


def spec_seeds() -> list[Files]:
    """Every example."""
    return [{"spec.yaml": path.read_bytes()} for path in sorted(EXAMPLES.glob("*.yaml"))]


def _read_spec(folder: Path) -> object:
    return read_spec(folder / "spec.yaml")


def setting_seeds() -> list[Files]:
    """Settings as ``--set`` takes them, a file each: one, and several that go together."""
    settings = [*TINY, "optics.kernel_site_mm=0.9", "optics.metasurface={}", "seed=3"]
    settings += [
        "fabrication.preset=paper-mnist",
        "compensation.fraction=0.1",
        "teacher.name=lenet",
    ]
    settings += [
        "optics.frontend=four_f",
        "optics.wavelengths_nm=[532]",
        "optics.sensor.pixel_um=5",
    ]
    settings += ["training.augmentation.shift_pixels=1", "distillation.tangent.layers=all"]
    return [{"settings.csv": setting.encode()} for setting in settings]


@cache
def _digits() -> Dataset:
    return load_dataset(read_spec(None).data)


def _read_settings(folder: Path) -> object:
    """Read a spec with the settings, and refuse what cannot be built, as a run does first."""
    path = folder / "settings.csv"
    content = path.read_bytes() if path.is_file() else b""
    settings = content.decode("utf-8", "surrogateescape").split("\n")
    spec = read_spec(None, tuple(settings))
    if spec.data == read_spec(None).data:
        refuse_early(spec, _digits())
    return spec


def _network() -> torch.nn.Module:
    return build_teacher("lenet", {"channels": [2, 4], "hidden": 8}, (1, 8, 8), 10, 0)


def tensor_seeds(home: Path) -> list[Files]:
    """The weights of a teacher."""
    return [{"w.safetensors": (make_run(home) / "teacher" / "weights.safetensors").read_bytes()}]


def _read_weights(folder: Path) -> object:
    path = folder / "w.safetensors"
    load_weights(_network(), path)
    return read_tensors(path)


def checkpoint_seeds() -> list[Files]:
    """A checkpoint of a training, after its first epoch."""
    import tempfile

    network = _network()
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.rand(4, 1, 8, 8)).sum().backward()
    optimizer.step()
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    history = [{"epoch": 1, "loss": 0.5, "seconds": 0.1, "validation_accuracy": 0.5}]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "checkpoint.safetensors"
        save_checkpoint(path, network, optimizer, TrainingState(1, history, 1, weights))
        return [{file.name: file.read_bytes() for file in Path(scratch).iterdir()}]


def _read_checkpoint(folder: Path) -> object:
    network = _network()
    optimizer = torch.optim.AdamW(network.parameters())
    state = load_checkpoint(folder / "checkpoint.safetensors", network, optimizer)
    network(torch.rand(4, 1, 8, 8)).sum().backward()
    optimizer.step()  # what was loaded must be fit to go on with
    return state


def journal_seeds() -> list[Files]:
    """A journal with three points."""
    lines = [{"settings": {"cell": 1}}, {"a": 1.0}, {"b": [0.5, -0.1]}, {"c": {"x": 1}}]
    return [{"journal.json": "".join(json.dumps(line) + "\n" for line in lines).encode()}]


def _read_journal(folder: Path) -> object:
    with Journal(folder / "journal.json", {"cell": 1}) as journal:
        journal.add("d", 2)
        return journal.get("a")


def stage_seeds() -> list[Files]:
    """A finished stage in a run and in the cache, an interrupted one, and a run's own files."""
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        _finish_stage(home)
        files = {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*") if p.is_file()}
        write_json(home / "results.json", {"stage": {"number": 1}})
        results = (home / "results.json").read_bytes()
    inputs = {"run/.stage.part/inputs.json": json.dumps({"fingerprint": "mark"}).encode()}
    shared = {name: content for name, content in files.items() if not name.startswith("run/stage")}
    alone = {name: content for name, content in files.items() if name.startswith("run/stage")}
    return [
        files | {"run/results.json": results},
        shared | {"run/results.json": results},
        alone | inputs | {"run/results.json": results},
        inputs | {"run/.stage.part/checkpoint": b"x", "run/results.json": results},
    ]


def _finish_stage(home: Path) -> object:
    os.environ["HYBRIDONN_CACHE"] = str(home / "cache")

    def work(part: Path) -> dict[str, object]:
        write_json(part / "artefact.json", {"a": 1})
        return {"number": 1}

    return finish(home / "run" / "stage", "mark", work, "kind")


def _read_stage(folder: Path) -> object:
    with open_folder(folder / "run"):
        found = _finish_stage(folder)
        assert read_json(folder / "run" / "stage" / "artefact.json") == {"a": 1}
        add_results(folder / "run", {"stage": {"number": 1}})
    return found


def store_seeds() -> list[Files]:
    """Decoded pictures in the cache."""
    import zlib

    arrays = {
        "images": write_npy(np.zeros((2, 1, 4, 4), np.uint8)),
        "labels": write_npy(np.arange(2)),
    }
    checksums = {name: zlib.crc32(content) for name, content in arrays.items()}
    record = {"checksums": checksums, "notes": {"faults": []}}
    folder = "cache/pictures/key"
    files = {f"{folder}/{name}.npy": content for name, content in arrays.items()}
    return [files | {f"{folder}/record.json": json.dumps(record).encode()}]


def _read_store(folder: Path) -> object:
    os.environ["HYBRIDONN_CACHE"] = str(folder / "cache")
    return find_stored("key")


def make_run(home: Path, name: str = "run", settings: tuple[str, ...] = TINY) -> Path:
    """A small finished run, made once, without figures."""
    folder, cache = home / name, os.environ.get("HYBRIDONN_CACHE")
    if not (folder / "results.json").exists():
        os.environ["HYBRIDONN_CACHE"] = str(home / "cache")
        with without_drawing():
            run(read_spec(None, settings), folder)
        if cache is not None:
            os.environ["HYBRIDONN_CACHE"] = cache
    return folder


@contextmanager
def without_drawing() -> Iterator[None]:
    """Leave out figures and t-SNE, which take most of the time of a small run."""
    flat = patch("hybridonn.pipeline.artefacts.lay_flat", lambda rows: np.zeros((len(rows), 2)))
    with patch("hybridonn.pipeline.run.write_report"), flat:
        yield


def run_seeds(folder: Path) -> list[Files]:
    """A finished run, without what only people look at."""
    kept = [
        p for p in folder.rglob("*") if p.is_file() and p.suffix not in {".html", ".png", ".svg"}
    ]
    wanted = [path for path in kept if path.name != "teacher_targets.safetensors"]
    return [{str(path.relative_to(folder)): path.read_bytes() for path in wanted}]


def _read_run(folder: Path) -> object:
    return read_run_spec(folder), read_run(folder)


def list_readers(home: Path) -> list[Reader]:
    """The readers, some of which read what a small run has left in ``home``."""
    return [
        Reader("specs", spec_seeds, _read_spec),
        Reader("settings", setting_seeds, _read_settings, kinds={"settings.csv": "settings"}),
        Reader("safetensors", lambda: tensor_seeds(home), _read_weights),
        Reader("checkpoints", checkpoint_seeds, _read_checkpoint),
        Reader("journals", journal_seeds, _read_journal),
        Reader("stages", stage_seeds, _read_stage, victims=lambda name: not name.endswith("lock")),
        Reader("decoded pictures", store_seeds, _read_store),
        Reader("finished runs", lambda: run_seeds(make_run(home)), _read_run),
        Reader("chip runs", lambda: run_seeds(make_run(home, "chip", TINY + CHIP)), _read_run),
    ]
