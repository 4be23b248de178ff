"""Tangent features of a fixed network: a row a sample, whose products give its kernel."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hybridonn.tangent.capture import Layer, Layers, Observation
from hybridonn.tangent.checks import check_inputs, check_outputs, require_inference
from hybridonn.tangent.errors import TangentError, TangentWarning
from hybridonn.tangent.layerwise import (
    covered_names,
    fitting,
    pieces_of,
)
from hybridonn.tangent.pieces import Product, Vector
from hybridonn.tangent.plan import footprint, make_plan
from hybridonn.tangent.projection import Projection
from hybridonn.tangent.rows import model_rows
from hybridonn.tangent.seeds import sign_seeds, unit_seeds
from hybridonn.tangent.trace import slow_message
from hybridonn.tangent.verification import failures

# Rows and columns left of a gradient matrix before it is folded. Measured on a LeNet with 512
# alignment with the exact kernel 0.964 at 64, 0.9992 at 128 and 0.9994 at 256 rows.
_SIDE = 128

# So many outputs have their gradients with respect to a dense layer held at once, 4 MB.
_OUTPUTS = 1024


def tangent_features(
    model: nn.Module,
    x: Tensor,
    width: int = 512,
    *,
    seed: int = 0,
    oversampling: int = 8,
    layers: Layers = "all",
    memory_gb: float = 2.0,
) -> Tensor:
    """Features phi (n, width) with ``phi phi^T ~ Theta`` contracted over the outputs.

    Exact output gradients of every layer and output are projected with random signs to
    ``oversampling x width`` numbers, for which ``E[phi phi^T] = Theta`` holds exactly; then
    the best ``width`` directions (principal components about zero, Eckart and Young 1936,
    of a part of x) are kept. Without oversampling the features of one seed are the same
    map for every batch; with it they are comparable within one call only.

    Args:
        model: any module; samples lead and do not interact.
        x: samples (n, ...), all for which features are wanted.
        width: numbers a sample.
        seed: seed of the random signs.
        oversampling: factor of the first, random projection; 1 keeps it alone.
        layers: whose parameters, as for `ntk`.
        memory_gb: memory budget in GB, besides the model.

    Returns:
        Features (n, width), detached.

    Raises:
        TangentError: the model or the inputs have no tangent kernel, or an option is not
            allowed.
    """
    check_inputs(model, x, None)
    require_inference(model)
    if width < 1 or oversampling < 1:
        raise TangentError(
            f"width is {width} and oversampling {oversampling}; both must be at least 1"
        )
    with torch.enable_grad():
        maker = _Maker(model, layers, width * oversampling, seed)
        need = footprint(model, x)
        plan = make_plan(need, 1, None, need.outputs.numel(), memory_gb, 0)
        sample = need.graph + 3 * plan.outputs * need.gradients
        batch = int(min(max(memory_gb * 1e9 / 2 // sample, 1), 128))
        starts = range(0, len(x), batch)
        if oversampling == 1:
            return torch.cat([maker.features(x[at : at + batch]) for at in starts])
        basis = _basis(maker, x, width, batch)
        return torch.cat([maker.features(x[at : at + batch]) @ basis for at in starts])


@dataclass(frozen=True)
class DenseEnd:
    """A dense layer behind which a network only combines its outputs, always in the same way.

    Attributes:
        layer: its name.
        gradient: d output / d layer output, (C, o), the same for every sample.
    """

    layer: str
    gradient: Tensor


def find_dense_end(model: nn.Module, x: Tensor, layers: Layers = "last") -> DenseEnd | None:
    """The one dense layer whose tangent features `dense_features` gives exactly, if it is one.

    It is asked of autograd, not of the model's class: the layer's gradients must be what its
    rule says, and the outputs' gradients the same for all of x.

    Args:
        model: any module, in inference mode; samples lead and do not interact.
        x: some samples (n, ...) to find out with.
        layers: whose parameters, as for `ntk`.

    Returns:
        The layer; None for several layers, for another kind of layer, for more than 1024
        outputs, and where something behind the layer depends on the sample.

    Raises:
        TangentError: the model or the inputs have no tangent kernel.
    """
    check_inputs(model, x, None)
    require_inference(model)
    with torch.enable_grad():
        outputs, seen, layer = _watch_dense(model, x[:2], layers)
        shape = outputs.shape[1:]
        if layer is None or shape.numel() > _OUTPUTS:
            return None
        seeds = unit_seeds(shape, slice(0, shape.numel()), outputs)
        (part,) = pieces_of([layer], outputs, seeds)
        wrong, _ = failures([part], outputs, seeds, seen.parameters())
        (piece,) = part.pieces if len(part.pieces) == 1 else (None,)
        if wrong or not isinstance(piece, Product):
            return None
        end = DenseEnd(layer.name, piece.lefts()[0, :, 0, :, 0].detach())
    return None if dense_features(model, x, end) is None else end


def dense_features(model: nn.Module, x: Tensor, end: DenseEnd) -> tuple[Tensor, Tensor] | None:
    """A network's outputs and the exact tangent features of its dense end, in one forward pass.

    With layer inputs h and output gradients G, the same for all samples, the kernel
    contracted over the outputs is ``||G||_F^2 (h h^T + 1_bias)``: so the features are
    ``||G||_F [h, 1_bias]``.

    Args:
        model: the module, in inference mode.
        x: samples (n, ...).
        end: what `find_dense_end` found of it.

    Returns:
        Outputs (n, ...) and features (n, k or k + 1), detached, the features in at least
        single precision; None where the outputs' gradients of these samples are others.
    """
    with torch.enable_grad(), _only_trainable(model, end.layer):
        outputs, _, layer = _watch_dense(model, x, end.layer)
        if layer is None:
            return None
        # Random signs tell gradients apart at the cost of one backward pass.
        signs = torch.Generator(outputs.device).manual_seed(0)
        seeds = sign_seeds(outputs.shape[1:], 1, outputs, signs)
        (part,) = pieces_of([layer], outputs, seeds)
    (piece,) = part.pieces
    assert isinstance(piece, Product)
    found = piece.lefts()[:, 0, 0, :, 0]
    # No product of matrices: autocast would round it.
    expected = (seeds.flatten().to(found)[:, None] * end.gradient.to(found)).sum(0)
    rounding = 8 * torch.finfo(outputs.dtype).eps * float(expected.abs().max())
    if not torch.allclose(found, expected.expand_as(found), rtol=0, atol=rounding):
        return None
    h = piece.rights()[:, 0, :, 0]
    if piece.sums_left:
        h = torch.nn.functional.pad(h, (0, 1), value=1.0)
    return outputs.detach(), (torch.linalg.norm(end.gradient) * h).detach()


def _watch_dense(
    model: nn.Module, x: Tensor, layers: Layers
) -> tuple[Tensor, Observation, Layer | None]:
    """A forward pass, and the one layer with one vector of outputs a sample, if it is one."""
    seen = Observation(model, layers)
    with seen.watching():
        outputs = model(x)
    check_outputs(outputs, model, len(x))
    chosen = seen.selected()
    if len(chosen) != 1 or fitting(chosen, len(x)) != chosen:
        return outputs, seen, None
    (layer,) = chosen
    dense = [len(execution.shape) for execution in layer.executions] == [2]
    whole = set(layer.own) == set(layer.covered)
    return outputs, seen, layer if dense and whole else None


@contextmanager
def _only_trainable(model: nn.Module, layer: str) -> Iterator[None]:
    """Within this context autograd's graph begins at one layer: nothing before it is kept."""
    kept = {id(parameter) for parameter in model.get_submodule(layer).parameters(recurse=False)}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in kept]
    try:
        for parameter in others:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)


