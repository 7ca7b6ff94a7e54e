"""The Compute protocol on a real device: batches, memory, pictures in and boxes out, and a device that is lost."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edge.compute.choice import FoundDevice, match, parse_choice
from edge.compute.probe import probe_devices
from edge.errors import DeviceLost, ModelError, NoDeviceError, StageError, UnsupportedOpError
from edge.inference.head import OpenModel
from edge.inference.opencl.check import check, check_picture, difference, key_of, load_verdict, save_verdict
from edge.inference.opencl.session import OpenclCompute
from edge.inference.ort import OrtCompute
from edge.inference.preprocess import to_batch
from edge.inference.select import LastingSession, open_compute
from edge.model import F32, Card
from edge.models.installed import InstalledModels
from edge.models.zoo.zoo import build
from edge.paths import models_dir
from edge.registry import load_registry
from edge.testing import array_picture, fake_card

ROUNDING = 1e-4  # of the largest value, as in check.MOST_ERROR's reason; 100 layers give 2e-6 here
SIZE = 96  # pixels: the smallest that all strides of a detector divide


@pytest.fixture(scope="module", autouse=True)
def quick_compiler() -> Iterator[None]:
    """PoCL without its optimiser, which took four fifths of the time; the tests of single kernels have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POCL_EXTRA_BUILD_FLAGS", "-cl-opt-disable")
        yield


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


def zoo_card(folder: Path, model: onnx.ModelProto, *, size: int = SIZE, **changes: Any) -> Card:
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    return fake_card(folder=folder, input_hw=(size, size), sha256="", **changes)


def pictures(card: Card, count: int) -> F32:
    return np.random.default_rng(1).random((count, 3, *card.input_hw), np.float32)


def mean_of_channels() -> onnx.ModelProto:
    """The smallest model that hands a NaN on: activations of larger ones swallow it."""
    weights = onnx.numpy_helper.from_array(np.full((1, 3, 1, 1), 1 / 3, np.float32), "w")
    node = onnx.helper.make_node("Conv", ["images", "w"], ["y"])
    taken, given = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, channels, SIZE, SIZE])
        for name, channels in (("images", 3), ("y", 1))
    )
    graph = onnx.helper.make_graph([node], "mean", [taken], [given], [weights])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_any_number_of_pictures_gives_the_answers_of_onnx_runtime(
    compute: OpenclCompute, tmp_path: Path, count: int
) -> None:
    card = zoo_card(tmp_path / "m", build("mobilenetv2", batch=None, size=SIZE))
    batch = pictures(card, count)

    ours = compute.session(card).run(batch)

    with OrtCompute() as cpu:
        assert difference(ours, cpu.session(card).run(batch)) < ROUNDING
    assert [len(each) for each in ours] == [count]


def test_a_model_for_one_picture_takes_more(compute: OpenclCompute, tmp_path: Path) -> None:
    card = zoo_card(tmp_path / "m", build("mobilenetv2", batch=1, size=SIZE))
    batch = pictures(card, 3)

    (ours,) = compute.session(card).run(batch)

    with OrtCompute() as cpu:
        assert difference([ours], cpu.session(card).run(batch)) < ROUNDING


def test_a_card_too_small_gets_its_weights_as_it_runs(found: FoundDevice, cache: Path, tmp_path: Path) -> None:
    card = zoo_card(tmp_path / "m", build("mobilenetv2", batch=1, size=SIZE))
    batch, told = pictures(card, 1), []
    with OpenclCompute(
        found, cache_dir=cache, memory_bytes=8 * 2**20, tell=lambda event, fields: told.append((event, fields["how"]))
    ) as small:
        ours = small.session(card).run(batch)

    with OrtCompute() as cpu:
        assert difference(ours, cpu.session(card).run(batch)) < ROUNDING
    assert told == [("compute.squeezed", "streamed")]


def test_a_model_larger_than_any_plan_is_refused_with_figures(found: FoundDevice, cache: Path, tmp_path: Path) -> None:
    card = zoo_card(tmp_path / "m", build("mobilenetv2", batch=1, size=SIZE))

    with (
        OpenclCompute(found, cache_dir=cache, memory_bytes=2**20) as tiny,
        pytest.raises(
            ModelError, match=r"needs \d+ MB on the device \(\d+ MB with its weights streamed.*1 MB are free"
        ),
    ):
        tiny.session(card)


def test_weights_that_are_no_numbers_are_refused_by_name(compute: OpenclCompute, tmp_path: Path) -> None:
    model = build("mobilenetv2", batch=1, size=SIZE)
    tensor = next(each for each in model.graph.initializer if len(each.dims) == 4)
    broken = onnx.numpy_helper.to_array(tensor).copy()
    broken.flat[0] = np.nan
    tensor.CopyFrom(onnx.numpy_helper.from_array(broken, tensor.name))

    with pytest.raises(ModelError, match=f"tensor '{tensor.name}' holds NaN"):
        compute.session(zoo_card(tmp_path / "m", model))


