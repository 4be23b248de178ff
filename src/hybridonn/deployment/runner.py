"""Runs a deployed network with numpy and onnxruntime alone.

    python run.py --scene image.npy        a scene (H, W) or (C, H, W), uint8 or float in [0, 1]
    python run.py --captures captures.npz  arrays branch_0, branch_1, ... of the two captures of
                                           each kernel, (K, 2, H, W): positive, then negative, in
                                           the units of a capture set, floats

It prints the class of the image with its probability; segmentation writes ``mask.npy``, the class
of each pixel, any other task ``outputs.npy``, the outputs of the network.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime

HERE = Path(__file__).resolve().parent


def load(name, folder=HERE):
    """A network of this folder, as a function from inputs by name to outputs.

    Raises:
        FileNotFoundError: The folder does not hold it.
    """
    if not (folder / name).is_file():
        raise FileNotFoundError(
            f"{folder} holds no {name}; there is no hybrid.onnx where the optics are known by "
            "their captures alone: give --captures"
        )
    session = open_session(str(folder / name))
    return lambda **inputs: np.asarray(session.run(None, inputs)[0])


def open_session(path, options=None):
    """A file in onnxruntime, with sums of 8-bit products that do not saturate.

    Processors of AVX2 or AVX-512 without VNNI add pairs of products in 16 bits, unless told not to
    (kOrtSessionOptionsAvx2PrecisionMode): outputs were off by up to 43 % of the largest, without a
    word. Graphs for which onnxruntime cannot be told are run unfused: slower, in float32.
    """
    options, providers = options or onnxruntime.SessionOptions(), ["CPUExecutionProvider"]
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return onnxruntime.InferenceSession(path, options, providers=providers)


def subtract(captures, manifest):
    """Signed features of captures: a dict of (K, 2, H, W) a branch to one of (1, K, H, W).

    Raises:
        ValueError: Captures are missing, have another shape, or are no real numbers; or they are
            integers, which a camera counts: features are in the units of a capture set.
    """
    features, start = {}, 0
    for branch in manifest["branches"]:
        if branch["name"] not in captures:
            raise ValueError(f"the captures hold no array {branch['name']}")
        pair = np.asarray(captures[branch["name"]])
        if pair.dtype.kind in "biu":
            raise ValueError(
                f"{branch['name']} holds {pair.dtype} values, such as a camera counts; captures "
                "are floats in the units of `hybridonn captures import`"
            )
        if pair.dtype.kind != "f":
            raise ValueError(f"{branch['name']} holds {pair.dtype} values; real numbers are needed")
        pair = pair.astype(np.float32)
        if not np.isfinite(pair).all():
            raise ValueError("the captures hold values that are no number")
        kernels, height, width = branch["shape"]
        if pair.shape != (kernels, 2, height, width):
            raise ValueError(
                f"{branch['name']} has the shape {pair.shape}; "
                f"{(kernels, 2, height, width)} is needed"
            )
        gains = np.asarray(manifest["gains"][start : start + kernels], dtype=np.float32)
        plus, minus = (gains[:, sign, None, None] * pair[:, sign] for sign in (0, 1))
        features[branch["name"]] = (plus - minus)[None]
        start += kernels
    return features


def to_scene(image, manifest):
    """A scene (1, C, H, W) float32 in [0, 1] of an image, 8-bit or from 0 to 1.

    Raises:
        ValueError: The image has another shape, or other values.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 and image.dtype.kind != "f":
        raise ValueError(f"the image holds {image.dtype} values; uint8, or floats from 0 to 1")
    scene = image.astype(np.float32) / (255 if image.dtype == np.uint8 else 1)
    scene = scene[None] if scene.ndim == 2 else scene
    if scene.shape != tuple(manifest["image_shape"]):
        raise ValueError(
            f"the image has the shape {scene.shape}; {tuple(manifest['image_shape'])} is needed"
        )
    if not (scene.min() >= 0 and scene.max() <= 1):  # neither is true of what is no number
        raise ValueError(
            f"the image goes from {scene.min():g} to {scene.max():g}; floats are from 0 to 1, "
            "values from 0 to 255 are uint8"
        )
    return scene[None]


def main():
    """Print the prediction for one scene or its captures.

    Raises:
        SystemExit: They do not fit the network.
    """
    parser = argparse.ArgumentParser(description="Run a deployed network.")
    parser.add_argument("--scene", type=Path, help="a scene, .npy")
    parser.add_argument("--captures", type=Path, help="the captures of a scene, .npz")
    parser.add_argument("--int8", action="store_true", help="use the backend in 8-bit integers")
    given = parser.parse_args()
    if given.int8 and given.captures is None:
        parser.error("--int8 is the backend alone: give --captures")
    manifest = json.loads((HERE / "manifest.json").read_text())
    if given.captures is None and given.scene is None:
        parser.error("give --scene or --captures")
    try:
        if given.captures is not None:
            features = subtract(np.load(given.captures), manifest)
            logits = load("backend.int8.onnx" if given.int8 else "backend.onnx")(**features)
        else:
            logits = load("hybrid.onnx")(scene=to_scene(np.load(given.scene), manifest))
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    print(describe(logits[0], manifest))


def describe(outputs, manifest):
    """The class with its probability, or the name of the file that the outputs were written to.

    Args:
        outputs: Outputs of the network for one scene, (classes,) or (C, H, W).
        manifest: The manifest of the network.
    """
    if manifest["task"] == "classification":
        shares = np.exp(outputs - outputs.max())
        predicted = outputs.argmax()
        return f"{manifest['classes'][predicted]} {shares[predicted] / shares.sum():.3f}"
    if manifest["task"] == "segmentation":
        np.save("mask.npy", outputs.argmax(0).astype(np.uint8))
        return "mask.npy"
    np.save("outputs.npy", outputs)  # only the task knows what they mean
    return "outputs.npy"


if __name__ == "__main__":
    main()
