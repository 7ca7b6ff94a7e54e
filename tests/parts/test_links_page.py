"""The page behind the link of a message: for whoever has it, for a while, and nothing more than that."""

import shutil
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from edge.alerts.desk import AlertDesk, AlertSettings
from edge.links import frame_path, open_signer, rotate_key
from edge.store import encounters as encounter_rows
from edge.store.schema import frames
from tests.alert_rig import JAGUAR, animal, person
from tests.web_rig import NOW, WebRig

STILL = Path(__file__).resolve().parents[3] / "shared" / "media" / "stills" / "human.jpg"


@pytest.fixture
def rig(tmp_path):
    with WebRig(tmp_path) as rig:
        desk = AlertDesk(rig.plan.rules, rig.plan.directory, rig.plan.stations, AlertSettings())

        def see(frame_id: str, *seen) -> str:
            """Record a real picture; the path of a link to it."""
            file = tmp_path / f"{frame_id}.jpg"
            shutil.copy(STILL, file)
            pk = rig.record("cam-01", frame_id, seen, path=file)
            outcome = rig.store.outcome(pk)
            with rig.store.transaction() as connection:
                desk.note(connection, outcome, NOW)
            return link(rig, pk)

        rig.see = see
        yield rig


def link(rig: WebRig, pk: int, *, base: str = "https://traps.example.org/cams") -> str:
    """As the outbox makes it; its path, as a proxy hands it on."""
    made = open_signer(rig.plan.state_dir, base).link(frame_path(pk), expires_at=NOW + timedelta(days=7))
    return urlsplit(made).path.removeprefix("/cams")


def test_whoever_has_the_link_sees_the_picture_and_its_story_and_nothing_else(rig):
    path = rig.see("a", animal(JAGUAR))
    answer = rig.client(None).get(path, headers={"accept-language": "es"})

    assert answer.status_code == 200
    for text in ("Panthera onca", "Jaguar", "cam-01", "10:00", f'src="{path}/picture.webp"'):
        assert text in answer.text
    assert "<a " not in answer.text
    assert "<nav" not in answer.text
    assert "<form" not in answer.text
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in answer.headers["x-robots-tag"]
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["vary"]


def test_people_can_not_be_recognised_not_even_by_an_admin(rig):
    path = rig.see("a", person())
    for client in (rig.client(None), rig.client("admin")):
        answer = client.get(f"{path}/picture.webp")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/webp"
        assert answer.headers["cache-control"] == "private, no-store"
        shown = np.asarray(Image.open(BytesIO(answer.content)).convert("L"), np.float32)
        with Image.open(STILL) as original:
            open_ = np.asarray(original.convert("L").resize(shown.shape[::-1]), np.float32)
        height, width = shown.shape
        middle = (slice(height // 3, 2 * height // 3), slice(width // 3, 2 * width // 3))
        detail = [float(np.abs(np.diff(each[middle], axis=1)).mean()) for each in (shown, open_)]
        assert detail[0] < detail[1] / 2  # the box's middle has lost its edges


def test_a_link_opens_no_other_picture_and_no_other_page(rig):
    path = rig.see("a", animal(JAGUAR))
    client = rig.client(None)
    client.get(path)

    assert client.get("/media/1/card-0.webp", follow_redirects=False).status_code in (303, 401)
    assert client.get("/", follow_redirects=False).status_code == 303
    assert client.get(f"{path}/../../api/v1/encounters").status_code in (401, 404)


def test_a_link_that_has_ended_says_so_in_both_languages_and_shows_nothing(rig):
    path = rig.see("a", animal(JAGUAR))
    rig.clock.step(7 * 86400 + 60)
    client = rig.client(None)

    assert client.get(path).status_code == 410
    assert "This link has ended" in client.get(path).text
    assert "Este enlace ya venció" in client.get(path, headers={"accept-language": "es"}).text
    assert "jaguar" not in client.get(path).text.lower()
    assert client.get(f"{path}/picture.webp").status_code == 410


@pytest.mark.parametrize("change", ["query", "letter", "frame", "none", "encoded", "long"])
def test_a_link_that_nobody_made_is_no_page(rig, change):
    path = rig.see("a", animal(JAGUAR))
    rig.see("b", animal(JAGUAR))
    forged = {
        "query": f"{path}?next=//evil.example",
        "letter": path[:-12] + ("A" if path[-12] != "A" else "B") + path[-11:],
        "frame": path.replace("/v/1-", "/v/2-"),
        "none": "/v/1",
        "encoded": path.replace("/v/1", "/v/%31"),
        "long": "/v/" + "a" * 5000,
    }[change]

    for each in (forged, f"{forged.partition('?')[0]}/picture.webp{'?x=1' if '?' in forged else ''}"):
        answer = rig.client(None).get(each)
        assert answer.status_code == 404
        assert "jaguar" not in answer.text.lower()


def test_asking_makes_no_key_and_a_new_key_keeps_links_of_the_one_before(rig):
    assert rig.client(None).get("/v/1-AAAAAAAAAAAAAAAA-abc").status_code == 404
    assert not (rig.plan.state_dir / "link-key").exists()

    path = rig.see("a", animal(JAGUAR))
    rotate_key(rig.plan.state_dir)
    assert rig.client(None).get(path).status_code == 200
    rotate_key(rig.plan.state_dir)
    assert rig.client(None).get(path).status_code == 404


def test_who_saw_to_it_is_not_named_to_whoever_has_the_link(rig):
    path = rig.see("a", animal(JAGUAR))
    with rig.store.transaction() as connection:
        [found] = encounter_rows.near(connection, "cam-01", "animal", at=NOW, gap=timedelta(minutes=1))
        encounter_rows.acknowledge(connection, found.pk, by="beatriz", now=NOW)

    page = rig.client(None).get(path).text

    assert "Somebody sees to it" in page
    assert "beatriz" not in page
    assert "@log" not in page


def test_a_frame_whose_original_was_deleted_or_is_gone_has_no_picture(rig):
    path = rig.see("a", animal(JAGUAR))
    with rig.store.transaction() as connection:
        connection.execute(frames.update().values(original="deleted"))

    assert rig.client(None).get(path).status_code == 200
    assert rig.client(None).get(f"{path}/picture.webp").status_code == 410
    gone = link(rig, 999)
    assert rig.client(None).get(gone).status_code == 404
