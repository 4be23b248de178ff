"""The tangent kernel of a forward pass that a training step makes anyway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from functools import reduce

import torch
from torch import Tensor, nn

from hybridonn.tangent.empirical.backends import plain_operations, uncompiled
from hybridonn.tangent.empirical.checks import (
    check_model,
    check_outputs,
    refuse_gradient_hooks,
    require_inference_statistics,
)
from hybridonn.tangent.empirical.contraction import contract, contract_identity
from hybridonn.tangent.empirical.cotangents import batches_well
from hybridonn.tangent.empirical.explanation import describe_methods, describe_slow
from hybridonn.tangent.empirical.forward_pass import ForwardPass
from hybridonn.tangent.empirical.gradient_factors import (
    FactoredGradient,
    LayerCall,
    join_outputs,
)
from hybridonn.tangent.empirical.graph import is_output
from hybridonn.tangent.empirical.layer_gradients import (
    LayerGradients,
    layer_gradients,
    split_pooled,
)
from hybridonn.tangent.empirical.layer_io import (
    Execution,
    Layer,
    Layers,
    Recorder,
    RuledLayer,
    covered_names,
    full_name,
    ruled_layers,
)
from hybridonn.tangent.empirical.model_state import warn_once
from hybridonn.tangent.empirical.operation_layers import known_layers
from hybridonn.tangent.empirical.output_vectors import (
    OutputVectors,
    fixed_normal,
    output_vectors,
)
from hybridonn.tangent.empirical.per_sample import gradients_from_graph
from hybridonn.tangent.empirical.places import (
    check_places,
    compute_place_features,
    contract_places,
)
from hybridonn.tangent.empirical.plan import BATCH_BYTES, LOOP_BYTES
from hybridonn.tangent.empirical.pooled_convolution import find_pooled_layers
from hybridonn.tangent.empirical.portions import chunks
from hybridonn.tangent.empirical.rules.dense import DenseRule, is_dense_product
from hybridonn.tangent.empirical.scaled_gradients import refuse_scaled_gradients
from hybridonn.tangent.empirical.verification import compare, find_reached, verify
from hybridonn.tangent.errors import TangentError


class Trace:
    """The layers of the model's latest forward pass; made by `record`."""

    def __init__(self, recorder: Recorder):
        self._recorder = recorder

    @property
    def methods(self) -> dict[str, str]:
        """How each layer's part is computed, by the layers' names, in order of execution."""
        return describe_methods(self._recorder)

    def kernel_of_end(self, outputs: Tensor) -> Tensor | None:
        """The kernel where the only recorded layer's output is the model's, or a mere reshape.

        Whatever lies before that layer, batch norm in training mode too, couples no gradients.

        Args:
            outputs: what the model returned inside the context, (n, ...).

        Returns:
            The kernel (n, n), as `kernel` gives it; None where the layer does not end the model.

        Raises:
            TangentError: the outputs are not those of the recorded forward pass.
        """
        check_outputs(outputs, self._recorder.model)
        last = _find_last_layer(self._recorder.selected(), outputs, self._recorder)
        return None if last is None else contract_identity(last)

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The trainable parameters of the recorded layers by their full names."""
        return self._recorder.parameters()

    def kernel(
        self,
        outputs: Tensor,
        probes: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The tangent kernel of the recorded layers, differentiable in the parameters.

        Where the only layer's output is the model's output, or a mere reshape of it, its
        gradient is the identity: the kernel is exact, costs one product (n, p) x (p, n) and
        no backward pass, and ``probes`` is not needed.

        Args:
            outputs: what the model returned inside the context, (n, ...).
            probes: random sign combinations in place of all outputs: an unbiased estimate of
                the kernel whose entries ``B_ij = J_i J_j^T`` (C x C) have the variance
                ``2 ||off-diagonal of (B + B^T) / 2||_F^2 / probes``. None: exact.
            generator: source of the signs.

        Returns:
            The kernel (n, n) contracted over the outputs.

        Raises:
            TangentError: the outputs are not those of the recorded forward pass, or batch
                norm couples their samples.
        """
        of_end = self.kernel_of_end(outputs)
        if of_end is not None:
            return of_end
        require_inference_statistics(self._recorder.model)
        refuse_scaled_gradients(outputs)
        vectors = output_vectors(outputs.shape[1:], probes, generator, outputs)
        known, terms = self._layer_terms(outputs, vectors)
        rest = self._uncovered(known, outputs)
        if rest:
            found = gradients_from_graph(outputs, list(rest.values()), vectors.all()).flatten(1)
            terms.append(found @ found.T)
        if not terms:
            raise TangentError(
                "the outputs do not depend on the recorded layers; give kernel() what the latest "
                "call of the model inside the context of record() returned"
            )
        return reduce(torch.add, terms)

    def kernel_at(self, outputs: Tensor, places: Tensor) -> Tensor | None:
        """The kernel whose samples are places of the outputs, such as pixels, of the last layer.

        Args:
            outputs: what the model returned inside the context, (n, C, ...).
            places: positions (n, P) in the outputs of each sample, as for `sampled_ntk`.

        Returns:
            The kernel (n P, n P), exact and differentiable in the parameters, by one product;
            None where the recorded layers are not one convolution whose output is the model's:
            then `sampled_ntk` computes it by backward passes.

        Raises:
            TangentError: the outputs are not those of the recorded forward pass, or the places are
                not in them.
        """
        check_outputs(outputs, self._recorder.model)
        check_places(places, outputs.shape)
        last = _find_last_layer(self._recorder.selected(), outputs, self._recorder)
        return None if last is None else contract_places(last, outputs, places)

    def place_features(self, outputs: Tensor) -> Tensor | None:
        """The features of every place of the outputs whose products `kernel_at` gives.

        Args:
            outputs: what the model returned inside the context, (n, C, ...).

        Returns:
            Features (n, places, p), differentiable in the parameters; None where `kernel_at`
            gives None.

        Raises:
            TangentError: the outputs are not those of the recorded forward pass.
        """
        check_outputs(outputs, self._recorder.model)
        last = _find_last_layer(self._recorder.selected(), outputs, self._recorder)
        return None if last is None else compute_place_features(last, outputs)

    def check(self, outputs: Tensor) -> None:
        """Verify the recorded layers' gradients against autograd; worth one call in a training.

        Args:
            outputs: what the model returned inside the context, (n, ...).

        Raises:
            TangentError: a layer's gradients are not what its rule says.
        """
        check_outputs(outputs, self._recorder.model)
        forward = ForwardPass(outputs, known_layers(self._recorder, outputs))
        wrong = verify(forward, self._recorder.parameters()).wrong
        if wrong:
            raise TangentError("; ".join(f"layer '{n}': {why}" for n, why in wrong.items()))

    def _layer_terms(
        self, outputs: Tensor, vectors: OutputVectors
    ) -> tuple[list[RuledLayer], list[Tensor]]:
        """The layers whose gradients autograd confirms, and their kernels."""
        parameters = self._recorder.parameters()
        excluded: set[str] = set()
        while True:  # each turn leaves one more layer out
            layers = known_layers(self._recorder, outputs, excluded)
            terms, wrong = _layer_terms(layers, outputs, vectors, parameters)
            if not wrong:
                return layers, terms
            excluded |= wrong

    def _uncovered(self, known: list[RuledLayer], outputs: Tensor) -> dict[str, nn.Parameter]:
        """The wanted parameters that no rule accounts for, as far as the outputs use them."""
        covered = covered_names(known)
        rest = {n: p for n, p in self._recorder.parameters().items() if n not in covered}
        reached = find_reached(outputs, rest)
        rest = {name: p for name, p in rest.items() if name in reached}
        if rest:
            refuse_gradient_hooks(rest)
            warn_once(self._recorder.model, describe_slow(list(rest)), stacklevel=3)
        return rest


