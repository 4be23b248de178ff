"""What is stored of a teacher: its logits, its kernel, or a sketch of it."""

import pytest
import torch

from hybridonn.data import load_dataset, to_scene
from hybridonn.distillation.knowledge import LiveKnowledge
from hybridonn.pipeline import knowledge
from hybridonn.pipeline.teacher import load_teacher, teach
from hybridonn.progress import Silent
from hybridonn.spec import read_spec
from hybridonn.tangent import centred_alignment, ntk

QUICK = ("teacher.training.epochs=2", "data.train_images=300")


@pytest.fixture
def gather(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))

    def gather(*settings):
        spec = read_spec(None, (*QUICK, *settings))
        dataset = load_dataset(spec.data)
        teacher = teach(spec, dataset, tmp_path / "teacher", Silent())
        stored = knowledge.gather_knowledge(
            spec, dataset, teacher, tmp_path / "knowledge", Silent()
        )
        answers = knowledge.load_knowledge(spec, dataset, teacher, stored)
        return dataset, load_teacher(spec, dataset, teacher.folder), stored, answers

    return gather


def test_a_small_set_keeps_the_exact_kernel(gather):
    dataset, teacher, stored, answers = gather()
    assert stored.results == {"images": 300, "kernel": "gram"}
    some = torch.tensor([250, 3, 77])
    scene = to_scene(dataset.student_train.images[some])
    torch.testing.assert_close(
        answers.kernel(some, scene), ntk(teacher, scene), rtol=1e-4, atol=1e-3
    )
    torch.testing.assert_close(answers.logits(some, scene), teacher(scene), rtol=1e-4, atol=1e-4)


def test_a_large_set_keeps_a_sketch_of_one_map(gather, monkeypatch):
    monkeypatch.setattr(knowledge, "GRAM_IMAGES", 100)
    dataset, teacher, stored, answers = gather()
    assert stored.results["kernel"] == "sketch"
    some = torch.arange(90, 190)  # from two batches: the map must be the same in both
    scene = to_scene(dataset.student_train.images[some])
    alignment = centred_alignment(answers.kernel(some, scene), ntk(teacher, scene))
    assert float(alignment) > 0.95


def test_augmented_images_are_asked_live(gather):
    _, _, stored, answers = gather("training.augmentation.shift_pixels=1")
    assert stored.results["kernel"] == "none"
    assert isinstance(answers, LiveKnowledge)


def test_kd_stores_no_kernel(gather):
    assert gather("distillation.method=kd")[2].results["kernel"] == "none"


def test_the_kernel_of_the_watched_images_is_the_teachers(gather):
    dataset, teacher, stored, _ = gather()
    scene = to_scene(dataset.validation.images[: knowledge.ALIGNED])
    expected = ntk(teacher, scene)
    torch.testing.assert_close(knowledge.load_aligned(stored), expected, rtol=1e-4, atol=1e-3)
