"""The design behind a plain lens: the spec that `compare --optics lens` trains, with a name."""

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.core.progress import Silent
from hybridonn.spec import read_spec
from hybridonn.studies.lens_choice import state_lens
from hybridonn.studies.optics_choice import state_all, state_optics


def test_it_is_the_spec_that_is_compared_under_a_name_of_its_own():
    spec = read_spec(None, ("student.kernels=3", "fabrication.preset=paper-mnist"))
    lens = state_lens(spec, None, Silent())
    compared = state_optics(state_all(spec, spec.distillation.method), "lens", 1)
    assert lens == compared.model_copy(update={"name": "digits-lens"})
    assert (lens.student.kernels, lens.fabrication) == (1, None)


def test_what_is_not_compared_is_not_estimated():
    robust = read_spec(None, ("distillation.robust=true", "fabrication.preset=paper-mnist"))
    with pytest.raises(SpecError, match=r"a lens has none; set distillation.robust to false"):
        state_lens(robust, None, Silent())
