"""Originals and clips of the page: who gets them, under which name and type, in which pieces, and what is hidden."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import func, select, update

from edge.model import CaptureTime, Detection, Outcome, PictureResult, SpooledFrame
from edge.store import reviews
from edge.store.reviews import New, Said
from edge.store.schema import audit, frames, observations
from server.media import clips
from server.media.darkroom import close_darkroom
from server.media.originals import disposition, safe_name
from tests.alert_rig import animal, person
from tests.web_rig import NOW, WebRig

MEDIA = Path(__file__).resolve().parents[3] / "shared" / "media"
JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 1000


@pytest.fixture
def rig(tmp_path):
    with WebRig(tmp_path) as rig:
        yield rig


def record_clip(rig, path: Path, pictures: list[tuple[int, float, list[Detection]]], frame_id: str = "clip") -> int:
    """A recorded clip with these pictures."""
    captured = CaptureTime(NOW, NOW.isoformat(), "UTC", "container")
    size = path.stat().st_size
    frame = SpooledFrame("cam-01", frame_id, "clip", path, path.name, "c" * 64, size, "test", captured, NOW)
    rig.store.add_frames([(frame, 0)])
    claimed = rig.store.claim_next(NOW)
    results = tuple(PictureResult(number, time_s, tuple(found)) for number, time_s, found in pictures)
    assert rig.store.record(Outcome(claimed, results, width=320, height=240, frame_rate=10.0), now=NOW)
    return claimed.pk


def speckled_clip(path: Path, *, seconds: int = 3) -> Path:
    """Ten pictures a second, full of detail."""
    noise = np.random.default_rng(7)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.options = {"crf": "10", "preset": "ultrafast"}
        for _number in range(seconds * 10):
            grey = np.kron(noise.integers(0, 255, (30, 40), np.uint8), np.ones((8, 8), np.uint8))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(grey, "gray").reformat(format="yuv420p")))
        out.mux(stream.encode())
    return path


def roughness(pixels) -> float:
    rows, columns = pixels.shape
    part = pixels[int(rows * 0.35) : int(rows * 0.65), int(columns * 0.35) : int(columns * 0.65)]
    return float(np.abs(np.diff(part.astype(np.float32), axis=1)).mean())


def pictures_of(body: bytes, path: Path) -> list[np.ndarray]:
    path.write_bytes(body)
    with av.open(str(path)) as container:
        return [each.to_ndarray(format="gray") for each in container.decode(video=0)]


def test_an_original_comes_byte_for_byte_and_in_pieces_to_those_with_the_right(rig, tmp_path):
    path = tmp_path / "IMG_1.JPG"
    path.write_bytes(JPEG)
    pk = rig.record("cam-01", "a", [animal()], path=path)
    assert rig.client("viewer").get(f"/media/{pk}/original").status_code == 403
    client = rig.client("reviewer")

    whole = client.get(f"/media/{pk}/original")
    part = client.get(f"/media/{pk}/original", headers={"range": "bytes=10-19"})

    assert whole.content == JPEG
    assert whole.headers["content-type"] == "image/jpeg"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["content-disposition"] == "attachment; filename=\"IMG_1.JPG\"; filename*=UTF-8''IMG_1.JPG"
    assert (part.status_code, part.content) == (206, JPEG[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(JPEG)}"
    assert client.get(f"/media/{pk}/original", headers={"range": "bytes=999999-"}).status_code == 416


def test_an_html_page_named_jpg_is_saved_and_never_shown(rig, tmp_path):
    path = tmp_path / "evil.jpg"
    path.write_bytes(b"<html><script>alert(1)</script></html>")
    pk = rig.record("cam-01", "a", path=path)

    answer = rig.client("admin").get(f"/media/{pk}/original")

    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_original_with_people_needs_both_rights_and_is_written_down(tmp_path):
    site = "web: {sees_people: manager, sees_originals: viewer}\n"
    with WebRig(tmp_path, _site(site)) as rig:
        path = tmp_path / "a.jpg"
        path.write_bytes(JPEG)
        pk = rig.record("cam-01", "a", [person()], path=path)

        assert rig.client("viewer").get(f"/media/{pk}/original").status_code == 403
        assert rig.client("manager", name="eva").get(f"/media/{pk}/original").headers["cache-control"] == "no-store"
        with rig.store.reading() as connection:
            [row] = connection.execute(select(audit)).all()
        assert (row.who, row.action, row.details) == ("eva", "people.seen", {"what": "original"})


def test_what_is_withheld_deleted_changed_or_elsewhere_is_not_given(rig, tmp_path):
    path, secret = tmp_path / "a.jpg", tmp_path / "secret"
    path.write_bytes(JPEG)
    secret.write_bytes(b"x" * len(JPEG))
    client = rig.client("admin")
    pk = rig.record("cam-01", "a", path=path)

    for state in ("withheld", "deleted"):
        _set(rig, original=state)
        assert client.get(f"/media/{pk}/original").status_code == 410
    _set(rig, original="released")
    assert client.get(f"/media/{pk}/original").status_code == 200
    assert rig.client("admin", stations=["cam-02"]).get(f"/media/{pk}/original").status_code == 404

    path.unlink()
    path.symlink_to(secret)  # by somebody who may write into the watched folder
    assert client.get(f"/media/{pk}/original").status_code == 404
    path.unlink()
    path.write_bytes(JPEG + b"more")
    assert client.get(f"/media/{pk}/original").status_code == 404
    path.unlink()
    os.mkfifo(path)
    _set(rig, path=str(tmp_path))
    assert client.get(f"/media/{pk}/original").status_code == 404


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("card/DCIM/IMG 1.JPG", "IMG 1.JPG"),
        ("../../etc/passwd", "passwd"),
        ('a"; filename="b.html\r\nset-cookie: x=1', "a_; filename=_b.htmlset-cookie_ x=1"),
        ("foto\u202egpj.exe", "fotogpj.exe"),
        ("C:\\windows\\con.jpg", "_con.jpg"),
        ("día ñandú.jpg", "día ñandú.jpg"),
        ("\x00\x01", "file"),
        ("...", "file"),
        ("x" * 400 + ".jpg", "x" * 146 + ".jpg"),
    ],
)
def test_a_file_is_saved_under_a_name_that_harms_nobody(name, safe):
    assert safe_name(name) == safe
    header = disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2


def test_a_clip_becomes_one_that_browsers_play_with_its_people_hidden_and_comes_in_pieces(rig, tmp_path):
    source = speckled_clip(tmp_path / "a.mp4")
    pk = record_clip(rig, source, [(0, 0.0, []), (10, 1.0, [person()]), (20, 2.0, [])])
    client = rig.client("admin")

    answer = client.get(f"/media/{pk}/clip.mp4")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    shown = pictures_of(answer.content, tmp_path / "out.mp4")
    assert len(shown) == 30
    assert roughness(shown[10]) < roughness(shown[25]) / 4
    assert roughness(shown[5]) < roughness(shown[25]) / 4  # who was seen a second later may have come by then

    part = client.get(f"/media/{pk}/clip.mp4", headers={"range": "bytes=0-0"})
    assert (part.status_code, len(part.content)) == (206, 1)
    assert client.get(f"/media/{pk}/card-10.webp").status_code == 200
    assert client.get(f"/media/{pk}/card-11.webp").status_code == 404


def test_what_moves_through_a_clip_is_hidden_all_the_way_once_somebody_calls_one_of_its_boxes_a_person(rig, tmp_path):
    moving = [(number, number / 10, [replace(animal(side=0.5), track=track)]) for number, track in ((0, 1), (20, 1))]
    other = [(29, 2.9, [replace(animal(side=0.5), track=2)])]
    pk = record_clip(rig, speckled_clip(tmp_path / "a.mp4"), moving + other)
    client = rig.client()
    shown = client.get(f"/media/{pk}/clip.mp4")
    with rig.store.transaction() as connection:
        first = connection.scalar(select(func.min(observations.c.pk)).where(observations.c.frame_pk == pk))
        said = New(pk, Said("human"), first)
        reviews.add(connection, [said], action="a-review", by="ana", at=NOW)

    had = {"if-none-match": shown.headers["etag"]}
    hidden = client.get(f"/media/{pk}/clip.mp4", headers=had)

    assert (shown.headers["cache-control"], hidden.status_code) == ("private, no-cache", 200)
    before, after = (pictures_of(each.content, tmp_path / f"{at}.mp4") for at, each in enumerate((shown, hidden)))
    assert roughness(after[0]) < roughness(before[0]) / 4
    assert roughness(after[20]) < roughness(before[20]) / 4
    assert roughness(after[29]) > roughness(before[29]) / 2
    again = client.get(f"/media/{pk}/clip.mp4", headers={"if-none-match": hidden.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_clip_becomes_webm_where_nothing_makes_h264(rig, tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "H264", ("no-such-encoder",))
    pk = record_clip(rig, speckled_clip(tmp_path / "a.mp4", seconds=1), [(0, 0.0, [person()])])

    answer = rig.client().get(f"/media/{pk}/clip.mp4")

    assert answer.headers["content-type"] == "video/webm"
    assert len(pictures_of(answer.content, tmp_path / "out.webm")) == 10


def test_a_clips_picture_is_the_one_at_its_time(rig, tmp_path):
    source = speckled_clip(tmp_path / "a.mp4")
    pk = record_clip(rig, source, [(0, 0.0, []), (17, 1.7, [])])
    with av.open(str(source)) as container:
        wanted = [each.to_ndarray(format="gray") for each in container.decode(video=0)][17]
    body = rig.client().get(f"/media/{pk}/thumb-17.webp").content
    shown = np.asarray(Image.open(BytesIO(body)).convert("L"), np.float32)

    assert np.corrcoef(shown.ravel(), wanted.astype(np.float32).ravel())[0, 1] > 0.95


def test_a_clip_that_takes_long_is_said_to_be_made_and_made_once(rig, tmp_path, monkeypatch):
    pk = record_clip(rig, speckled_clip(tmp_path / "a.mp4", seconds=1), [(0, 0.0, [])])
    go, made = threading.Event(), []

    def slowly(known, target, **options):
        go.wait(20)
        made.append(target)
        original(known, target, **options)

    original = clips.make_clip
    monkeypatch.setattr(clips, "make_clip", slowly)
    monkeypatch.setattr("server.media.pages.WAIT_S", 0.05)
    with rig.client() as client, ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(lambda _each: client.get(f"/media/{pk}/clip.mp4"), range(5)))
        assert {(each.status_code, each.headers["retry-after"]) for each in answers} == {(202, "3")}
        go.set()
        monkeypatch.setattr("server.media.pages.WAIT_S", 20.0)
        assert client.get(f"/media/{pk}/clip.mp4").status_code == 200
    assert len(made) == 1


def test_a_clip_in_hand_is_given_up_when_the_page_ends_and_leaves_nothing(rig, tmp_path, monkeypatch):
    pk = record_clip(rig, speckled_clip(tmp_path / "a.mp4", seconds=1), [(0, 0.0, [])])
    client, begun = rig.client(), threading.Event()

    def in_hand(known, target, *, max_pixels, stop):
        begun.set()
        stop.wait(20)
        original(known, target, max_pixels=max_pixels, stop=stop)

    original = clips.make_clip
    monkeypatch.setattr(clips, "make_clip", in_hand)
    with client, ThreadPoolExecutor(1) as thread:
        asked = thread.submit(client.get, f"/media/{pk}/clip.mp4")
        begun.wait(20)
        close_darkroom(client.app)
        assert asked.result(20).status_code == 404
        assert client.get(f"/media/{pk}/clip.mp4").status_code == 202
        assert client.get(f"/media/{pk}/thumb-0.webp").status_code == 503
    assert not [each for each in (rig.web.own_dir / "pictures").rglob("*") if each.is_file()]


def test_a_clip_that_can_not_be_kept_is_no_error_of_the_page(rig, tmp_path):
    pk = record_clip(rig, speckled_clip(tmp_path / "a.mp4"), [(0, 0.0, [])])
    (rig.web.own_dir / "pictures").write_text("not a folder")

    assert rig.client().get(f"/media/{pk}/clip.mp4").status_code == 404


def test_a_clip_that_is_broken_or_a_still_is_not_there(rig, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom")
    pk = record_clip(rig, path, [(0, 0.0, [])])
    still = rig.record("cam-01", "s", path=path)

    assert rig.client().get(f"/media/{pk}/clip.mp4").status_code == 404
    assert rig.client().get(f"/media/{still}/clip.mp4").status_code == 404


@pytest.mark.skipif(not MEDIA.is_dir(), reason="needs ../shared/media")
def test_every_real_clip_gives_pictures_and_a_clip(rig):
    client = rig.client()
    for path in sorted((MEDIA / "video").iterdir()):
        pk = record_clip(rig, path, [(0, 0.0, [])], path.name)
        assert client.get(f"/media/{pk}/thumb-0.webp").status_code == 200
        assert client.get(f"/media/{pk}/clip.mp4").status_code in {200, 202}


def test_the_api_tells_a_frame_its_boxes_over_time_and_where_its_pictures_are(rig, tmp_path):
    path = speckled_clip(tmp_path / "a.mp4", seconds=1)
    pk = record_clip(rig, path, [(0, 0.0, []), (5, 0.5, [person(0.7)])])

    told = rig.client("viewer").get(f"/api/v1/frames/{pk}").json()
    tracks = rig.client("viewer", language="es").get(f"/api/v1/frames/{pk}/tracks").json()

    assert (told["station"], told["kind"], told["people"], told["original"]) == ("cam-01", "clip", True, "kept")
    assert told["links"]["clip"] == f"/media/{pk}/clip.mp4"
    assert "original" not in told["links"]
    assert "original" in rig.client("reviewer").get(f"/api/v1/frames/{pk}").json()["links"]
    [box] = tracks["pictures"][1]["boxes"]
    assert (tracks["pictures"][1]["time_s"], box["kind"], box["name"], box["score"]) == (0.5, "human", "persona", 0.7)
    assert rig.client("viewer", stations=["cam-02"]).get(f"/api/v1/frames/{pk}").status_code == 404
    assert rig.client(None).get(f"/api/v1/frames/{pk}/tracks").status_code == 401


def _set(rig, **values) -> None:
    with rig.store.transaction() as connection:
        connection.execute(update(frames).values(**values))


def _site(web: str) -> str:
    return (
        "site: {name: Reserva, language: en, timezone: UTC}\nstations: [{name: cam-01}]\n"
        "sources: [{use: watch, folder: inbox}]\nstages: [{use: motion}]\n" + web
    )
