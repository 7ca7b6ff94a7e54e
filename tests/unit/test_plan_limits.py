"""Plans past what kernels can count: their offsets are 32-bit integers. No device is needed, nor the memory."""

from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

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


def heavy(batch: int) -> Graph:
    """A product with 4 MB of weights, whose pictures are small."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 1024]) for name in ("x", "y"))
    weights = numpy_helper.from_array(np.arange(1024 * 1024, dtype=np.float32).reshape(1024, 1024), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "heavy", [x], [y], [weights])
    return import_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def test_weights_that_lie_on_the_device_already_need_no_room_for_a_second_batch_size():
    plan = plan_graph(heavy(4), RX580_8GB)
    first = [each.array for each in plan_graph(heavy(1), RX580_8GB).storages if each.array is not None]
    free = plan.total_bytes - plan.const_bytes

    def resident(array: np.ndarray) -> bool:
        return any(np.array_equal(array, each) for each in first)

    assert plan.const_bytes >= 4 * 1024 * 1024
    assert not Room(free, 10**9).holds(plan)
    assert Room(free, 10**9, resident=resident).holds(plan)
    assert not Room(free - 1, 10**9, resident=resident).holds(plan)
    assert not Room(free, 10**6, resident=resident).holds(plan)  # the weights in one piece
