"""The compiled code is built once, and its absence or failure is no obstacle."""

import os
import subprocess
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from hybridonn.tangent import TangentWarning, ntk
from hybridonn.tangent.empirical.compiled import is_available, ownership
from hybridonn.tangent.empirical.compiled import library as library_module
from hybridonn.tangent.empirical.compiled.library import library

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


@pytest.fixture
def quick_compiler(fresh, monkeypatch):
    """A compiler that makes an empty library of any source, in a twentieth of the time."""
    empty, script = fresh / "empty.c", fresh / "quick-cc"
    empty.write_text("int nothing;")
    script.write_text(
        f'#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\nexec cc -shared -fPIC -o "$2" {empty}\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))


@pytest.fixture
def planted(fresh, quick_compiler):
    """A cache whose library, correctly named, would leave a file if it were loaded."""
    assert library(torch.float64) is not None
    library.cache_clear()
    (built,) = (fresh / "compiled").iterdir()
    source, mark = fresh / "evil.c", fresh / "it-ran"
    source.write_text(
        "#include <stdio.h>\n__attribute__((constructor)) static void run(void)"
        f'{{ FILE *f = fopen("{mark}", "w"); if (f) fclose(f); }}'
    )
    made = fresh / "evil.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", made, source], check=True)
    evil = built.with_name(f"{built.stem.rpartition('-')[0]}-{digest(made)}.so")
    built.unlink()
    made.rename(evil)
    evil.chmod(0o700)
    return evil


def digest(path):
    return library_module._digest(path.read_bytes())


def belongs_to_another(monkeypatch, *paths):
    """Let the system say that entries belong to a user with another number."""
    lstat = Path.lstat

    def tell(path):
        found = lstat(path)
        if path not in paths:
            return found
        return os.stat_result([*found[:4], os.geteuid() + 1, *found[5:10]])

    monkeypatch.setattr(Path, "lstat", tell)


def others_can_write(path, monkeypatch):
    path.chmod(path.stat().st_mode | 0o002)


def a_group_can_write(path, monkeypatch):
    path.chmod(path.stat().st_mode | 0o020)
    monkeypatch.setattr(ownership, "_holds_this_user_alone", lambda group, entry: False)


def another_owns(path, monkeypatch):
    belongs_to_another(monkeypatch, path)


exposures = pytest.mark.parametrize("expose", [others_can_write, a_group_can_write, another_owns])


@compiler
def test_a_planted_library_would_run_in_a_cache_of_ones_own(planted):
    library(torch.float64)  # else the tests below would prove nothing
    assert (planted.parents[1] / "it-ran").exists()


@compiler
@exposures
@pytest.mark.parametrize("level", [0, 1, 2], ids=["file", "folder", "cache"])
def test_what_another_user_could_change_is_never_loaded(level, expose, planted, monkeypatch):
    place = (planted, *planted.parents)[level]
    expose(place, monkeypatch)
    with pytest.warns(TangentWarning, match=str(place)):
        assert library(torch.float64) is not None
    assert not (planted.parents[1] / "it-ran").exists()
    assert planted.exists() == (level > 0)  # beside an exposed folder nothing is touched


@compiler
def test_behind_an_exposed_cache_the_kernels_are_compiled_as_ever(fresh, monkeypatch, dense_kernel):
    others_can_write(fresh, monkeypatch)
    with pytest.warns(TangentWarning, match="for this process alone"):
        check_kernel(dense_kernel)
    assert library(torch.float64) is not None
    assert not list((fresh / "compiled").iterdir())


@compiler
def test_a_library_that_is_a_link_is_not_followed(planted):
    elsewhere = planted.rename(planted.parents[1] / "elsewhere.so")
    planted.symlink_to(elsewhere)
    with pytest.warns(TangentWarning, match="symbolic link"):
        library(torch.float64)
    assert not (planted.parents[1] / "it-ran").exists()


@compiler
def test_without_any_safe_folder_torch_does_it(planted, monkeypatch, dense_kernel):
    others_can_write(planted.parent, monkeypatch)
    open_to_all = planted.parents[1] / "scratch"
    open_to_all.mkdir()
    others_can_write(open_to_all, monkeypatch)
    monkeypatch.setattr(library_module.tempfile, "tempdir", str(open_to_all))
    with pytest.warns(TangentWarning, match="through torch alone"):
        check_kernel(dense_kernel)
    assert not (planted.parents[1] / "it-ran").exists()
    assert not list(open_to_all.iterdir())


@compiler
def test_a_new_cache_is_closed_to_others_whatever_the_umask(fresh, quick_compiler):
    before = os.umask(0)
    try:
        assert library(torch.float64) is not None
    finally:
        os.umask(before)
    (built,) = (fresh / "compiled").iterdir()
    assert [entry.stat().st_mode & 0o777 for entry in (built.parent, built)] == [0o700, 0o700]


def test_a_group_of_ones_own_is_nobody_else(tmp_path, monkeypatch):
    grp, pwd = pytest.importorskip("grp"), pytest.importorskip("pwd")
    me = pwd.getpwuid(os.geteuid())
    tmp_path.chmod(0o770)
    group = grp.struct_group((me.pw_name, "x", me.pw_gid, []))
    monkeypatch.setattr(grp, "getgrgid", lambda number: group)
    os.chown(tmp_path, -1, me.pw_gid)
    assert ownership.find_exposure(tmp_path) is None
    shared = grp.struct_group((me.pw_name, "x", me.pw_gid, ["someone"]))
    monkeypatch.setattr(grp, "getgrgid", lambda number: shared)
    assert ownership.find_exposure(tmp_path) == f"other users can write {tmp_path}"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_other_types_have_none(dtype):
    assert not is_available(torch.zeros(1, dtype=dtype))
