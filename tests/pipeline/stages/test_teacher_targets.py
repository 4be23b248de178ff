"""What is stored of a teacher: its logits, its kernel, or a sketch of it."""

import math
import sys
import types

import pytest
import torch
from tests.pipeline.discs import draw_discs
from torch import nn

from hybridonn.core.files import read_tensors
from hybridonn.core.progress import Silent
from hybridonn.data import load_dataset, to_scene
from hybridonn.distillation.augmentation import make_view
from hybridonn.distillation.loss import Objective
from hybridonn.distillation.precision import halve
from hybridonn.distillation.teacher_targets import (
    LiveTargets,
    teacher_kernel,
    teacher_pixel_kernel,
)
from hybridonn.distillation.training import TrainingSetup, draw_batches
from hybridonn.pipeline.stage_folder import read_stage
from hybridonn.pipeline.stage_table import make_stages
from hybridonn.pipeline.stages import teacher_targets
from hybridonn.pipeline.stages.alignment import ALIGNED, ALIGNMENT, load_aligned
from hybridonn.pipeline.stages.teacher import TEACHER, load_teacher
from hybridonn.spec import Augmentation, Training, read_spec
from hybridonn.tangent import centred_alignment, ntk

SHARED = (TEACHER, ALIGNMENT, teacher_targets.TEACHER_TARGETS)
QUICK = ("teacher.training.epochs=2", "data.train_images=300")
OF_ALL = "distillation.tangent.teacher_layers=all"
VIEWS = (
    "training.augmentation.flip=true",
    "training.views=2",
    "training.precision=float32",
)


@pytest.fixture
def gather(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))

    def gather(*settings, name="run"):
        spec = read_spec(None, (*QUICK, *settings))
        dataset = load_dataset(spec.data)
        done = make_stages(spec, dataset, tmp_path / name, Silent(), SHARED)
        stored, teacher = done["teacher_targets"], done["teacher"]
        targets = teacher_targets.load_targets(spec, dataset, teacher, stored)
        return dataset, load_teacher(spec, dataset, teacher.folder), stored, targets

    return gather


