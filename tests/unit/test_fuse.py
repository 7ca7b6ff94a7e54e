"""Fusion on small graphs, no device: what becomes of them, and what must be left alone."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.inference.opencl.fuse import fuse
from edge.inference.opencl.graph import Graph
from edge.inference.opencl.importer import import_model

X = (1, 3, 5, 5)
node = helper.make_node


def fused(*nodes: object, **constants: object) -> Graph:
    """A model of x → y whose constants are these, after import and fusion; `w` makes 4 channels of 3."""
    constants = {"w": np.ones((4, 3, 1, 1), np.float32)} | constants
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", X), ("y", None)))
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(list(nodes), "small", [x], [y], weights)
    return fuse(import_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)))


@pytest.mark.parametrize(
    ("op", "inputs", "constants"),
    [
        ("Clip", ("low", "high"), {"low": np.float32(0), "high": np.float32(np.inf)}),
        ("Pow", ("exponent",), {"exponent": np.int64(2)}),
    ],
)
def test_a_constant_that_became_part_of_the_text_is_no_input_of_the_epilogue(op, inputs, constants):
    graph = fused(node("Conv", ["x", "w"], ["c"]), node(op, ["c", *inputs], ["y"]), **constants)

    assert [each.op for each in graph.nodes] == ["FusedConv"]


def test_norms_of_branches_that_stand_side_by_side_are_all_folded():
    vectors = {name: np.ones(4, np.float32) for name in "sbmv"}
    graph = fused(
        node("Conv", ["x", "w"], ["c1"]),
        node("Conv", ["x", "w"], ["c2"]),
        node("BatchNormalization", ["c1", *vectors], ["n1"]),
        node("BatchNormalization", ["c2", *vectors], ["n2"]),
        node("Concat", ["n1", "n2"], ["y"], axis=1),
        **vectors,
    )

    assert [each.op for each in graph.nodes] == ["Conv", "Conv", "Concat"]


@pytest.mark.parametrize("shape", [(3, 4, 1, 1), (1, 1, 4, 1, 1)])
def test_a_sum_that_makes_more_pictures_or_axes_is_no_bias(shape):
    graph = fused(node("Conv", ["x", "w"], ["c"]), node("Add", ["c", "k"], ["y"]), k=np.ones(shape, np.float32))

    assert [each.op for each in graph.nodes] == ["Conv", "Map"]
