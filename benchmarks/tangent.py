"""What tangent kernels cost: against torch.func, against a KD step, and in memory.

Run ``python benchmarks/tangent.py [--json FILE]``; set OMP_NUM_THREADS first. Times are
minima over repetitions, taken in turn so that other work on the machine hits both sides; each
measurement has a process of its own. Each is taken twice: with glibc's allocator as it comes, which
hands large tensors back to the system, and with freed memory kept (`keep_freed_memory`, as this
project's commands do). The second speeds torch.func's large Jacobians up most.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from timing import minima
from torch import nn

from hybridonn import spec
from hybridonn.core.memory import keep_freed_memory
from hybridonn.distillation.loss import Objective
from hybridonn.distillation.step import Batch
from hybridonn.distillation.teacher_targets import StoredTargets
from hybridonn.networks.student import build_student
from hybridonn.tangent import ntk
from hybridonn.tasks.classification import Classification


def convnet(pool: type[nn.Module] = nn.MaxPool2d) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        pool(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        pool(2),
        nn.Flatten(),
        nn.Linear(1568, 10),
    )


def torch_func_kernel(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The recipe of torch's own tutorial on neural tangent kernels (Jacobian contraction)."""
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def one(values, sample):
        return torch.func.functional_call(model, values, (sample[None],))[0]

    jacobian = torch.func.vmap(torch.func.jacrev(one), (None, 0))(parameters, x)
    parts = [j.flatten(2) for j in jacobian.values()]
    return sum(torch.einsum("Naf,Maf->NM", j, j) for j in parts)


def against_torch_func() -> dict[str, float]:
    torch.manual_seed(0)
    model, x = convnet(), torch.rand(64, 1, 28, 28)
    ours, theirs = ntk(model, x), torch_func_kernel(model, x)
    error = float((ours - theirs).norm() / theirs.norm())
    assert error < 1e-4, f"the two kernels differ by {error:.1e}"
    fast, slow = minima(5, lambda: ntk(model, x), lambda: torch_func_kernel(model, x))
    return {"torch_func_over_ours": slow / fast, "ours_ms": fast * 1e3, "torch_func_ms": slow * 1e3}


def average_pooling() -> dict[str, float]:
    torch.manual_seed(0)
    model, x = convnet(nn.AvgPool2d), torch.rand(64, 1, 28, 28)
    fast, slow = minima(5, lambda: ntk(model, x), lambda: torch_func_kernel(model, x))
    return {"torch_func_over_ours_average_pooling": slow / fast, "average_pooling_ms": fast * 1e3}


class Transformer(nn.Module):
    """16 patches of 7 x 7 pixels, blocks of width 64 with 4 heads, and their mean."""

    def __init__(self, depth: int = 4, width: int = 64):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 7, 7)
        self.places = nn.Parameter(torch.randn(16, width) / 50)
        block = nn.TransformerEncoderLayer(
            width, 4, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, depth, nn.LayerNorm(width), False)
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, 1, 28, 28) to logits (n, 10)."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.blocks(tokens).mean(1))


def transformer() -> dict[str, float]:
    torch.manual_seed(0)
    model, x = Transformer().eval(), torch.rand(64, 1, 28, 28)
    ours, theirs = ntk(model, x), torch_func_kernel(model, x)
    error = float((ours - theirs).norm() / theirs.norm())
    assert error < 1e-4, f"the two kernels differ by {error:.1e}"
    fast, slow, single = minima(
        3,
        lambda: ntk(model, x),
        lambda: torch_func_kernel(model, x),
        lambda: ntk(model, x, method="vector_products"),
    )
    return {
        "transformer_torch_func_over_ours": slow / fast,
        "transformer_single_samples_over_ours": single / fast,
        "transformer_ms": fast * 1e3,
    }


class Sequences(nn.Module):
    """Two recurrent layers of width 64, read at the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.head = nn.LSTM(28, 64, 2, batch_first=True), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sequences (n, 28, 28) to logits (n, 10)."""
        return self.head(self.layers(x)[0][:, -1])


def recurrent() -> dict[str, float]:
    torch.manual_seed(0)
    model, x = Sequences(), torch.rand(64, 28, 28)
    fast, single = minima(3, lambda: ntk(model, x), lambda: ntk(model, x, method="vector_products"))
    return {"lstm_single_samples_over_ours": single / fast, "lstm_ms": fast * 1e3}


def against_neural_tangents() -> dict[str, float | None]:
    try:
        import neural_tangents  # noqa: F401
    except Exception as error:  # it does not import beside every JAX
        said = f"{type(error).__name__}: {error}"
        print(f"neural_tangents is not usable here: {said}", file=sys.stderr)
        return {"neural_tangents_over_ours": None}
    model, x = convnet(nn.AvgPool2d), torch.rand(64, 1, 28, 28)
    theirs = neural_tangents_kernel(x)
    fast, slow = minima(5, lambda: ntk(model, x), theirs)
    return {"neural_tangents_over_ours": slow / fast, "neural_tangents_ms": slow * 1e3}