@contextmanager
def record(model: nn.Module, layers: Layers = "last") -> Iterator[Trace]:
    """Watch the forward pass of a training step, so that it also serves the tangent kernel.

    ::

        with record(student, layers="last") as trace:
            logits = student(images)
        kernel = trace.kernel(logits)
        loss = cross_entropy(logits, labels) + 3 * (1 - centred_alignment(kernel, target))

    Args:
        model: any module whose inputs and outputs lead with the samples.
        layers: "last", "first" (in order of execution), "all", or names of layers or of
            modules that hold them. A layer is a module that owns trainable parameters.

    Yields:
        A trace; call the model once inside the context, then ask the trace for its kernel.
    """
    model = uncompiled(model)
    check_model(model)
    recorder = Recorder(model, layers)
    # Weights that autocast has cast before, in another forward pass, have a graph of their own.
    torch.clear_autocast_cache()
    with plain_operations(model), recorder.recording():
        yield Trace(recorder)


def _layer_terms(
    layers: list[RuledLayer],
    outputs: Tensor,
    vectors: OutputVectors,
    parameters: Mapping[str, nn.Parameter],
) -> tuple[list[Tensor], Set[str]]:
    """The layers' kernels; one backward pass for all outputs, or one each where that is faster.

    Returns:
        The kernels, and the names of layers whose gradients are not autograd's: then the kernels
        are of no use.
    """
    pooled = find_pooled_layers(layers, outputs, vectors.count)
    forward = ForwardPass(outputs, layers, pooled)
    size = 1 if _prefers_single_passes(forward, vectors.count) else vectors.count
    terms, behind = [], []
    for part in chunks(vectors.count, size):
        some = vectors.part(part)
        found = layer_gradients(forward, some, create_graph=True, keep=True)
        if not any(one.gradients for one in found):  # outputs of another forward pass
            return [], set()
        if part.start == 0:
            # A part of the outputs does not stand for the others.
            whole = size == vectors.count
            compared = compare(found, outputs, some, parameters) if whole else None
            verified = compared or verify(forward, parameters)
            if verified.wrong:
                return [], set(verified.wrong)
        own, pooled_ones = split_pooled(found)
        terms.append(contract(own, None))
        behind.append(pooled_ones)
    terms.append(contract(join_outputs(behind), None))
    return [term for term in terms if term is not None], set()


