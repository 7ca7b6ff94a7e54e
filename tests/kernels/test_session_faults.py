"""Sessions when something goes wrong: no room, one bad picture of a batch, a device that fails while it is checked."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.compute.boxes import BoxFinder, Head
from edge.compute.choice import FoundDevice, match, parse_choice
from edge.compute.device import Device
from edge.compute.driver import cl
from edge.compute.launcher import Launcher
from edge.compute.probe import probe_devices
from edge.errors import DeviceBusy, DeviceLost, EdgeError, ModelError, NoDeviceError, StageError, UnsupportedOpError
from edge.inference.opencl import session as sessions
from edge.inference.opencl.check import Verdict, check, difference, key_of
from edge.inference.opencl.execute import Bound, Constants, bind
from edge.inference.opencl.fuse import fuse
from edge.inference.opencl.importer import import_model
from edge.inference.opencl.plan import plan_graph
from edge.inference.opencl.session import OpenclCompute, OpenclSession
from edge.inference.opencl.tune import choices_path
from edge.inference.opencl.verdicts import verdict_key, verdict_on
from edge.inference.ort import OrtCompute
from edge.inference.select import DeviceCompute, LastingSession, open_compute
from edge.model import F32, Card
from edge.testing import fake_card

HW = (6, 8)


@pytest.fixture(scope="module")
def found() -> FoundDevice:
    return match(parse_choice("opencl"), probe_devices(try_kernels=False).found)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def compute(found: FoundDevice, cache: Path) -> Iterator[OpenclCompute]:
    with OpenclCompute(found, cache_dir=cache) as opened:
        yield opened


@pytest.fixture
def card(tmp_path: Path) -> Card:
    """A model of one convolution, for any number of pictures."""
    weights = np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(np.float32)
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, *HW])
        for name, channels in (("x", 3), ("y", 4))
    )
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    graph = helper.make_graph(nodes, "tiny", [x], [y], [numpy_helper.from_array(weights, "w")])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "model.onnx"
    )
    return fake_card(folder=tmp_path, input_hw=HW, sha256="")


def pictures(count: int) -> F32:
    return np.random.default_rng(1).random((count, 3, *HW), np.float32)


def cpu_answer(card: Card, batch: F32) -> F32:
    with OrtCompute(threads=1) as cpu:
        return np.asarray(cpu.session(card).run(batch)[0])


def planned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batch sizes that are planned from now on."""
    sizes: list[int] = []
    whole = OpenclSession.graph
    monkeypatch.setattr(OpenclSession, "graph", lambda self, size: (sizes.append(size), whole(self, size))[1])
    return sizes


def test_a_bad_picture_fails_nobody_elses_of_the_same_batch(compute: OpenclCompute, card: Card) -> None:
    session = compute.session(card)
    payloads = [pictures(1), np.full((1, 3, *HW), np.nan, np.float32)]

    # as the worker runs the jobs of two callers that wait together
    good, bad = compute.worker.submit(lambda device: session._run_batch(device, payloads)).result()

    assert np.isfinite(good[0]).all()
    assert np.isnan(bad[0]).any()
    with pytest.raises(StageError, match="NaN or infinity"):
        session.run(payloads[1])


