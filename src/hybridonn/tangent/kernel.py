"""The empirical neural tangent kernel of any network, layer by layer."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

import torch
from torch import Tensor, nn

from hybridonn.tangent.capture import Layer, Layers, Observation
from hybridonn.tangent.checks import (
    check_inputs,
    check_options,
    check_outputs,
    require_inference,
)
from hybridonn.tangent.confirmed import Confirmed, graph_of, once, state_of
from hybridonn.tangent.contraction import chunks, kernel_of
from hybridonn.tangent.errors import TangentError, TangentWarning
from hybridonn.tangent.layerwise import (
    covered_names,
    fitting,
    joined,
    pieces_of,
)
from hybridonn.tangent.pieces import Piece
from hybridonn.tangent.plan import Plan, footprint, make_plan
from hybridonn.tangent.rows import model_rows, require_independence
from hybridonn.tangent.seeds import Seeds, seeds_of, sign_seeds
from hybridonn.tangent.tails import Tail, find_tails
from hybridonn.tangent.trace import methods_of, slow_message
from hybridonn.tangent.verification import failures, reached

Method = Literal["auto", "layers", "vector_products"]
METHODS: tuple[Method, ...] = ("auto", "layers", "vector_products")

# Samples whose gradients are compared with autograd's before a rule is trusted.
_VERIFIED = 8


def ntk(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    outputs: Literal["contracted", "full"] = "contracted",
    layers: Layers = "all",
    probes: int | None = None,
    method: Method = "auto",
    memory_gb: float = 2.0,
    generator: torch.Generator | None = None,
    create_graph: bool = False,
) -> Tensor:
    """The empirical neural tangent kernel (Jacot, Gabriel and Hongler, NeurIPS 2018).

    ``Theta_ij = sum_c <df_c(x_i)/dtheta, df_c(x_j)/dtheta>`` over the trainable parameters
    theta and all outputs c (classes, pixels), exact, without ever holding a Jacobian.

    Args:
        model: any module; samples lead in its inputs and outputs and do not interact.
        x1: samples (n1, ...).
        x2: samples (n2, ...); None means ``x1``.
        outputs: "contracted" sums over the outputs, "full" keeps them.
        layers: whose parameters: "all", "first" or "last" executed, or names of layers or of
            modules that hold them.
        probes: random sign combinations r_k of the outputs in place of all of them: unbiased;
            an entry with ``B_ij = J_i J_j^T`` (C x C) has the variance
            ``2 ||off-diagonal of (B + B^T) / 2||_F^2 / probes``. None: exact.
        method: "auto" goes layer by layer and takes one backward pass a sample for what no
            rule accounts for, with a `TangentWarning`; "layers" refuses such parameters;
            "vector_products" takes all parameters the second way.
        memory_gb: memory budget in GB, besides the model; it splits the work and does not
            change the numbers.
        generator: source of the probes' signs.
        create_graph: let the kernel be differentiated in the parameters (the graph that this
            keeps is not within the budget).

    Returns:
        The kernel (n1, n2), or (n1, n2, C, C) with the outputs flattened.

    Raises:
        TangentError: the model or the inputs have no tangent kernel, or the budget is too
            small; the message says why.
    """
    check_inputs(model, x1, x2)
    check_options(outputs, method, probes, memory_gb, METHODS)
    require_inference(model)
    with torch.enable_grad():
        sample = x1.shape[1:], x1.dtype, x1.device, state_of(model)
        need = once(model, sample, lambda: footprint(model, x1))
        seeds = seeds_of(need.outputs, probes, generator, _floating(x1))
        wide = seeds.count**2 if outputs == "full" else 1
        result = len(x1) * len(x1 if x2 is None else x2) * wide * max(x1.element_size(), 4)
        n2 = None if x2 is None else len(x2)
        cached = outputs == "contracted" and x1.device.type == "cpu"
        plan = make_plan(need, len(x1), n2, seeds.count, memory_gb, result, cached=cached)
        work = _Work(model, layers, seeds, outputs == "full", plan, create_graph)
        return work.kernel(x1, x2, method)


def explain(model: nn.Module, x: Tensor, layers: Layers = "all") -> str:
    """Say how `ntk` computes each layer's part for a model.

    Args:
        model: any module.
        x: a few samples (n, ...).
        layers: as for `ntk`.

    Returns:
        A line for each layer, in order of execution, then one for each parameter that is
        used outside a known layer.

    Raises:
        TangentError: as for `ntk`.
    """
    check_inputs(model, x, None)
    require_inference(model)
    with torch.enable_grad():
        need = footprint(model, x)
        seeds = seeds_of(need.outputs, None, None, _floating(x))
        plan = Plan(len(x), 1, float("inf"), room=seeds.count)
        work = _Work(model, layers, seeds, False, plan, False)
        view = work.look(x)
        found = work.verified(view)
    slow = {n: f"vector products: {why}" for n, why in found.wrong.items()}
    lines = {**methods_of(view.seen), **slow}
    good = [layer for layer in view.known if layer.name in found.layers]
    for layer in good:
        tail = view.tails.get(layer.executions[0].order)
        lines[layer.name] += ", compiled, at its maxima" if tail and tail.window else ""
    covered = covered_names(good)
    loose = [n for n in found.reached if n not in covered and n.rpartition(".")[0] not in lines]
    lines.update(dict.fromkeys(loose, "vector products: used outside a known layer"))
    return "\n".join(f"{name or type(model).__name__}: {how}" for name, how in lines.items())


_Pieces = tuple[list[Piece], list[Piece]]


@dataclass(frozen=True)
class _View:
    """A forward pass of some samples."""

    x: Tensor
    outputs: Tensor
    seen: Observation
    known: list[Layer]
    parameters: dict[str, nn.Parameter]
    tails: Mapping[int, Tail]


@dataclass(frozen=True)
class _Work:
    """What is computed, and in which portions."""

    model: nn.Module
    layers: Layers
    seeds: Seeds
    per_output: bool
    plan: Plan
    create_graph: bool

    def look(self, x: Tensor) -> _View:
        """Run the model on some samples and watch its layers."""
        seen = Observation(self.model, self.layers)
        with seen.watching():
            outputs = self.model(x)
        check_outputs(outputs, self.model, len(x))
        known = fitting(seen.selected(), len(x))
        count, room = self.seeds.count, self.plan.room
        tails = {}
        if not self.per_output:
            block = None if self.create_graph else self.plan.samples
            tails = find_tails(known, outputs, count, room, block=block)
        return _View(x, outputs, seen, known, seen.parameters(), tails)

    def confirmed(self, first: _View) -> Confirmed:
        """What autograd confirms for the graph of some samples."""
        layers = tuple(layer.name for layer in first.known), tuple(first.parameters)
        tails = tuple((order, tail.window) for order, tail in first.tails.items())
        key = layers, tails, graph_of(first.outputs), state_of(self.model)

        def find() -> Confirmed:
            found = self.verified(self.look(first.x[:_VERIFIED]))
            rest = [name for name in first.parameters if name not in found.reached]
            more = reached(first.outputs, first.parameters, rest)
            return replace(found, reached=found.reached | more)

        return once(self.model, key, find)

    def verified(self, view: _View) -> Confirmed:
        """What autograd confirms for some samples."""
        known = view.known
        signs = torch.Generator(view.outputs.device).manual_seed(0)
        seeds = sign_seeds(view.outputs.shape[1:], 1, view.outputs, signs)
        parts = pieces_of(known, view.outputs, seeds, tails=view.tails)
        wrong, names = failures(parts, view.outputs, seeds, view.parameters)
        good = frozenset(layer.name for layer in known if layer.name not in wrong)
        return Confirmed(good, wrong, frozenset(names))

    def kernel(self, x1: Tensor, x2: Tensor | None, method: Method) -> Tensor:
        """The kernel of all samples, block by block.

        Raises:
            TangentError: the outputs do not depend on the wanted parameters.
        """
        first = self.look(x1[: self.plan.samples])
        found = self.confirmed(first)
        if not found.reached:
            raise TangentError(
                f"the outputs of {type(self.model).__name__} do not depend on the trainable "
                f"parameters of layers={self.layers!r}; choose other layers"
            )
        names = found.layers if method != "vector_products" else frozenset()
        known = [layer for layer in first.known if layer.name in names]
        covered = covered_names(known)
        rest = {n: p for n, p in first.parameters.items() if n in found.reached - covered}
        self._report(rest, found.wrong, method)
        if rest:
            require_independence(self.model, first.x, first.outputs)
        return self._grid(first, x1, x2, frozenset(layer.name for layer in known), rest)

    def _report(
        self, rest: Mapping[str, nn.Parameter], wrong: Mapping[str, str], method: Method
    ) -> None:
        """Say which parameters no rule accounts for.

        Raises:
            TangentError: the method allows for none.
        """
        if not rest or method == "vector_products":
            return
        why = "".join(f"; layer '{name}': {reason}" for name, reason in wrong.items())
        message = slow_message(list(rest)) + why
        if method == "layers":
            raise TangentError(f"method='layers' refuses the slow way: {message}")
        warnings.warn(message, TangentWarning, stacklevel=4)

    def _grid(
        self,
        first: _View,
        x1: Tensor,
        x2: Tensor | None,
        names: frozenset[str],
        rest: Mapping[str, nn.Parameter],
    ) -> Tensor:
        """The blocks of the kernel, side by side; the lower half mirrors the upper one."""
        size = self.plan.samples
        mine = [slice(i, i + size) for i in range(0, len(x1), size)]
        other = x1 if x2 is None else x2
        theirs = [slice(i, i + size) for i in range(0, len(other), size)]
        rows: list[list[Tensor]] = []
        for i, part in enumerate(mine):
            view = first if i == 0 else self.look(x1[part])
            row = [_mirror(rows[j][i]) for j in range(i)] if x2 is None else []
            for j in range(len(row), len(theirs)):
                same = x2 is None and i == j
                partner = None if same else self.look(other[theirs[j]])
                row.append(self._block(view, partner, names, rest))
            rows.append(row)
        return torch.cat([torch.cat(row, 1) for row in rows])

    def _block(
        self, a: _View, b: _View | None, names: frozenset[str], rest: Mapping[str, nn.Parameter]
    ) -> Tensor:
        """The kernel of two blocks of samples."""
        parts = list(chunks(self.seeds.count, self.plan.outputs))
        if self.per_output:
            rows: list[Tensor] = []
            for one in parts:
                found = [self._portion(a, b, one, two, names, rest, []) for two in parts]
                rows.append(torch.cat([block for block in found if block is not None], 3))
            return torch.cat(rows, 2)
        pooled: list[_Pieces] = []
        terms = [self._portion(a, b, part, part, names, rest, pooled) for part in parts]
        mine = joined([mine for mine, _ in pooled])
        theirs = None if b is None else joined([theirs for _, theirs in pooled])
        terms.append(self._contract(mine, theirs))
        return reduce(torch.add, [term for term in terms if term is not None])

    def _portion(
        self,
        a: _View,
        b: _View | None,
        one: slice,
        two: slice,
        names: frozenset[str],
        rest: Mapping[str, nn.Parameter],
        pooled: list[_Pieces],
    ) -> Tensor | None:
        """The kernel of two blocks of samples and two portions of outputs.

        Pieces that belong to pooled positions are small: they are added to ``pooled``, so that
        all outputs can be contracted at once.
        """
        same = b is None and one == two
        partner = a if b is None else b
        mine, pooled_mine = self._pieces(a, one, names)
        theirs, pooled_theirs = (None, []) if same else self._pieces(partner, two, names)
        pooled.append((pooled_mine, pooled_theirs))
        kernel = self._contract(mine, theirs)
        if rest:
            slow = self._slow(a, None if same else partner, one, two, rest)
            kernel = slow if kernel is None else kernel + slow
        return kernel

    def _contract(self, mine: list[Piece], theirs: list[Piece] | None) -> Tensor | None:
        """The kernel of some pieces; None where there are none."""
        with torch.set_grad_enabled(self.create_graph):
            return kernel_of(mine, theirs, per_output=self.per_output, budget=self.plan.contraction)

    def _pieces(self, view: _View, part: slice, names: frozenset[str]) -> _Pieces:
        """The pieces of the named layers, those at their own positions and the pooled ones.

        Raises:
            TangentError: one of them was not executed as for the other samples.
        """
        layers = [layer for layer in view.known if layer.name in names]
        if {layer.name for layer in layers} != names:
            raise TangentError(
                f"layers {', '.join(sorted(names - {layer.name for layer in layers}))} were not "
                "executed in the same way for all samples; give method='vector_products'"
            )
        found = pieces_of(
            layers,
            view.outputs,
            self.seeds.part(part),
            create_graph=self.create_graph,
            keep=self.plan.keep and not self.create_graph,
            tails=view.tails,
        )
        plain = [piece for each in found if not each.pooled for piece in each.pieces]
        return plain, [piece for each in found if each.pooled for piece in each.pieces]

    def _slow(
        self,
        a: _View,
        b: _View | None,
        one: slice,
        two: slice,
        rest: Mapping[str, nn.Parameter],
    ) -> Tensor:
        """The part of the parameters that no rule accounts for, some samples at a time.

        Raises:
            TangentError: the gradients of one sample do not fit the budget.
        """
        count = sum(parameter.numel() for parameter in rest.values())
        row = count * max(a.outputs.element_size(), 4)
        room = self.plan.contraction / 3
        width = one.stop - one.start
        if not self.per_output and room < width * row and width > 1:
            parts = [
                slice(one.start + p.start, one.start + p.stop) for p in chunks(width, room // row)
            ]
            return sum((self._slow(a, b, p, p, rest) for p in parts), a.outputs.new_zeros(()))
        if room < width * row:
            raise TangentError(
                f"the budget leaves {room / 1e9:.3g} GB for the gradients of one sample, but "
                f"without a rule they need {width * row / 1e9:.3g} GB; multiply memory_gb by "
                f"{1.2 * width * row / room:.3g}"
            )
        size = int(room / (width * row))
        blocks = []
        for start in range(0, len(a.x), size):
            mine = self._rows(a.x[start : start + size], one, rest)
            if b is None and size >= len(a.x):
                return self._inner(mine, mine)
            other = a if b is None else b
            line = [
                self._inner(mine, self._rows(other.x[at : at + size], two, rest))
                for at in range(0, len(other.x), size)
            ]
            blocks.append(torch.cat(line, 1))
        return torch.cat(blocks)

    def _rows(self, x: Tensor, part: slice, rest: Mapping[str, nn.Parameter]) -> Tensor:
        """Gradients (n, C, p) of some parameters."""
        seeds = self.seeds.part(part)
        return model_rows(self.model, rest, x, seeds, create_graph=self.create_graph)

    def _inner(self, a: Tensor, b: Tensor) -> Tensor:
        """Inner products of rows (n1, C, p) and (n2, C, p)."""
        if self.per_output:
            return torch.einsum("icp,jdp->ijcd", a, b)
        return a.flatten(1) @ b.flatten(1).T


def _floating(x: Tensor) -> Tensor:
    """A tensor of the outputs' type and device."""
    return x if x.is_floating_point() else torch.zeros(1, device=x.device)


def _mirror(block: Tensor) -> Tensor:
    """The block of (j, i) from that of (i, j)."""
    return block.transpose(0, 1) if block.ndim == 2 else block.permute(1, 0, 3, 2)
