"""The public front: every name is there, documented, and no private module is needed."""

import inspect

import pytest

import hybridonn.tangent
import hybridonn.tangent.infinite

FRONTS = (hybridonn.tangent, hybridonn.tangent.infinite)
NAMES = [(front, name) for front in FRONTS for name in front.__all__]


@pytest.mark.parametrize(
    ("front", "name"), NAMES, ids=lambda value: getattr(value, "__name__", value)
)
def test_public_names_exist_and_are_documented(front, name):
    found = getattr(front, name)
    if inspect.isfunction(found):
        missing = [n for n in inspect.signature(found).parameters if f"{n}:" not in found.__doc__]
        assert not missing, f"{name} does not describe {missing}"
    elif inspect.isclass(found):
        assert found.__doc__
