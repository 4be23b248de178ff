"""Lets the tests of this folder find the commands `fuzzing` and `killing` beside them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="package")
def warm(tmp_path_factory):
    """Everything is imported that commands import, so that a fork of this process is quick."""
    from killing.scenarios import warm_up

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_COMPILED", "0")
        warm_up(tmp_path_factory.mktemp("warm"))
        yield
