"""The GPU family's convolutions, run on PoCL, against their NumPy twins; the twins against ONNX Runtime."""

from dataclasses import replace
from functools import cache

import numpy as np
import onnxruntime
import pyopencl as cl
import pytest
from onnx import helper

from edge.compute.capability import RX580_8GB
from edge.compute.kernel import Kernel
from edge.inference.opencl.launch import Algorithm, Const, ConvProblem, Scratch
from edge.inference.opencl.ops import conv_twins
from edge.inference.opencl.ops.conv_gpu import candidates, lower
from edge.inference.opencl.ops.conv_gpu_gcn import MOST_HELD, groups_of_unit
from edge.inference.opencl.ops.conv_gpu_gemm import rank
from edge.inference.opencl.ops.conv_gpu_tiles import Tile, tile_params
from edge.inference.opencl.ops.conv_gpu_winograd import pack_winograd

RELU = "fmax((v), 0.0f)"
TILE = Tile(32, 32, 16, 4, 4)


def problem(hi, wi, ci, co, k=1, s=1, p=0, *, batch=1, groups=1, d=1, **rest):
    pads = p if isinstance(p, tuple) else (p, p)
    strides = s if isinstance(s, tuple) else (s, s)
    kernel = k if isinstance(k, tuple) else (k, k)
    side = [(n + 2 * q - d * (m - 1) - 1) // t + 1 for n, q, m, t in zip((hi, wi), pads, kernel, strides, strict=True)]
    sizes = {"x_stride": ci, "y_stride": co} | rest
    return ConvProblem(batch, hi, wi, ci, side[0], side[1], co, kernel, strides, pads, (d, d), groups, **sizes)


@cache
def device():
    context = cl.Context(cl.get_platforms()[0].get_devices())
    return context, cl.CommandQueue(context)


@cache
def program(kernel: Kernel):
    return cl.Program(device()[0], kernel.source()).build("-cl-std=CL1.2 -cl-mad-enable")


def run(case, algorithm, *, x_at=0, y_at=0, r_at=0, planar=False, seed=0):
    """The device's sums with everything beside y's channels checked to be untouched, and the twin's."""
    random = np.random.default_rng(seed)
    aligned = not (x_at % 4 or y_at % 4 or r_at % 4)
    weights = random.standard_normal((case.co, case.ci // case.groups, *case.kernel), np.float32)
    bias = random.standard_normal(case.co, np.float32)
    x = random.standard_normal((case.batch, case.hi, case.wi, case.ci), np.float32)
    r = random.standard_normal((case.batch, case.ho, case.wo, case.co), np.float32) if case.r_stride else None
    if planar:
        x_mem = np.concatenate([np.full(x_at, np.nan, np.float32), x.transpose(0, 3, 1, 2).ravel()])
    else:
        x_mem = placed(x, case.x_stride, x_at)
    y_mem = np.full(y_at + case.pixels * case.y_stride, np.nan, np.float32)
    tensors = {"x": (x_mem, x_at), "y": (y_mem, y_at)} | (
        {"r": (placed(r, case.r_stride, r_at), r_at)} if r is not None else {}
    )
    steps = lower(case, algorithm, RX580_8GB, weights=weights, bias=bias, aligned=aligned, planar=planar)
    got = launch(steps, tensors)
    rows = got[y_at:].reshape(case.pixels, case.y_stride)
    beside = np.concatenate([got[:y_at], rows[:, case.co :].ravel()])
    assert np.isnan(beside).all(), "channels of another tensor were written"
    want = conv_twins.conv(x, weights, case) + bias
    want = np.maximum(want, 0) if case.act == RELU else want
    want = want + r if r is not None else want
    want = np.minimum(want, 1) if case.post != "(v)" else want
    return rows[:, : case.co].reshape(want.shape), want


def placed(values, stride, offset):
    """Values (…, channels) as memory with NaN beside each pixel's channels and before all."""
    flat = values.reshape(-1, values.shape[-1])
    memory = np.full((len(flat), stride), np.nan, np.float32)
    memory[:, : flat.shape[1]] = flat
    return np.concatenate([np.full(offset, np.nan, np.float32), memory.ravel()])


def launch(steps, tensors):
    context, queue = device()
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    held = {name: (cl.Buffer(context, flags, hostbuf=memory), at) for name, (memory, at) in tensors.items()}
    for step in steps:
        args = []
        for arg in step.args:
            if isinstance(arg, str):
                args += [held[arg][0], np.int32(held[arg][1])]
            elif isinstance(arg, Const):
                args += [cl.Buffer(context, flags, hostbuf=arg.array), np.int32(0)]
            elif isinstance(arg, Scratch):
                if arg.name not in held:
                    held[arg.name] = cl.Buffer(context, flags, hostbuf=np.full(arg.elements, np.nan, np.float32)), 0
                args += [held[arg.name][0], np.int32(0)]
            else:
                args.append(arg)
        entry = cl.Kernel(program(step.kernel), step.kernel.entry)
        entry(queue, step.global_size, step.local_size, *args)
    y = np.empty_like(tensors["y"][0])
    cl.enqueue_copy(queue, y, held["y"][0])
    return y


def close(got, want):
    # sums of up to a thousand products of unit normals: a few ulp of the largest
    assert np.abs(got - want).max() <= 2e-6 * max(1.0, np.abs(want).max()) * 4


def gemm(tile=TILE, splits=1):
    return Algorithm("gemm", tile_params(tile, splits))


GEMM_CASES = {
    "1x1": (problem(9, 7, 24, 40), {}),
    "1x1 stride 2": (problem(9, 7, 8, 12, s=2), {}),
    "3x3 pad, batch 3": (problem(7, 5, 12, 16, k=3, p=1, batch=3, act=RELU), {}),
    "3x3 of one pixel": (problem(1, 1, 32, 8, k=3, p=1), {}),
    "odd channels": (problem(6, 7, 5, 7, k=3, p=1), {}),
    "one channel": (problem(6, 7, 1, 1, k=3, s=2, p=1), {}),
    "slices with residual": (
        problem(6, 6, 8, 12, k=3, p=1, x_stride=20, y_stride=16, r_stride=24),
        {"x_at": 4, "y_at": 8, "r_at": 4},
    ),
    "slices at odd offsets": (
        problem(6, 6, 8, 12, x_stride=20, y_stride=16, r_stride=24),
        {"x_at": 3, "y_at": 1, "r_at": 2},
    ),
    "odd strides": (problem(5, 6, 8, 12, x_stride=9, y_stride=15), {}),
    "dilated": (problem(9, 9, 4, 8, k=3, p=2, d=2), {}),
    "unequal sides": (problem(9, 8, 4, 8, k=(1, 5), s=(2, 1), p=(0, 2)), {}),
    "6x6 stride 2": (problem(12, 12, 3, 8, k=6, s=2, p=2), {}),
    "post after residual": (problem(4, 4, 16, 8, r_stride=8, act=RELU, post="fmin((v), 1.0f)"), {}),
    "not padded, not whole": (problem(8, 8, 16, 8, k=3, s=2), {}),
}


@pytest.mark.parametrize("name", GEMM_CASES)
@pytest.mark.parametrize("splits", [1, 3])
def test_matrix_products_equal_the_twin(name, splits):
    case, where = GEMM_CASES[name]

    got, want = run(case, gemm(splits=splits), **where)

    close(got, want)


@pytest.mark.parametrize(
    "tile",
    [
        Tile(32, 32, 32, 4, 4, ks=4),
        Tile(16, 16, 64, 4, 4, ks=16),
        Tile(64, 32, 16, 8, 4, buffers=2),
        Tile(32, 80, 16, 8, 8),
        Tile(64, 64, 8, 8, 8, buffers=2),
    ],
    ids=str,
)
def test_every_way_to_cut_a_product_gives_the_same(tile):
    got, want = run(problem(9, 11, 36, 84, k=3, p=1), gemm(tile), seed=1)

    close(got, want)


@pytest.mark.parametrize(("f", "bound"), [(2, 8e-6), (4, 6e-5)])  # measured 1e-6 and 8e-6 of the largest value
@pytest.mark.parametrize(
    ("case", "where"),
    [
        (problem(9, 8, 16, 20, k=3, p=1, batch=2, act=RELU), {}),
        (problem(7, 10, 18, 17, k=3), {}),
        (problem(6, 6, 16, 16, k=3, p=1, x_stride=20, y_stride=24, r_stride=16), {"x_at": 4, "y_at": 4}),
        (problem(1, 1, 16, 16, k=3, p=1), {}),
    ],
    ids=["batch", "odd, not padded", "slices", "one pixel"],
)
def test_winograd_equals_the_twin(case, where, f, bound):
    got, want = run(case, Algorithm("winograd", (("f", f), *tile_params(TILE, 1))), **where)

    assert np.abs(got - want).max() <= bound * np.abs(want).max()


@pytest.mark.parametrize(("py", "px"), [(1, 1), (2, 4)])
@pytest.mark.parametrize(
    ("case", "where"),
    [
        (problem(9, 7, 8, 8, k=3, p=1, batch=3, groups=8, act=RELU), {}),
        (problem(10, 9, 12, 12, k=5, s=2, p=2, groups=12, x_stride=16, y_stride=20, r_stride=12), {"x_at": 4}),
        (problem(7, 7, 5, 5, k=3, s=2, p=1, groups=5), {}),
        (problem(7, 7, 8, 8, k=3, p=1, groups=8), {"y_at": 1}),
        (problem(1, 1, 8, 8, k=3, p=1, groups=8), {}),
    ],
    ids=["batch", "5x5 slices", "odd channels", "odd offset", "one pixel"],
)
def test_depthwise_equals_the_twin(case, where, py, px):
    got, want = run(case, Algorithm("depthwise", (("py", py), ("px", px), ("local", 64))), **where)

    close(got, want)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(
    "case",
    [
        problem(20, 38, 3, 20, k=6, s=2, p=2, batch=2, act=RELU),
        problem(17, 21, 3, 8, k=3, s=2, p=1),
        problem(9, 9, 1, 7, k=3, p=1),
        problem(9, 9, 4, 8, k=5, s=1, p=2, y_stride=12, r_stride=8),
    ],
    ids=["6x6", "3x3", "one channel", "5x5"],
)
def test_first_layer_equals_the_twin(case, planar):
    algorithm = Algorithm("first", (("tw", 16), ("th", 4), ("px", 2), ("tn", 8), ("loops", 2)))

    got, want = run(case, algorithm, planar=planar)

    close(got, want)


def test_matrix_products_read_planar_pictures_too():
    case = problem(20, 22, 3, 20, k=6, s=2, p=2, batch=2, act=RELU)

    got, want = run(case, gemm(), planar=True)

    close(got, want)


@pytest.mark.parametrize(
    ("case", "planar"),
    [
        (problem(9, 8, 6, 9, k=3, p=2, d=2, groups=3, batch=2), False),
        (problem(7, 7, 8, 16, k=3, s=2, p=1, groups=8, x_stride=9, y_stride=17, r_stride=19, act=RELU), False),
        (problem(7, 7, 3, 5, k=(2, 3), p=(0, 1)), True),
    ],
    ids=["groups", "multiplier", "planar"],
)
def test_the_last_candidate_takes_anything(case, planar):
    last = candidates(case, RX580_8GB, planar=planar)[-1]

    got, want = run(case, last, planar=planar)

    close(got, want)


def test_candidates_suit_the_problem():
    names = {
        key: {a.name for a in candidates(case, RX580_8GB)}
        for key, case in {
            "3x3": problem(40, 40, 64, 64, k=3, p=1),
            "1x1": problem(20, 20, 512, 256),
            "depthwise": problem(28, 28, 192, 192, k=3, p=1, groups=192),
            "first": problem(640, 640, 3, 32, k=6, s=2, p=2),
        }.items()
    }

    assert names["3x3"] == {"gemm", "winograd", "direct"}
    assert names["1x1"] == {"gemm", "direct"}
    assert names["depthwise"] == {"depthwise", "direct"}
    assert names["first"] == {"first", "gemm", "direct"}


def test_a_small_map_is_split_so_that_every_unit_works():
    best = candidates(problem(7, 7, 960, 320), RX580_8GB)[0]

    steps = lower(problem(7, 7, 960, 320), best, RX580_8GB, weights=np.zeros((320, 960, 1, 1)), bias=np.zeros(320))

    groups = np.prod(steps[0].global_size) // np.prod(steps[0].local_size)
    assert groups >= RX580_8GB.compute_units // 2


def test_tiles_that_leave_one_wave_a_simd_are_not_offered_on_waves_of_64():
    first = problem(640, 640, 3, 32, k=6, s=2, p=2)  # loads single floats: more registers for addresses
    nvidia = replace(RX580_8GB, wave=32, local_bytes=48 * 1024)

    offered = [[t for _, t, _ in rank((first.pixels, 32, 108), each, vector=1)] for each in (RX580_8GB, nvidia)]

    assert max(tile.held(1) for tile in offered[0]) <= MOST_HELD < max(tile.held(1) for tile in offered[1])
    assert not {Tile(64, 64, 8, 8, 8, buffers=2), Tile(128, 32, 16, 8, 4)} & set(offered[0])


def test_two_buffers_are_no_first_guess_where_local_memory_then_leaves_simds_empty():
    tile = Tile(32, 32, 32, 4, 4, buffers=2)

    assert groups_of_unit(tile) == 3  # one wave each, for four SIMDs
    for size in ((49, 160, 576), (196, 96, 384), (400, 255, 512), (1600, 128, 128)):
        assert rank(size, RX580_8GB, vector=4)[0][1] != tile


@pytest.mark.parametrize("f4", [False, True])
def test_the_tuner_meets_a_transform_early_where_ranks_are_only_computed(f4):
    found = candidates(problem(80, 80, 64, 64, k=3, p=1), RX580_8GB, allow_f4=f4)

    assert 2 in {dict(each.params).get("f") for each in found[:4]}
    assert len(set(found)) == len(found)


def test_the_reckoning_for_gcn_stays_below_what_the_card_can_do():
    for size in ((400, 512, 4608), (6400, 128, 1152), (25600, 64, 64), (1, 1000, 1280)):
        guess = rank(size, RX580_8GB, vector=4)[0][0]

        assert guess * RX580_8GB.compute_units * 64 >= np.prod(size)


def test_f4_is_offered_only_when_asked_for():
    case = problem(80, 80, 64, 64, k=3, p=1)

    sides = {dict(a.params).get("f") for a in candidates(case, RX580_8GB, allow_f4=True)}

    assert 4 in sides
    assert 4 not in {dict(a.params).get("f") for a in candidates(case, RX580_8GB)}


def test_one_kernel_serves_every_batch():
    one, four = (replace(problem(20, 20, 64, 64, k=3, p=1), batch=batch) for batch in (1, 4))
    weights, bias = np.zeros((64, 64, 3, 3)), np.zeros(64)

    kernels = [[s.kernel for s in lower(case, gemm(), RX580_8GB, weights=weights, bias=bias)] for case in (one, four)]

    assert kernels[0] == kernels[1]


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(ValueError, match="no GPU convolution is called 'fft'"):
        lower(problem(1, 1, 1, 1), Algorithm("fft"), RX580_8GB, weights=np.zeros((1, 1, 1, 1)), bias=np.zeros(1))


@pytest.mark.parametrize("name", [*GEMM_CASES, "groups"])
def test_the_twin_equals_onnx_runtime(name):
    case = GEMM_CASES[name][0] if name in GEMM_CASES else problem(9, 8, 6, 9, k=3, p=1, groups=3)
    random = np.random.default_rng(2)
    x = random.standard_normal((case.batch, case.ci, case.hi, case.wi), np.float32)
    weights = random.standard_normal((case.co, case.ci // case.groups, *case.kernel), np.float32)

    got = conv_twins.conv(x.transpose(0, 2, 3, 1), weights, case)

    close(got.transpose(0, 3, 1, 2), onnx_conv(x, weights, case))


def onnx_conv(x, weights, case):
    settings = {
        "strides": case.strides,
        "pads": [*case.pads, *case.pads],
        "dilations": case.dilations,
        "group": case.groups,
    }
    node = helper.make_node("Conv", ["x", "w"], ["y"], **settings)
    shapes = {"x": x.shape, "w": weights.shape, "y": (case.batch, case.co, case.ho, case.wo)}
    info = [helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items()]
    model = helper.make_model(
        helper.make_graph([node], "g", info[:2], info[2:]), opset_imports=[helper.make_opsetid("", 13)]
    )
    model.ir_version = 8
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x, "w": weights})[0]


@pytest.mark.parametrize("f", [2, 4])
def test_winograd_twins_compose_to_a_convolution(f):
    case = problem(9, 10, 5, 6, k=3, p=1, batch=2)
    random = np.random.default_rng(3)
    x = random.standard_normal((2, 9, 10, 5), np.float32)
    weights = random.standard_normal((6, 5, 3, 3), np.float32)

    v = conv_twins.winograd_input(x, case, f=f)
    got = conv_twins.winograd_output(v @ pack_winograd(weights, f), case, f=f)

    want = conv_twins.conv(x, weights, case)
    assert np.abs(got - want).max() <= 3e-5 * np.abs(want).max()


def test_parts_of_a_split_sum_to_the_product():
    random = np.random.default_rng(4)
    left, right = random.standard_normal((10, 70), np.float32), random.standard_normal((70, 8), np.float32)

    parts = conv_twins.gemm_partial(left, right, bk=16, splits=2)

    close(conv_twins.reduce_parts(parts), left @ right)
