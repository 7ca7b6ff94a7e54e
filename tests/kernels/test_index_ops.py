"""Operators that index, select and resample, in the places where models have them, against ONNX Runtime.

Their first input comes as rows, as pixels with their channels side by side, and as a part of something larger; their
result goes to an output and straight into a concatenation. ONNX's suite has none of these places.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edge.compute.device import Device
from edge.inference.opencl.execute import bind
from edge.inference.opencl.fuse import fuse
from edge.inference.opencl.importer import import_model
from edge.inference.opencl.launch import Array
from edge.inference.opencl.plan import plan_graph

RNG = np.random.default_rng(7)
X = RNG.standard_normal((2, 5, 6, 7), np.float32)
TIES = RNG.integers(-3, 4, (2, 5, 6, 7)).astype(np.float32)
BYTES = RNG.integers(0, 255, (2, 5, 6, 7), np.uint8)
LONGS = RNG.integers(-(2**40), 2**40, (2, 5, 6, 7))


@dataclass(frozen=True)
class OpCase:
    """One operator with its data. others: further inputs, by position; None leaves one out. results: of the operator.

    computed: positions of those that the plan may not know. join: axis of the concatenation, None for no such place.
    """

    op: str
    x: Array
    others: tuple[Array | None, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 17
    results: int = 1
    computed: tuple[int, ...] = ()
    join: int | None = 1
    label: str = ""

    def __str__(self) -> str:
        text = " ".join(f"{key}={value}" for key, value in self.attrs.items())
        return f"{self.op} {self.label or text} {self.x.dtype}".replace("  ", " ")


def model_of(case: OpCase) -> tuple[ModelProto, dict[str, Array]]:
    """A model with the operator in all its places, and its inputs."""
    feeds, constants, nodes, extra = {"x": case.x}, {}, [], []
    for position, array in enumerate(case.others, 1):
        if array is None:
            extra.append("")
            continue
        extra.append(f"in{position}")
        (feeds if position in case.computed else constants)[f"in{position}"] = array
    sources = ["x", "part"]
    if case.x.ndim == 4 and case.x.dtype == np.float32:
        nodes.append(helper.make_node("MaxPool", ["x"], ["pixels"], kernel_shape=[1, 1]))
        sources = ["pixels", "part"]
    feeds["large"] = np.pad(case.x, [(1, 2)] * case.x.ndim, mode="wrap")
    for name, value in (("starts", 1), ("ends", -2)):
        constants[name] = np.full(case.x.ndim, value, np.int64)
    nodes.append(helper.make_node("Slice", ["large", "starts", "ends"], ["part"]))
    outputs = [f"y{k}" for k in range(case.results)]
    nodes.append(helper.make_node(case.op, [sources[0], *extra], outputs, **case.attrs))
    if case.join is not None:
        for source in sources:
            names = [f"{source}_y{k}" for k in range(case.results)]
            nodes.append(helper.make_node(case.op, [source, *extra], names, **case.attrs))
        nodes.append(helper.make_node("Concat", [f"{each}_y0" for each in sources], ["joined"], axis=case.join))
        outputs.append("joined")
    infos = [helper.make_tensor_value_info(name, _elem(array), array.shape) for name, array in feeds.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs]
    for end in ends:
        end.ClearField("type")
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, str(case), infos, ends, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", case.opset)])
    model.ir_version = 9
    return model, feeds


def _elem(array: Array) -> int:
    return helper.np_dtype_to_tensor_dtype(array.dtype)


def by_onnxruntime(model: ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs by name."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, dict(feeds)), strict=True))


def by_opencl(model: ModelProto, feeds: Mapping[str, Array], device: Device) -> dict[str, Array]:
    """Outputs by name."""
    graph = import_model(model, shapes={name: array.shape for name, array in feeds.items()})
    plan = plan_graph(fuse(graph), device.capability)
    with bind(plan, device) as bound:
        found = bound.run({name: feeds[name] for name in plan.inputs})
    return dict(zip([each.name for each in model.graph.output], found, strict=True))


def ints(*values):
    return np.array(values, np.int64)


def one(value, dtype=np.float32):
    return np.array(value, dtype)


def where(shape, side, dtype=np.int64):
    """Random places along an axis of `side` elements, negative ones too."""
    return RNG.integers(-side, side, shape).astype(dtype)


def places_apart(shape, side, axis):
    """Random places that do not meet along `axis`."""
    return np.argsort(RNG.random([side if k == axis else n for k, n in enumerate(shape)]), axis=axis).take(
        range(shape[axis]), axis=axis
    )


CASES = [
    *(OpCase("Pad", X, (ints(0, 1, 2, 0, 0, 3, 1, 2), one(1.5)), {"mode": mode}) for mode in ("constant",)),
    *(
        OpCase("Pad", X, (ints(0, 0, 2, 1, 0, 0, 3, 4),), {"mode": mode}, opset=19)
        for mode in ("edge", "reflect", "wrap")
    ),
    OpCase("Pad", X, (ints(0, -1, 2, -2, 0, -1, -3, 1),), label="negative"),
    OpCase("Pad", BYTES, (ints(0, 0, 1, 1, 0, 0, 1, 1), one(7, np.uint8))),
    OpCase("Pad", X, (ints(2, 1), one(-1), ints(3)), opset=18, label="axes"),
    OpCase("Gather", X, (where((3, 2), 5),), {"axis": 1}),
    OpCase("Gather", X, (one(-2, np.int64),), {"axis": 1}, label="scalar", join=2),
    OpCase("Gather", X, (where((4,), 7, np.int32),), {"axis": -1}, computed=(1,)),
    OpCase("Gather", LONGS, (where((4,), 2),), {"axis": 0}),
    OpCase("GatherElements", X, (where((2, 5, 6, 3), 7),), {"axis": 3}, computed=(1,)),
    OpCase("GatherElements", BYTES, (where((1, 5, 6, 7), 2),), {"axis": 0}),
    OpCase("GatherND", X, (np.stack([where((3, 4), 2), where((3, 4), 5)], -1),), computed=(1,)),
    OpCase("GatherND", X, (where((2, 4, 2), 5),), {"batch_dims": 1}),
    OpCase("ScatterElements", X, (places_apart((2, 3, 6, 7), 5, 1), X[:, :3] * 2), {"axis": 1}, computed=(1, 2)),
    OpCase(
        "ScatterElements", X, (where((2, 5, 6, 4), 7), X[..., :4]), {"axis": 3, "reduction": "add"}, 18, computed=(1,)
    ),
    OpCase(
        "ScatterElements", X, (where((2, 5, 6, 4), 7), X[..., :4]), {"axis": 3, "reduction": "max"}, 18, computed=(1,)
    ),
    OpCase("ScatterND", X, (np.array([[0, 1], [1, 4], [0, -2]]), X[0, :3]), label="parallel"),
    OpCase("ScatterND", X, (np.array([[0, 1], [1, 4], [0, 1]]), X[0, :3]), {"reduction": "add"}, 18, label="repeats"),
    OpCase("ScatterND", LONGS, (where((4, 1), 2), LONGS[[0, 1, 0, 1]] + 1), computed=(1,), label="the last one wins"),
    OpCase("Tile", X, (ints(1, 2, 1, 3),)),
    OpCase("Tile", BYTES, (ints(2, 1, 2, 1),)),
    OpCase("OneHot", where((2, 3), 4), (one(4, np.int64), np.array([-1.0, 2.0], np.float32)), {"axis": 1}),
    OpCase("Trilu", X, (one(-1, np.int64),), {"upper": 0}),
    OpCase("Trilu", LONGS, (one(2, np.int64),), {"upper": 1}),
    OpCase("ReverseSequence", X, (ints(3, 5),), {"time_axis": 1, "batch_axis": 0}),
    OpCase("CumSum", LONGS, (one(1, np.int64),), {"exclusive": 1}),
    OpCase("CumSum", TIES, (one(-1, np.int64),), {"reverse": 1}),
    *(
        OpCase("TopK", TIES, (ints(k),), {"axis": axis, "largest": largest}, results=2)
        for k, axis, largest in ((3, 1, 1), (6, 2, 0), (1, -1, 1))
    ),
    OpCase("TopK", LONGS, (ints(4),), {"axis": -1}, results=2),
    *(OpCase(op, TIES, (), {"axis": 1, "keepdims": keep}) for op, keep in (("ArgMax", 0), ("ArgMin", 1))),
    OpCase("ArgMax", TIES, (), {"axis": -1, "select_last_index": 1}),
    OpCase("ArgMin", BYTES, (), {"axis": 3}),
    OpCase("Hardmax", TIES, (), {"axis": 2}),
    OpCase("EyeLike", X[0, 0], (), {"k": 1}),
]


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    with Device.open("opencl", cache_dir=tmp_path_factory.mktemp("cache")) as opened:
        yield opened


@pytest.fixture
def use(device, monkeypatch):
    """The device, planned for as one of this family."""

    def choose(family):
        monkeypatch.setattr(device, "capability", replace(device.capability, family=family))
        return device

    return choose


FAMILY_CASES = [
    *(("cpu", case) for case in CASES),
    *(("gpu", case) for case in CASES if case.op in {"TopK", "ArgMax", "ArgMin", "Hardmax"}),
]


@pytest.mark.parametrize(("family", "case"), FAMILY_CASES, ids=str)
def test_operator_gives_the_same_bits_as_onnx_runtime_wherever_it_stands(family, case, use):
    model, feeds = model_of(case)

    found, wanted = by_opencl(model, feeds, use(family)), by_onnxruntime(model, feeds)

    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        # nothing is rounded here but sums, and those of whole numbers or two terms are exact
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("family", ["cpu", "gpu"])
@pytest.mark.parametrize(("rows", "count", "k"), [(1, 8400, 300), (3, 1000, 1000), (4, 129, 1)])
def test_top_k_sorts_long_rows_with_many_ties(rows, count, k, family, use):
    x = RNG.integers(0, count // 4, (rows, count)).astype(np.float32)
    x[:, :3] = [np.inf, -np.inf, -0.0]
    model, feeds = model_of(OpCase("TopK", x, (ints(k),), results=2))

    found, wanted = by_opencl(model, feeds, use(family)), by_onnxruntime(model, feeds)

    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def rescaled(label, *, sizes=None, scales=None, opset=19, roi=None, x=X, **attrs):
    """A Resize of x."""
    numbers = [None if each is None else np.array(each, np.float32) for each in (roi, scales)]
    return OpCase("Resize", x, (*numbers, None if sizes is None else ints(*sizes)), attrs, opset, join=0, label=label)


GRID = RNG.uniform(-1.6, 1.6, (2, 4, 5, 2)).astype(np.float32)
DEEP = RNG.standard_normal((2, 3, 4, 5, 6), np.float32)
DEEP_GRID = RNG.uniform(-1.3, 1.3, (2, 3, 4, 2, 3)).astype(np.float32)
ROIS = np.array([[0, 0, 5, 4], [1.2, 0.7, 6.5, 5.5], [-1, 2, 3, 9]], np.float32)
HALF_PIXEL, ALIGNED, ASYMMETRIC = (
    {"coordinate_transformation_mode": each} for each in ("half_pixel", "align_corners", "asymmetric")
)
SAMPLED = [
    *(
        rescaled(f"nearest {how} {rounding}", sizes=(2, 5, 11, 4), nearest_mode=rounding, **mode)
        for mode, how in ((HALF_PIXEL, "half"), (ASYMMETRIC, "asymmetric"), (ALIGNED, "aligned"))
        for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    ),
    rescaled("whole numbers", scales=(1, 1, 2, 3), **ASYMMETRIC, nearest_mode="floor"),
    rescaled("nearest bytes", sizes=(2, 5, 9, 9), x=BYTES),
    *(
        rescaled(f"linear {mode}", sizes=(2, 5, 9, 5), mode="linear", coordinate_transformation_mode=mode)
        for mode in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")
    ),
    rescaled("linear three axes", sizes=(2, 3, 7, 4, 9), mode="linear", x=DEEP),
    rescaled("linear one axis", scales=(1, 1, 1, 2.5), mode="linear"),
    rescaled("cubic", sizes=(2, 5, 9, 4), mode="cubic"),
    rescaled("cubic exclude", scales=(1, 1, 0.7, 1.6), mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5),
    rescaled("opset 11", opset=11, roi=(), scales=(1, 1, 2, 2), mode="linear"),
    rescaled("not larger", sizes=(12, 12), axes=[2, 3], keep_aspect_ratio_policy="not_larger"),
    *(
        OpCase("GridSample", X, (GRID,), {"mode": mode, "padding_mode": pad, "align_corners": align}, 16, computed=(1,))
        for mode in ("bilinear", "nearest", "bicubic")
        for pad, align in (("zeros", 1), ("border", 0), ("reflection", 0), ("reflection", 1))
        # where one coordinate lies outside, ONNX Runtime holds both at the border, ONNX's reference that one
        if (mode, pad) != ("bicubic", "border")
    ),
    *(
        OpCase("GridSample", DEEP, (DEEP_GRID,), {"mode": mode, "padding_mode": pad}, 20, computed=(1,))
        for mode, pad in (("linear", "zeros"), ("nearest", "border"), ("linear", "reflection"))
    ),
    OpCase("RoiAlign", X, (ROIS, ints(0, 1, 1)), {"output_height": 3, "output_width": 2, "sampling_ratio": 2}),
    OpCase("RoiAlign", X, (ROIS, ints(0, 1, 1)), {"output_height": 3, "output_width": 2, "mode": "max"}, 10),
    OpCase("LRN", X, (), {"size": 3, "alpha": 0.2}),
    OpCase(
        "MaxUnpool",
        TIES[:1, :1],
        (np.arange(42).reshape(1, 1, 6, 7) * 4 % 163,),
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        join=0,
    ),
    OpCase("Einsum", X, (X[..., :3],), {"equation": "nchw,nchv->nwv"}, label="two summed", computed=(1,)),
    OpCase("Einsum", X, (X.transpose(0, 1, 3, 2),), {"equation": "ncij,ncjk->ncik"}, label="product", computed=(1,)),
    OpCase("Einsum", X, (X[0, 0],), {"equation": "...ij,kj->...ik"}, label="ellipsis", join=None),
    OpCase("Einsum", X[..., :6], (), {"equation": "bcii->ci"}, label="diagonal"),
    OpCase("MeanVarianceNormalization", X, (), {"axes": [0, 2, 3]}),
]


@pytest.mark.parametrize("case", SAMPLED, ids=str)
def test_resampled_elements_differ_from_onnx_runtime_by_rounding_alone(case, use):
    model, feeds = model_of(case)

    found, wanted = by_opencl(model, feeds, use("cpu")), by_onnxruntime(model, feeds)

    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        # float32 coordinates of a few pixels carry 1e-6, times differences between neighbours of up to 8
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=2e-5, err_msg=name)