def test_a_batch_that_finds_no_room_when_it_runs_is_run_in_parts_and_not_tried_again(
    compute: OpenclCompute, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, batch, tried = compute.session(card), pictures(16), []
    whole = Bound.run

    def run(self: Bound, inputs: dict[str, F32]) -> list[F32]:
        tried.append(len(inputs["x"]))
        if len(inputs["x"]) == 16:
            raise DeviceBusy("device out of memory")
        return whole(self, inputs)

    monkeypatch.setattr(Bound, "run", run)

    answers = [session.run(batch)[0] for _ in range(2)]

    assert tried == [16, *[4] * 8]
    assert all(difference([each], [cpu_answer(card, batch)]) < 1e-5 for each in answers)


def test_no_number_of_pictures_makes_plans_push_each_other_out(
    compute: OpenclCompute, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, sizes = compute.session(card), planned(monkeypatch)
    for count in (15, 16, 15, 31):
        session.run(pictures(count))

    assert len(sizes) == len(set(sizes))


def test_a_plan_that_finds_no_room_leaves_no_constants_behind(
    found: FoundDevice, cache: Path, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Device.open(found, cache_dir=cache) as device:
        plan = plan_graph(fuse(import_model(onnx.load(card.onnx_path), shapes={"x": (1, 3, *HW)})), device.capability)
        constants, alloc = Constants(device), device.alloc

        def take(nbytes: int) -> object:
            if len(constants.kept) == 1:
                raise DeviceBusy("device out of memory")
            return alloc(nbytes)

        monkeypatch.setattr(device, "alloc", take)
        with pytest.raises(DeviceBusy):
            bind(plan, device, constants=constants)

        assert constants.kept == {}
        assert device.buffers.usage.used == 0


def test_an_answer_that_is_no_number_differs() -> None:
    right = np.ones(2, np.float32)

    assert difference([np.array([np.nan, 1], np.float32)], [right]) == float("inf")
    assert difference([np.array([np.inf, 1], np.float32)], [np.array([np.inf, 1], np.float32)]) == float("inf")


class Answers:
    """A session that answers with ones until its errors are used up: one a run, None for none."""

    output_shapes = ((None, 4),)

    def __init__(self, *errors: EdgeError | None) -> None:
        self.card, self.errors = fake_card(input_hw=HW), list(errors)

    def run(self, batch: F32) -> list[F32]:
        if self.errors and (error := self.errors.pop(0)):
            raise error
        return [np.ones((len(batch), 4), np.float32)]


@pytest.mark.parametrize("errors", [(DeviceBusy("full"),), (None, None, DeviceLost("gone")), (ModelError("no room"),)])
def test_a_check_that_fails_for_the_moment_says_so(errors: tuple[EdgeError | None, ...]) -> None:
    verdict = check(fake_card(input_hw=HW), lambda: Answers(*errors), Answers, device="d")

    assert verdict.failure
    assert verdict.passing


def test_a_failure_of_the_moment_is_not_kept_and_others_are(
    compute: OpenclCompute, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    for error in (DeviceBusy("full"), UnsupportedOpError("op")):
        monkeypatch.setattr(compute, "session", lambda _card, error=error: Answers(error))
        verdict_on(card, compute, folder=tmp_path / "cache", threads=1)
        kept.append(len(list((tmp_path / "cache").rglob("*.json"))))

    assert kept == [0, 1]


def test_a_verdict_is_not_the_one_of_another_file_or_of_other_choices(
    found: FoundDevice, card: Card, tmp_path: Path
) -> None:
    keys = [verdict_key(tmp_path, card, found.capability)]
    tuned = choices_path(tmp_path, card, found.capability, 1)
    tuned.parent.mkdir()
    tuned.write_text("{}")
    keys.append(verdict_key(tmp_path, card, found.capability))
    before = key_of(card, found.capability)
    os.utime(card.onnx_path, ns=(1, 1))

    assert len(set(keys)) == 2
    assert key_of(card, found.capability) != before


def test_a_model_that_the_device_may_not_run_does_not_stay_on_it(
    compute: OpenclCompute, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def used() -> int:
        return compute.worker.submit(lambda device: device.buffers.usage.used).result()

    monkeypatch.setattr("edge.inference.opencl.check.MOST_ERROR", -1.0)
    before = used()

    verdict = verdict_on(card, compute, folder=tmp_path / "cache", threads=1)

    assert not verdict.is_right
    assert used() == before
    assert compute.session(card).run(pictures(1))


class FullCompute:
    """An OpenclCompute whose device has no room for any model."""

    def __init__(self, found: FoundDevice) -> None:
        self.found = found

    def session(self, _card: Card) -> OpenclSession:
        raise ModelError("0 MB are free")


@pytest.mark.parametrize("must", [False, True])
def test_a_device_that_passed_but_is_full_now_leaves_the_model_to_the_cpu_unless_it_must(
    found: FoundDevice, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, must: bool
) -> None:
    good = Verdict(card.name, "d", 0.0, 1.0, 2.0)
    monkeypatch.setattr("edge.inference.opencl.verdicts.verdict_on", lambda *_args, **_more: good)
    with OrtCompute(threads=1) as cpu:
        compute = DeviceCompute(FullCompute(found), cpu, must=must, folder=tmp_path)
        if must:
            with pytest.raises(ModelError):
                compute.session(card)
        else:
            assert not isinstance(compute.session(card), LastingSession)


def test_auto_goes_on_on_the_cpu_when_the_device_does_not_open(
    found: FoundDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_more: object) -> Device:
        raise NoDeviceError("it was there a second ago")

    monkeypatch.setattr(sessions.Device, "open", refuse)
    monkeypatch.setattr("edge.inference.select.find", lambda _device, **_told: found)

    with open_compute("auto", threads=1, jobs=1, cache=tmp_path) as compute:
        assert isinstance(compute, OrtCompute)
    with pytest.raises(NoDeviceError), open_compute("opencl", threads=1, jobs=1, cache=tmp_path):
        pass


def test_a_lost_device_that_refuses_to_be_closed_raises_what_the_worker_expects(
    found: FoundDevice, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device.open(found, cache_dir=cache)
    device.free(device.alloc(64))

    def refuse(_self: object) -> None:
        raise cl.Error(SimpleNamespace(routine=lambda: "r", code=lambda: -2, what=lambda: "w"))

    monkeypatch.setattr("edge.compute.buffers.PooledBuffer.release", refuse, raising=False)

    with pytest.raises(EdgeError):
        device.__exit__(None, None, None)


def test_half_a_search_for_boxes_leaves_nothing_for_the_next_frame(
    found: FoundDevice, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = np.array([[[50, 50, 10, 10, 1, 1]]], np.float32)
    with Device.open(found, cache_dir=cache) as device:
        launcher = Launcher(device)
        finder, head, raw = BoxFinder(device, launcher), Head("yolov5", row.shape), device.upload(row)
        whole, refused = device.launch, []

        def launch(kernel: cl.Kernel, *sizes: object) -> object:
            if kernel.function_name == "suppress" and not refused:
                refused.append(kernel)
                raise DeviceBusy("no room")
            return whole(kernel, *sizes)

        monkeypatch.setattr(device, "launch", launch)
        with pytest.raises(DeviceBusy):
            finder.enqueue(raw, head, min_score=0.1, iou=0.5)
        finder.enqueue(raw, head, min_score=0.1, iou=1.0)  # at which two boxes in one place would both stay
        (boxes,) = finder.read(1)

    assert refused
    assert boxes is not None
    assert len(boxes.scores) == 1


def test_a_second_batch_size_is_planned_with_the_weights_that_are_there(compute: OpenclCompute, card: Card) -> None:
    session = compute.session(card)
    assert isinstance(session, OpenclSession)

    def plan(device: Device) -> str:
        needed = session.plan(device, 4).plan
        compute.memory_bytes = device.buffers.usage.used + needed.total_bytes - needed.const_bytes
        try:
            return session.plan(device, 4).how
        finally:
            compute.memory_bytes = None

    assert compute.worker.submit(plan).result() == ""
    compute.forget(card)