@pytest.mark.parametrize(("settings", "layers"), [((), "last"), ((OF_ALL,), "all")])
def test_a_small_set_keeps_the_exact_kernel(gather, settings, layers):
    dataset, teacher, stored, targets = gather(*settings)
    assert stored.results == {"images": 300, "kernel": "gram"}
    some = torch.tensor([250, 3, 77])
    scene = to_scene(dataset.student_train.images[some])
    exact = ntk(teacher, scene, layers=layers)
    torch.testing.assert_close(targets.kernel(some, scene), exact, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(targets.logits(some, scene), teacher(scene), rtol=1e-4, atol=1e-4)


def test_a_large_set_keeps_a_sketch_of_one_map(gather, monkeypatch):
    monkeypatch.setattr(teacher_targets, "GRAM_IMAGES", 100)
    dataset, teacher, stored, targets = gather(OF_ALL)
    assert stored.results["kernel"] == "sketch"
    some = torch.arange(90, 190)  # from two batches: the map must be the same in both
    scene = to_scene(dataset.student_train.images[some])
    alignment = centred_alignment(targets.kernel(some, scene), ntk(teacher, scene))
    assert float(alignment) > 0.95


def test_augmented_images_are_asked_live(gather):
    _, _, stored, targets = gather("training.augmentation.shift_pixels=1")
    assert stored.results["kernel"] == "none"
    assert isinstance(targets, LiveTargets)


def test_kd_stores_no_kernel(gather):
    assert gather("distillation.method=kd")[2].results["kernel"] == "none"


def test_the_kernel_of_the_watched_images_is_the_teachers(gather, tmp_path):
    dataset, teacher, _, _ = gather()
    scene = to_scene(dataset.validation.images[:ALIGNED])
    found = load_aligned(read_stage(tmp_path / "run" / "alignment"))
    torch.testing.assert_close(found, ntk(teacher, scene), rtol=1e-4, atol=1e-3)


class Bounded(nn.Sequential):
    """A teacher with something behind its last dense layer that depends on the image."""

    def __init__(self, image_shape, classes):
        super().__init__(nn.Flatten(), nn.Linear(math.prod(image_shape), classes), nn.Tanh())


def test_the_exact_features_of_a_dense_last_layer_are_kept_in_half_precision(gather):
    dataset, teacher, stored, targets = gather(*VIEWS)
    assert stored.results == {"images": 600, "kernel": "features"}
    settings = Augmentation(flip=True)
    views = [
        make_view(dataset.student_train, dataset.task, settings, view).images for view in range(2)
    ]
    some = torch.tensor([5, 299, 300, 305, 511])  # of both views
    scene = to_scene(torch.cat(views)[some])
    torch.testing.assert_close(
        targets.kernel(some, scene),
        teacher_kernel(teacher, scene, "last", None),
        rtol=1e-3,
        atol=1e-3,
    )
    torch.testing.assert_close(targets.logits(some, scene), teacher(scene), rtol=1e-4, atol=1e-4)
    tensors, _ = read_tensors(stored.folder / "teacher_targets.safetensors")
    assert tensors["features"].dtype == torch.float16
    assert tensors["features"].shape == (600, 65)  # its hidden 64 and the bias


def test_the_answers_to_mixed_views_are_of_the_images_that_a_training_sees(gather):
    mixed = ("training.augmentation.mixup_alpha=1", "training.batch_size=40")
    dataset, teacher, stored, targets = gather(*VIEWS, *mixed)
    assert stored.results == {"images": 600, "kernel": "features"}
    settings = Training(
        augmentation=Augmentation(flip=True, mixup_alpha=1), views=2, batch_size=40, epochs=2
    )
    plan = TrainingSetup(
        Objective(dataset.task), dataset.student_train, dataset.validation, settings, 0, "it"
    )
    for epoch in range(2):
        for batch in draw_batches(plan, epoch, torch.device("cpu")):
            found = targets.logits(batch.indices, batch.inputs)
            torch.testing.assert_close(found, teacher(batch.inputs), rtol=1e-3, atol=1e-3)
            kernel = targets.kernel(batch.indices, batch.inputs)
            wanted = teacher_kernel(teacher, batch.inputs, "last", None)
            torch.testing.assert_close(kernel, wanted, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("changes", "anew"),
    [({}, False), ({"augmentation": Augmentation(flip=True, mixup_alpha=1)}, True)],
)
def test_answers_depend_on_the_batch_size_only_where_it_says_who_is_mixed(changes, anew):
    settings = {"augmentation": Augmentation(flip=True), "views": 2, **changes}
    made = [
        teacher_targets.TEACHER_TARGETS.inputs(
            read_spec(None, ()).model_copy(
                update={"training": Training(batch_size=size, **settings)}
            )
        )
        for size in (40, 50)
    ]
    assert (made[0] != made[1]) == anew


@pytest.mark.parametrize("views", ["2", "null"])
def test_pixels_of_images_that_return_are_remembered(gather, tmp_path, views):
    dataset, teacher, _, targets = gather(
        "task=segmentation",
        f"data={{name: mask_folder, folder: {draw_discs(tmp_path / 'discs')}, size_pixels: 16}}",
        "teacher.name=u-net",
        "teacher.arguments={width: 2, depth: 1}",
        "student={kernels: 2, kernel_size: 3, backend: upsampling, hidden: []}",
        "training.augmentation.flip=true",
        f"training.views={views}",
    )
    scene = to_scene(dataset.student_train.images[:3])
    pixels = dataset.task.sample_pixels(dataset.student_train.labels[:3], 5, (16, 16))
    live = targets if views == "null" else targets.live
    assert (live.memory is None) == (views == "null")  # there no image returns
    torch.testing.assert_close(
        targets.kernel(torch.arange(3), scene, pixels),
        teacher_pixel_kernel(teacher, scene, "last", pixels),
        rtol=2e-3,
        atol=2e-3,
    )
    if live.memory:
        assert live.memory.images == 2 * len(dataset.student_train)
        assert live.memory.serves


def test_a_teacher_that_bends_its_last_layers_output_keeps_a_sketch(gather, monkeypatch):
    module = types.ModuleType("bounded_teachers")
    module.Bounded = Bounded
    module.__file__ = __file__
    monkeypatch.setitem(sys.modules, "bounded_teachers", module)
    dataset, teacher, stored, targets = gather(
        *VIEWS, "teacher.name=bounded_teachers:Bounded", "teacher.arguments={}"
    )
    assert stored.results["kernel"] == "sketch"
    view = make_view(dataset.student_train, dataset.task, Augmentation(flip=True), 0).images
    some = torch.arange(100)
    scene = to_scene(view[some])
    exact = teacher_kernel(teacher, scene, "last", None)
    assert float(centred_alignment(targets.kernel(some, scene), exact)) > 0.95


def test_exact_features_that_are_larger_than_a_sketch_are_sketched(gather, monkeypatch):
    monkeypatch.setattr(teacher_targets, "EXACT_WIDTH", 64)
    assert gather(*VIEWS)[2].results["kernel"] == "sketch"


def test_another_run_takes_the_targets_from_the_cache(gather):
    stored, again = gather(*VIEWS)[2], gather(*VIEWS, name="other")[2]
    assert again.reused and again.fingerprint == stored.fingerprint
    assert (again.folder / "teacher_targets.safetensors").exists()


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_half_precision_is_left_where_the_numbers_do_not_fit(scale):
    values = scale * torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    stored = halve(values)
    assert stored.dtype == (torch.float16 if scale == 1 else torch.float32)
    torch.testing.assert_close(stored.float(), values, rtol=1e-3, atol=1e-6)
