"""Models and machines that are not as they should be, through `tigrillo bench`: one clear line, never a traceback."""

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.errors import EXIT_CONFIG

WEIGHTS = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32) * np.float32(0.1)
CONV = helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1])


def bench(tmp_path, *arguments, **environment):
    command = [sys.executable, "-m", "edge.cli", "bench", "--seconds", "0.01", "--batch", "1", "--json"]
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=os.environ | {"CACHE_DIRECTORY": str(tmp_path / "cache")} | environment,
    )


def model(path, last, *, weights=WEIGHTS, conv=CONV, out="y", channels=3, **saving):
    """A convolution on (batch, channels, 32, 32) and one more node."""
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size, 32, 32])
        for name, size in (("x", channels), (out, 8))
    )
    graph = helper.make_graph([conv, last], "small", [x], [y], [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path, **saving)
    return path


def node(op, name, *inputs, **attrs):
    return helper.make_node(op, inputs, ["y"], name=name, **attrs)


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """What one bench of several broken models said: failure by name."""
    folder = tmp_path_factory.mktemp("broken")
    relu = node("Relu", "relu", "c")
    grouped = helper.make_node("Conv", ["x", "w"], ["c"], name="conv", group=7)
    paths = [
        model(folder / "wide.onnx", relu, channels=4),
        model(folder / "grouped.onnx", relu, conv=grouped),
        model(folder / "bare.onnx", node("Cast", "cast", "c")),
        model(folder / "lonely.onnx", relu, conv=helper.make_node("Conv", ["x"], ["c"], name="conv")),
        model(folder / "dangling.onnx", node("Add", "add", "c", "nothing")),
        model(folder / "silent.onnx", relu, out="ghost"),
        model(folder / "nan.onnx", node("Neg", "neg", "c"), weights=np.full_like(WEIGHTS, np.nan)),
    ]
    done = bench(folder, *paths, "--device", "opencl")
    assert done.returncode, done.stderr
    assert "Traceback" not in done.stderr
    return {row["name"]: row["failure"] for row in json.loads(done.stdout)["models"]}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wide", "op 'Conv' (opset 17) at node 'conv'"),  # it was run, reading beside its input
        ("grouped", "21 channels in 7 groups"),
        ("bare", "op 'Cast' (opset 17) at node 'cast'"),
        ("lonely", "op 'Conv' (opset 17) at node 'conv'"),
        ("dangling", "input 'nothing' is made by no node"),
        ("silent", "output 'ghost' is made by no node"),
        ("nan", "NaN or infinity"),  # it was measured, with a difference of 0
    ],
)
def test_a_malformed_model_is_one_line_that_names_the_place(broken, name, says):
    assert says in broken[name]
    assert len(broken[name].splitlines()) == 1


def test_a_model_whose_weights_are_not_beside_it_is_one_line(tmp_path):
    path = model(
        tmp_path / "split.onnx",
        node("Relu", "relu", "c"),
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    (tmp_path / "weights.bin").unlink()

    done = bench(tmp_path, path, "--device", "cpu")

    assert done.returncode == EXIT_CONFIG
    assert done.stdout == ""
    assert "weights.bin" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_driver_that_aborts_leaves_auto_on_the_cpu_and_ends_a_named_device_with_78(tmp_path):
    (tmp_path / "abort.c").write_text(
        "void abort(void);\nvoid *clGetExtensionFunctionAddress(const char *n) { abort(); }\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-w", "-o", tmp_path / "abort.so", tmp_path / "abort.c"], check=True)
    (tmp_path / "bad.icd").write_text(str(tmp_path / "abort.so"))
    path = model(tmp_path / "small.onnx", node("Relu", "relu", "c"))

    auto, named = (
        bench(tmp_path, path, "--device", each, OCL_ICD_VENDORS=str(tmp_path)) for each in ("auto", "opencl")
    )

    assert auto.returncode == 0, auto.stderr
    assert json.loads(auto.stdout)["models"][0]["ms_onnxruntime"] > 0
    assert named.returncode == EXIT_CONFIG
    assert named.stdout == ""
    for done in (auto, named):
        assert "bad.icd crashed (SIGABRT)" in done.stderr
