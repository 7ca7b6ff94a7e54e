"""The upload page: a plain form that works without JS, the list of what was sent, one upload with its reasons."""

import re

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from edge.fakes import fake_services
from edge.pipeline.spool import Spool
from edge.stations.book import Book, StationRow
from edge.stations.folders import Folders
from edge.uploads import NewFile, UploadBook
from plugins.sources.upload import hand_over
from server.upload import pages
from tests.web_rig import NOW, WebRig

BODY = b"\xff\xd8\xff\xe0 picture"


@pytest.fixture
def rig(tmp_path):
    with WebRig(tmp_path) as rig:
        yield rig


def send(client, *files, station: str = "cam-01", **options):
    parts = [("files", (name, body)) for name, body in files]
    return client.post(pages.FORM, data={"station": station}, files=parts, follow_redirects=False, **options)


def test_a_plain_form_brings_files_to_the_daemon_and_leads_to_what_became_of_them(rig):
    client = rig.client("manager", name="ana")

    answer = send(client, ("card/DCIM/a.jpg", BODY), ("b.png", BODY + b"2"), ("notes.txt", b"x"), ("../../c.jpg", b"3"))

    assert answer.status_code == 303
    with UploadBook(rig.web.state_dir) as book:
        assert [(each.station, each.name) for each in book.due()] == [
            ("cam-01", "card/DCIM/a.jpg"),
            ("cam-01", "b.png"),
            ("cam-01", "c.jpg"),
        ]
    told = client.get(answer.headers["location"])
    assert "3 wait to be taken in" in told.text
    assert "1 left out" in told.text


def test_a_form_that_is_wrong_leads_back_and_says_why(rig, monkeypatch):
    client = rig.client("manager", stations=["cam-01"])

    for answer, said in (
        (send(client), "Choose a folder or files first."),
        (send(client, ("a.jpg", BODY), station="cam-02"), "it is not yours"),
        (send(client, ("a.jpg", BODY), station="<img src=x onerror=alert(1)>"), "no station&#39;s name"),
    ):
        assert answer.status_code == 303
        assert said in client.get(answer.headers["location"]).text
    monkeypatch.setattr(pages, "MOST_FORM", 10)
    too_long = send(client, ("a.jpg", BODY))
    assert (too_long.status_code, too_long.headers["location"]) == (303, "/upload?fault=too-long")
    with UploadBook(rig.web.state_dir) as book:
        assert book.uploads() == []


def test_the_page_speaks_spanish_lists_stations_of_ones_own_and_what_is_going_on(rig):
    client = rig.client("manager", name="ana", language="es", stations=["cam-01"])
    with UploadBook(rig.web.state_dir) as book:
        for upload, who in (("a" * 24, "ana"), ("b" * 24, "ben")):
            book.begin(upload, who=who, station="cam-01")
            book.add(upload, [NewFile("x.jpg", "cam-01", "still", 9, 0)])

    page = client.get("/upload").text

    assert 'value="cam-01"' in page
    assert "cam-02" not in page
    assert "a" * 24 in page
    assert "b" * 24 not in page
    assert "se está enviando" in page
    assert 'hx-trigger="every 4s' in page
    resumed = client.get("/upload", params={"resume": "a" * 24}).text
    assert f'data-resume="{"a" * 24}"' in resumed
    assert client.get("/upload", params={"resume": "b" * 24}).status_code == 404


def test_a_refused_file_is_shown_with_its_reason_and_harmless(rig):
    with UploadBook(rig.web.state_dir) as book:
        book.begin("a" * 24, who="ana", station="cam-01")
        [file] = book.add("a" * 24, [NewFile("<script>x.jpg", "cam-01", "still", 9, 0)])
        book.set_file(file, "refused", reason="<img src=x onerror=alert(1)>")
        book.set_upload("a" * 24, "finished")

    page = rig.client("manager").get(f"/upload/{'a' * 24}").text

    assert "1 refused" in page
    assert "<script>x.jpg" not in page
    assert "<img src=x" not in page


def test_an_open_upload_can_be_cancelled_and_ended_by_buttons(rig):
    client = rig.client("manager", name="ana")
    with UploadBook(rig.web.state_dir) as book:
        for upload in ("a" * 24, "b" * 24):
            book.begin(upload, who="ana", station="cam-01")
        client.post(f"/upload/{'a' * 24}/cancel")
        client.post(f"/upload/{'b' * 24}/finish")
        assert [book.upload(each * 24).state for each in "ab"] == ["cancelled", "finished"]


def test_who_may_not_upload_does_not_see_the_page(rig):
    assert rig.client("reviewer").get("/upload").status_code == 403
    assert send(rig.client("viewer"), ("a.jpg", BODY)).status_code == 403


def test_stations_to_choose_from_are_looked_up_once_for_all_pages_and_have_those_that_were_added(rig):
    Book(Folders.of(rig.web.state_dir).book).add(StationRow("cam-new", None, None, None, "", NOW, None))
    rig.record("cam-by-card", "f1")
    client, asked = rig.client("manager"), []

    def note(*args):
        asked.append(args[2])

    first = client.get("/upload").text
    event.listen(Engine, "before_cursor_execute", note)
    try:
        others = [client.get(each).text for each in ("/alerts", "/export", "/review", "/upload?fault=no-files")]
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert all(f'value="{each}"' in first for each in ("cam-01", "cam-by-card", "cam-new"))
    assert all("cam-new" in each for each in others)
    assert asked, "the pages ask the database for other things"
    assert not [each for each in asked if "min(frames.station)" in each]


def test_an_upload_says_how_many_of_its_pictures_could_not_be_looked_at(rig):
    client, spool = rig.client("manager", name="ana"), Spool(rig.store, fake_services(), limit_bytes=10_000_000)
    rig.record("cam-01", "of-another-card")
    address = send(client, *((f"{each}.jpg", BODY + bytes([each])) for each in range(3))).headers["location"]
    with UploadBook(rig.web.state_dir) as book:
        for each in book.due():
            hand_over(book, each, spool)
    broken = rig.store.claim_next(NOW)
    rig.store.quarantine_frame(broken, reason="no picture", now=NOW)

    page = client.get(address).text

    assert "3 taken in" in page
    assert "2 wait to be looked at" in page
    assert re.search(r'href="/system/quarantine">1 could not be looked at', page)
    assert "looked at</span>" in page
    assert not re.search(r"\d looked at", page)
