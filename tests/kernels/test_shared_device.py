"""What the stages share on a device: a run for the pictures of several workers, and one upload of each."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.compute.choice import FoundDevice, match, parse_choice
from edge.compute.device import Device
from edge.compute.frames import Frames, Passing
from edge.compute.probe import probe_devices
from edge.compute.vision import Vision
from edge.errors import DeviceBusy, DeviceLost, StageError
from edge.hookspecs import DecoderSpec
from edge.inference.head import OpenModel
from edge.inference.opencl.execute import Bound
from edge.inference.opencl.session import OpenclCompute
from edge.inference.ort import OrtCompute
from edge.inference.select import DeviceCompute, LastingSession
from edge.media.opener import FileMedia
from edge.model import U8, Boxes, Card
from edge.services import MotionRule
from edge.testing import ArrayPicture, array_picture, fake_card
from plugins.decoders import classifier, yolov5
from plugins.stages import motion

HW = (64, 64)
LONG_S = 30.0  # nobody waits so long: whatever has to wait for another worker does, however slow this machine is
BOXES = [(0.1, 0.1, 0.3, 0.4), (0.5, 0.2, 0.2, 0.2), (0.0, 0.6, 0.9, 0.4)]


@pytest.fixture(scope="module")
def found() -> FoundDevice:
    return match(parse_choice("opencl"), probe_devices(try_kernels=False).found)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def compute(found: FoundDevice, cache: Path) -> Iterator[OpenclCompute]:
    with OpenclCompute(found, cache_dir=cache, whole_hop=True, latency_s=LONG_S) as opened:
        yield opened


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Batch sizes of the model runs from now on."""
    sizes: list[int] = []
    whole = Bound.launch

    def launch(self: Bound) -> None:
        sizes.append(next(iter(self.plan.inputs.values())).shape[0])
        whole(self)

    monkeypatch.setattr(Bound, "launch", launch)
    return sizes


def save(folder: Path, nodes: list[onnx.NodeProto], arrays: dict[str, Any], shape: list[object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, *HW])
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    constants = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "tiny", [taken], [given], constants)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "model.onnx")


def detector(folder: Path, *, scale: float = 1.0) -> Card:
    """A head like YOLOv5's, two classes, on a map of 8 × 8; scale 1e38 makes it overflow on a bright picture."""
    weights = np.random.default_rng(3).standard_normal((7, 3, 8, 8)).astype(np.float32) * 0.05
    if scale != 1.0:
        weights = np.abs(weights)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], strides=[8, 8]),
        helper.make_node("Sigmoid", ["a"], ["b"]) if scale == 1.0 else helper.make_node("Mul", ["a", "scale"], ["b"]),
        helper.make_node("Mul", ["b", "units"], ["c"]),
        helper.make_node("Reshape", ["c", "shape"], ["d"]),
        helper.make_node("Transpose", ["d"], ["y"], perm=[0, 2, 1]),
    ]
    units = np.array([64, 64, 20, 20, 1, 1, 1], np.float32).reshape(1, 7, 1, 1)
    arrays = {"w": weights, "units": units, "shape": np.array([0, 7, -1], np.int64), "scale": np.float32(scale)}
    save(folder, nodes, arrays, ["n", 64, 7])
    return fake_card(folder=folder, input_hw=HW, sha256="", min_score=0.2)


def classifier_card(folder: Path) -> Card:
    weights = np.random.default_rng(4).standard_normal((5, 3, 4, 4)).astype(np.float32) * 0.2
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], strides=[4, 4]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["y"]),
    ]
    save(folder, nodes, {"w": weights}, ["n", 5])
    changes: dict[str, Any] = {"classes": tuple("abcde"), "categories": {}, "resize": "square-crop"}
    return fake_card(folder=folder, input_hw=HW, sha256="", task="classify", decoder="classifier", **changes)


