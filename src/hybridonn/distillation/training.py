"""The one training loop: every network, method and task goes through it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn import spec
from hybridonn.core.errors import TrainingError
from hybridonn.core.progress import Progress, Silent
from hybridonn.core.random import generator_of, seeded
from hybridonn.data.batches import to_scene
from hybridonn.data.indexed import (
    IndexedDataset,
    Inputs,
    Labels,
    fitting_batch,
    join_labels,
    move_inputs,
    move_labels,
)
from hybridonn.data.transforms.mixing import mix
from hybridonn.distillation import parallel
from hybridonn.distillation.augmentation import count_batches, see_pass
from hybridonn.distillation.averaging import WeightAverage, averages_epoch
from hybridonn.distillation.best_epoch import rank_epoch
from hybridonn.distillation.checkpoint import Keeper, TrainingState
from hybridonn.distillation.loss import Objective
from hybridonn.distillation.precision import mixed_precision
from hybridonn.distillation.schedule import find_rate
from hybridonn.distillation.statistics import COUNTED, renew_statistics
from hybridonn.distillation.step import Batch
from hybridonn.distillation.tensorboard import write_curves
from hybridonn.networks.memory import lay_channels_last

EpochCallback = Callable[[nn.Module], dict[str, float]]
StepContext = Callable[[nn.Module, int], AbstractContextManager[None]]


@dataclass(frozen=True)
class TrainingSetup:
    """What a network is trained on, and how.

    Attributes:
        objective: What is minimised.
        train: Images, or stored features, to learn from.
        validation: Images, or stored features, that choose the epoch.
        settings: Epochs, learning rate and the like.
        seed: Seed of data order, augmentation and dropout.
        label: What the progress bar says.
        epoch_callback: Called with the network, in inference mode, after each epoch; its numbers
            join the row of the epoch.
        step_context: Called with the network and the number of a step; the network goes
            forward and backward in the context that it returns: behind optics that differ from
            step to step, for example.
        team: The processes that train the network together.
        teacher_bound: The validation score beyond which the network has left its teacher behind by
            more than chance: a found weight of the kernels is then 0. None: it never is.
    """

    objective: Objective
    train: IndexedDataset
    validation: IndexedDataset
    settings: spec.Training
    seed: int
    label: str
    epoch_callback: EpochCallback = lambda network: {}
    step_context: StepContext = lambda network, step: nullcontext()
    team: parallel.Team = parallel.ALONE
    teacher_bound: float | None = None


def train(
    network: nn.Module, setup: TrainingSetup, checkpoint: Path, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Train a network, from its last checkpoint if there is one, and leave it at its best epoch.

    AdamW (Loshchilov and Hutter 2019) on a one-cycle schedule (Smith and Topin
    2018). Killed and called again with the same arguments, it ends with the
    same weights on a CPU as without the interruption. The best epoch is the
    one with the highest validation score, of equals the lowest validation loss.

    Args:
        network: Trained in place.
        setup: What it is trained on, and how.
        checkpoint: The file that holds the state, see
            :mod:`hybridonn.distillation.checkpoint`; it stays when the training is over.
        progress: Shows how far it is.

    Returns:
        The history, a row an epoch.

    Raises:
        TrainingError: The loss is not finite; the last good checkpoint is kept.
    """
    settings = setup.settings
    device = choose_device(settings.device)
    lay_channels_last(network.to(device))
    if setup.team.shared:
        parallel.prepare(network, setup.team, settings.batch_size)
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        # One pass over the weights is 3 to 4 times faster; torch has it for real weights only.
        fused=all(weight.is_floating_point() for weight in network.parameters()),
    )
    progress, keeper = progress or Silent(), Keeper(checkpoint, network, optimizer)
    state = keeper.resume(progress)
    if state.finished and _goes_on(state, settings):
        progress.say(f"{checkpoint} is of a shorter training; the training begins anew")
        state = TrainingState()
    if setup.team.shared:
        parallel.tell_all({"epoch": state.epoch}, device)  # nobody writes before all have read
    setup.objective.balance.load(state.balance)
    steps = steps_an_epoch(setup)
    shown = settings.tensorboard and setup.team.rank == 0
    write = write_curves(checkpoint, state.epoch) if shown else lambda row: None
    bar = progress.bar(setup.label, settings.epochs * steps, state.epoch * steps)
    with bar as advance:
        while _goes_on(state, settings):
            _train_epoch(network, optimizer, setup, state, advance, device)
            write(state.history[-1])
            if setup.team.rank == 0:
                keeper.keep(state)
    if setup.team.rank == 0:
        keeper.finish(state)
    network.load_state_dict(state.best)
    network.eval()
    return state.history


