"""Every built-in plugin passes the contract suite of its kind; one without a case here fails the last test."""

import io
import json
from contextlib import redirect_stdout

import cv2
import numpy as np
import pytest
from aiosmtpd.controller import Controller

from edge.demo.parts import free_port
from edge.model import Answer, Classification, Detection, Outcome, PictureResult, Taxon
from edge.registry import load_registry
from edge.services import Station
from edge.testing import (
    check_decoder_contract,
    check_exporter_contract,
    check_notifier_contract,
    check_source_contract,
    check_stage_contract,
    fake_card,
    fake_services,
    fake_session,
    frame,
    grey_picture,
    notice,
    spooled_frame,
)
from edge.testing_megadetector import check_results
from tests.e2e.local_http import serving
from tests.e2e.twilio_server import ACCOUNT, TOKEN, twilio_server

REGISTRY = load_registry()
STAGES = {"motion": {}, "rollup": {}}
# How many anchors each head has on 64×64, and one deer in the middle: cx, cy, w, h, (objectness,) deer, rock.
HEADS = {"yolov5": 252, "yolov8": 84, "yolox": 84}
DEER = [32, 32, 16, 8, 0.9, 1.0, 0.0]
COVERED_ELSEWHERE = {
    "detect": "test_detection_stages_contract.py",
    "classify": "test_detection_stages_contract.py",
    "modem": "tests/e2e/test_modem.py, with the real gammu",
    "upload": "tests/parts/test_upload_source.py, with a book of uploads",
    "mqtt": "tests/e2e/test_agent_to_server.py and test_mqtt_alerts.py, with a real broker",
}
CAT = Detection(
    "animal",
    0.9,
    (0.1, 0.2, 0.3, 0.4),
    "animal",
    (Classification("tabby", 0.8),),
    Answer(Taxon("Felidae", "family", ("Animalia", "Mammalia", "Carnivora", "Felidae"), "cats", "félidos"), 0.95),
)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "cat.jpg"
    path.write_bytes(cv2.imencode(".jpg", np.full((60, 80, 3), 120, np.uint8))[1].tobytes())
    return path


@pytest.mark.parametrize("name", STAGES)
def test_stage(name):
    spec = REGISTRY.stages[name]
    frames = [frame(grey_picture(width=64, height=48), detections=(CAT,)) for _ in range(3)]

    answers = check_stage_contract(spec, spec.config(**STAGES[name]), frames)

    assert len(answers) == 3


@pytest.mark.parametrize("name", HEADS)
def test_decoder_of_boxes(name):
    card = fake_card(decoder=name, options={"decoded": True} if name == "yolox" else {})
    rows = np.zeros((1, HEADS[name], 7), np.float32)
    rows[0, 11] = DEER
    output = np.delete(rows, 4, axis=2).transpose(0, 2, 1).copy() if name == "yolov8" else rows

    (boxes,) = check_decoder_contract(REGISTRY.decoders[name], fake_session(card, output), [output])

    assert boxes.xyxy_px.tolist() == [[24, 28, 40, 36]]
    assert boxes.classes.tolist() == [0]


def test_decoder_of_classes():
    card = fake_card(name="species", task="classify", decoder="classifier", classes=("a", "b", "c"))
    logits = np.array([[1, 2, 3]], np.float32)

    probabilities = check_decoder_contract(REGISTRY.decoders["classifier"], fake_session(card, logits), [logits])

    assert probabilities.argmax() == 2


@pytest.mark.parametrize("name", ["watch", "replay"])
def test_source(name, tmp_path, picture):
    spec = REGISTRY.sources[name]
    options = {
        "watch": {"folder": picture.parent, "settle_s": 0.2, "rescan_s": 1},
        "replay": {"path": picture.parent, "every_s": 0},
    }

    (given,) = check_source_contract(
        spec, spec.config(**options[name]), fake_services(state_dir=tmp_path / "state"), expect=1
    )

    assert given.name == "cat.jpg"


def test_notifier_console(picture):
    spec = REGISTRY.notifiers["console"]

    with redirect_stdout(io.StringIO()) as out:
        check_notifier_contract(spec, spec.config(), notice(), fake_services(), picture=picture.read_bytes())

    assert out.getvalue().count("Panthera onca") == 2


class Inbox:
    def __init__(self):
        self.bodies = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802  # because aiosmtpd calls it so
        self.bodies.append(envelope.content)
        return "250 kept"


def test_notifier_email(picture):
    spec, inbox = REGISTRY.notifiers["email"], Inbox()
    port = free_port()
    server = Controller(inbox, hostname="127.0.0.1", port=port)
    server.start()
    try:
        config = spec.config(
            host="127.0.0.1", port=port, security="none", sender="a@example.org", recipients=["b@example.org"]
        )
        check_notifier_contract(spec, config, notice(), fake_services(), picture=picture.read_bytes())
    finally:
        server.stop()

    assert len(inbox.bodies) == 3


