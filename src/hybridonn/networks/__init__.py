"""Frontends, backends, students and teachers: every part is a ``torch.nn.Module``.

The names below are the public front; they are imported when they are first used, so that
``import hybridonn.networks`` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybridonn.core.front import open_front

if TYPE_CHECKING:
    from hybridonn.networks.backends.backend import Backend
    from hybridonn.networks.backends.build import build_backend
    from hybridonn.networks.backends.coarse_fine import CoarseFineBackend
    from hybridonn.networks.backends.dense import DenseBackend
    from hybridonn.networks.backends.pyramid import PyramidBackend
    from hybridonn.networks.backends.upsampling import UpsamplingBackend
    from hybridonn.networks.frontends.binned import BinnedFrontend
    from hybridonn.networks.frontends.four_f import FourFFrontend
    from hybridonn.networks.frontends.frontend import Frontend
    from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
    from hybridonn.networks.frontends.lens import LensFrontend
    from hybridonn.networks.frontends.measured import MeasuredFrontend
    from hybridonn.networks.frontends.metasurface import MetasurfaceFrontend, TrainableMetasurface
    from hybridonn.networks.frontends.parallel import ParallelFrontend
    from hybridonn.networks.hybrid import HybridNetwork, count_parameters
    from hybridonn.networks.student import build_frontend, build_student
    from hybridonn.networks.teachers.alexnet import AlexNet
    from hybridonn.networks.teachers.build import build_teacher, load_weights
    from hybridonn.networks.teachers.lenet import LeNet
    from hybridonn.networks.teachers.resnet import AirbenchNet, ResNet
    from hybridonn.networks.teachers.unet import UNet

__all__ = [
    "AirbenchNet",
    "AlexNet",
    "Backend",
    "BinnedFrontend",
    "CoarseFineBackend",
    "DenseBackend",
    "FourFFrontend",
    "Frontend",
    "HybridNetwork",
    "IdealConvolution",
    "LeNet",
    "LensFrontend",
    "MeasuredFrontend",
    "MetasurfaceFrontend",
    "ParallelFrontend",
    "PyramidBackend",
    "ResNet",
    "TrainableMetasurface",
    "UNet",
    "UpsamplingBackend",
    "build_backend",
    "build_frontend",
    "build_student",
    "build_teacher",
    "count_parameters",
    "load_weights",
]

__getattr__, __dir__ = open_front(
    __name__,
    {
        "backends.backend": ("Backend",),
        "backends.build": ("build_backend",),
        "backends.coarse_fine": ("CoarseFineBackend",),
        "backends.dense": ("DenseBackend",),
        "backends.pyramid": ("PyramidBackend",),
        "backends.upsampling": ("UpsamplingBackend",),
        "frontends.binned": ("BinnedFrontend",),
        "frontends.four_f": ("FourFFrontend",),
        "frontends.frontend": ("Frontend",),
        "frontends.ideal_convolution": ("IdealConvolution",),
        "frontends.lens": ("LensFrontend",),
        "frontends.measured": ("MeasuredFrontend",),
        "frontends.metasurface": ("MetasurfaceFrontend", "TrainableMetasurface"),
        "frontends.parallel": ("ParallelFrontend",),
        "hybrid": ("HybridNetwork", "count_parameters"),
        "student": ("build_frontend", "build_student"),
        "teachers.alexnet": ("AlexNet",),
        "teachers.build": ("build_teacher", "load_weights"),
        "teachers.lenet": ("LeNet",),
        "teachers.resnet": ("AirbenchNet", "ResNet"),
        "teachers.unet": ("UNet",),
    },
)