def _train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    setup: TrainingSetup,
    state: TrainingState,
    advance: Callable[..., None],
    device: torch.device,
) -> None:
    started = time.perf_counter()
    settings = setup.settings
    steps = steps_an_epoch(setup)
    sums: dict[str, float] = {}
    network.train()
    with seeded("epoch", setup.seed, state.epoch, *setup.team.seeds):
        for k, batch in enumerate(draw_batches(setup, state.epoch, device)):
            step = state.epoch * steps + k
            rate = find_rate(step, steps, settings)
            terms = _step(network, optimizer, setup, batch, rate, step)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value / steps
            advance(1, f"loss {terms['loss']:.3f}")
    _renew_unmixed(network, setup, state.epoch, device)
    network.eval()
    judged = _average(network, setup, state, device)
    row = {"epoch": state.epoch + 1, "learning_rate": rate} | sums
    row |= _judge(judged, setup, device)
    score = row[f"validation_{setup.objective.task.metric}"]
    if setup.teacher_bound is not None and score > setup.teacher_bound:
        setup.objective.end_balance()
    row["seconds"] = round(time.perf_counter() - started, 3)
    state.epoch += 1
    state.history.append(row)
    state.balance = setup.objective.balance.save()
    if _is_best(row, state, setup.objective.task.metric):
        state.best_epoch = state.epoch
        state.best = {name: value.clone() for name, value in judged.state_dict().items()}


def _judge(network: nn.Module, setup: TrainingSetup, device: torch.device) -> dict[str, float]:
    """The numbers of an epoch; those of process 0 for all, so that all stop at the same epoch."""
    found = validate(network, setup) | setup.epoch_callback(network)
    return parallel.tell_all(found, device) if setup.team.shared else found


def _renew_unmixed(
    network: nn.Module, setup: TrainingSetup, epoch: int, device: torch.device
) -> None:
    """Let batch norm count images as they are, where training mixes them.

    Mixed images have less contrast, how much less depends on the share, which is one number a
    batch: running means of a few batches are far from those of whole images.
    """
    if setup.settings.augmentation.mixes:
        batches = -(-COUNTED // setup.settings.batch_size)
        with closing(_see_again(network, setup, epoch, device)) as unmixed:
            some = islice(unmixed, batches)
            renew_statistics(network, some, "statistics", setup.seed, epoch)


def _average(
    network: nn.Module, setup: TrainingSetup, state: TrainingState, device: torch.device
) -> nn.Module:
    """The network that an epoch is judged by: itself, or the mean of the weights of late epochs."""
    settings, epoch = setup.settings, state.epoch
    if not averages_epoch(settings.averaging_start, epoch, settings.epochs):
        return network
    average = WeightAverage(network, state.averaged)
    average.add(network, _see_again(average.network, setup, epoch, device), setup.seed, epoch)
    state.averaged = average.state()
    return average.network


def _see_again(
    network: nn.Module, setup: TrainingSetup, epoch: int, device: torch.device
) -> Generator[Inputs]:
    """The unmixed inputs of an epoch, each while the network is in the context of its step."""
    whole = {"mixup_alpha": 0.0, "cutmix_alpha": 0.0}
    augmentation = setup.settings.augmentation.model_copy(update=whole)
    settings = setup.settings.model_copy(update={"augmentation": augmentation})
    unmixed = replace(setup, settings=settings)
    for k, batch in enumerate(draw_batches(unmixed, epoch, device)):
        with setup.step_context(network, epoch * steps_an_epoch(setup) + k):
            yield setup.team.take(batch.inputs, len(batch))


def _step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    setup: TrainingSetup,
    batch: Batch,
    rate: float,
    step: int,
) -> dict[str, float]:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    with setup.step_context(network, step):
        values = _descend(network, setup, batch, step)
    optimizer.step()
    return values


def _descend(network: nn.Module, setup: TrainingSetup, batch: Batch, step: int) -> dict[str, float]:
    """Forward and backward: the terms of the loss; the gradients are left in the parameters.

    Raises:
        TrainingError: The loss is not finite.
    """
    team = setup.team
    whole = parallel.SharedNetwork(network, team) if team.shared else network
    with mixed_precision(setup.settings.precision, batch.device, network):
        terms = setup.objective(whole, batch)
    values = {name: float(term.detach()) for name, term in terms.items()}
    if not math.isfinite(values["loss"]):
        found = ", ".join(f"{name} {value:g}" for name, value in values.items())
        raise TrainingError(
            f"{setup.label}: the loss is not finite at step {step + 1} ({found}); "
            "a checkpoint is kept that is at most a minute older than the last complete epoch: "
            "run again to go on from there, "
            f"and lower the learning rate (now {setup.settings.learning_rate:g}) if it stops again"
        )
    terms["loss"].backward()
    if team.shared:
        parallel.add_gradients(network)
    return values