def scenery(seed: int, height: int = 120, width: int = 160) -> U8:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def together(compute: OpenclCompute, works: Sequence[Callable[[ArrayPicture], Any]]) -> list[Any]:
    """What workers say, each of its own picture, all of which pass the stages at the same time."""
    meeting = threading.Barrier(len(works))

    def look(number: int) -> Any:
        picture = array_picture(scenery(number))
        with compute.looking_at(picture):
            meeting.wait(10)
            try:
                return works[number](picture)
            except StageError as exc:
                return exc

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(look, range(len(works))))


def same_boxes(first: tuple[Boxes, Any], second: tuple[Boxes, Any]) -> bool:
    one, other = first[0], second[0]
    return (
        first[1] == second[1]
        and one.classes.tolist() == other.classes.tolist()
        and np.allclose(one.scores, other.scores, atol=1e-5)
        and np.allclose(one.xyxy_px, other.xyxy_px, atol=1e-3)
    )


@pytest.mark.parametrize(("count", "runs"), [(4, [4]), (2, [2]), (3, [2, 1])])
def test_finds_of_workers_that_meet_are_one_run_and_say_what_single_ones_say(
    compute: OpenclCompute, tmp_path: Path, launched: list[int], count: int, runs: list[int]
) -> None:
    card = detector(tmp_path)
    session: Any = compute.session(card)
    alone = [session.find(array_picture(scenery(number)), card) for number in range(count)]
    assert launched == [1] * count
    launched.clear()

    met = together(compute, [lambda picture: session.find(picture, card)] * count)

    assert launched == runs
    assert all(len(boxes.scores) > 3 for boxes, _ in alone)
    assert len({boxes.scores[0] for boxes, _ in alone}) == count
    assert all(same_boxes(*pair) for pair in zip(met, alone, strict=True))


def test_a_worker_alone_waits_for_nobody(compute: OpenclCompute, tmp_path: Path) -> None:
    card = detector(tmp_path)
    session: Any = compute.session(card)

    def look() -> Any:
        with compute.looking_at(picture := array_picture(scenery(0))):
            return session.find(picture, card)

    with ThreadPoolExecutor() as pool:
        assert pool.submit(look).result(LONG_S / 3)


def test_thresholds_of_two_stages_do_not_mix(compute: OpenclCompute, tmp_path: Path) -> None:
    card = detector(tmp_path)
    session: Any = compute.session(card)
    high = replace(card, min_score=0.35)
    compute.worker._latency_s = 0.05

    low_boxes, high_boxes = together(
        compute, [lambda picture: session.find(picture, card), lambda picture: session.find(picture, high)]
    )

    assert same_boxes(low_boxes, session.find(array_picture(scenery(0)), card))
    assert high_boxes[0].scores.min(initial=1.0) >= 0.35


def test_an_answer_that_is_no_number_fails_its_own_picture_of_a_batch(
    compute: OpenclCompute, tmp_path: Path, launched: list[int]
) -> None:
    card = detector(tmp_path, scale=1e38)
    session: Any = compute.session(card)
    black, white = (array_picture(np.full((64, 64, 3), level, np.uint8)) for level in (0, 255))

    good, bad = together(
        compute, [lambda _picture: session.find(black, card), lambda _picture: session.find(white, card)]
    )

    assert launched == [2, 1, 1]
    assert isinstance(bad, StageError)
    assert len(good[0].scores) == 0


