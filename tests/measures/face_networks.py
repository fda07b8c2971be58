"""ONNX files with the inputs and outputs of SCRFD-10G and ArcFace R50, and weights set by hand.

To the detector a face is the top left corner of a square that is bright in any colour, on dark
ground and on its grid of 32 pixels (in an image of 640x640); the box is always 96 pixels wide.
To the recogniser a person is a colour: the embedding is the mean colour in [-1, 1], turned
isometrically into 512 dimensions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pfp.io.digests import sha256_file
from pfp.io.weights import Lock, Weights

CELL = 32
BOX = 96
OPSET = 13
# Where ArcFace wants eyes, nose and mouth in a crop of 112 pixels (x, y).
POINTS = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366))
POINTS += ((41.5493, 92.3655), (70.7299, 92.2041))
ROWS = {8: 12800, 16: 3200, 32: 800}
NAMES = {8: ("448", "451", "454"), 16: ("471", "474", "477"), 32: ("494", "497", "500")}


def draw(size: int, *squares: tuple[int, int, tuple[int, int, int]]) -> np.ndarray:
    """A black RGB image of size x size with squares (left, top, colour), 128/640 of its side."""
    image_HWC = np.zeros((size, size, 3), dtype=np.uint8)
    side = size // 5
    for left, top, colour in squares:
        image_HWC[top : top + side, left : left + side] = colour
    return image_HWC


def colour_cosine(a: tuple[int, int, int], b: tuple[int, int, int]) -> float:
    """The cosine that the recogniser gives two colours."""
    u, v = ((np.array(colour) - 127.5) / 127.5 for colour in (a, b))
    return float(u @ v / np.linalg.norm(u) / np.linalg.norm(v))


def isometry() -> np.ndarray:
    """Three orthonormal rows of 512, float32."""
    columns, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(512, 3)))
    return columns.T.astype(np.float32)


def save_recogniser(path: Path) -> None:
    """Nx3x112x112 -> Nx512: the mean colour through the isometry."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["input.1"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "isometry"], ["683"]),
    ]
    graph = helper.make_graph(
        nodes,
        "recogniser",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, ["None", 3, 112, 112])],
        [helper.make_tensor_value_info("683", TensorProto.FLOAT, [1, 512])],
        [numpy_helper.from_array(isometry(), "isometry")],
    )
    _save(graph, path)


def save_detector(path: Path) -> None:
    """1x3xHxW -> scores, boxes and points of three strides with two anchors a cell."""
    weights = {
        "cell": np.full((1, 1, CELL, CELL), 1 / CELL**2, dtype=np.float32),
        # Bright here, dark to the left and above: 2.98 at a corner, at most 1.98 elsewhere.
        "corner": np.array([[[[0, -1], [-1, 1]]]], dtype=np.float32),
        "threshold": np.array(2.5, dtype=np.float32),
        "steepness": np.array(20, dtype=np.float32),
        "column": np.array([400, 1], dtype=np.int64),
        "rows": np.array([800, 1], dtype=np.int64),
        "no": np.zeros((400, 1), dtype=np.float32),
    }
    nodes = [
        helper.make_node("ReduceMax", ["input.1"], ["bright"], axes=[1], keepdims=1),
        helper.make_node("Conv", ["bright", "cell"], ["cells"], strides=[CELL, CELL]),
        helper.make_node("Conv", ["cells", "corner"], ["corners"], pads=[1, 1, 0, 0]),
        helper.make_node("Sub", ["corners", "threshold"], ["above"]),
        helper.make_node("Mul", ["above", "steepness"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["map"]),
        helper.make_node("Reshape", ["map", "column"], ["first"]),
        helper.make_node("Concat", ["first", "no"], ["both"], axis=1),
        helper.make_node("Reshape", ["both", "rows"], ["494"]),
    ]
    for stride, num_rows in ROWS.items():
        score, box, points = NAMES[stride]
        units = np.array(POINTS).ravel() * BOX / 112 / stride
        weights[f"w{box}"] = np.tile(np.float32([0, 0, BOX / stride, BOX / stride]), (num_rows, 1))
        weights[f"w{points}"] = np.tile(units.astype(np.float32), (num_rows, 1))
        nodes.append(helper.make_node("Identity", [f"w{box}"], [box]))
        nodes.append(helper.make_node("Identity", [f"w{points}"], [points]))
        if stride != CELL:
            weights[f"w{score}"] = np.zeros((num_rows, 1), dtype=np.float32)
            nodes.append(helper.make_node("Identity", [f"w{score}"], [score]))
    outputs = [
        helper.make_tensor_value_info(NAMES[stride][part], TensorProto.FLOAT, [num_rows, width])
        for part, width in enumerate((1, 4, 10))
        for stride, num_rows in ROWS.items()
    ]
    taken = [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, "?", "?"])]
    held = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    _save(helper.make_graph(nodes, "detector", taken, outputs, held), path)


def lock_of(folder: Path, names: tuple[str, ...]) -> Lock:
    """A lock of files that lie in ``folder``, the weights folder, as ``<name>/<name>.file``."""
    lock = {}
    for name in names:
        path = folder / name / f"{name}.file"
        lock[name] = Weights(
            name=name,
            urls=(f"https://example.org/{name}.file",),
            sha256=sha256_file(path),
            bytes=path.stat().st_size,
            licence="none",
            non_commercial=False,
            cite="nobody",
        )
    return lock


def save_both(folder: Path) -> Lock:
    """Both networks in a weights folder, and the lock that names them."""
    for name, save in (("scrfd-10g", save_detector), ("arcface-w600k-r50", save_recogniser)):
        (folder / name).mkdir()
        save(folder / name / f"{name}.file")
    return lock_of(folder, ("scrfd-10g", "arcface-w600k-r50"))


def _save(graph: onnx.GraphProto, path: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
