"""Every section of the list, over a synthetic finished run with a metasurface."""

import pytest
from matplotlib.figure import Figure

from hybridonn.reports.artefacts.run import read_run
from hybridonn.reports.sections.all import SECTIONS, list_figures, list_sections
from hybridonn.tasks.table import TASKS
from hybridonn.tasks.task import make_task

ALWAYS = {"layout", "kernels", "features", "training", "confusion", "embedding"}


@pytest.fixture(scope="module")
def run(make, add_metasurface, tmp_path_factory):
    folder, *_ = add_metasurface(make(tmp_path_factory.mktemp("runs") / "demo", kernels=3))
    return read_run(folder)


def test_names_of_sections_and_figures_are_unique(run):
    names = [section.name for section in SECTIONS]
    assert len(set(names)) == len(names)
    figures = [figure.name for figure in list_figures(run)]
    assert len(set(figures)) == len(figures)


def test_a_run_shows_the_sections_whose_artefacts_it_has(run):
    shown = {section.name for section in list_sections(run)}
    assert shown == ALWAYS | {"metasurface"}


@pytest.mark.parametrize("name", TASKS)
def test_every_section_that_a_task_names_is_one_of_its_own(name):
    assert set(make_task(name).sections) <= {one.name for one in SECTIONS if one.by_task}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_a_wanted_section_has_words_and_figures_that_can_be_drawn(run, section):
    if not section.shows(run):
        return
    for figure in section.build(run):
        assert figure.heading
        assert figure.alternative
        assert figure.caption.endswith(".")
        assert {len(row) for row in figure.table} <= {len(row) for row in figure.table[:1]}
        assert isinstance(figure.draw(), Figure)
    assert all(sentence.endswith(".") for sentence in section.verdict(run))
    assert all(what and value for what, value, _ in section.tiles(run))
