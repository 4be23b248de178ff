"""Errors of the tangent package reach the command line as one sentence."""

import sys

import pytest

from hybridonn.cli import app as cli
from hybridonn.core.errors import HybridonnError
from hybridonn.pipeline.errors import translate_tangent_errors
from hybridonn.tangent import TangentError


def test_a_tangent_error_keeps_its_message():
    with pytest.raises(HybridonnError, match=r"^layer '3'$") as caught, translate_tangent_errors():
        raise TangentError("layer '3'")
    assert isinstance(caught.value.__cause__, TangentError)


def test_other_errors_pass():
    for error in (ValueError("a bug"), KeyError("a bug")):
        with pytest.raises(type(error)) as caught, translate_tangent_errors():
            raise error
        assert caught.value is error


def test_it_decorates_an_entry_point():
    @translate_tangent_errors()
    def refuse():
        raise TangentError("no kernel")

    for _ in range(2):
        with pytest.raises(HybridonnError, match="no kernel"):
            refuse()


def test_the_command_line_prints_the_sentence_alone(monkeypatch, capsys):
    def refuse():
        raise TangentError("no kernel")

    monkeypatch.setattr(cli, "app", refuse)
    monkeypatch.setattr(sys, "argv", ["hybridonn"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: no kernel\n"
