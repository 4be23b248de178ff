"""Every built-in backend for TensorFlow Lite Micro, and what is not translated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hybridonn.core.errors import DeploymentError
from hybridonn.deployment.runtime import OnnxNetwork
from hybridonn.deployment.tflite.graph import Graph, Node
from hybridonn.deployment.tflite.micro import estimate_ethos, run_tflite, write_tflite
from hybridonn.deployment.tflite.model import Range
from hybridonn.deployment.tflite.translate import translate

NEEDS = "needs the extra tflite-micro"


@pytest.fixture(scope="session")
def micro_extra():
    """Skips where the extra is not installed."""
    for name in ("tflite_micro", "flatbuffers", "ethosu"):
        pytest.importorskip(name, reason=NEEDS)


def test_the_interpreter_answers_as_onnxruntime(
    system, onnx_file, int8_file, micro_extra, tmp_path
):
    if system.name == "own":  # of adaptive pooling of a largest value
        with pytest.raises(DeploymentError, match=r"its operation \w+ \(\w+\) is not translated; "):
            write_tflite(onnx_file, int8_file, tmp_path)
        return
    code = write_tflite(onnx_file, int8_file, tmp_path)
    found, arena = run_tflite(code, system.features)
    known = OnnxNetwork(int8_file)(system.features)

    assert found.shape == system.logits.shape
    assert (found - known).abs().max() <= 3 * code.output.scale
    assert 0 < arena["arena_working_bytes"] < arena["arena_bytes"] < 200_000


def test_vela_estimates_an_ethos(dense_tflite):
    found = estimate_ethos(dense_tflite)
    assert found.accelerator == "ethos-u55-128"
    assert 0 < found.latency_us < 1000
    assert found.cycles > 100
    assert found.sram_bytes > 0
    assert found.on_processor == 0


def test_an_accelerator_that_is_not_known_is_one_sentence(dense_tflite):
    with pytest.raises(DeploymentError, match=r"backend\.tflite was refused: "):
        estimate_ethos(dense_tflite, "ethos-u99")


def test_a_damaged_file_is_one_sentence(dense, dense_tflite, tmp_path):
    from dataclasses import replace

    (tmp_path / "backend.tflite").write_bytes(b"no flatbuffer")
    damaged = replace(dense_tflite, path=tmp_path / "backend.tflite")
    with pytest.raises(DeploymentError, match=r"backend\.tflite was refused: .*deploy the backend"):
        run_tflite(damaged, dense.features)


IMAGE, HELD = (1, 4, 8, 8), Range(0.1, 0)


def make_graph(kind: str, *constants: np.ndarray, **settings) -> Graph:
    """One operation on an image, whose result has the image's shape."""
    names = tuple(f"constant_{k}" for k in range(len(constants)))
    node = Node(kind, ("image", *names), "result", settings)
    shapes = {"image": IMAGE, "result": IMAGE}
    held = dict(zip(names, constants, strict=True))
    return Graph((node,), held, shapes, dict.fromkeys(shapes, HELD), ("image",), "result")


ONES = np.ones((4, 2, 3, 3), np.float32)


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (make_graph("Sin"), "is not translated"),
        (make_graph("Conv", ONES, group=2), "in groups of several channels"),
        (make_graph("ConvTranspose", ONES, strides=[2, 2], pads=[0] * 4), "by a whole number"),
        (make_graph("Add", np.ones((1, 1, 8, 8), np.float32)), "not one for each channel"),
        (make_graph("MatMul", ONES), "no product with a constant matrix"),
        (make_graph("Gemm", ONES), "no layer of constant weights"),
        (make_graph("Conv"), "takes or gives other things than layers do"),
        (make_graph("AveragePool", pads=[1] * 4, kernel_shape=[3, 3]), "pools beyond the edge"),
        (
            make_graph("Resize", mode=b"cubic", coordinate_transformation_mode=b"align_corners"),
            "enlarges by cubic with pixels at align_corners",
        ),
    ],
)
def test_what_is_not_translated_is_named(graph, why, micro_extra):
    with pytest.raises(
        DeploymentError, match=f"Micro: its operation {graph.nodes[0].kind} .*{why}"
    ):
        translate(graph)


def test_a_branch_that_is_only_moved_first_has_the_range_behind_it(micro_extra):
    """A backend that begins with a reshape was a KeyError of the branch's name."""
    graph = make_graph("Reshape", np.array(IMAGE))
    content, ranges = translate(replace(graph, ranges={"result": HELD}))
    assert ranges["image"] == HELD
    assert content


def test_a_branch_whose_range_is_not_known_is_named(micro_extra):
    with pytest.raises(DeploymentError, match=r"its operation Sin .* takes image, whose range is"):
        translate(replace(make_graph("Sin"), ranges={"result": HELD}))
    with pytest.raises(DeploymentError, match="it does not use image"):
        translate(replace(make_graph("Sin"), nodes=(), ranges={}))


@pytest.fixture(scope="session")
def dense_tflite(micro_extra, exported, quantised, tmp_path_factory):
    """The dense backend as a file for microcontrollers."""
    folder = tmp_path_factory.mktemp("tflite")
    return write_tflite(exported("dense"), quantised("dense"), folder)
