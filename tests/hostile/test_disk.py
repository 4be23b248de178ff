"""A full disk costs a sentence; with room again, the same command ends as if it had had it."""

import pytest
from killing.events import Full
from killing.trials import disturb, run_undisturbed
from test_kill import SHORT


@pytest.fixture(scope="module")
def references(warm, tmp_path_factory):
    home = tmp_path_factory.mktemp("undisturbed")
    scenarios = [scenario for scenario, _ in SHORT[:2]]
    return {each.name: (each, run_undisturbed(each, home / each.name)) for each in scenarios}


@pytest.mark.parametrize(
    ("name", "full"),
    [
        *(("digits", Full(event)) for event in (1, 30, 90)),
        *(("pictures", Full(event)) for event in (1, 8)),
        *(("digits", Full(10**6, most_bytes)) for most_bytes in (500, 3000)),
        ("pictures", Full(10**6, 500)),
    ],
)
def test_a_full_disk_is_a_sentence_and_nothing_is_lost(name, full, references, tmp_path):
    scenario, reference = references[name]
    trial = disturb(scenario, reference, (full,), tmp_path / "full")
    assert not trial.faults, trial
    assert trial.disturbances == (full,)
