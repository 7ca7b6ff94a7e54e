"""A YOLO head's end as planned, no device: its boxes are written once, where the answer lies."""

from collections.abc import Sequence

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.compute.capability import RX580_8GB
from edge.inference.opencl.fuse import fuse
from edge.inference.opencl.graph import Graph
from edge.inference.opencl.importer import import_model
from edge.inference.opencl.plan import Plan, plan_graph

node = helper.make_node
ANCHORS, VALUES, SIDES = 3, 7, (8, 4)
X = (1, 4, 2, 2)


def head() -> Graph:
    """Two levels as YOLOv5 ends: convolution, anchors apart, sigmoid, split, arithmetic, side by side, all in one."""
    nodes, constants, inputs = [], {"two": np.float32(2)}, []
    for side in SIDES:
        name = f"l{side}"
        inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 16, side, side)))
        constants |= {
            f"{name}w": np.ones((ANCHORS * VALUES, 16, 1, 1), np.float32),
            f"{name}grid": np.ones((1, 1, side, side, 2), np.float32),
            f"{name}apart": np.array([1, ANCHORS, VALUES, side, side]),
            f"{name}rows": np.array([1, ANCHORS * side * side, VALUES]),
            "parts": np.array([2, 2, VALUES - 4]),
        }
        nodes += [
            node("Conv", [name, f"{name}w"], [f"{name}c"]),
            node("Reshape", [f"{name}c", f"{name}apart"], [f"{name}r"]),
            node("Transpose", [f"{name}r"], [f"{name}t"], perm=[0, 1, 3, 4, 2]),
            node("Sigmoid", [f"{name}t"], [f"{name}s"]),
            node("Split", [f"{name}s", "parts"], [f"{name}xy", f"{name}wh", f"{name}rest"], axis=4),
            node("Add", [f"{name}xy", f"{name}grid"], [f"{name}xy1"]),
            node("Mul", [f"{name}wh", "two"], [f"{name}wh1"]),
            node("Concat", [f"{name}xy1", f"{name}wh1", f"{name}rest"], [f"{name}cat"], axis=4),
            node("Reshape", [f"{name}cat", f"{name}rows"], [f"{name}out"]),
        ]
    nodes.append(node("Concat", [f"l{side}out" for side in SIDES], ["y"], axis=1))
    return fused(*nodes, inputs=inputs, **constants)


def fused(*nodes: object, inputs: Sequence[object] = (), **constants: object) -> Graph:
    """A model with the output y, after import and fusion; without `inputs` it has x, four channels of 2 × 2."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", X), ("y", None)))
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(list(nodes), "head", list(inputs) or [x], [y], weights)
    return fuse(import_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)))


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_graph(head(), RX580_8GB)


def test_each_element_of_the_answer_is_written_once(plan):
    answer = plan.outputs["y"]
    written = [y for launch in plan.launches for y in launch.writes if y.storage == answer.storage]

    assert sum(each.size for each in written) == answer.size
    assert sorted(each.shape[-1] for each in written) == sorted([2, 2, VALUES - 4] * len(SIDES))


def test_the_sigmoid_costs_no_launch_of_its_own(plan):
    answer = plan.outputs["y"].storage
    before = [launch for launch in plan.launches if all(y.storage != answer for y in launch.writes)]

    # the inputs, which lie plane by plane, made pixels, and the convolutions
    assert [launch.kernel.entry for launch in before] == ["map", "conv_gemm"] * len(SIDES)


def test_a_map_stays_whole_when_a_part_of_it_is_read_twice():
    parts = np.array([1, 3])
    graph = fused(
        node("Sigmoid", ["x"], ["s"]),
        node("Split", ["s", "parts"], ["a", "b"], axis=1),
        node("Exp", ["a"], ["e"]),
        node("Sqrt", ["a"], ["q"]),
        node("Concat", ["e", "q", "b"], ["y"], axis=1),
        parts=parts,
    )

    assert [each.op for each in graph.nodes].count("Map") == 3
