"""A value in another unit is refused with the unit that would fit."""

import re

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.spec import Spec, dump_spec, read_spec, validate
from hybridonn.spec.quantities import METRES
from hybridonn.spec.tree import default_tree

UNIT = re.compile(r"_(nm|um|mm|m|pixels|degrees|electrons|gb)$")


def state(key, value):
    return read_spec(None, (f"{key}={value}",))


@pytest.mark.parametrize(
    ("key", "value", "cure"),
    [
        ("optics.wavelengths_nm", "[0.532]", "0.532 um would be 532"),
        ("optics.wavelengths_nm", "[5.32e-7]", "5.32e-07 m would be 532"),
        ("optics.wavelengths_nm", "[0.000532]", "0.000532 mm would be 532"),
        ("optics.metasurface_width_mm", "4000", "4000 um would be 4"),
        ("optics.metasurface_height_mm", "4e6", "4e+06 nm would be 4"),
        ("optics.kernel_site_mm", "938", "938 um would be 0.938"),
        ("optics.kernel_site_mm", "0.000938", "0.000938 m would be 0.938"),
        ("optics.gap_mm", "5e-5", "5e-05 m would be 0.05"),
        ("optics.wafer_diameter_mm", "1e5", "100000 um would be 100"),
        ("optics.metasurface", "{sensor_distance_mm: 2.4e-3}", "0.0024 m would be 2.4"),
        ("optics.metasurface", "{sensor_distance_mm: 2.4e6}", "2.4e+06 nm would be 2.4"),
        ("optics.metasurface", "{kernel_pixel_um: 0.01172}", "0.01172 mm would be 11.72"),
        ("optics.metasurface", "{kernel_pixel_um: 11720}", "11720 nm would be 11.72"),
        ("optics.metasurface", "{min_width_nm: 0.065}", "0.065 um would be 65"),
        ("optics.metasurface", "{min_gap_nm: 5.3e-8}", "5.3e-08 m would be 53"),
        ("optics.metasurface", "{memory_gb: 4e9}", "4e+09 bytes would be 4"),
        ("optics.sensor.pixel_um", "5860", "5860 nm would be 5.86"),
        ("optics.sensor.pixel_um", "0.00586", "0.00586 mm would be 5.86"),
        ("optics.sensor.full_well_electrons", "32.5", "32.5 thousand would be 32500"),
        ("optics.four_f.focal_length_mm", "0.1", "0.1 m would be 100"),
        ("optics.four_f.focal_length_mm", "1e5", "100000 um would be 100"),
        ("optics.four_f.mask_pitch_um", "0.008", "0.008 mm would be 8"),
        ("optics.four_f.scene_pixel_um", "96000", "96000 nm would be 96"),
        ("fabrication", "{width_bias_nm: 0.003}", "0.003 um would be 3"),
        ("fabrication", "{width_noise_nm: 2e-9}", "2e-09 m would be 2"),
        ("fabrication", "{stitching_nm: 2e4}", "allowed are 0 or 0.01 to 1000 nm"),
        ("fabrication", "{stitch_field_um: 0.5}", "0.5 mm would be 500"),
        ("fabrication", "{wavelength_offset_nm: 1e-9}", "1e-09 m would be 1"),
        ("fabrication", "{bandwidth_nm: 1e-8}", "1e-08 m would be 10"),
        ("fabrication", "{defocus_um: 1e-5}", "1e-05 m would be 10"),
        ("fabrication", "{brightness_fraction: 7.5}", "7.5 % would be 0.075"),
        ("fabrication", "{kernel_noise_fraction: 20}", "20 % would be 0.2"),
        ("fabrication", "{shift_pixels: 1e22}", "allowed are 0 to 100 pixels"),
        ("fabrication", "{defocus_pixels: 1e22}", "allowed are 0 to 100 pixels"),
        ("fabrication", "{rotation_degrees: 3600}", "allowed are 0 to 180 degrees"),
    ],
)
def test_another_unit_is_refused_with_what_would_fit(key, value, cure):
    with pytest.raises(SpecError) as caught:
        state(key, value)
    assert cure in str(caught.value)
    assert "allowed are" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["[-532]", "[0]", "[.nan]", "[.inf]", "[]", "[1e22]", "[532nm]"])
def test_no_wavelength_is_refused(value):
    with pytest.raises(SpecError, match=r"optics\.wavelengths_nm"):
        state("optics.wavelengths_nm", value)


def test_a_wavelength_that_stands_twice_is_refused():
    with pytest.raises(SpecError, match=r"532 nm stands 2 times; .* state different wavelengths"):
        state("optics.wavelengths_nm", "[635, 532, 532]")


def test_colours_are_stated_from_red_to_blue():
    mixed = state("optics.wavelengths_nm", "[450, 532, 635]").optics
    with pytest.raises(SpecError, match=r"\[450, 532, 635\], .* state \[635, 532, 450\]"):
        mixed.wavelengths_m(3)
    assert state("optics.wavelengths_nm", "[635, 532, 450]").optics.wavelengths_m(3)
    # What several grey channels are is the user's affair.
    assert state("optics.wavelengths_nm", "[450, 532]").optics.wavelengths_m(2)


def list_keys(model, prefix=""):
    for name, found in model.model_fields.items():
        kinds = [found.annotation, *getattr(found.annotation, "__args__", ())]
        child = next((kind for kind in kinds if hasattr(kind, "model_fields")), None)
        if child:
            yield from list_keys(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", model.model_json_schema()["properties"][name]


def test_every_length_of_the_optics_is_bound():
    schemas = {
        key: text
        for key, text in list_keys(Spec)
        if key.startswith(("optics.", "fabrication.")) and UNIT.search(key)
    }
    assert {"optics.gap_mm", "fabrication.defocus_um", "optics.sensor.pixel_um"} <= set(schemas)
    assert "wavelengths_nm" in " ".join(schemas)
    assert [key for key, schema in schemas.items() if "'maximum'" not in str(schema)] == []


def test_bounds_refuse_nothing_that_is_stated_today():
    spec = validate(default_tree(), "the default")
    assert read_spec(None).optics == spec.optics
    assert "wavelengths_nm: null" in dump_spec(spec)
    assert all(METRES.values())
