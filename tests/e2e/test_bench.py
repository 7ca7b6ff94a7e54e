"""`tigrillo bench` as a user calls it, on a real OpenCL device (PoCL in CI) and in ONNX Runtime."""

import json
import os
import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from edge.cli import app
from edge.errors import EXIT_CONFIG, FatalError


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Programs built once for all tests here."""
    return tmp_path_factory.mktemp("cache")


def bench(cache, *arguments, **environment):
    command = [sys.executable, "-m", "edge.cli", "bench", "--seconds", "0.05", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=os.environ | {"CACHE_DIRECTORY": str(cache)} | environment,  # ours; PoCL keeps its own for the next tests
    )


def small_model(path, *, op="Relu", batch="batch"):
    """A convolution and one more node on (batch, 3, 32, 32)."""
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, channels, 32, 32])
        for name, channels in (("x", 3), ("y", 8))
    )
    weights = helper.make_tensor("w", TensorProto.FLOAT, [8, 3, 3, 3], [0.01 * i for i in range(216)])
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node(op, ["c"], ["y"], name="second", domain="" if op == "Relu" else "com.example"),
    ]
    graph = helper.make_graph(nodes, "small", [x], [y], [weights])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def measured(cache, tmp_path_factory):
    """What the small model's first run said."""
    path = small_model(tmp_path_factory.mktemp("model") / "small.onnx")
    return bench(cache, path, "--device", "opencl", "--batch", "1,2", "--layers", "--json")


def test_a_model_is_measured_on_the_device_beside_onnxruntime(measured):
    done = measured

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)  # progress goes to standard error
    assert document["device"]
    assert document["driver"]
    assert document["peak"]["gflops"] > 0
    assert [(row["name"], row["batch"]) for row in document["models"]] == [("small", 1), ("small", 2)]
    for row in document["models"]:
        assert row["ratio"] == pytest.approx(row["ms_opencl"] / row["ms_onnxruntime"], rel=1e-2)  # four digits each
        assert row["images_per_s"] == pytest.approx(1e3 / row["ms_opencl"], rel=1e-2)
        assert row["gflops"] == pytest.approx(2 * 8 * 27 * 32 * 32 / 1e9, rel=1e-3)
        assert row["error"] < 1e-5  # one convolution of 27 terms
        assert row["launches"] >= 1
        assert row["programs_built"] + row["programs_loaded"] >= 1
        assert row["memory_mb"] > 0
        assert row["enqueue_ms"] > 0
    [profile] = document["layers"]
    assert profile["batch"] == 1
    assert len(profile["launches"]) == document["models"][0]["launches"]
    assert sum(each["share"] for each in profile["launches"]) == pytest.approx(1, abs=1e-2)
    assert profile["all"]["launches"] == len(profile["launches"])


def test_a_table_is_printed_without_json_and_programs_come_from_the_cache(cache, measured, tmp_path):
    assert measured.returncode == 0  # it built them

    done = bench(cache, small_model(tmp_path / "small.onnx"), "--device", "opencl", "--batch", "1", "--layers")

    assert done.returncode == 0, done.stderr
    assert "ONNX Runtime ms" in done.stdout
    assert "limits as measured" in done.stdout
    assert "GB/s" in done.stdout
    assert "(0+" in done.stdout  # built + loaded


def test_a_named_device_that_is_missing_ends_with_78_and_one_line(cache, tmp_path):
    path = small_model(tmp_path / "small.onnx")

    done = bench(cache, path, "--device", "opencl:no-such-card")

    assert done.returncode == EXIT_CONFIG
    assert done.stdout == ""
    [line] = [each for each in done.stderr.strip().splitlines() if "is busy" not in each]
    assert "opencl:no-such-card" in line


def test_an_operator_that_the_device_can_not_run_is_named_and_nothing_else_is_measured(cache, tmp_path):
    path = small_model(tmp_path / "odd.onnx", op="Oddity")

    done = bench(cache, path, "--device", "opencl", "--batch", "1", "--json")

    assert done.returncode == EXIT_CONFIG
    [row] = json.loads(done.stdout)["models"]
    assert "ms_onnxruntime" not in row
    for text in (row["failure"], done.stderr):
        assert "'Oddity' (opset" in text
        assert "'second'" in text


def test_the_cpu_alone_needs_no_opencl(cache):
    done = bench(cache, "mobilenetv2", "--device", "cpu", "--batch", "1", "--json", OCL_ICD_VENDORS="/nowhere")

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    [row] = document["models"]
    assert document["device"].startswith("CPU, ")
    assert row["ms_onnxruntime"] > 0
    assert "ms_opencl" not in row


def test_a_file_with_a_fixed_batch_is_measured_with_that(cache, tmp_path):
    done = bench(cache, small_model(tmp_path / "small.onnx", batch=3), "--device", "cpu", "--json")

    assert [row["batch"] for row in json.loads(done.stdout)["models"]] == [3]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nothing-of-this-name",), "not installed"),
        (("mobilenetv2", "--batch", "0"), "--batch '0'"),
        (("mobilenetv2", "--device", "gpu"), "device 'gpu'"),
        (("mobilenetv2", "--device", "cpu", "--tune"), "--device opencl"),
    ],
)
def test_what_can_not_be_measured_is_one_line(arguments, complaint):
    done = CliRunner().invoke(app, ["bench", *arguments])

    assert isinstance(done.exception, FatalError)  # which main() prints as it is, with this code
    assert done.exception.exit_code == EXIT_CONFIG
    assert complaint in str(done.exception)
    assert len(str(done.exception).splitlines()) == 1
