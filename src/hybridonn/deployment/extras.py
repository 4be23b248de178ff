"""Optional packages, imported where they are used."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from hybridonn.core.errors import DeploymentError

# The packages of each extra; the names under which they are imported.
EXTRAS = {
    "deploy": ("onnx", "onnxscript", "onnxruntime"),
    "mcu": ("emx_onnx_cgen",),
    "explorer": ("nicegui",),
    "tflite-micro": ("tflite_micro", "flatbuffers", "ethosu"),
}


def need_extra(*modules: str) -> None:
    """Refuse to go on without packages.

    Raises:
        DeploymentError: One of them is not installed, or cannot be imported.
    """
    for module in modules:
        extra = next(name for name, held in EXTRAS.items() if module in held)
        cure = f"install it with: pip install 'hybridonn[{extra}]'"
        if not _is_installed(module):
            raise DeploymentError(f"this needs {module}, which is not installed; {cure}")
        try:
            import_module(module)
        except (ImportError, RuntimeError) as error:
            raise DeploymentError(f"{module} cannot be imported ({error}); {cure}") from error


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # a module that is hidden on purpose
        return False
