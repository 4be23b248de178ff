"""The compiled code is built once, and its absence or failure is no obstacle."""

import warnings

import pytest
import torch
from torch import nn

from hybridonn.tangent import TangentWarning, ntk
from hybridonn.tangent.compiled import is_available
from hybridonn.tangent.compiled.library import library

compiler = pytest.mark.skipif(
    not is_available(torch.zeros(1)), reason="there is no C compiler on this machine"
)


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A library that has not been looked for, with an empty cache."""
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path))
    library.cache_clear()
    yield tmp_path
    library.cache_clear()


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 10)).double()


def check_kernel(dense_kernel):
    model, x = network(), torch.rand(5, 1, 8, 8).double()
    torch.testing.assert_close(ntk(model, x), dense_kernel(model, x), rtol=1e-10, atol=1e-10)


@compiler
def test_it_is_built_once_and_found_again(fresh):
    assert library(torch.float64) is not None
    (built,) = (fresh / "compiled").iterdir()
    when = built.stat().st_mtime_ns
    library.cache_clear()
    assert library(torch.float64) is not None
    assert [p.stat().st_mtime_ns for p in (fresh / "compiled").iterdir()] == [when]


@compiler
def test_a_damaged_library_is_built_again(fresh, dense_kernel):
    folder = fresh / "compiled"
    assert library(torch.float64) is not None
    (built,) = folder.iterdir()
    whole = built.read_bytes()
    built.unlink()  # a new file: the old one is still mapped into this process
    built.write_bytes(whole[: len(whole) // 2])
    library.cache_clear()
    check_kernel(dense_kernel)
    (again,) = folder.iterdir()
    assert again.stat().st_size > len(whole) // 2


@compiler
def test_a_compiler_may_have_options(fresh, monkeypatch, dense_kernel):
    monkeypatch.setenv("CC", "cc -DUNUSED='a word'")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_kernel(dense_kernel)
    assert list((fresh / "compiled").iterdir())


@pytest.mark.parametrize("setting", [("PATH", "/nowhere"), ("HYBRIDONN_COMPILED", "0")])
def test_without_a_compiler_torch_does_it(setting, fresh, monkeypatch, dense_kernel):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv(*setting)
    assert not is_available(torch.zeros(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_kernel(dense_kernel)


@pytest.mark.parametrize("name", ["no-such-compiler -O2", "cc 'not closed"])
def test_a_compiler_that_is_not_there_is_said(name, fresh, monkeypatch, dense_kernel):
    monkeypatch.setenv("CC", name)
    with pytest.warns(TangentWarning, match=rf"CC={name} names no compiler.*CC or"):
        check_kernel(dense_kernel)


def test_a_compiler_that_fails_is_named_once(fresh, monkeypatch, dense_kernel):
    broken = fresh / "broken-cc"
    broken.write_text("#!/bin/sh\necho 'cc1: out of order' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with pytest.warns(TangentWarning, match=r"broken-cc could not .*out of order.*CC or"):
        check_kernel(dense_kernel)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_kernel(dense_kernel)
    assert not list((fresh / "compiled").iterdir())


@compiler
def test_a_cache_that_cannot_be_written_is_said(fresh, monkeypatch, dense_kernel):
    (fresh / "file").write_text("")
    monkeypatch.setenv("HYBRIDONN_CACHE", str(fresh / "file"))
    with pytest.warns(TangentWarning, match="HYBRIDONN_CACHE"):
        check_kernel(dense_kernel)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_other_types_have_none(dtype):
    assert not is_available(torch.zeros(1, dtype=dtype))
