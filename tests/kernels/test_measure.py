"""What a bench measures is true: turns, medians, counts, the profile's rows, and a check that is kept."""

from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.compute.device import Device
from edge.compute.probe import probe_devices
from edge.errors import ModelError
from edge.inference.opencl.layers import profile_layers, total, total_families
from edge.inference.opencl.measure import make_ready
from edge.inference.opencl.verdicts import Verdicts
from edge.inference.subject import Subject, from_file
from edge.inference.timing import count_gflops, in_turns, largest_error, onnxruntime_call
from edge.model import Card
from edge.models.installed import sha256_of


@dataclass
class StepClock:
    """A clock that each call moves on by what the work says."""

    s: float = 0.0

    def monotonic_s(self):
        return self.s


def model_of(*, batch="batch", hw=(16, 24)):
    """Convolution, Relu, convolution on (batch, 3, 16, 24): one answer of 4 channels."""
    random = np.random.default_rng(0)
    first, second = (
        onnx.numpy_helper.from_array(random.standard_normal(shape).astype(np.float32) / 9, name)
        for name, shape in (("a", (8, 3, 3, 3)), ("b", (4, 8, 1, 1)))
    )
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["c"], name="one", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="two"),
        helper.make_node("Conv", ["r", "b"], ["y"], name="three"),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, channels, *hw])
        for name, channels in (("x", 3), ("y", 4))
    )
    graph = helper.make_graph(nodes, "tiny", [x], [y], [first, second])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_sides_take_turns_and_the_median_counts():
    clock, order = StepClock(), []

    def side(name, seconds):
        def run():
            order.append(name)
            clock.s += seconds

        return run

    slow, fast = in_turns([side("slow", 0.04), side("fast", 0.01)], seconds=0.3, clock=clock, pause_s=0)

    assert (slow.ms, fast.ms) == (pytest.approx(40), pytest.approx(10))
    assert slow.runs * 0.04 >= 0.3
    assert fast.runs * 0.01 >= 0.3
    assert "".join(name[0] for name in order).count("sf") >= 2  # not one after the other


def test_a_run_longer_than_the_time_there_is_runs_but_twice():
    clock, runs = StepClock(), []

    def run():
        runs.append(1)
        clock.s += 12.0

    [timing] = in_turns([run], seconds=1.0, clock=clock)

    assert timing.ms == pytest.approx(12_000)
    assert len(runs) == 2


def test_operations_are_counted_a_picture():
    subject = Subject("tiny", lambda _batch: model_of())

    for batch in (1, 4):
        found = count_gflops(subject, subject.make(batch), batch)
        assert found == pytest.approx(2 * 16 * 24 * (8 * 27 + 4 * 8) / 1e9)


def test_errors_are_shares_of_the_largest_value():
    expected = [np.float32([[1, -4]])]

    assert largest_error([np.float32([[1, -3]])], expected) == pytest.approx(0.25)
    assert largest_error([np.float32([1, -4])], expected) == float("inf")


def test_an_open_side_is_named(tmp_path):
    onnx.save(model_of(hw=("height", 24)), tmp_path / "open.onnx")
    subject = from_file(tmp_path / "open.onnx")

    with pytest.raises(ModelError, match=r"'open': input 'x' has the open shape \['\?', 3, '\?', 24\]"):
        subject.inputs(subject.make(1), 1)


def test_a_profile_has_a_row_a_launch_and_shares_that_add_up(tmp_path):
    subject = Subject("tiny", lambda _batch: model_of())
    model = subject.make(2)

    with (
        Device.open("opencl", cache_dir=tmp_path, profile=True) as device,
        make_ready(subject, model, device, batch=2) as ready,
    ):
        rows = profile_layers(ready)
        outputs = ready.outputs

    assert largest_error(outputs, onnxruntime_call(subject, model, 2)()) < 1e-5  # 27 terms and 8
    assert [row.number for row in rows] == list(range(1, len(ready.plan.launches) + 1))
    named = {row.node: row.algorithm for row in rows}
    assert all(named[node] for node in ("one", "three"))  # both convolutions say how they are computed
    assert sum(row.share for row in rows) == pytest.approx(1)
    assert all(row.us > 0 for row in rows)
    families = total_families(rows)
    assert sum(each.launches for each in families) == len(rows) == total(rows).launches
    assert sum(each.us for each in families) == pytest.approx(total(rows).us)


def test_a_check_is_made_once_and_kept(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    onnx.save(model_of(hw=(16, 24)), folder / "model.onnx")
    digest = sha256_of(folder / "model.onnx")
    card = Card("tiny", "detect", "yolov5", "MIT", "here", digest, input_hw=(16, 24), folder=folder)
    found = probe_devices(try_kernels=False).found[0]

    with Verdicts(found, tmp_path / "cache") as verdicts:
        before = verdicts.kept(card)
        verdict = verdicts.check(card)
    with Verdicts(found, tmp_path / "cache") as again:
        kept = again.kept(card)

    assert before is None
    assert verdict.is_right, verdict.says
    assert kept == verdict
