"""Rules of layers whose gradients can be taken behind a pooling.

Where a layer's output goes on only to a pooling, its cotangents are wanted at the pooled
positions alone (`hybridonn.tangent.empirical.pooled_convolution`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from hybridonn.tangent.empirical.compiled import ConvolutionGeometry, Maxima, Windows
from hybridonn.tangent.empirical.gradient_factors import ParameterGradient
from hybridonn.tangent.empirical.rules.base import Rule


class PooledRule(Rule, ABC):
    """A rule of layers with two spatial axes whose factors can be pooled."""

    @abstractmethod
    def factor_width(self, layer: nn.Module) -> int:
        """Numbers of `position_factors` for each position; 0 where a layer's cannot be pooled."""

    @abstractmethod
    def position_factors(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """What the cotangent at each position is multiplied with, (n, B, T, k).

        ``B`` divides the output's channels into blocks that share their factors.
        """

    @abstractmethod
    def pooled_gradients(
        self, layer: nn.Module, factors: Tensor, cotangents: Tensor
    ) -> list[ParameterGradient]:
        """The gradients of a layer whose output is pooled channel by channel.

        Args:
            layer: the layer.
            factors: its position factors behind ReLU and pooling, (n, O, k, P).
            cotangents: d output_c / d pooled output, (n, C, O, ...).

        Returns:
            Gradients whose parameters are together ``covers(layer)``.
        """


class CompiledRule(PooledRule):
    """A rule whose gradients behind a pooling compiled code can compute."""

    @abstractmethod
    def geometry(self, layer: nn.Module) -> ConvolutionGeometry | None:
        """The layer as compiled code sees it; None where there is no compiled code for it."""

    @abstractmethod
    def compiled_gradient(
        self,
        layer: nn.Module,
        inputs: Tensor,
        relu: Tensor,
        pooled: Maxima | Windows,
        cotangents: Tensor,
    ) -> ParameterGradient:
        """The gradient of a layer with a `geometry` whose output is pooled.

        Args:
            layer: the layer.
            inputs: what the layer was given, (n, ...).
            relu: the result of a ReLU before the pooling, (n, O, T), which lets gradients
                through where it is positive.
            pooled: the positions that the pooling took, or averaged.
            cotangents: d output_c / d pooled output, (n, C, O, P).

        Returns:
            A gradient whose parameters are ``covers(layer)``.
        """
