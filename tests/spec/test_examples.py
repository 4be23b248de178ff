"""The examples of the package are found by name, wherever it is installed."""

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.spec import read_spec
from hybridonn.spec.examples import find_example, find_folder


def test_an_unknown_example_is_answered_with_those_there_are():
    assert find_example("mnist").name == "mnist.yaml"
    with pytest.raises(SpecError, match="'nmist' is no example; the examples are bccd, "):
        find_example("nmist")


def test_a_link_that_git_wrote_as_a_file_leads_to_the_examples(tmp_path):
    package = tmp_path / "src" / "hybridonn"
    package.mkdir(parents=True)
    (tmp_path / "examples").mkdir()
    (package / "examples").write_text("../../examples")
    assert find_folder(package / "examples").samefile(tmp_path / "examples")
    (package / "examples").unlink()
    (package / "examples").mkdir()
    assert find_folder(package / "examples") == package / "examples"


@pytest.mark.parametrize("word", ["mnist", "mnist.yaml", "my examples/mnist.yml"])
def test_a_missing_spec_named_as_an_example_is_answered_with_its_copy(word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"there is no file .*: hybridonn init .* --from mnist$"):
        read_spec(word)


@pytest.mark.parametrize("word", ["nmist.yaml", f"{'long' * 99}/mnist.yaml", "a\0/mnist.yaml"])
def test_any_other_file_that_cannot_be_read_is_answered_with_its_fault(word, tmp_path):
    with pytest.raises(SpecError, match="cannot read"):
        read_spec(tmp_path / word)
