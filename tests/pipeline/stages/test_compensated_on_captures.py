"""What optics captures of a camera are taken in for."""

import pytest

from hybridonn.core.errors import OpticsError
from hybridonn.networks.student import build_frontend
from hybridonn.pipeline.stages.compensated_on_captures import refuse_other_optics
from hybridonn.spec import read_spec


def test_captures_of_a_coherent_system_are_refused():
    spec = read_spec(
        None, ("optics.frontend=four_f", "optics.four_f={mask_pixels: 15, scene_pixel_um: 240}")
    )
    frontend = build_frontend(spec.student, (1, 8, 8), spec.optics)
    with pytest.raises(OpticsError, match="are a FourFFrontend"):
        refuse_other_optics(frontend)
