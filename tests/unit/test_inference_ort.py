"""Sessions on small ONNX models made here: batches, types, threads, and files that are no models."""

import hashlib
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.api import DeviceBusy, ModelError, StageError
from edge.errors import UnsupportedOpError
from edge.inference.model_file import load_onnx
from edge.inference.ort import OrtCompute
from edge.inference.ort_session import PIXELS_AT_ONCE
from edge.testing import fake_card

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


@pytest.fixture
def compute():
    with OrtCompute(threads=2) as opened:
        yield opened


def model_card(folder, *, shape=("n", 3, 4, 6), kind=FLOAT, op="ReduceMean", out=("n", 3), **attributes):
    """A model that gives the mean of each channel, and its card."""
    attributes = attributes or ({"axes": [2, 3], "keepdims": 0} if op == "ReduceMean" else {})
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], **attributes)],
        "means",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, out)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    sha256 = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    return fake_card(name="means", input_hw=(4, 6), sha256=sha256, folder=folder)


def pictures(count):
    return np.random.default_rng(count).random((count, 3, 4, 6), np.float32)


@pytest.mark.parametrize("kind", [FLOAT, HALF], ids=["float32", "float16"])
@pytest.mark.parametrize("batch", ["n", 1, 4], ids=["dynamic", "fixed1", "fixed4"])
@pytest.mark.parametrize("count", [1, 4, 6])
def test_any_number_of_pictures_runs_on_any_batch_and_type(compute, tmp_path, kind, batch, count):
    session = compute.session(model_card(tmp_path, shape=(batch, 3, 4, 6), kind=kind, out=(batch, 3)))

    (means,) = session.run(pictures(count))

    assert means.dtype == np.float32
    # float16 has 11 significant bits: 2**-11 of values below 1
    assert means == pytest.approx(pictures(count).mean(axis=(2, 3)), abs=1e-6 if kind == FLOAT else 1e-3)


def test_a_large_batch_is_run_in_pieces_so_that_memory_stays_bounded(compute, tmp_path):
    count = PIXELS_AT_ONCE // (4 * 6) + 5
    session = compute.session(sized_by_its_batch(tmp_path))

    (seen,) = session.run(np.zeros((count, 3, 4, 6), np.float32))

    # Each picture is answered with the size of the batch it was run in.
    assert seen.tolist() == [count - 5] * (count - 5) + [5] * 5


