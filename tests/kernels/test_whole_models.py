"""Whole models of the zoo by the OpenCL executor and by ONNX Runtime: their outputs, and every layer between."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from edge.compute.device import Device
from edge.inference.opencl.execute import bind
from edge.inference.opencl.fuse import fuse
from edge.inference.opencl.importer import import_model
from edge.inference.opencl.plan import plan_graph
from edge.models.zoo.zoo import build


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    with Device.open("opencl", cache_dir=tmp_path_factory.mktemp("cache")) as opened:
        yield opened


def picture(model, seed=1):
    """The model's one input by name, values 0..1, of its declared shape."""
    (given,) = model.graph.input
    shape = [dim.dim_value for dim in given.type.tensor_type.shape.dim]
    return {given.name: np.random.default_rng(seed).random(shape, np.float32)}


def by_onnxruntime(model, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    half = {each.name for each in session.get_inputs() if "float16" in each.type}
    fed = {name: array.astype(np.float16) if name in half else array for name, array in feeds.items()}
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, (each.astype(np.float32) for each in session.run(None, fed)), strict=True))


def by_opencl(graph, feeds, device):
    with bind(plan_graph(graph, device.capability), device) as bound:
        return dict(zip(graph.outputs, bound.run(feeds), strict=True))


def difference(found, wanted):
    """The largest error, relative to the largest value."""
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-6))


# Model, its size, and the bound. Sums of some thousand terms in another order differ by 1e-6 of the largest; RT-DETR's
# sampling places depend on values, which spreads it.
MODELS = [
    ("mobilenetv2", 96, "fp32", 1e-5),
    ("mobilenetv2", 96, "fp16", 2e-3),  # ONNX Runtime rounds every layer to float16, this executor none
    ("yolov5n", 128, "fp32", 1e-5),
    ("rtdetr-like", 128, "fp32", 1e-4),
]


@pytest.mark.parametrize(("name", "size", "storage", "bound"), MODELS)
def test_model_gives_onnx_runtimes_outputs(name, size, storage, bound, device):
    model = build(name, size=size, storage=storage)
    feeds = picture(model)

    found = by_opencl(fuse(import_model(model)), feeds, device)

    for output, wanted in by_onnxruntime(model, feeds).items():
        assert difference(found[output], wanted) <= bound, output


def layers(model, *, most=400):
    """The fused graph with everything that it computes as an output, and the model with the same outputs."""
    graph = fuse(import_model(model))
    names = {name for node in model.graph.node for name in node.output}
    graph.outputs = tuple(
        name for node in graph.nodes for name in node.outputs if name in names and graph.types[name].dtype == "float32"
    )
    assert 0 < len(graph.outputs) <= most
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.output[:]
    opened.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in graph.outputs
    )
    return graph, opened


@pytest.mark.parametrize(
    ("name", "size", "bound"),
    [("mobilenetv2", 96, 2e-5), ("yolov5n", 128, 2e-5), ("rtdetr-like", 128, 2e-4)],
)
def test_every_layer_that_fusion_leaves_equals_onnx_runtimes(name, size, bound, device):
    graph, opened = layers(build(name, size=size))
    feeds = picture(opened)

    found = by_opencl(graph, feeds, device)

    wanted = by_onnxruntime(opened, feeds)
    errors = {layer: difference(found[layer], array) for layer, array in wanted.items()}
    assert len(errors) > 40
    assert {layer: error for layer, error in errors.items() if error > bound} == {}
