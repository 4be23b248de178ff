"""The runner beside the deployed files."""

import pytest

from hybridonn.deployment import runner


def test_integers_are_refused_where_no_captures_are_given(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["run.py", "--scene", "image.npy", "--int8"])
    with pytest.raises(SystemExit):
        runner.main()
    assert "--captures" in capsys.readouterr().err