class _Maker:
    """The random projection of all layers, the same for every batch."""

    def __init__(self, model: nn.Module, layers: Layers, width: int, seed: int):
        self.model, self.layers, self.width, self.seed = model, layers, width, seed
        self.projections: dict[tuple[str, int], Projection] = {}
        self.names: set[str] | None = None
        self.rest: dict[str, nn.Parameter] = {}

    def features(self, x: Tensor) -> Tensor:
        """Features (n, width) of a batch."""
        seen = Observation(self.model, self.layers)
        with seen.watching():
            outputs = self.model(x)
        check_outputs(outputs, self.model, len(x))
        known = fitting(seen.selected(), len(x))
        if self.names is None:
            self.names = self._verified(known, outputs, seen)
        known = [layer for layer in known if layer.name in self.names]
        seeds = unit_seeds(outputs.shape[1:], slice(0, outputs.shape[1:].numel()), outputs)
        total = torch.zeros(len(x), self.width, dtype=seeds.dtype, device=seeds.device)
        parts = pieces_of(known, outputs, seeds)
        with torch.no_grad():
            for part in parts:
                for index, piece in enumerate(part.pieces):
                    total += self._projection(part.layer.name, index, seeds).features(piece)
        if self.rest:
            rows = model_rows(self.model, self.rest, x, seeds)
            total += self._projection("", 0, seeds).features(Vector("rest", rows))
        return total

    def _projection(self, name: str, index: int, like: Tensor) -> Projection:
        """The projection of one piece of a layer."""
        key = (name, index)
        if key not in self.projections:
            number = self.seed * 1_000_003 + len(self.projections)
            self.projections[key] = Projection(number, self.width, _SIDE, like)
        return self.projections[key]

    def _verified(self, known: list[Layer], outputs: Tensor, seen: Observation) -> set[str]:
        """The layers that autograd confirms; what lies beyond them goes sample by sample."""
        signs = torch.Generator(outputs.device).manual_seed(0)
        seeds = sign_seeds(outputs.shape[1:], 1, outputs, signs)
        parameters = seen.parameters()
        wrong, reached = failures(pieces_of(known, outputs, seeds), outputs, seeds, parameters)
        good = [layer for layer in known if layer.name not in wrong]
        covered = covered_names(good)
        self.rest = {n: p for n, p in parameters.items() if n in reached and n not in covered}
        if self.rest:
            warnings.warn(slow_message(list(self.rest)), TangentWarning, stacklevel=5)
        return {layer.name for layer in good}


def _basis(maker: _Maker, x: Tensor, width: int, batch: int) -> Tensor:
    """The directions (oversampled width, width) that hold most of the features of a part of x."""
    count = min(len(x), 4 * width)
    part = x[torch.linspace(0, len(x) - 1, count).long()]
    found = torch.cat([maker.features(part[at : at + batch]) for at in range(0, count, batch)])
    found = found.double()
    values, vectors = torch.linalg.eigh(found @ found.T)  # the smaller side: 4 width samples
    values, vectors = values[-width:], vectors[:, -width:]
    present = values > count * torch.finfo(x.dtype).eps * values[-1]
    basis = found.T @ (vectors[:, present] / values[present].sqrt())
    return torch.nn.functional.pad(basis, (0, width - basis.shape[1])).to(x.dtype)
