"""The objective: each term, each method, stored and live targets."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hybridonn import spec
from hybridonn.distillation.loss import Objective, weigh
from hybridonn.distillation.step import Batch
from hybridonn.distillation.teacher_targets import LiveTargets, StoredTargets, teacher_features
from hybridonn.networks.student import build_student
from hybridonn.networks.teachers.build import build_teacher
from hybridonn.tangent import (
    centred_alignment,
    ntk,
    ridge_alignment,
    sampled_ntk,
    tangent_features,
)
from hybridonn.tangent.alignment import RIDGE
from hybridonn.tasks.classification import Classification
from hybridonn.tasks.segmentation import Segmentation

DESIGN = spec.Student(kernels=3, kernel_size=3, pooled_size=3, hidden=(8,))


@pytest.fixture
def student():
    return build_student(DESIGN, (1, 8, 8), 4, seed=0)


@pytest.fixture
def teacher():
    return build_teacher("lenet", {"channels": [4, 6], "hidden": 12}, (1, 8, 8), 4, 0).eval()


@pytest.fixture
def scene():
    return torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def batch(scene, indices):
    return Batch(scene[indices], indices % 4, indices)


@pytest.mark.parametrize(
    ("method", "weights"), [("none", (0.5, 0, 0)), ("kd", (0.5, 2, 0)), ("ntkd", (0.5, 2, 3))]
)
def test_a_method_is_a_mix_of_weights(method, weights):
    settings = spec.Distillation(method=method, task_weight=0.5, kd_weight=2, ntk_weight=3)
    found = weigh(settings)
    assert (found["task"], found["kd"], found["ntk"]) == weights


def test_kd_is_hintons_law(student, teacher, scene):
    table = teacher(scene).detach()
    objective = Objective(
        Classification(), spec.Distillation(method="kd", temperature=3), StoredTargets(table)
    )
    indices = torch.tensor([3, 1, 7, 12])
    terms = objective(student, batch(scene, indices))
    p = torch.softmax(table[indices].double() / 3, 1)
    q = torch.softmax(student(scene[indices]).double() / 3, 1)
    expected = 9 * (p * (p.log() - q.log())).sum(1).mean().detach()
    assert terms["kd"].item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-5)
    assert terms["loss"].item() == pytest.approx((terms["task"] + terms["kd"]).item(), rel=1e-6)
    assert set(terms) == {"loss", "task", "kd"}


@pytest.mark.parametrize("layers", ["last", "all", "first", ("backend.4",)])
@pytest.mark.parametrize("discrepancy", ["cka", "ridge_cka", "cosine", "mse", "auto"])
def test_ntkd_matches_the_kernels_of_the_chosen_layers(
    student, teacher, scene, layers, discrepancy
):
    tangent = spec.Tangent(layers=layers, discrepancy=discrepancy, ridge=0.5)
    gram = ntk(teacher, scene).detach()
    objective = Objective(
        Classification(),
        spec.Distillation(tangent=tangent),
        StoredTargets(teacher(scene).detach(), gram=gram),
    )
    indices = torch.arange(2, 14)
    terms = objective(student, batch(scene, indices))
    ours, theirs = ntk(student, scene[indices], layers=layers), gram[2:14, 2:14]
    expected = {
        "auto": lambda: 1 - ridge_alignment(ours, theirs, 0.5),
        "cka": lambda: 1 - centred_alignment(ours, theirs),
        "ridge_cka": lambda: 1 - ridge_alignment(ours, theirs, 0.5),
        "cosine": lambda: 1 - F.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0),
        "mse": lambda: F.mse_loss(ours, theirs),
    }[discrepancy]()
    assert terms["ntk"].item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-5)
    terms["ntk"].backward()
    # A layer's own part may not depend on its own weights: behind it is a ReLU.
    assert sum(p.grad.abs().sum() for p in student.parameters() if p.grad is not None) > 0


@pytest.mark.parametrize(
    ("contraction", "name"), [("pixels", "cka"), ("outputs", "ridge_cka"), (None, "ridge_cka")]
)
def test_auto_is_the_discrepancy_of_what_a_row_is(contraction, name):
    assert spec.Tangent(contraction=contraction).compared_by == name
    assert spec.Tangent(contraction=contraction, discrepancy="mse").compared_by == "mse"


@pytest.mark.parametrize(("layers", "images"), [("all", 5), ("last", 5), ("all", None)])
def test_the_kernels_may_be_of_a_part_of_the_batch(
    student, teacher, scene, monkeypatch, layers, images
):
    monkeypatch.setattr("hybridonn.spec.training.COMPARED", 5)
    tangent = spec.Tangent(layers=layers, images=images, discrepancy="cka")
    gram = ntk(teacher, scene).detach()
    stored = StoredTargets(teacher(scene).detach(), gram=gram)
    indices = torch.arange(12).flip(0)
    terms = Objective(Classification(), spec.Distillation(tangent=tangent), stored)(
        student, batch(scene, indices)
    )
    few = indices[:5]
    expected = 1 - centred_alignment(ntk(student, scene[few], layers=layers), gram[few][:, few])
    assert terms["ntk"].item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-5)
    # Labels and answers are of all images.
    loss = F.cross_entropy(student(scene[indices]), indices % 4)
    assert terms["task"].item() == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("ridge", [1e-6, float("inf"), float("nan")])
def test_a_ridge_that_single_precision_cannot_use_is_refused(ridge):
    with pytest.raises(ValueError, match=r"equal to 0\.001|finite number"):
        spec.Tangent(ridge=ridge)


def test_a_spec_and_the_tangent_package_mean_the_same_ridge():
    assert spec.Tangent().ridge == RIDGE
    kernel = torch.randn(128, 10, generator=torch.Generator().manual_seed(0))
    kernel = 1e4 * kernel @ kernel.T  # of low rank: the least ridge is enough in single precision
    assert ridge_alignment(kernel, kernel, 1e-3) == pytest.approx(1)


def test_the_last_layer_is_compared_on_the_whole_batch():
    assert spec.Tangent().count_compared(128) == 128
    assert spec.Tangent(layers="all").count_compared(128) == 24
    assert spec.Tangent(layers="all").count_compared(8) == 8
    assert spec.Tangent(layers="all", images=64).count_compared(128) == 64


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("auto", (1, 1)),
        ("constant", (1, 1)),
        ("falling", (1.5, 0.5)),
        ("rising", (0.5, 1.5)),
    ],
)
def test_a_schedule_moves_the_weight_of_the_ntk_and_keeps_its_mean(schedule, factors):
    settings = spec.Distillation(ntk_weight=4, tangent=spec.Tangent(schedule=schedule))
    objective = Objective(Classification(), settings)
    found = [objective.weights_at(progress) for progress in (0.25, 0.75)]
    assert [w["ntk"] for w in found] == [4 * f for f in factors]
    assert {(w["task"], w["kd"]) for w in found} == {(1, 1)}


def test_one_step_down_the_ntk_term_brings_the_kernels_closer(student, teacher, scene):
    stored = StoredTargets(teacher(scene).detach(), gram=ntk(teacher, scene).detach())
    settings = spec.Distillation(task_weight=0, kd_weight=0, ntk_weight=3)
    objective = Objective(Classification(), settings, stored)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.5)
    values = []
    for _ in range(30):
        terms = objective(student, batch(scene, torch.arange(20)))
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        values.append(float(terms["ntk"]))
    assert values[-1] < 0.8 * values[0]


def test_stored_and_live_knowledge_say_the_same(teacher, scene):
    indices = torch.tensor([5, 2, 9])
    live = LiveTargets(teacher)
    stored = StoredTargets(teacher(scene).detach(), gram=ntk(teacher, scene).detach())
    for ask in ("logits", "kernel"):
        torch.testing.assert_close(
            getattr(stored, ask)(indices, scene[indices]),
            getattr(live, ask)(indices, scene[indices]),
            rtol=1e-4,
            atol=1e-4,
        )


def test_a_sketch_stands_for_the_kernel(teacher, scene):
    table = teacher(scene).detach()
    exact = ntk(teacher, scene).detach()
    sketch = tangent_features(teacher, scene, 4096)
    stored = StoredTargets(table, features=sketch)
    found = stored.kernel(torch.arange(20), scene)
    assert float(centred_alignment(found, exact)) > 0.99


def test_a_table_alone_has_no_kernel(scene):
    with pytest.raises(ValueError, match="not stored"):
        StoredTargets(torch.zeros(20, 4)).kernel(torch.arange(3), scene)


@pytest.mark.parametrize(("layers", "dropout"), [("last", 0.2), ("all", 0.2), ("all", 0.0)])
def test_the_tangent_is_taken_in_inference_mode_and_the_loss_in_training_mode(
    teacher, scene, layers, dropout
):
    design = DESIGN.model_copy(update={"normalisation": "batch", "dropout": dropout})
    student = build_student(design, (1, 8, 8), 4, seed=0)
    for _ in range(3):
        student(scene)  # running statistics unlike the batch's
    gram = ntk(teacher, scene).detach()
    stored = StoredTargets(teacher(scene).detach(), gram=gram)
    tangent = spec.Tangent(layers=layers, discrepancy="cka")
    settings = spec.Distillation(task_weight=0, kd_weight=0, ntk_weight=3, tangent=tangent)
    objective = Objective(Classification(), settings, stored)
    terms = objective(student.train(), batch(scene, torch.arange(20)))
    assert all(module.training for module in student.modules())
    # With the running statistics that the step has left.
    kernel = ntk(student.eval(), scene, layers=layers, create_graph=True)
    expected = 1 - centred_alignment(kernel, gram)
    assert terms["ntk"].item() == pytest.approx(expected.item(), rel=1e-4)
    found = torch.autograd.grad(terms["ntk"], list(student.parameters()), allow_unused=True)
    direct = torch.autograd.grad(expected, list(student.parameters()), allow_unused=True)
    for one, other in zip(found, direct, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_behind_batch_norm_the_last_layer_takes_one_forward_pass_of_training(teacher, scene):
    design = DESIGN.model_copy(update={"normalisation": "batch"})
    student = build_student(design, (1, 8, 8), 4, seed=0).train()
    gram = ntk(teacher, scene).detach()
    stored = StoredTargets(teacher(scene).detach(), gram=gram)
    seen = []
    student.backend[-1].register_forward_hook(lambda layer, args, output: seen.append(args[0]))
    settings = spec.Distillation(tangent=spec.Tangent(discrepancy="cka"))
    terms = Objective(Classification(), settings, stored)(student, batch(scene, torch.arange(20)))
    (h,) = seen  # its tangent kernel is that of its inputs, whatever made them
    expected = 1 - centred_alignment(4 * (h @ h.T + 1), gram)
    assert terms["ntk"].item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("layers", ["last", "all"])
def test_behind_batch_norm_a_part_for_the_kernels_leaves_the_batch_whole(teacher, scene, layers):
    design = DESIGN.model_copy(update={"normalisation": "batch"})
    alone, student = (build_student(design, (1, 8, 8), 4, seed=0).train() for _ in range(2))
    logits = alone(scene)
    stored = StoredTargets(teacher(scene).detach(), gram=ntk(teacher, scene).detach())
    settings = spec.Distillation(kd_weight=0, tangent=spec.Tangent(layers=layers, images=4))
    one = batch(scene, torch.arange(20))
    terms = Objective(Classification(), settings, stored)(student, one)
    expected = Classification().loss(logits, one.labels)
    assert terms["task"].item() == pytest.approx(expected.item(), rel=1e-5)
    for mine, whole in zip(student.buffers(), alone.buffers(), strict=True):
        torch.testing.assert_close(mine, whole)


def test_pixels_of_a_segmentation_are_matched_exactly_in_the_last_layer():
    design = spec.Student(
        name="extreme_meta", branches=[{"kernels": 2}, {"kernels": 2, "binning": 2}], hidden=(3, 4)
    )
    # The kernels of random images are almost constant: centring them costs digits.
    student = build_student(design, (3, 16, 16), 2, seed=0).eval().double()
    teacher = (
        build_teacher("u-net", {"width": 4, "depth": 2}, (3, 16, 16), 2, 0, outputs=(2, 16, 16))
        .eval()
        .double()
    )
    scene = torch.rand(6, 3, 16, 16).double()
    masks = torch.randint(0, 2, (6, 16, 16), dtype=torch.uint8)
    gram = ntk(teacher, scene, probes=8).detach()
    stored = StoredTargets(teacher(scene).detach(), gram=gram)
    settings = spec.Distillation(tangent=spec.Tangent(discrepancy="cka"))
    terms = Objective(Segmentation(), settings, stored)(
        student, Batch(scene, masks, torch.arange(6))
    )
    expected = 1 - centred_alignment(ntk(student, scene, layers="last"), gram)
    assert terms["ntk"].item() == pytest.approx(expected.item(), rel=1e-6)
    terms["loss"].backward()
    assert all(p.grad is not None for p in student.parameters())


def test_a_sketch_of_signs_stands_for_the_kernel_over_all_pixels():
    teacher = build_teacher("u-net", {"width": 2, "depth": 1}, (1, 4, 4), 2, 0, outputs=(2, 4, 4))
    scene = torch.rand(8, 1, 4, 4)
    exact = ntk(teacher.eval(), scene).detach()
    features = teacher_features(teacher, scene, 4096, "all", 2048)
    torch.testing.assert_close(
        features @ features.T, exact, rtol=0.15, atol=0.1 * float(exact.mean())
    )


def test_a_live_teacher_answers_for_its_last_layer(teacher, scene):
    found = LiveTargets(teacher, layers="last").kernel(torch.arange(20), scene)
    torch.testing.assert_close(found, ntk(teacher, scene, layers="last"), rtol=1e-4, atol=1e-3)


def pixel_step(student_backend, tangent=None, **more):
    """An objective of sampled pixels, and a batch of masks: student and teacher of two classes."""
    tangent = tangent or spec.Tangent()
    design = spec.Student(backend=student_backend, kernels=3, kernel_size=3, hidden=())
    student = build_student(design, (1, 8, 8), 2, seed=0, task="segmentation")
    arguments, outputs = {"width": 3, "depth": 1}, (2, 8, 8)
    teacher = build_teacher("u-net", arguments, (1, 8, 8), 2, 0, outputs=outputs).eval()
    dice = torch.Generator().manual_seed(3)
    scene = torch.rand(12, 1, 8, 8, generator=dice)
    masks = (scene[:, 0] > 0.7).to(torch.uint8)
    indices = torch.arange(12)
    table = teacher(scene).detach()
    stored = StoredTargets(table, live=LiveTargets(teacher, None, tangent.teacher_layers))
    settings = spec.Distillation(tangent=tangent, **more)
    objective = Objective(Segmentation(), settings, stored)
    return student, teacher, objective, Batch(scene, masks, indices)


@pytest.mark.parametrize("discrepancy", ["cka", "ridge_cka"])
@pytest.mark.parametrize("layers", ["last", "all"])
def test_pixels_as_samples_are_compared_at_the_same_pixels(discrepancy, layers):
    tangent = spec.Tangent(
        contraction="pixels", pixels=6, images=4, discrepancy=discrepancy, layers=layers
    )
    student, teacher, objective, batch = pixel_step("upsampling", tangent)
    torch.manual_seed(5)
    found = objective(student, batch)["ntk"]
    torch.manual_seed(5)
    pixels = Segmentation().sample_pixels(batch.labels[:4], 6, (8, 8))
    few = batch.inputs[:4]
    ours = sampled_ntk(student.eval(), few, pixels.places, layers=layers, create_graph=True)
    theirs = sampled_ntk(teacher, few, pixels.places, layers="last")
    alike = centred_alignment if discrepancy == "cka" else ridge_alignment
    assert ours.shape == (24, 24)
    assert found.item() == pytest.approx(1 - alike(ours, theirs).item(), rel=1e-3, abs=1e-5)
    found.backward()
    assert sum(p.grad.abs().sum() for p in student.frontend.parameters()) > 0


def test_a_weight_is_found_by_the_labels_of_the_sampled_pixels():
    tangent = spec.Tangent(contraction="pixels", pixels=6, images=4)
    student, teacher, objective, batch = pixel_step("upsampling", tangent, ntk_weight="auto")
    torch.manual_seed(5)
    assert objective(student, batch)["ntk_weight"] > 0
    torch.manual_seed(5)
    pixels = Segmentation().sample_pixels(batch.labels[:4], 6, (8, 8))
    labels = batch.labels[:4].flatten(1).gather(1, pixels.places).flatten()
    theirs = sampled_ntk(teacher, batch.inputs[:4], pixels.places, layers="last")
    told = centred_alignment(theirs, (labels[:, None] == labels[None]).float())
    assert objective.balance.agreement == pytest.approx(max(told.item(), 0), abs=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_cwd_is_the_law_of_shu_and_others(temperature):
    student, teacher, objective, batch = pixel_step(
        "upsampling", method="cwd", temperature=temperature
    )
    terms = objective(student, batch)
    assert set(terms) == {"loss", "task", "cwd"}
    theirs, ours = (one(batch.inputs).detach().double() for one in (teacher, student))
    expected = 0.0
    for b in range(12):
        for c in range(2):
            p, q = (torch.softmax(one[b, c].flatten() / temperature, 0) for one in (theirs, ours))
            expected += temperature**2 * (p * (p / q).log()).sum().item() / 24
    assert terms["cwd"].item() == pytest.approx(expected, rel=1e-4)
    terms["cwd"].backward()
    assert sum(p.grad.abs().sum() for p in student.frontend.parameters()) > 0


def test_an_answer_without_places_has_no_channels_to_compare(student, teacher, scene):
    stored = StoredTargets(teacher(scene).detach())
    objective = Objective(Classification(), spec.Distillation(method="cwd"), stored)
    with pytest.raises(ValueError, match="cwd, but an image has one answer, without places"):
        objective(student, batch(scene, torch.arange(8)))


def test_outputs_of_an_image_have_no_pixels_to_compare(student, teacher, scene):
    tangent = spec.Tangent(contraction="pixels")
    objective = Objective(
        Classification(), spec.Distillation(tangent=tangent), LiveTargets(teacher)
    )
    with pytest.raises(ValueError, match="contraction is pixels, but an image has one answer"):
        objective(student, batch(scene, torch.arange(8)))


def test_pixels_are_compared_on_few_images():
    tangent = spec.Tangent(contraction="pixels")
    assert tangent.count_compared(128) == 8
    with pytest.raises(ValueError, match="8 images make kernels of 16000 x 16000 samples"):
        spec.Tangent(contraction="pixels", pixels=2000)


def test_batch_norm_before_a_layer_that_does_not_end_the_network(teacher, scene):
    torch.manual_seed(0)
    body = [nn.Flatten(), nn.Linear(64, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 4)]
    network, plain = nn.Sequential(*body, nn.Tanh()), nn.Sequential(*body)
    objective = Objective(
        Classification(), spec.Distillation(method="ntkd", ntk_weight=1), LiveTargets(teacher)
    )
    indices = torch.arange(16)
    terms = objective(network, batch(scene, indices))
    terms["loss"].backward()
    assert body[-1].weight.grad.abs().sum() > 0
    # Its kernel is that of inference, by the running statistics that this very step moved.
    network.eval()
    student = ntk(network, scene[indices], layers="last")
    found = ridge_alignment(student, ntk(teacher, scene[indices]), RIDGE)
    torch.testing.assert_close(terms["ntk"], 1 - found, rtol=1e-3, atol=1e-4)
    objective(plain.train(), batch(scene, indices))["loss"].backward()  # one pass serves
