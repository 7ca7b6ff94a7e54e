"""All that a test of a plugin imports: fakes, builders, and one contract suite for each kind of plugin.

A plugin's author runs the same suites as we do: `check_stage_contract(SPEC, Config(), [frame(picture)])`. A suite
raises AssertionError with the promise that is broken, and returns what the plugin gave, for the test to look at.
"""

import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from .errors import FrameError, ModelError, SpoolFull
from .fakes import (
    ArrayPicture,
    FakeClip,
    FakeCompute,
    FakeMedia,
    FakeSession,
    MemoryLog,
    MemorySink,
    array_picture,
    fake_card,
    fake_services,
    fake_session,
    frame,
    grey_picture,
    notice,
    spooled_frame,
)
from .hookspecs import DecoderSpec, ExporterSpec, NotifierSpec, SourceSpec, StageSpec
from .model import F32, Boxes, Detection, Frame, Outcome
from .notices import Notice, Wording
from .services import Incoming, Services, Session

__all__ = [
    "ArrayPicture", "FakeClip", "FakeCompute", "FakeMedia", "FakeSession", "MemoryLog", "MemorySink", "array_picture",
    "check_decoder_contract", "check_exporter_contract", "check_notifier_contract", "check_source_contract",
    "check_stage_contract", "fake_card", "fake_services", "fake_session", "frame", "grey_picture", "notice",
    "spooled_frame",
]  # fmt: skip

PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
MISSPELT = "no_such_option_at_all"


def check_stage_contract(
    spec: StageSpec[Any], config: BaseModel, frames: Sequence[Frame], services: Services | None = None
) -> list[Frame]:
    """Check a stage against what the pipeline relies on, and return its answers to `frames`, in order.

    It builds and closes, may be called from a thread of its own, returns the same frame of the same clip with only the
    fields changed that `spec.writes` names (and `rejected`), leaves the pixels alone, and gives boxes and scores in
    0..1. A FrameError for a frame is a fair answer too; the frame then comes back as rejected with the error's text.
    """
    _check_name_and_config(spec.name, spec.config)
    known = {each.name for each in fields(Frame)}
    assert spec.reads | spec.writes <= known, f"reads and writes name fields of Frame, got {spec.reads | spec.writes}"
    before = [each.picture.bgr().copy() for each in frames]
    with (
        spec.build(config, services or fake_services()) as stage,
        ThreadPoolExecutor(max_workers=1) as thread,
    ):
        answers = [thread.submit(_answer, stage, each).result() for each in frames]
    for asked, answer, pixels in zip(frames, answers, before, strict=True):
        assert isinstance(answer, Frame), f"a stage returns a Frame, got {type(answer).__name__}"
        assert np.array_equal(asked.picture.bgr(), pixels), "a stage must not draw into the picture"
        for name in known - spec.writes - {"rejected"}:
            assert getattr(answer, name) is getattr(asked, name), f"{name!r} changed, but `writes` does not name it"
        for detection in answer.detections:
            _check_detection(detection)
    return answers


def _answer(stage: Any, asked: Frame) -> Any:
    try:
        return stage(asked)
    except FrameError as exc:
        return asked.reject(str(exc))


def _check_detection(detection: Detection) -> None:
    left, top, width, height = detection.xywh_norm
    inside = (
        left >= 0 and top >= 0 and width > 0 and height > 0 and left + width <= 1 + 1e-6 and top + height <= 1 + 1e-6
    )
    assert inside, f"a box lies inside 0..1 and has an area, got {detection.xywh_norm}"
    assert 0 <= detection.score <= 1, f"a score is 0..1, got {detection.score}"
    ranks = [each.score for each in detection.classifications]
    assert ranks == sorted(ranks, reverse=True), "classifications stand most likely first"
    assert all(0 <= each <= 1 for each in ranks), "probabilities are 0..1"


