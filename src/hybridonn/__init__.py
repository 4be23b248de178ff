"""Neural Tangent Knowledge Distillation of hybrid optical neural networks.

From a physical size to a deployed network: lay out, teach, distil, report.
Method: Xiang et al., "Neural Tangent Knowledge Distillation for Optical
Convolutional Networks", NeurIPS 2025, arXiv 2508.08421.
"""

__version__ = "0.1.0"
