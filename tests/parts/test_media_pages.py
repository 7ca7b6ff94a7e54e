"""Derived pictures of the page: their sizes, who is hidden on them, who may see more, and what strange files do."""

import asyncio
import os
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import insert, select, update

from edge.media.opener import FileMedia
from edge.store.schema import audit, frames, observations, reviews
from server.media import darkroom
from server.media.kept import Kept
from server.media.known import read_known
from tests.alert_rig import animal, person
from tests.web_rig import NOW, WebRig

MEDIA = Path(__file__).resolve().parents[3] / "shared" / "media"


@pytest.fixture
def rig(tmp_path):
    with WebRig(tmp_path) as rig:
        yield rig


def speckled(path: Path, *, width: int = 800, height: int = 600) -> Path:
    """A JPEG full of fine detail: what is hidden is smooth, what is not is rough."""
    noise = np.random.default_rng(7).integers(0, 255, (height // 8, width // 8), np.uint8)
    cv2.imwrite(str(path), np.kron(noise, np.ones((8, 8), np.uint8)))
    return path


def pixels(answer) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/webp"
    return np.asarray(Image.open(BytesIO(answer.content)).convert("L"), np.float32)


def roughness(pixels: np.ndarray, box=(0.3, 0.3, 0.4, 0.4)) -> float:
    rows, columns = pixels.shape
    x, y, w, h = box
    part = pixels[int(y * rows) : int((y + h) * rows), int(x * columns) : int((x + w) * columns)]
    return float(np.abs(np.diff(part, axis=1)).mean())


def say(rig, pk: int, kind: str, *, box: int | None = None, count: int = 1) -> None:
    with rig.store.transaction() as connection:
        values = {"frame_pk": pk, "observation_pk": box, "kind": kind, "count": count}
        connection.execute(insert(reviews).values(**values, by="ana", at=NOW))


def test_a_picture_is_as_wide_as_its_size_says_and_never_enlarged(rig, tmp_path):
    pk = rig.record("cam-01", "a", [animal()], path=speckled(tmp_path / "a.jpg"))
    client = rig.client()

    for size, width in (("thumb", 320), ("card", 640), ("view", 800)):
        answer = client.get(f"/media/{pk}/{size}-0.webp")
        assert pixels(answer).shape == (width * 3 // 4, width)
        assert answer.headers["cache-control"] == "private, no-cache"  # else it outlives what hides somebody on it


@pytest.mark.skipif(not MEDIA.is_dir(), reason="needs ../shared/media")
def test_a_picture_that_lies_on_its_side_comes_upright(rig):
    path = MEDIA / "stills" / "african_elephants_with_exif_orientation.jpg"
    pk = rig.record("cam-01", "a", path=path)

    rows, columns = pixels(rig.client().get(f"/media/{pk}/thumb-0.webp")).shape
    with Image.open(path) as stored:
        turned = stored.getexif()[0x0112] >= 5
        assert turned
        assert rows / columns == pytest.approx(stored.width / stored.height, rel=0.02)
    assert columns == 320


@pytest.mark.skipif(not MEDIA.is_dir(), reason="needs ../shared/media")
def test_every_still_of_the_real_media_gives_all_sizes(rig):
    client = rig.client()
    for number, path in enumerate(sorted((MEDIA / "stills").glob("*.jpg"))[::3]):
        pk = rig.record("cam-01", f"f{number}", path=path)
        for size in ("thumb", "card", "view"):
            assert pixels(client.get(f"/media/{pk}/{size}-0.webp")).size


def test_a_browser_that_has_the_picture_is_told_so_until_something_else_is_hidden(rig, tmp_path):
    pk = rig.record("cam-01", "a", [animal()], path=speckled(tmp_path / "a.jpg"))
    client = rig.client()
    first = client.get(f"/media/{pk}/thumb-0.webp")

    again = client.get(f"/media/{pk}/thumb-0.webp", headers={"if-none-match": f'"x", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    say(rig, pk, "human")
    assert client.get(f"/media/{pk}/thumb-0.webp", headers={"if-none-match": first.headers["etag"]}).status_code == 200


def test_people_are_hidden_whoever_asks(rig, tmp_path):
    pk = rig.record("cam-01", "a", [person(0.05)], path=speckled(tmp_path / "a.jpg"))
    other = rig.record("cam-01", "b", [animal()], path=tmp_path / "a.jpg")

    for client in (rig.client("viewer"), rig.client("admin")):
        hidden, shown = (pixels(client.get(f"/media/{each}/card-0.webp")) for each in (pk, other))
        assert roughness(hidden) < roughness(shown) / 5
        assert roughness(hidden, (0.82, 0.0, 0.18, 1.0)) > roughness(shown, (0.82, 0.0, 0.18, 1.0)) * 0.8


def test_a_box_that_a_reviewer_calls_a_person_is_hidden_and_shown_again_when_that_is_undone(rig, tmp_path):
    pk = rig.record("cam-01", "a", [animal(side=0.5)], path=speckled(tmp_path / "a.jpg"))
    client = rig.client()
    before = roughness(pixels(client.get(f"/media/{pk}/card-0.webp")))
    with rig.store.reading() as connection:
        box = connection.scalar(select(observations.c.pk).where(observations.c.frame_pk == pk))

    say(rig, pk, "human", box=box)
    after = pixels(client.get(f"/media/{pk}/card-0.webp"))
    assert roughness(after) < before / 5
    assert roughness(after, (0.85, 0.0, 0.15, 1.0)) > before / 2

    with rig.store.transaction() as connection:
        connection.execute(update(reviews).values(undone_at=NOW))
    assert roughness(pixels(client.get(f"/media/{pk}/card-0.webp"))) == pytest.approx(before)


def test_a_picture_that_somebody_says_shows_people_is_hidden_whole_where_no_box_says_where(rig, tmp_path):
    pk = rig.record("cam-01", "a", [animal()], path=speckled(tmp_path / "a.jpg"))
    say(rig, pk, "human")

    hidden = pixels(rig.client("admin").get(f"/media/{pk}/view-0.webp"))

    assert roughness(hidden, (0, 0, 1, 1)) < 1.5


@pytest.mark.parametrize(
    ("boxes", "said", "count", "whole"),
    [
        ([person()], "human", 1, False),
        ([person()], "human", 2, True),  # one of them has no box
        ([replace(person(), category="vehicle")], "human", 1, True),
        ([person()], "vehicle", 1, True),
        ([replace(person(), category="vehicle")], "vehicle", 1, False),
    ],
)
def test_whoever_has_no_box_is_hidden_with_the_whole_picture(rig, tmp_path, boxes, said, count, whole):
    pk = rig.record("cam-01", "a", boxes, path=speckled(tmp_path / "a.jpg"))
    say(rig, pk, said, count=count)

    edge = roughness(pixels(rig.client("admin").get(f"/media/{pk}/card-0.webp")), (0.85, 0.0, 0.15, 1.0))

    assert (edge < 3) == whole


def test_a_thumbnail_is_hidden_where_its_full_picture_has_people(rig, tmp_path):
    path = speckled(tmp_path / "a.jpg")
    small, full = rig.record("cam-01", "s", path=path), rig.record("cam-01", "f", [person()], path=path)
    with rig.store.transaction() as connection:
        connection.execute(update(frames).where(frames.c.pk == small).values(full_pk=full, people=True))

    hidden = pixels(rig.client().get(f"/media/{small}/card-0.webp"))

    assert roughness(hidden) < 3
    assert roughness(hidden, (0.85, 0.0, 0.15, 1.0)) > 5


def test_a_frame_of_another_station_and_one_nobody_looked_at_are_not_there(rig, tmp_path):
    path = speckled(tmp_path / "a.jpg")
    pk, raw = rig.record("cam-01", "a", path=path), rig.record("cam-02", "b", path=path)
    with rig.store.transaction() as connection:
        connection.execute(update(frames).where(frames.c.pk == raw).values(state="quarantined"))

    for client, frame in ((rig.client(stations=["cam-02"]), pk), (rig.client(), raw)):
        for what in ("thumb-0.webp", "card-0.webp"):
            answer = client.get(f"/media/{frame}/{what}")
            assert answer.status_code == 404
            assert "<svg" in answer.text


def test_nothing_but_a_known_picture_has_an_address(rig, tmp_path):
    assert rig.record("cam-01", "a", path=speckled(tmp_path / "a.jpg")) == 1
    client = rig.client("admin")

    for address in (
        "/media/1/thumb-1.webp",
        "/media/1/huge-0.webp",
        "/media/1/..%2f..%2fsite-0.webp",
        "/media/1/thumb-0.webp%00.jpg",
        "/media/../site.yaml",
        "/media/1/../../site.yaml",
        "/media/..%2fsite.yaml",
        "/media/99999999999999999999999/thumb-0.webp",
        "/media/-1/thumb-0.webp",
        "/media/1/thumb--1.webp",
        "/media/1/thumb-99999999999999999999.webp",
    ):
        answer = client.get(address)
        assert answer.status_code in {404, 422}, address
        assert "stations:" not in answer.text


def test_a_file_that_is_gone_or_broken_or_deleted_gives_a_picture_that_says_so(rig, tmp_path):
    path = speckled(tmp_path / "a.jpg")
    gone = rig.record("cam-01", "gone", path=tmp_path / "nowhere.jpg")
    broken = rig.record("cam-01", "broken", path=_written(tmp_path / "b.jpg", b"<html><script>alert(1)</script>"))
    deleted = rig.record("cam-01", "deleted", path=path)
    client = rig.client(language="es")
    assert client.get(f"/media/{deleted}/thumb-0.webp").status_code == 200
    with rig.store.transaction() as connection:
        connection.execute(update(frames).where(frames.c.pk == deleted).values(original="deleted"))

    for pk, status, words in (
        (gone, 404, "El archivo no está donde estaba"),
        (broken, 404, "El archivo no se puede leer"),
        (deleted, 410, "El original fue eliminado"),
    ):
        answer = client.get(f"/media/{pk}/thumb-0.webp")
        assert answer.status_code == status
        assert answer.headers["content-type"] == "image/svg+xml"
        assert words in answer.text
    assert not list((rig.web.own_dir / "pictures").rglob(f"{deleted}-*"))  # also what was derived of it


def test_a_picture_of_900_megapixels_is_refused_without_decoding_it(rig, tmp_path):
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = zlib.compress(b"\0" * 30_001 * 300)
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    pk = rig.record("cam-01", "a", path=_written(tmp_path / "bomb.png", bomb))

    answer = rig.client().get(f"/media/{pk}/thumb-0.webp")

    assert answer.status_code == 404
    assert "can&#x27;t be read" in answer.text


def test_fifty_who_ask_at_once_make_one_picture(rig, tmp_path, monkeypatch):
    pk = rig.record("cam-01", "a", path=speckled(tmp_path / "a.jpg"))
    made, begin = [], threading.Event()

    def slowly(known, size, number, **options):
        begin.wait(10)
        made.append(known.pk)
        return original(known, size, number, **options)

    original = darkroom.derived
    monkeypatch.setattr(darkroom, "derived", slowly)
    with rig.client() as client, ThreadPoolExecutor(50) as threads:
        asked = [threads.submit(client.get, f"/media/{pk}/thumb-0.webp") for _each in range(50)]
        begin.set()
        assert {each.result(20).status_code for each in asked} == {200}
    assert made == [pk]


def test_who_looked_before_a_picture_was_kept_and_asks_after_it_makes_none(tmp_path, monkeypatch, rig):
    pk = rig.record("cam-01", "a", path=speckled(tmp_path / "a.jpg"))
    with rig.web.readers.read() as connection:
        known = read_known(connection, pk)
    room = darkroom.Darkroom(tmp_path / "pictures", FileMedia())
    first = asyncio.run(room.made(known, "thumb", 0))
    monkeypatch.setattr(darkroom, "derived", lambda *_known, **_options: pytest.fail("made again"))

    assert asyncio.run(room.made(known, "thumb", 0)) == first
    room.close()


def test_a_kept_picture_that_a_power_cut_cut_short_is_made_anew(rig, tmp_path):
    pk = rig.record("cam-01", "a", path=speckled(tmp_path / "a.jpg"))
    client = rig.client()
    whole = client.get(f"/media/{pk}/thumb-0.webp").content
    [kept] = (rig.web.own_dir / "pictures").rglob("*.webp")
    kept.write_bytes(whole[:-10])

    assert client.get(f"/media/{pk}/thumb-0.webp").content == whole
    assert kept.read_bytes() == whole


def test_what_is_kept_stays_within_its_bound_and_what_was_used_last_stays(tmp_path):
    kept = Kept(tmp_path, most_bytes=1000, _written=0)
    paths = [kept.path_of(number, "thumb-0", "k") for number in range(5)]
    for number, path in enumerate(paths):
        kept.keep(path, b"x" * 300)
        os.utime(path, (number, number or 99))

    assert kept.clean() == 2
    assert [path.exists() for path in paths] == [True, False, False, True, True]


def test_what_can_not_be_kept_is_shown_and_leaves_nothing_behind(rig, tmp_path):
    pk = rig.record("cam-01", "a", path=speckled(tmp_path / "a.jpg"))
    (rig.web.own_dir / "pictures").write_text("not a folder")
    assert rig.client().get(f"/media/{pk}/thumb-0.webp").status_code == 200

    kept = Kept(tmp_path / "kept")
    path = kept.path_of(1, "thumb-0", "k")
    path.mkdir(parents=True)  # in the way
    kept.keep(path, b"x" * 300)
    assert list(path.parent.iterdir()) == [path]


def test_the_open_picture_needs_its_right_is_kept_nowhere_and_written_down_once_an_hour(rig, tmp_path):
    pk = rig.record("cam-01", "a", [person()], path=speckled(tmp_path / "a.jpg"))
    address = f"/media/{pk}/open-card-0.webp"
    assert rig.client("viewer").get(address).status_code == 403

    client = rig.client("reviewer", name="ana")
    answer = client.get(address)
    client.get(f"/media/{pk}/open-view-0.webp")

    assert roughness(pixels(answer)) > 5
    assert answer.headers["cache-control"] == "no-store"
    assert not list((rig.web.own_dir).rglob("*.webp"))
    assert [(row.who, row.action, row.subject) for row in _audit(rig)] == [("ana", "people.seen", "frame cam-01/a")]
    rig.clock.step(timedelta(hours=2).total_seconds())
    client.get(address)
    assert len(_audit(rig)) == 2


def test_looking_at_an_animal_is_not_written_down(rig, tmp_path):
    pk = rig.record("cam-01", "a", [animal()], path=speckled(tmp_path / "a.jpg"))

    assert rig.client("reviewer").get(f"/media/{pk}/open-card-0.webp").status_code == 200
    assert _audit(rig) == []


def test_what_is_withheld_can_be_seen_hidden_but_not_open(rig, tmp_path):
    pk = rig.record("cam-01", "a", [person()], path=speckled(tmp_path / "a.jpg"))
    with rig.store.transaction() as connection:
        connection.execute(update(frames).values(original="withheld"))
    client = rig.client("admin")

    assert client.get(f"/media/{pk}/card-0.webp").status_code == 200
    assert client.get(f"/media/{pk}/open-card-0.webp").status_code == 410
    assert _audit(rig) == []


def _audit(rig):
    with rig.store.reading() as connection:
        return connection.execute(select(audit).order_by(audit.c.pk)).all()


def _written(path: Path, body: bytes) -> Path:
    path.write_bytes(body)
    return path