def check_decoder_contract(spec: DecoderSpec, session: Session, outputs: Sequence[F32]) -> Sequence[Boxes] | F32:
    """Check a decoder on the outputs of one run of `session`, and return what it made of them.

    `check` takes this session and refuses a head of another shape with a ModelError of one line that names the model;
    `decode` leaves the outputs alone and gives, for each input, boxes at or above the card's min_score with known
    classes, or for a classifier probabilities float32 (n, classes).
    """
    assert PLUGIN_NAME.fullmatch(spec.name), f"{spec.name!r} can't be a `decoder` key"
    card = session.card
    spec.check(session)
    foreign = FakeSession(card, lambda _batch: [], [(None, 1, 2, 3, 5, 7)])
    try:
        spec.check(foreign)
    except ModelError as exc:
        text = str(exc)
        assert card.name in text, f"the refusal must name the model, it says: {text}"
        assert "\n" not in text, f"the refusal must be one line, it says: {text}"
    else:
        raise AssertionError("check took a head of shape (n, 1, 2, 3, 5, 7)")
    count = len(outputs[0])
    before = [each.copy() for each in outputs]
    decoded = spec.decode(outputs, card)
    assert all(np.array_equal(*pair) for pair in zip(outputs, before, strict=True)), "decode must not change outputs"
    assert len(decoded) == count, f"one answer an input: {count} inputs, {len(decoded)} answers"
    if isinstance(decoded, np.ndarray):
        assert decoded.dtype == np.float32, f"probabilities are float32, got {decoded.dtype}"
        assert decoded.shape == (count, len(card.classes)), f"probabilities are (n, classes), got {decoded.shape}"
        assert bool(((decoded >= 0) & (decoded <= 1)).all()), "probabilities are 0..1"
        return decoded
    for boxes in decoded:
        assert bool(np.isfinite(boxes.xyxy_px).all()), "corners are finite"
        assert bool((boxes.xyxy_px[:, 2:] >= boxes.xyxy_px[:, :2]).all()), "boxes are left, top, right, bottom"
        assert bool(((boxes.scores >= card.min_score) & (boxes.scores <= 1)).all()), "scores are min_score..1"
        assert bool(((boxes.classes >= 0) & (boxes.classes < len(card.classes))).all()), "classes are indices"
    return decoded


def check_source_contract(
    spec: SourceSpec[Any], config: BaseModel, services: Services, *, expect: int, grace_s: float = 10.0
) -> list[Incoming]:
    """Check a source that has `expect` frames to give, and return them.

    It hands each frame over, comes back with a frame for which the spool was full, and ends within `grace_s` of being
    told to stop.
    """
    _check_name_and_config(spec.name, spec.config)
    sink, stop = MemorySink(refusals=[SpoolFull("the spool is full, in this test")]), threading.Event()
    with spec.build(config, services) as source:
        thread = threading.Thread(target=source.run, args=(sink, stop), name=f"source-{spec.name}")
        thread.start()
        arrived = sink.wait_for(expect, timeout_s=grace_s)
        stop.set()
        thread.join(grace_s)
    assert not thread.is_alive(), f"the source did not stop within {grace_s} s"
    assert arrived, f"{len(sink.received)} of {expect} frames arrived; the first was refused once with SpoolFull"
    for incoming in sink.received:
        assert incoming.source, "`source` says where a frame came from"
        assert isinstance(incoming.body, bytes) or incoming.body.is_absolute(), "a path must be absolute"
    return list(sink.received)


def check_notifier_contract(
    spec: NotifierSpec[Any], config: BaseModel, notice: Notice, services: Services, *, picture: bytes
) -> None:
    """Check that a notifier delivers a notice twice in a row, with its picture and without, and one about no animal.

    notice: an alert. What it returns is an id of one line, or nothing.
    """
    _check_name_and_config(spec.name, spec.config)
    words = Wording("All is well", (("", "7 stations were heard today."),))
    health = replace(notice, key=f"{notice.key}-h", kind="health", words=words, thread="", alert=None, code="", link="")
    with spec.build(config, services) as notifier:
        for each, shown in ((notice, picture), (notice, b""), (health, b"")):
            receipt = notifier.send(each, picture=shown)
            assert receipt is None or receipt.isprintable(), f"a receipt's id is one line, got {receipt!r}"


def check_exporter_contract(
    spec: ExporterSpec, folder: Path, outcomes: Sequence[Outcome], services: Services | None = None
) -> Path:
    """Check an exporter on `outcomes` and on one failed file, and return the file it wrote.

    Nothing to export gives a file too, and what was there before is replaced.
    """
    assert PLUGIN_NAME.fullmatch(spec.name), f"{spec.name!r} can't be a format's name"
    assert spec.suffix.startswith("."), f"a suffix starts with a dot, got {spec.suffix!r}"
    services = services or fake_services()
    path = folder / f"contract{spec.suffix}"
    with spec.open(path, services):
        pass
    assert path.is_file(), "an export of nothing is a file"
    empty = path.read_bytes()
    with spec.open(path, services) as exporter:
        for outcome in outcomes:
            exporter.add(outcome)
        exporter.fail("broken.jpg", "no picture that can be read")
    assert path.read_bytes() != empty, "an export of something differs from an export of nothing"
    return path


def _check_name_and_config(name: str, config: type[BaseModel]) -> None:
    assert PLUGIN_NAME.fullmatch(name), f"{name!r} can't be a `use:` key"
    try:
        config.model_validate({MISSPELT: 1})
    except ValidationError as exc:
        refused = any(MISSPELT in map(str, error["loc"]) for error in exc.errors())
    else:
        refused = False
    assert refused, f"the config of {name!r} must refuse unknown keys: model_config = ConfigDict(extra='forbid')"