def test_finds_that_find_no_room_together_are_run_alone(
    compute: OpenclCompute, tmp_path: Path, launched: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    card = detector(tmp_path)
    session: Any = compute.session(card)
    alone = [session.find(array_picture(scenery(number)), card) for number in range(4)]
    whole = Bound.launch

    def launch(self: Bound) -> None:
        if next(iter(self.plan.inputs.values())).shape[0] > 1:
            raise DeviceBusy("device out of memory")
        whole(self)

    monkeypatch.setattr(Bound, "launch", launch)
    launched.clear()

    met = together(compute, [lambda picture: session.find(picture, card)] * 4)

    assert launched == [1] * 4
    assert all(same_boxes(*pair) for pair in zip(met, alone, strict=True))


def opened(session: Any, card: Card, module: Any, task: Any) -> OpenModel:
    return OpenModel(card, session, DecoderSpec(card.decoder, task, module.check, module.decode))


def test_crops_of_several_workers_are_one_run_and_say_what_the_hosts_say(
    compute: OpenclCompute, tmp_path: Path, launched: list[int]
) -> None:
    card = classifier_card(tmp_path)
    model = opened(compute.session(card), card, classifier, "classify")

    met = together(compute, [lambda picture: model.classify(picture, BOXES[:1]), lambda p: model.classify(p, BOXES)])

    assert launched == [4]
    with OrtCompute(threads=1) as cpu:
        host = opened(cpu.session(card), card, classifier, "classify")
        want = [host.classify(array_picture(scenery(number)), BOXES[:count]) for number, count in ((0, 1), (1, 3))]
    assert [each.shape for each in met] == [(1, 5), (3, 5)]
    assert len(np.unique(want[1].round(4), axis=0)) == 3
    # a crop's values are within one of 255 levels of the host's (test_vision), and few are off at all
    assert all(np.abs(got - wanted).max() < 1e-3 for got, wanted in zip(met, want, strict=True))


def rule() -> MotionRule:
    return motion.rule_of(motion.MotionConfig(size_px=80))


def test_a_picture_is_uploaded_once_for_all_stages_and_goes_when_it_has_passed(
    compute: OpenclCompute, tmp_path: Path
) -> None:
    cards = detector(tmp_path / "d"), classifier_card(tmp_path / "c")
    sessions: list[Any] = [compute.session(card) for card in cards]
    scene = compute.scene(rule())
    assert scene

    def pass_stages(picture: ArrayPicture) -> int:
        scene.look(picture, at_s=0.0)
        sessions[0].find(picture, cards[0])
        sessions[1].run_crops(picture, BOXES[:2], cards[1])
        return frames().uploads

    def frames() -> Frames:
        return compute.worker.submit(lambda device: compute.hop(device).frames).result()

    with compute.looking_at(picture := array_picture(scenery(0))):
        assert pass_stages(picture) == 1
        assert frames().kept_bytes >= picture.pixels.nbytes
    assert pass_stages(array_picture(scenery(1))) == 4  # a picture that passes no stages is uploaded for each
    assert frames().kept_bytes == 0


def test_of_a_clips_picture_the_decoders_planes_go_up_once_for_all_stages(
    compute: OpenclCompute, tmp_path: Path, shared_media: Path
) -> None:
    cards = detector(tmp_path / "d"), classifier_card(tmp_path / "c")
    sessions: list[Any] = [compute.session(card) for card in cards]
    scene = compute.scene(rule())
    assert scene
    with FileMedia().open(shared_media / "video" / "chimp.mp4", "clip") as clip:
        _, _, picture = next(iter(clip))

        def uploads() -> tuple[int, int]:
            frames = compute.worker.submit(lambda device: compute.hop(device).frames).result()
            return frames.uploads, frames.kept_bytes

        with compute.looking_at(picture):
            scene.look(picture, at_s=0.0)
            sessions[0].find(picture, cards[0])
            sessions[1].run_crops(picture, BOXES, cards[1])
            count, kept_bytes = uploads()
    assert count == 1
    assert kept_bytes < picture.bgr().nbytes  # whose rows are no longer than they need be, unlike the planes


def test_a_new_picture_in_the_place_of_an_old_one_is_not_taken_for_it(compute: OpenclCompute, tmp_path: Path) -> None:
    card = detector(tmp_path)
    session: Any = compute.session(card)
    alone = [session.find(array_picture(scenery(number)), card) for number in range(6)]
    places = set()

    for number in range(6):
        picture = array_picture(scenery(number))
        places.add(id(picture))
        with compute.looking_at(picture):
            assert same_boxes(session.find(picture, card), alone[number])
        del picture
    assert len(places) < 6  # Python did give one the place of another


def test_frames_are_bounded_in_number_and_bytes_and_give_way_to_one_that_needs_room(
    found: FoundDevice, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, passing = [array_picture(scenery(number)) for number in range(3)], Passing()
    nbytes = pictures[0].pixels.nbytes
    with (
        passing.passes(pictures[0]),
        passing.passes(pictures[1]),
        passing.passes(pictures[2]),
        Device.open(found, cache_dir=cache) as device,
        Vision(device) as vision,
    ):

        def after_all(frames: Frames) -> tuple[int, int]:
            for picture in pictures:
                with frames.on_device(passing.show(picture)):
                    pass
            return frames.uploads, frames.kept_bytes // nbytes

        assert after_all(Frames(vision, passing)) == (3, 3)
        two = Frames(vision, passing, most=2)
        assert after_all(two) == (3, 2)
        with two.on_device(passing.show(pictures[0])):
            assert two.uploads == 4  # the oldest had gone
        assert after_all(Frames(vision, passing, most_bytes=nbytes + 1)) == (3, 1)
        assert after_all(Frames(vision, passing, most_bytes=0)) == (3, 0)

        full, upload, refused = Frames(vision, passing), vision.upload_frame, []

        def refuse_third(content: U8) -> Any:
            if full.uploads == 3 and not refused:
                refused.append(content)
                raise DeviceBusy("device out of memory")
            return upload(content)

        monkeypatch.setattr(vision, "upload_frame", refuse_third)
        assert after_all(full) == (3, 1)
        assert refused


def test_after_a_lost_device_pictures_are_uploaded_anew_and_the_scene_begins_anew(
    compute: OpenclCompute, tmp_path: Path
) -> None:
    card = detector(tmp_path)
    session: Any = compute.session(card)
    scene = compute.scene(rule())
    assert scene
    failed = []

    def lose(device: Device) -> Device:
        if not failed:
            failed.append(device)
            raise DeviceLost("gone")
        return device

    with compute.looking_at(picture := array_picture(scenery(0))):
        before = session.find(picture, card)
        assert scene.look(picture, at_s=0.0) is None
        assert compute.worker.submit(lose).result() is not failed[0]

        assert same_boxes(session.find(picture, card), before)
        assert scene.look(picture, at_s=1.0) is None
        seen = scene.look(picture, at_s=2.0)

    assert seen is not None
    assert seen.count == 0


def test_a_device_that_was_given_up_takes_no_scene_and_hands_its_models_to_the_cpu(
    compute: OpenclCompute, tmp_path: Path
) -> None:
    cards = detector(tmp_path / "d"), classifier_card(tmp_path / "c")
    picture = array_picture(scenery(0))

    def lose(_device: Device) -> None:
        raise DeviceLost("gone")

    with OrtCompute(threads=1) as cpu:
        both = DeviceCompute(compute, cpu, must=True, folder=tmp_path)
        assert both.scene(rule()) is None  # no model runs on the device yet
        sessions = [both.session(card) for card in cards]
        scene = both.scene(rule())
        assert all(isinstance(session, LastingSession) for session in sessions)
        assert scene
        with pytest.raises(DeviceLost):
            compute.worker.submit(lose).result()

        with both.looking_at(picture):
            assert opened(sessions[0], cards[0], yolov5, "detect").find(picture)[0].scores.size
            assert opened(sessions[1], cards[1], classifier, "classify").classify(picture, BOXES).shape == (3, 5)
        with pytest.raises(DeviceLost):
            scene.look(picture, at_s=0.0)
        assert both.scene(rule()) is None
