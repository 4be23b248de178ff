"""Stage ``layout``: the kernels' sites on the metasurface."""

from __future__ import annotations

from typing import Any

from hybridonn.core.files import write_json
from hybridonn.networks.frontends.table import FRONTENDS
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.spec import Spec, narrow

# What the places of the kernels depend on.
PLACED_BY = (
    "optics.metasurface_width_mm",
    "optics.metasurface_height_mm",
    "optics.kernel_site_mm",
    "optics.gap_mm",
    "optics.wafer_diameter_mm",
    "student.kernels",
)


def _inputs(spec: Spec) -> Spec:
    return narrow(spec, *PLACED_BY)


def _run(context: Context) -> dict[str, Any]:
    """Lay the kernels out.

    Raises:
        SpecError: The kernels do not fit.
    """
    kernels = context.spec.student.kernels
    layout = lay_out_kernels(context.spec.optics, kernels)
    write_json(context.part / "layout.json", layout.to_dict())
    return {
        "kernels": layout.usable_kernels,
        "kernels_used": kernels,
        "sites": len(layout.sites),
        "rows": layout.rows,
        "columns": layout.columns,
    }


LAYOUT = Stage(
    "layout",
    _inputs,
    _run,
    data="none",
    wanted=lambda spec: FRONTENDS[spec.frontend].optical,
)