def _prefers_single_passes(forward: ForwardPass, count: int) -> bool:
    """Whether one backward pass for each output is faster than one for all."""
    executions = [one for layer in forward.layers for one in layer.executions]
    maps = [e for e in executions if e.order not in forward.pooled and len(e.shape) > 2]
    numbers = sum(execution.shape.numel() for execution in maps)
    held = numbers * forward.outputs.element_size() * count
    if held <= LOOP_BYTES or forward.outputs.is_cuda:
        return False
    return held > BATCH_BYTES or not batches_well(forward.outputs, forward.targets())


def _find_last_layer(
    layers: Sequence[Layer], outputs: Tensor, recorder: Recorder
) -> FactoredGradient | None:
    """The gradient of the only layer, if its output is the model's; None if it is not."""
    if len(layers) != 1 or len(layers[0].executions) != 1:
        return None
    if recorder.wanted == "all" and len(recorder.layers) > 1:
        return None
    known = ruled_layers(layers, len(outputs))
    if not known or set(layers[0].own) != set(known[0].covered):
        return None
    (layer,) = known
    (execution,) = layer.executions
    if not is_output(outputs, execution.edge):
        return None
    n, *rest = execution.shape
    drawn = fixed_normal(outputs)
    call = LayerCall(layer.inputs(execution, True), drawn.reshape(1, 1, *rest).expand(n, 1, *rest))
    gradients = layer.rule.gradients(layer.module, [call])
    if len(gradients) != 1 or not isinstance(gradients[0], FactoredGradient):
        return None
    if not gradients[0].left_renames:
        return None
    if _is_plain(layer, execution, recorder):
        return gradients[0]
    found = [LayerGradients(layer, gradients)]
    parameters = {full_name(layer.name, name): p for name, p in layers[0].own.items()}
    wrong = compare(found, outputs, drawn, parameters).wrong
    return None if wrong else gradients[0]


def _is_plain(layer: RuledLayer, execution: Execution, recorder: Recorder) -> bool:
    """Whether the graph says that a layer is dense and that nothing else uses its parameters.

    Then its gradients need no comparison with autograd's: the product was given the very inputs
    that the gradients are made of.
    """
    if type(layer.rule) is not DenseRule:
        return False
    if not is_dense_product(execution.edge.node, layer.module, execution.inputs):
        return False
    own = {id(getattr(layer.module, name)) for name in layer.covered}
    return all(len(used) == 1 for one, used in recorder.uses().items() if id(one) in own)