def sized_by_its_batch(folder):
    """A model that answers each picture with the number of pictures it was run with."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["count"]),
        helper.make_node("Cast", ["count"], ["number"], to=FLOAT),
        helper.make_node("Expand", ["number", "count"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "counted",
        [helper.make_tensor_value_info("x", FLOAT, ("n", 3, 4, 6))],
        [helper.make_tensor_value_info("y", FLOAT, ("n",))],
        [helper.make_tensor("first", TensorProto.INT64, [1], [0])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), folder / "model.onnx"
    )
    return fake_card(name="counted", input_hw=(4, 6), folder=folder)


def test_output_shapes_are_found_out_when_the_exporter_left_them_open(compute, tmp_path):
    card = model_card(tmp_path, shape=("n", 3, "h", "w"), out=("n", "channels"))

    assert list(compute.session(card).output_shapes) == [(None, 3)]


def test_one_folder_is_loaded_once_even_by_two_threads_at_once(compute, tmp_path):
    card = model_card(tmp_path)
    ready = threading.Barrier(2)

    def load(_):
        ready.wait()
        return compute.session(card)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(load, range(2))

    assert first is second


def test_many_threads_get_the_answers_to_their_own_pictures(compute, tmp_path):
    session = compute.session(model_card(tmp_path, shape=(2, 3, 4, 6), out=(2, 3)))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda count: session.run(pictures(count))[0], list(range(1, 9)) * 20))

    for count, means in zip(list(range(1, 9)) * 20, answers, strict=True):
        assert means == pytest.approx(pictures(count).mean(axis=(2, 3)), abs=1e-6)


@pytest.mark.parametrize("shape", [(0, 3, 4, 6), (1, 3, 6, 4), (1, 1, 4, 6), (3, 4, 6)])
def test_a_batch_of_another_shape_is_refused_with_both_shapes(compute, tmp_path, shape):
    session = compute.session(model_card(tmp_path))

    with pytest.raises(ValueError, match=r"takes \(n, 3, 4, 6\), got"):
        session.run(np.zeros(shape, np.float32))


def test_a_missing_file_says_how_to_get_it(compute, tmp_path):
    card = fake_card(name="means", folder=tmp_path / "nowhere")

    with pytest.raises(ModelError, match=r"'means'.*model.onnx.*tigrillo models pull means"):
        compute.session(card)


def test_a_file_that_changed_since_its_card_was_written_is_refused(compute, tmp_path):
    card = model_card(tmp_path)
    (tmp_path / "model.onnx").write_bytes((tmp_path / "model.onnx").read_bytes() + b"\0")

    with pytest.raises(ModelError, match=r"has SHA-256 .* its card says"):
        compute.session(card)


@pytest.mark.parametrize("body", [b"", b"not a model at all", b"\x08\x08" * 400], ids=["empty", "text", "garbage"])
def test_a_file_that_is_no_model_is_refused_in_one_line(compute, tmp_path, body):
    (tmp_path / "model.onnx").write_bytes(body)
    card = fake_card(name="mine", sha256=hashlib.sha256(body).hexdigest(), folder=tmp_path)

    with pytest.raises(ModelError, match=r"'mine'.*no ONNX model") as caught:
        compute.session(card)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "shape", [("n", 3, 8, 8), ("n", 1, 4, 6), ("n", 3, 4), ("n", 4, 6, 3)], ids=["size", "grey", "rank", "nhwc"]
)
def test_an_input_that_is_not_the_cards_is_refused_with_both_shapes(compute, tmp_path, shape):
    card = model_card(tmp_path, shape=shape, op="Relu", out=shape)

    with pytest.raises(ModelError, match=r"card says float \(n, 3, 4, 6\): correct input_hw"):
        compute.session(card)


def test_an_input_of_bytes_is_refused(compute, tmp_path):
    card = model_card(tmp_path, kind=TensorProto.INT32)

    with pytest.raises(ModelError, match=r"tensor\(int32\)"):
        compute.session(card)


def test_an_operator_that_nobody_knows_is_named(compute, tmp_path):
    card = model_card(tmp_path, op="Frobnicate", out=("n", 3, 4, 6))

    with pytest.raises(UnsupportedOpError, match=r"'means'.*Frobnicate"):
        compute.session(card)


def sized_by_its_input(folder, last):
    """A model whose output has as many elements a side as the input's largest value; `last` makes it."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Unsqueeze", ["whole", "axis"], ["side"]),
        helper.make_node("Concat", ["side", "side", "side"], ["sides"], axis=0),
        last,
    ]
    graph = helper.make_graph(
        nodes,
        "sized",
        [helper.make_tensor_value_info("x", FLOAT, ("n", 3, 4, 6))],
        [helper.make_tensor_value_info("y", FLOAT, (1, 1, 1))],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [0])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), folder / "model.onnx"
    )
    return fake_card(name="sized", input_hw=(4, 6), folder=folder)


def test_running_out_of_memory_may_be_tried_again(compute, tmp_path):
    session = compute.session(sized_by_its_input(tmp_path, helper.make_node("ConstantOfShape", ["sides"], ["y"])))

    with pytest.raises(DeviceBusy, match=r"'sized'.*allocate memory"):
        session.run(np.full((1, 3, 4, 6), 1e5, np.float32))  # (1e5)³ floats are four petabytes


def test_a_model_that_fails_on_a_picture_fails_for_that_frame_only(compute, tmp_path):
    session = compute.session(sized_by_its_input(tmp_path, helper.make_node("Reshape", ["x", "sides"], ["y"])))

    with pytest.raises(StageError, match=r"'sized'.*reshaped"):
        session.run(np.full((1, 3, 4, 6), 7, np.float32))


def test_sessions_end_with_the_block(tmp_path):
    card = model_card(tmp_path)
    compute = OrtCompute(threads=1)
    with compute:
        ended = weakref.ref(compute.session(card))
        assert ended() is not None

    assert ended() is None


def test_a_model_file_that_cannot_be_read_is_told_in_the_readers_language(tmp_path, monkeypatch):
    monkeypatch.setenv("TIGRILLO_LANG", "es")

    with pytest.raises(ModelError, match="es una carpeta"):
        load_onnx(tmp_path)


def test_a_daemon_that_runs_no_model_has_no_onnx_runtime_in_memory():
    code = "import sys, edge.daemon; sys.exit('onnxruntime' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