def test_an_answer_that_is_no_number_fails_the_picture_not_the_model(compute: OpenclCompute, tmp_path: Path) -> None:
    card = zoo_card(tmp_path / "m", mean_of_channels())
    session = compute.session(card)

    with pytest.raises(StageError, match="NaN or infinity"):
        session.run(np.full((1, 3, SIZE, SIZE), np.nan, np.float32))

    assert np.isfinite(session.run(pictures(card, 1))[0]).all()


def test_an_operator_nobody_knows_is_named_with_its_node_and_opset(compute: OpenclCompute, tmp_path: Path) -> None:
    model = build("mobilenetv2", batch=1, size=SIZE)
    last = model.graph.node[-1]
    last.op_type, last.name = "NonZero", "head"
    del last.attribute[:]
    del last.input[1:]

    with pytest.raises(UnsupportedOpError, match=r"op 'NonZero' \(opset \d+\) at node 'head'"):
        compute.session(zoo_card(tmp_path / "m", model))


def test_a_file_that_is_no_model_is_named(compute: OpenclCompute, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\xff" * 100)

    with pytest.raises(ModelError, match=r"model\.onnx is no ONNX model"):
        compute.session(fake_card(folder=tmp_path, sha256=""))


@pytest.mark.models
def test_the_whole_hop_on_the_device_finds_the_boxes_of_the_cpu_path(found: FoundDevice, cache: Path) -> None:
    card = InstalledModels(models_dir()).card("megadetector-lite")
    decoder = load_registry().decoders[card.decoder]
    picture = array_picture(check_picture((480, 640)))
    with OpenclCompute(found, cache_dir=cache, whole_hop=True) as compute, OrtCompute() as cpu:
        low = replace(card, min_score=0.01)
        ours, placed = OpenModel(low, compute.session(card), decoder).find(picture)
        theirs, expected = OpenModel(low, cpu.session(card), decoder).find(picture)

    assert placed == expected
    assert len(ours.scores) <= len(theirs.scores)  # ours after NMS, theirs before
    for box, score in zip(ours.xyxy_px, ours.scores, strict=True):
        nearest = np.abs(theirs.xyxy_px - box).max(axis=1) + np.abs(theirs.scores - score)
        assert nearest.min() < 0.5


@pytest.mark.models
def test_a_check_of_the_real_model_says_right_and_both_times(found: FoundDevice, cache: Path, tmp_path: Path) -> None:
    card = InstalledModels(models_dir()).card("efficientnet-lite0")
    with OpenclCompute(found, cache_dir=cache) as compute, OrtCompute() as cpu:
        verdict = check(card, lambda: compute.session(card), lambda: cpu.session(card), device=found.label)
    key = key_of(card, found.capability)
    save_verdict(tmp_path, key, verdict)

    assert verdict.is_right
    assert verdict.error < ROUNDING
    assert verdict.ms_opencl > 0
    assert verdict.ms_onnxruntime > 0
    assert load_verdict(tmp_path, key) == verdict
    assert load_verdict(tmp_path, "other") is None


def test_a_device_that_answers_wrongly_does_not_pass() -> None:
    card = fake_card(input_hw=(SIZE, SIZE))

    class Answers:
        output_shapes: Sequence[tuple[int | None, ...]] = ((None, 4),)

        def __init__(self, shift: float) -> None:
            self.card, self.shift = card, shift

        def run(self, batch: F32) -> list[F32]:
            return [np.full((len(batch), 4), 1.0 + self.shift, np.float32)]

    right = check(card, lambda: Answers(1e-6), lambda: Answers(0.0), device="d")
    wrong = check(card, lambda: Answers(0.01), lambda: Answers(0.0), device="d")

    assert right.is_right
    assert not wrong.is_right
    assert "differs from ONNX Runtime by 1.0e-02" in wrong.says


def test_a_lost_device_hands_its_models_to_the_cpu(tmp_path: Path) -> None:
    card = zoo_card(tmp_path / "m", build("mobilenetv2", batch=1, size=SIZE))

    class Lost:
        output_shapes: Sequence[tuple[int | None, ...]] = ((None, 1000),)

        def __init__(self) -> None:
            self.card = card

        def run(self, batch: F32) -> list[F32]:
            raise DeviceLost("gone")

    batch = pictures(card, 1)
    with OrtCompute() as cpu:
        session = LastingSession(Lost(), card, cpu)
        (first,) = session.run(batch)

        assert np.array_equal(first, cpu.session(card).run(batch)[0])


def test_auto_leaves_opencl_on_a_cpu_alone() -> None:
    with open_compute("auto", threads=1, jobs=1) as compute:
        assert isinstance(compute, OrtCompute)


def test_opencl_by_a_wrong_name_stops_with_what_there_is() -> None:
    with (
        pytest.raises(NoDeviceError, match="opencl:9/9 is not there; there are opencl:0/0"),
        open_compute("opencl:9/9", threads=1, jobs=1),
    ):
        pass


def test_check_picture_is_always_the_same_and_has_the_models_size() -> None:
    picture = check_picture((64, 48))

    assert picture.shape == (64, 48, 3)
    assert picture.std() > 20
    assert np.array_equal(picture, check_picture((64, 48)))
    assert to_batch([picture], fake_card(input_hw=(64, 48))).shape == (1, 3, 64, 48)