def draw_batches(setup: TrainingSetup, epoch: int, device: torch.device) -> Iterator[Batch]:
    """The batches of an epoch: an order that depends on the seed and the pass alone.

    The last batch of a pass is left out when it is smaller than half of the others, so that no
    step is taken on a handful of images; mixed views have no such batch. With views, image i of
    view v has the index ``v N + i``.
    """
    passes = setup.settings.passes_per_epoch
    for number in range(epoch * passes, (epoch + 1) * passes):
        yield from _draw_pass(setup, number, device)


def _draw_pass(setup: TrainingSetup, number: int, device: torch.device) -> Iterator[Batch]:
    """The batches of a pass over the training images, counted from the start of the training."""
    settings, generator = setup.settings, generator_of("order", setup.seed, number)
    task = setup.objective.task
    seen = see_pass(setup.train, task, settings, number, generator)
    steps = steps_a_pass(setup)
    for k, group in enumerate(seen.draw_groups(settings.batch_size, generator)):
        inputs, labels = seen.images.batch(group.indices)
        mixture = group.mixture
        if settings.augmentation.mixes and seen.groups is None and isinstance(inputs, Tensor):
            inputs, labels, mixture = mix(inputs, labels, task, settings.augmentation, generator)
        yield Batch(
            move_inputs(inputs, device),
            move_labels(labels, device),
            (seen.first + group.indices).to(device),
            (number + k / steps) / (settings.epochs * settings.passes_per_epoch),
            mixture and mixture.to(device),
        )


@torch.no_grad()
def validate(network: nn.Module, setup: TrainingSetup) -> dict[str, float]:
    """Loss and score on the validation images, the network in inference mode."""
    task = setup.objective.task
    logits, labels = predict_dataset(network, setup.validation)
    loss = float(task.loss(logits, labels))
    score = float(task.score(logits, labels).mean())
    return {"validation_loss": loss, f"validation_{task.metric}": score}


@torch.no_grad()
def predict_dataset(network: nn.Module, dataset: IndexedDataset) -> tuple[Tensor, Labels]:
    """Logits of all examples (N, ...) and their labels, in inference mode, on the CPU."""
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    logits, labels = [], []
    for indices in torch.arange(len(dataset)).split(fitting_batch(dataset)):
        inputs, some = dataset.batch(indices)
        logits.append(network(move_inputs(inputs, device)).float().cpu())
        labels.append(some)
    network.train(was_training)
    return torch.cat(logits), join_labels(labels)


@torch.no_grad()
def predict(network: nn.Module, images: Tensor, batch_size: int | None = None) -> Tensor:
    """Logits of images, in inference mode, on the device of the network.

    Args:
        network: From (B, C, H, W) to logits.
        images: (N, C, H, W) uint8.
        batch_size: Images at a time; None: up to 1000, and a million pixels.

    Returns:
        (N, ...) float32 on the CPU.
    """
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    parts = [
        network(to_scene(part).to(device, memory_format=torch.channels_last)).float().cpu()
        for part in images.split(batch_size or fitting_images(images))
    ]
    network.train(was_training)
    return torch.cat(parts)


def fitting_images(images: Tensor) -> int:
    """How many images to ask of a network at a time: up to 1000, and a million pixels."""
    return max(1, min(1000, 2**20 // images[0, 0].numel()))


def choose_device(device: str) -> torch.device:
    """The device that a spec asks for; ``auto`` is CUDA where there is one.

    Raises:
        TrainingError: CUDA is asked for where there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("training.device is cuda, but torch finds no CUDA device; use auto")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def steps_an_epoch(setup: TrainingSetup) -> int:
    """Batches of an epoch, which may be of several passes over the training images."""
    return setup.settings.passes_per_epoch * steps_a_pass(setup)


def steps_a_pass(setup: TrainingSetup) -> int:
    """Batches of a pass over the training images."""
    return count_batches(len(setup.train), setup.settings.batch_size)


def _is_best(row: dict[str, Any], state: TrainingState, metric: str) -> bool:
    if state.best_epoch == 0:
        return True
    return rank_epoch(row, metric) > rank_epoch(state.history[state.best_epoch - 1], metric)


def _goes_on(state: TrainingState, settings: spec.Training) -> bool:
    waited = state.epoch - state.best_epoch
    patient = settings.patience is None or waited < settings.patience
    return state.epoch < settings.epochs and patient
