r"""The empirical neural tangent kernel of any network, layer by layer.

A network f with outputs f_c and trainable parameters theta has, for samples x_i and x_j, the
kernel (Jacot, Gabriel and Hongler, NeurIPS 2018)

    Theta_ij = sum_c <df_c(x_i)/dtheta, df_c(x_j)/dtheta>.                              (1)

A Jacobian of samples x outputs x parameters would be far too large. But theta is the union of the
layers' parameters, so Theta is a sum over layers, and a layer's gradients are products of two
small factors, which one forward and one backward pass give.

**Inputs and cotangents.** A layer computes ``z_it = W a_it + b`` at its positions t: one for a
dense layer, one for each pixel of a convolution, where a_it is the patch around it. With the
*cotangents* ``g_ict = df_c(x_i)/dz_it`` the chain rule gives

    M_ic = df_c(x_i)/dW = sum_t g_ict a_it^T,     df_c(x_i)/db = sum_t g_ict             (2)

(Goodfellow, arXiv 1510.01799, for dense layers; Rochette, Manoel and Tramel, arXiv 1912.06015,
for convolutions). Hooks note the inputs a during the forward pass (`layer_io`); the backward pass
takes the cotangents of all outputs at once (`cotangents`). How a kind of layer makes (2) of them
is its rule (`rules`); the result is kept in factors (`gradient_factors`).

**Gram or pairs.** The layer's part of (1), ``sum_c <M_ic, M_jc>``, may be summed in two orders:

    form every M_ic, then one matrix product over its numbers:   n C T o k + n^2 C o k
    sum_tt' (a_it . a_jt') sum_c (g_ict . g_jct'):               n^2 T^2 (k + C o)       (3)

multiply-adds for n samples, C outputs and a weight of o x k. Few positions favour the second form,
which for a dense layer is the elementwise product of two Gram matrices; many favour the first.
`contraction` takes the cheaper one (Novak, Sohl-Dickstein and Schoenholz, ICML 2022, count such
costs). In a dense last layer g is the identity, and its part is ``C (a_i . a_j + 1)`` without any
backward pass (`contract_identity`).

**Pooling.** Where z goes on only to ``p = pool(relu(z + shift))``, with the ReLU's mask m and the
pooling's weights P, the chain rule continues to

    M_ic,o = sum_q h_icoq v_ioq^T,   h_icoq = df_c/dp_oq,   v_ioq = sum_t P_oqt m_iot a_it   (4)

for each channel o: the form of (2) at the pooled positions q, which are far fewer
(`pooled_convolution`).

**Fewer outputs.** Random sign vectors r_k with ``E[sum_k r_k r_k^T] = I`` may stand for the
outputs, f_c replaced by ``r_k . f``: the kernel is then unbiased (`output_vectors`).

**What is not covered.** Parameters that no rule accounts for get their gradients from one backward
pass for each sample (`per_sample`). The rules are verified: for random w_ic, ``sum_ic w_ic M_ic``
is the gradient of one scalar, which autograd computes by itself (`verification`). Every sample of
every call takes part. Where the two differ, the call starts again without that rule. Some samples
are run once more, so that a model that draws random numbers is refused (`repeatability`). So what
`ntk` returns is the kernel of the function that was called, or an error says why not.

`ntk` reads as follows: it plans how many samples and outputs at a time fit the memory (`plan`),
runs and verifies the first block of samples (`blocks`), and assembles the kernel from blocks of
samples, each summed over portions of outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import reduce
from typing import Literal

import torch
from torch import Tensor, nn

from hybridonn.tangent.empirical.backends import uncompiled
from hybridonn.tangent.empirical.blocks import (
    Block,
    KernelTask,
    repeat_block,
    run_block,
    verify_block,
)
from hybridonn.tangent.empirical.checks import (
    check_derivatives,
    check_inputs,
    check_options,
    refuse_gradient_hooks,
    require_inference,
)
from hybridonn.tangent.empirical.contraction import contract
from hybridonn.tangent.empirical.explanation import describe_layers, describe_slow
from hybridonn.tangent.empirical.gradient_factors import ParameterGradient, join_outputs
from hybridonn.tangent.empirical.layer_gradients import (
    split_pooled,
)
from hybridonn.tangent.empirical.layer_io import (
    Layers,
    covered_names,
)
from hybridonn.tangent.empirical.model_state import (
    describe_state,
    remember,
    unchanged_buffers,
    warn_once,
)
from hybridonn.tangent.empirical.output_vectors import output_vectors
from hybridonn.tangent.empirical.per_sample import PerSampleKernel
from hybridonn.tangent.empirical.plan import MemoryPlan, measure_footprint, plan_memory
from hybridonn.tangent.empirical.portions import chunks
from hybridonn.tangent.empirical.verification import RefutedError, verify
from hybridonn.tangent.errors import TangentError

Method = Literal["auto", "layers", "vector_products"]
METHODS: tuple[Method, ...] = ("auto", "layers", "vector_products")


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
        method: "auto" goes layer by layer and takes one backward pass for each sample for what
            no rule accounts for, with a `TangentWarning`; "layers" refuses such parameters;
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
    model = uncompiled(model)
    check_inputs(model, x1, x2)
    check_options(outputs, method, probes, memory_gb, METHODS)
    require_inference(model)
    with torch.enable_grad(), unchanged_buffers(model):
        sample = x1.shape[1:], x1.dtype, x1.device, describe_state(model)
        need = remember(model, sample, lambda: measure_footprint(model, x1))
        vectors = output_vectors(need.outputs, probes, generator, need.like)
        n2, full = None if x2 is None else len(x2), outputs == "full"
        result = len(x1) * (n2 or len(x1)) * (vectors.count**2 if full else 1)
        result *= max(x1.element_size(), 4)
        cached = not full and x1.device.type == "cpu"
        plan = plan_memory(need, len(x1), n2, vectors.count, memory_gb, result, cached=cached)
        task = KernelTask(model, layers, vectors, full, plan, create_graph)
        while True:  # each turn knows of one more layer or parameter than the one before
            try:
                first, slow = _start(task, x1[: plan.samples], method)
                return check_derivatives(_assemble(task, first, slow, x1, x2), model)
            except RefutedError as refuted:
                task = task.knowing(refuted)


def _assemble(
    task: KernelTask, first: Block, slow: PerSampleKernel | None, x1: Tensor, x2: Tensor | None
) -> Tensor:
    """The kernel of all samples, block by block; the lower half mirrors the upper one.

    Each block of samples is verified when it is met first: those of a symmetric kernel, and of
    x2, in the first row.
    """
    size = task.plan.samples
    others = (x1 if x2 is None else x2).split(size)
    rows: list[list[Tensor]] = []
    for i, x in enumerate(x1.split(size)):
        a = first if i == 0 else repeat_block(task, x, first, new=x2 is not None)
        row = [_mirror(rows[j][i]) for j in range(i)] if x2 is None else []
        for j in range(len(row), len(others)):
            same = x2 is None and i == j
            b = None if same else repeat_block(task, others[j], first, new=i == 0)
            row.append(_full(task, slow, a, b) if task.per_output else _sum(task, slow, a, b))
        rows.append(row)
    return torch.cat([torch.cat(row, 1) for row in rows])


def _sum(task: KernelTask, slow: PerSampleKernel | None, a: Block, b: Block | None) -> Tensor:
    """The kernel (n1, n2) of two blocks of samples; b None: of a with itself.

    Gradients behind poolings are small: those of all outputs are contracted at once.
    """
    sides = [a] if b is None else [a, b]
    terms: list[Tensor | None] = []
    pooled: list[list[list[ParameterGradient]]] = []
    for part in chunks(task.vectors.count, task.plan.outputs):
        found = [split_pooled(side.gradients(task, part)) for side in sides]
        pooled.append([behind for _, behind in found])
        with torch.set_grad_enabled(task.create_graph):
            terms.append(contract(*(own for own, _ in found), budget=task.plan.contraction))
        if slow:
            terms.append(slow.between(a.x, None if b is None else b.x, part, part))
    with torch.set_grad_enabled(task.create_graph):
        joined = [join_outputs(portions) for portions in zip(*pooled, strict=True)]
        terms.append(contract(*joined, budget=task.plan.contraction))
    return _total(terms)


def _full(task: KernelTask, slow: PerSampleKernel | None, a: Block, b: Block | None) -> Tensor:
    """The kernel (n1, n2, C, C) of two blocks of samples; b None: of a with itself."""
    portions = list(chunks(task.vectors.count, task.plan.outputs))
    options = {"per_output": True, "budget": task.plan.contraction}
    rows = []
    for one in portions:
        mine, _ = split_pooled(a.gradients(task, one))
        row = []
        for two in portions:
            other, theirs = b or a, None
            if b is not None or one != two:
                theirs, _ = split_pooled(other.gradients(task, two))
            with torch.set_grad_enabled(task.create_graph):
                terms = [contract(mine, theirs, **options)]
            if slow:
                terms.append(slow.between(a.x, None if theirs is None else other.x, one, two))
            row.append(_total(terms))
        rows.append(torch.cat(row, 3))
    return torch.cat(rows, 2)


def _total(terms: Iterable[Tensor | None]) -> Tensor:
    """The sum of those terms that there are."""
    return reduce(torch.add, [term for term in terms if term is not None])


def _start(task: KernelTask, x: Tensor, method: Method) -> tuple[Block, PerSampleKernel | None]:
    """The first block of samples, and what is left to gradients of single samples.

    Raises:
        TangentError: the outputs do not depend on the wanted parameters, or no rule accounts for
            one of them where the method needs it.
        RefutedError: a rule does not hold for these samples.
    """
    block = run_block(task, x, by_rules=method != "vector_products")
    found = verify_block(task, block)
    if found.wrong:
        raise RefutedError(found.wrong)
    reached = found.reached | task.reached
    if not reached:
        raise TangentError(
            f"the outputs of {type(task.model).__name__} do not depend on the trainable "
            f"parameters of layers={task.layers!r}; choose other layers"
        )
    block = replace(block, reached=reached)
    left = reached - covered_names(block.forward.layers)
    rest = {name: p for name, p in block.parameters.items() if name in left}
    if not rest:
        return block, None
    refuse_gradient_hooks(rest)
    if method != "vector_products":
        _report(task.model, rest, task.wrong, refuse=method == "layers")
    room = task.plan.contraction / 3
    slow = PerSampleKernel(task.model, rest, task.vectors, task.per_output, room, task.create_graph)
    return block, slow


def _report(
    model: nn.Module, rest: Iterable[str], wrong: Mapping[str, str], *, refuse: bool
) -> None:
    """Say once for each model which parameters no rule accounts for.

    Raises:
        TangentError: there must be none.
    """
    why = "".join(f"; layer '{name}': {reason}" for name, reason in wrong.items())
    message = describe_slow(list(rest)) + why
    if refuse:
        raise TangentError(f"method='layers' refuses the slow way: {message}")
    warn_once(model, message, stacklevel=5)


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
    model = uncompiled(model)
    check_inputs(model, x, None)
    require_inference(model)
    with torch.enable_grad(), unchanged_buffers(model):
        need = measure_footprint(model, x)
        vectors = output_vectors(need.outputs, None, None, need.like)
        plan = MemoryPlan(len(x), 1, float("inf"), room=vectors.count)
        task, found = KernelTask(model, layers, vectors, False, plan, False), None
        while found is None or found.wrong:
            task = task.knowing(RefutedError(found.wrong if found else {}))
            block = run_block(task, x)
            found = verify(block.forward, block.parameters)
    lines = describe_layers(block.forward, block.recorder, task.wrong, found.reached)
    return "\n".join(f"{name or type(model).__name__}: {how}" for name, how in lines.items())


def _mirror(block: Tensor) -> Tensor:
    """The block of (j, i) from that of (i, j)."""
    return block.transpose(0, 1) if block.ndim == 2 else block.permute(1, 0, 3, 2)
