"""Optional packages: one sentence says what to install."""

from __future__ import annotations

import sys

import pytest

from hybridonn.core.errors import DeploymentError
from hybridonn.deployment.extras import EXTRAS, need_extra


@pytest.mark.parametrize("module", [one for held in EXTRAS.values() for one in held])
def test_a_missing_package_is_named_with_its_cure(module, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DeploymentError, match=rf"{module}.*pip install 'hybridonn\["):
        need_extra(module)


def test_a_package_that_does_not_import_is_named_too(monkeypatch) -> None:
    def refuse(name: str) -> None:
        raise RuntimeError("operator does not exist")

    monkeypatch.setattr("hybridonn.deployment.extras.import_module", refuse)
    monkeypatch.setattr("hybridonn.deployment.extras.find_spec", lambda name: object())
    with pytest.raises(DeploymentError, match="operator does not exist"):
        need_extra("onnx")
