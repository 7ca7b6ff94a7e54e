"""The suites in edge.testing catch what they promise to catch: each faulty plugin here breaks one promise."""

import threading
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict

from edge.api import (
    Boxes,
    DecoderSpec,
    Detection,
    ExporterSpec,
    Incoming,
    ModelError,
    SourceSpec,
    SpoolFull,
    StageError,
    StageSpec,
)
from edge.testing import (
    check_decoder_contract,
    check_exporter_contract,
    check_source_contract,
    check_stage_contract,
    fake_card,
    fake_services,
    fake_session,
    frame,
)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Lax(BaseModel):
    pass


def stage(call, config=Strict, writes=frozenset({"detections"})):
    return StageSpec("faulty", config, lambda _config, _services: nullcontext(call), writes=writes)


def draws(asked):
    asked.picture.bgr()[0, 0] = 0
    return asked


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (stage(draws), "must not draw"),
        (stage(lambda asked: None), "returns a Frame"),
        (stage(lambda asked: replace(asked, number=7)), "'number' changed"),
        (stage(lambda asked: replace(asked, detections=(Detection("animal", 0.5, (0.9, 0, 0.2, 0.1)),))), "inside"),
        (stage(lambda asked: replace(asked, detections=(Detection("animal", 1.5, (0, 0, 0.2, 0.1)),))), "a score"),
        (stage(lambda asked: asked, config=Lax), "refuse unknown keys"),
        (stage(lambda asked: asked, writes=frozenset({"pixels"})), "name fields of Frame"),
    ],
)
def test_a_stage_that_breaks_a_promise_is_caught(spec, says):
    with pytest.raises(AssertionError, match=says):
        check_stage_contract(spec, spec.config(), [frame()])


def test_a_frame_that_a_stage_refuses_comes_back_rejected():
    def refuses(_asked):
        raise StageError("too dark")

    (answer,) = check_stage_contract(stage(refuses), Strict(), [frame()])

    assert answer.rejected == "too dark"


def boxes(xyxy, score, number):
    return Boxes(np.array([xyxy], np.float32), np.array([score], np.float32), np.array([number]))


def refuses_all_but_rank_two(session):
    if len(session.output_shapes[0]) != 2:
        raise ModelError(f"model {session.card.name!r}: another head")


@pytest.mark.parametrize(
    ("check", "answer", "says"),
    [
        (lambda _session: None, boxes([0, 0, 1, 1], 0.5, 0), "check took a head"),
        (refuses_all_but_rank_two, boxes([2, 0, 1, 1], 0.5, 0), "left, top"),
        (refuses_all_but_rank_two, boxes([0, 0, 1, 1], 0.1, 0), "min_score"),
        (refuses_all_but_rank_two, boxes([0, 0, 1, 1], 0.5, 2), "indices"),
        (refuses_all_but_rank_two, boxes([0, 0, np.inf, 1], 0.5, 0), "finite"),
    ],
)
def test_a_decoder_that_breaks_a_promise_is_caught(check, answer, says):
    spec = DecoderSpec("faulty", "detect", check, lambda _outputs, _card: [answer])
    output = np.zeros((1, 7), np.float32)

    with pytest.raises(AssertionError, match=says):
        check_decoder_contract(spec, fake_session(fake_card(), output), [output])


class Hands:
    """A source of one frame; `tries` is how often it offers a frame that is refused."""

    def __init__(self, *, tries=2, deaf=False):
        self.tries, self.deaf = tries, deaf

    def run(self, sink, stop):
        for _ in range(self.tries):
            try:
                sink.receive(Incoming("ridge", "a.jpg", "still", b"body", "test"))
                break
            except SpoolFull:
                continue
        (threading.Event() if self.deaf else stop).wait(1.0)


@pytest.mark.parametrize(
    ("source", "says"), [(Hands(tries=1), "0 of 1 frames arrived"), (Hands(deaf=True), "did not stop")]
)
def test_a_source_that_breaks_a_promise_is_caught(source, says):
    spec = SourceSpec("faulty", Strict, lambda _config, _services: nullcontext(source))

    with pytest.raises(AssertionError, match=says):
        check_source_contract(spec, Strict(), fake_services(), expect=1, grace_s=0.3)


def test_a_source_that_comes_back_with_the_frame_passes():
    spec = SourceSpec("good", Strict, lambda _config, _services: nullcontext(Hands()))

    (incoming,) = check_source_contract(spec, Strict(), fake_services(), expect=1)

    assert incoming.body == b"body"


def test_an_exporter_that_writes_nothing_for_nothing_is_caught(tmp_path):
    @contextmanager
    def lazy(_path, _services):
        yield None

    with pytest.raises(AssertionError, match="export of nothing is a file"):
        check_exporter_contract(ExporterSpec("faulty", ".txt", lazy), tmp_path, [])