@pytest.mark.parametrize("name", ["sms", "whatsapp"])
def test_notifier_through_twilio(name, picture, monkeypatch):
    spec = REGISTRY.notifiers[name]
    monkeypatch.setenv("TWILIO_TOKEN", TOKEN)

    with twilio_server() as twilio:
        config = spec.config(
            account_sid=ACCOUNT,
            auth_token={"env": "TWILIO_TOKEN"},
            sender="+573000000001",
            recipients=["+573001234567"],
            api_base=twilio.base,
        )
        check_notifier_contract(spec, config, notice(), fake_services(), picture=picture.read_bytes())

    assert len(twilio.bodies) == 2  # the alert was sent twice, under one key


def test_notifier_webhook(picture):
    spec = REGISTRY.notifiers["webhook"]

    with serving() as server:
        config = spec.config(url=server.url(), allow_http=True, allow=["127.0.0.1"])
        check_notifier_contract(spec, config, notice(), fake_services(), picture=picture.read_bytes())

    assert len(server.requests) == 3


def test_notifier_gundi(picture, monkeypatch):
    monkeypatch.setenv("GUNDI_KEY", "0123456789")
    spec, services = (
        REGISTRY.notifiers["gundi"],
        fake_services(stations={"cam-03": Station("cam-03", "UTC", 4.6, -74.1)}),
    )

    with serving() as server:
        server.answers.extend(
            [(200, {}, b'{"object_id": "e-1"}'), (200, {}, b"{}"), (200, {}, b'{"object_id": "e-2"}')]
        )
        config = spec.config(
            url=server.url(""), allow_http=True, allow=["127.0.0.1"], api_key={"env": "GUNDI_KEY"},
            event_type="alert", health_event_type="state", request_every_s=0,
        )  # fmt: skip
        check_notifier_contract(spec, config, notice(), services, picture=picture.read_bytes())

    assert [request.path for request in server.requests] == [
        "/v2/events/",
        "/v2/events/e-1/attachments/",
        "/v2/events/",
    ]


def test_notifier_exec(picture, tmp_path):
    spec, kept = REGISTRY.notifiers["exec"], tmp_path / "kept"
    config = spec.config(command=["/bin/sh", "-c", 'cat >> "$0"; echo >> "$0"; echo taken', str(kept)])

    check_notifier_contract(spec, config, notice(), fake_services(), picture=picture.read_bytes())

    assert [json.loads(line)["kind"] for line in kept.read_text().splitlines()] == ["alert", "alert", "health"]


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise looks for it
def test_notifier_apprise(picture, monkeypatch):
    spec = REGISTRY.notifiers["apprise"]

    with serving() as server:
        monkeypatch.setenv("APPRISE_URL", f"json://127.0.0.1:{server.port}/")
        config = spec.config(urls=[{"env": "APPRISE_URL"}])
        check_notifier_contract(spec, config, notice(), fake_services(), picture=picture.read_bytes())

    assert len(server.requests) == 3


def test_exporter_megadetector(tmp_path):
    outcome = Outcome(spooled_frame(), (PictureResult(0, 0.0, (CAT,)),), 80, 60)

    path = check_exporter_contract(REGISTRY.exporters["megadetector"], tmp_path, [outcome])

    check_results(json.loads(path.read_text("utf-8")))


@pytest.mark.parametrize("name", ["camtrap-dp", "csv", "coco", "geojson"])
def test_exporter(name, tmp_path):
    outcome = Outcome(spooled_frame(), (PictureResult(0, 0.0, (CAT,)),), 80, 60)

    check_exporter_contract(REGISTRY.exporters[name], tmp_path, [outcome])


@pytest.mark.parametrize(
    "name", ["wildlife-insights", "darwin-core", "gpx", "kml", "matrices", "yolo", "tags", "report"]
)
def test_exporter_of_field_data(name, tmp_path, picture):
    outcome = Outcome(spooled_frame(picture), (PictureResult(0, 0.0, (CAT,)),), 80, 60)
    services = fake_services(stations={"ridge": Station("ridge", "UTC", 4.6, -74.1)})

    check_exporter_contract(REGISTRY.exporters[name], tmp_path, [outcome], services)


def test_no_built_in_plugin_is_without_a_contract_test():
    tested = {
        *STAGES,
        *HEADS,
        "classifier",
        "watch",
        "replay",
        "console",
        "email",
        "sms",
        "whatsapp",
        "webhook",
        "gundi",
        "exec",
        "apprise",
        "megadetector",
        "camtrap-dp",
        "csv",
        "coco",
        "geojson",
        "wildlife-insights",
        "darwin-core",
        "gpx",
        "kml",
        "matrices",
        "yolo",
        "tags",
        "report",
        *COVERED_ELSEWHERE,
    }

    assert {name for specs in REGISTRY.kinds().values() for name in specs} == tested
