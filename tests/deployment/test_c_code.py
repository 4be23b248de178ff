"""Backends as C: the same answers, and memory that is known when it is linked."""

from __future__ import annotations

import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybridonn.core.errors import DeploymentError
from hybridonn.deployment import c_code, microcontroller
from hybridonn.deployment.c_code import place_arrays, write_c
from hybridonn.deployment.compilers import (
    ARM,
    EMULATOR,
    find_host_compiler,
    fits_board,
    measure_footprint,
    run_on_cortex_m4,
    run_on_host,
)

SPAN = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted).map(tuple)


@given(arrays=st.lists(st.tuples(st.integers(1, 50), SPAN), max_size=14))
def test_arrays_that_are_in_use_together_never_overlap(arrays) -> None:
    sizes, spans = [one[0] for one in arrays], [one[1] for one in arrays]
    places, total = place_arrays(sizes, spans)

    for one in range(len(arrays)):
        assert 0 <= places[one] <= total - sizes[one]
        for other in range(one):
            together = spans[one][0] <= spans[other][1] and spans[other][0] <= spans[one][1]
            apart = (
                places[one] + sizes[one] <= places[other]
                or places[other] + sizes[other] <= places[one]
            )
            assert apart or not together
    assert total <= sum(sizes)
    busiest = [
        sum(s for s, (a, b) in zip(sizes, spans, strict=True) if a <= t <= b) for t in range(13)
    ]
    assert total >= max(busiest)


def test_a_chain_takes_no_more_than_its_two_largest_neighbours() -> None:
    assert place_arrays([4, 9, 2, 5], [(0, 1), (1, 2), (2, 3), (3, 4)])[1] == 13


@pytest.fixture(scope="session")
def code(system, onnx_file, tmp_path_factory):
    """The backend of a system in C."""
    pytest.importorskip("emx_onnx_cgen")
    return write_c(onnx_file, tmp_path_factory.mktemp("c"), system.shapes, system.outputs)


def test_the_file_answers_as_torch_on_this_machine(system, code) -> None:
    if find_host_compiler() is None:
        pytest.skip("needs a C compiler")
    found = run_on_host(code, system.features)
    assert found is not None
    assert found.shape == system.logits.flatten(1).shape
    difference = (found - system.logits.flatten(1)).abs().max() / system.logits.abs().max()
    assert difference < 1e-5


def test_the_file_answers_as_torch_on_an_emulated_cortex_m4(system, code) -> None:
    if not (shutil.which(ARM) and shutil.which(EMULATOR)):
        pytest.skip(f"needs {ARM} and {EMULATOR}")
    found = run_on_cortex_m4(code, system.features)
    assert found is not None
    difference = (found - system.logits.flatten(1)).abs().max() / system.logits.abs().max()
    assert difference < 1e-5


def test_memory_is_static_and_counted(system, code) -> None:
    footprint = measure_footprint(code)
    if footprint is None:
        pytest.skip(f"needs {ARM}")
    assert footprint.flash_bytes >= code.weight_bytes
    assert code.working_bytes <= footprint.ram_bytes < code.working_bytes + 64
    assert footprint.stack_bytes < 1024


def test_the_header_tells_shapes(system, code) -> None:
    header = code.source.with_suffix(".h").read_text()
    for index, (kernels, rows, columns) in enumerate(system.shapes):
        assert f"branch_{index}: signed features of {kernels} kernels, {rows} x {columns}" in header
    assert f"BACKEND_INPUTS {code.input_floats}" in header
    assert code.output_floats == torch.Size(system.outputs).numel()


@pytest.mark.parametrize("place", ["run_on_host", "run_on_cortex_m4"])
def test_a_file_that_answers_otherwise_is_refused(dense, monkeypatch, tmp_path, place) -> None:
    for name in ("run_on_host", "run_on_cortex_m4", "time_on_host", "measure_footprint"):
        monkeypatch.setattr(microcontroller, name, lambda *arguments: None)
    monkeypatch.setattr(microcontroller, place, lambda *arguments: dense.logits * 1.01)
    code = c_code.CFile(tmp_path / "backend.c", 1, 2, 3, 4)
    with pytest.raises(DeploymentError, match=r"backend\.c differs from torch by 0\.01 of the lar"):
        microcontroller.check_c(code, dense.network.backend, dense.features)


def test_no_compiler_is_no_error(dense, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    code = c_code.CFile(tmp_path / "backend.c", 1, 2, 3, 4)
    assert run_on_host(code, dense.features) is None
    assert run_on_cortex_m4(code, dense.features) is None
    assert measure_footprint(code) is None


@pytest.mark.parametrize(("weights", "working"), [(2**22, 8), (8, 2**22)])
def test_what_is_larger_than_the_board_is_not_run_on_it(dense, tmp_path, weights, working) -> None:
    code = c_code.CFile(tmp_path / "backend.c", weights, working, 3, 4)
    assert not fits_board(code)
    assert run_on_cortex_m4(code, dense.features) is None
    assert fits_board(c_code.CFile(tmp_path / "backend.c", 8, 8, 3, 4))


def test_another_form_of_the_generators_output_is_refused() -> None:
    with pytest.raises(DeploymentError, match=r"emx-onnx-cgen 1\.4 is needed"):
        c_code._make_static("int main(void) { return 0; }")


def test_what_the_generator_refuses_is_one_sentence(tmp_path) -> None:
    pytest.importorskip("emx_onnx_cgen")
    (tmp_path / "backend.onnx").write_bytes(b"nothing")
    with pytest.raises(DeploymentError, match=r"backend\.onnx cannot be written as C: "):
        write_c(tmp_path / "backend.onnx", tmp_path, ((1, 2, 2),), (3,))
