from hybridonn.pipeline.result_keys import list_undescribed, write_result_keys
from hybridonn.pipeline.stage_table import STAGES


def test_what_no_table_describes_is_listed():
    results = {"student": {"accuracy": 0.9, "validation_miou": 0.9, "odd": 1}, "new": {"a": 1}}
    assert list_undescribed(results) == ["student.odd", "new.a"]


def test_every_stage_with_numbers_has_a_section():
    page = write_result_keys()
    silent = {"alignment", "mask_overlays"}
    assert {stage.name for stage in STAGES if f"## `{stage.name}`" not in page} == silent
