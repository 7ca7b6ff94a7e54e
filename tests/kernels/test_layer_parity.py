"""Whole models on PoCL against ONNX Runtime, tensor by tensor. See scripts/layer_parity.py for what is compared.

PoCL compiles one program at a time in a process, so the models are shared by two processes. Compiling is nearly all of
the time, so it is done without optimisation; benchmarks/results/layer_parity_pocl.txt has the same with it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge.compute.device import Device
from edge.inference.opencl.fuse import fuse
from edge.inference.opencl.importer import import_model

sys.path.append(str(Path(__file__).parent))  # test files can't import their neighbours otherwise
from layer_cases import Swap, compare, depths_of, elsewhere, plan_with_places  # because it lies there

REPO = Path(__file__).resolve().parents[2]
SCRIPT = REPO / "scripts" / "layer_parity.py"
REAL = ("megadetector-lite", "efficientnet-lite0")
# Of one architecture the forms follow each other by twos: each process meets all of one form's kernels again.
PARTS = (
    ("yolov5x6@192", "mobilenetv2", "mobilenetv2-fp16", "mobilenetv2-int8", "mobilenetv3-large", "resnet50", *REAL),
    ("rtdetr-like", "rtdetr-like-fp16", "rtdetr-like-int8", "yolov5n-int8", "yolov5s", "yolov8n"),
)


def _start(cache: Path, models: tuple[str, ...], *options: str) -> subprocess.Popen:
    command = [sys.executable, "-W", "ignore", SCRIPT, "--json", "--cache", cache, "--models", ",".join(models)]
    quick = os.environ | {"POCL_EXTRA_BUILD_FLAGS": "-cl-opt-disable"}
    # PoCL writes compiler warnings to stderr, so only stdout is read as JSON
    return subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=quick, cwd=REPO
    )


def _document(process: subprocess.Popen) -> dict:
    out, err = process.communicate()
    assert process.returncode in {0, 1}, f"ended with {process.returncode}: {err[-2000:]}"
    return json.loads(out)


@pytest.mark.models
@pytest.mark.timeout(600)
def test_every_tensor_of_every_model_equals_onnx_runtimes_and_none_is_computed_elsewhere(
    models_dir, yolov5n_onnx, tmp_path
):
    parts = (PARTS[0], (*PARTS[1], str(yolov5n_onnx)))
    runs = [_start(tmp_path / f"{number}", models, "--size", "128") for number, models in enumerate(parts)]

    rows = [row for each in runs for row in _document(each)["models"]]

    for row in rows:
        print(row["model"], row.get("tensors"), row.get("worst"), row.get("error"), row.get("seconds"))
    assert {row["model"]: row["failures"] for row in rows if row["failures"]} == {}
    assert len(rows) == sum(map(len, parts)) + 3  # what is stored in float16 is compared twice
    assert all(row["elsewhere"] == 0 and row["tensors"] >= 50 for row in rows)


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    with Device.open("opencl", cache_dir=tmp_path_factory.mktemp("cache")) as opened:
        yield opened


def small_net(weights_seed=1):
    """Three convolutions with a residual sum, at 16×16 pixels."""
    text = """<ir_version: 8, opset_import: ["": 17]>
        net (float[1, 8, 16, 16] x, float[8, 8, 1, 1] w0, float[8, 8, 1, 1] w1, float[8, 8, 1, 1] w2)
        => (float[1, 8, 16, 16] y) {
            a = Conv (x, w0)
            b = Relu (a)
            c = Conv (b, w1)
            d = Add (c, b)
            y = Conv (d, w2)
        }"""
    model = onnx.parser.parse_model(text)
    random = np.random.default_rng(weights_seed)
    for _index in range(3):
        name = model.graph.input.pop(1).name
        model.graph.initializer.append(numpy_helper.from_array(random.standard_normal((8, 8, 1, 1), np.float32), name))
    return model


def test_a_wrong_layer_is_the_first_tensor_that_differs(device):
    model, wrong = small_net(), small_net()
    tensor = wrong.graph.initializer[1]
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.001), tensor.name))
    feeds = {"x": np.random.default_rng(2).random((1, 8, 16, 16), np.float32)}

    found = compare(model, feeds, device, reference=wrong)

    assert list(found.errors) == ["b", "d", "y"]  # a and c are fused away
    assert found.errors["b"] < 1e-6
    assert found.errors["d"] > 1e-5
    assert found.outputs["y"] > 1e-5


def test_depth_counts_the_long_sums_on_the_way(device):
    graph = fuse(import_model(small_net()))

    depths = depths_of(graph)

    assert (depths["b"], depths["d"], depths["y"]) == (1, 2, 3)


def test_a_node_whose_result_no_launch_wrote_is_told(device):
    graph = fuse(import_model(small_net()))
    plan, places = plan_with_places(graph, device.capability)
    lost = next(node for node in graph.nodes if "d" in node.outputs)

    without = {name: place for name, place in places.items() if name != "d"}

    assert elsewhere(graph, plan, places) == []
    assert elsewhere(graph, plan, without) == [lost.name]


@pytest.mark.parametrize(
    ("gap", "error", "is_exact", "fair"),
    [(1e-6, 1e-6, True, True), (3e-6, 1e-6, True, False), (0.0, 1e-6, False, False)],
)
def test_swapped_rows_are_fair_only_as_far_as_the_scores_error_explains_them(gap, error, is_exact, fair):
    assert Swap("TopK", 2, 100, gap, error, is_exact).is_fair == fair