def neural_tangents_kernel(x: torch.Tensor) -> Callable[[], object]:
    """neural-tangents with structured derivatives, compiled; average pooling on both sides."""
    import jax
    import neural_tangents as nt
    from neural_tangents import stax

    pool = stax.AvgPool((2, 2), (2, 2))  # stax has no max pooling
    init, apply, _ = stax.serial(
        *(stax.Conv(16, (3, 3), padding="SAME"), stax.Relu(), pool),
        *(stax.Conv(32, (3, 3), padding="SAME"), stax.Relu(), pool),
        *(stax.Flatten(), stax.Dense(10)),
    )
    images = jax.numpy.asarray(x.permute(0, 2, 3, 1).numpy())
    _, parameters = init(jax.random.PRNGKey(1), images.shape)
    how = nt.NtkImplementation.STRUCTURED_DERIVATIVES
    kernel = jax.jit(nt.empirical_ntk_fn(apply, trace_axes=(-1,), vmap_axes=0, implementation=how))
    return lambda: kernel(images, None, parameters).block_until_ready()


def training_steps() -> dict[str, float]:
    """An NTKD step over a KD step of `compressed_meta`; the teacher's answers are stored."""
    torch.manual_seed(0)
    model, count = build_student(spec.Student(), (1, 28, 28), 10, seed=0).train(), 128
    batch = Batch(torch.rand(count, 1, 28, 28), torch.randint(10, (count,)), torch.arange(count))
    targets = StoredTargets(torch.randn(count, 10), features=torch.randn(count, 300))
    optimizer = torch.optim.AdamW(model.parameters(), 4e-3)

    def step(method: spec.Method, **tangent: Any) -> Callable[[], None]:
        settings = spec.Distillation(method=method, tangent=spec.Tangent(**tangent))
        objective = Objective(Classification(), settings, targets)

        def go() -> None:
            optimizer.zero_grad()
            objective(model, batch)["loss"].backward()
            optimizer.step()

        return go

    kd, last, some, whole, probed = minima(
        500,
        step("kd"),
        step("ntkd"),
        step("ntkd", layers="all"),
        step("ntkd", layers="all", images=count),
        step("ntkd", layers="all", images=count, probes=1),
    )
    return {
        "ntkd_step_over_kd_step": last / kd,
        "ntkd_all_layers_step_over_kd_step": some / kd,
        "ntkd_all_layers_whole_batch_step_over_kd_step": whole / kd,
        "ntkd_all_layers_whole_batch_1_probe_step_over_kd_step": probed / kd,
        "kd_step_ms": kd * 1e3,
    }


def alexnet() -> nn.Module:
    """57 million parameters for ten classes of 224 x 224 images (Krizhevsky 2014)."""
    channels, sizes = (3, 64, 192, 384, 256, 256), (11, 5, 3, 3, 3)
    layers: list[nn.Module] = []
    for index, size in enumerate(sizes):
        stride, padding = (4, 2) if index == 0 else (1, size // 2)
        layers += [nn.Conv2d(channels[index], channels[index + 1], size, stride, padding)]
        layers += [nn.ReLU(inplace=True)]
        layers += [nn.MaxPool2d(3, 2)] if index in (0, 1, 4) else []
    dense = (9216, 4096, 4096, 10)
    layers += [nn.Flatten()]
    for index in range(3):
        layers += [nn.Linear(dense[index], dense[index + 1])]
        layers += [nn.ReLU(inplace=True)] if index < 2 else []
    return nn.Sequential(*layers)


def alexnet_peak() -> dict[str, float]:
    """The peak of resident memory in GB and the time in s; of a process that did nothing else."""
    torch.manual_seed(0)
    model, x = alexnet(), torch.rand(128, 3, 224, 224)
    start = time.perf_counter()
    kernel = ntk(model, x, memory_gb=2.0)
    assert kernel.isfinite().all()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"peak_gb_alexnet_128": peak, "alexnet_128_s": time.perf_counter() - start}


MEASURES: dict[str, Callable[[], dict[str, Any]]] = {
    "torch-func": against_torch_func,
    "average-pooling": average_pooling,
    "transformer": transformer,
    "lstm": recurrent,
    "neural-tangents": against_neural_tangents,
    "steps": training_steps,
    "alexnet": alexnet_peak,
}


def in_a_process(measure: str, kept: bool) -> dict[str, float | None]:
    """One measurement: the memory that another one left behind changes what allocations cost."""
    command = [sys.executable, __file__, "--only", measure]
    command += ["--keep-memory"] if kept else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def _show(value: float | None) -> str:
    """A number with three digits."""
    return "-" if value is None else format(value, ".3g")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--only", choices=MEASURES, help="one measurement, as JSON")
    parser.add_argument("--keep-memory", action="store_true", help="with --only: keep freed memory")
    options = parser.parse_args()
    if options.keep_memory and not keep_freed_memory():
        parser.error("freed memory cannot be kept: no glibc, or the environment says otherwise")
    if options.only:
        print(json.dumps(MEASURES[options.only]()))
        return
    found: dict[str, dict[str, float | None]] = {"allocator_as_it_comes": {}, "memory_kept": {}}
    print(f"{'':53} as it comes   kept")
    for measure in MEASURES:
        plain, kept = (in_a_process(measure, keep) for keep in (False, True))
        for key, value in plain.items():
            print(f"{key:53} {_show(value):13} {_show(kept[key])}", flush=True)
        found["allocator_as_it_comes"] |= plain
        found["memory_kept"] |= kept
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
