"""Plans past what kernels can count: their offsets are 32-bit integers. No device is needed, nor the memory."""

from dataclasses import replace

import pytest
from onnx import TensorProto, helper

from edge.compute.capability import RX580_8GB
from edge.errors import ModelError, UnsupportedOpError
from edge.inference.opencl.graph import Graph
from edge.inference.opencl.importer import import_model
from edge.inference.opencl.memory import Room, fit
from edge.inference.opencl.plan import plan_graph

LARGE = replace(RX580_8GB, global_bytes=141 * 10**9, max_alloc_bytes=141 * 10**9)


def pools(side: int) -> Graph:
    """Three poolings of one picture, all alive at the end."""
    window = {"kernel_shape": [3, 3], "pads": [1] * 4}
    nodes = [helper.make_node("MaxPool", [a], [b], **window) for a, b in (("x", "p"), ("p", "q"), ("q", "r"))]
    nodes.append(helper.make_node("Sum", ["p", "q", "r"], ["y"]))
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 1, side, side]), ("y", None))
    )
    graph = helper.make_graph(nodes, "pools", [x], [y])
    return import_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def test_a_tensor_with_more_elements_than_a_kernel_counts_is_refused_with_its_shape():
    with pytest.raises(UnsupportedOpError, match=r"at node .*\(1, 1, 50000, 50000\)"):
        plan_graph(pools(50_000), LARGE)


@pytest.mark.parametrize(("side", "fits"), [(20_000, True), (30_000, False)])
def test_an_arena_past_32_bits_does_not_fit_however_large_the_card(side, fits):
    graph = pools(side)

    def attempt() -> None:
        fit(lambda _lean, stream: plan_graph(graph, LARGE, stream=stream), Room(10**12, 10**12), name="pools")

    if fits:
        attempt()
    else:
        with pytest.raises(ModelError, match="pools"):
            attempt()
