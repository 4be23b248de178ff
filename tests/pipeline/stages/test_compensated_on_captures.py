"""What optics captures of a camera are taken in for."""

import pytest

from hybridonn.core.errors import OpticsError
from hybridonn.networks.student import build_frontend
from hybridonn.pipeline.stages.compensated_on_captures import refuse_other_optics
from hybridonn.spec import read_spec


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        (
            ("optics.frontend=four_f", "optics.four_f={mask_pixels: 15, scene_pixel_um: 240}"),
            "are a FourFFrontend",
        ),
        (
            (
                "task=segmentation",
                "data.name=dsb2018",
                "student={branches: [{kernels: 2}, {kernels: 2, binning: 2}], backend: pyramid, "
                "hidden: [2, 3]}",
            ),
            "are a ParallelFrontend",
        ),
    ],
)
def test_captures_of_other_optics_are_refused(settings, cause):
    spec = read_spec(None, settings)
    frontend = build_frontend(spec.student, (1, 8, 8), spec.optics)
    with pytest.raises(OpticsError, match=cause):
        refuse_other_optics(frontend)
