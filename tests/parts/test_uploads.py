"""Uploads through the API: names made safe, pieces over a bad link, bounds, and what never leaves its folder."""

import hashlib
import shutil

import pytest

from edge.pipeline.spool import Spool
from edge.testing import fake_services
from edge.uploads import UploadBook
from plugins.sources.upload import hand_over
from server.upload import desk as desks
from server.upload.names import NotWanted, new_file
from tests.web_rig import SITE, WebRig

BODY = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20


@pytest.fixture
def rig(tmp_path):
    with WebRig(tmp_path) as rig:
        yield rig


def begin(client, station: str = "cam-01") -> str:
    answer = client.post("/api/v1/uploads", json={"station": station})
    assert answer.status_code == 201, answer.text
    return f"/api/v1/uploads/{answer.json()['id']}"


def name(client, address: str, *names: str, size: int = len(BODY), mtime: int = 1_600_000_000_000) -> list[dict]:
    files = [{"name": each, "size": size, "mtime": mtime} for each in names]
    answer = client.post(f"{address}/files", json={"files": files})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def bring(client, address: str, number: int, body: bytes, offset: int = 0, **headers: str):
    return client.put(f"{address}/files/{number}", content=body, headers={"upload-offset": str(offset), **headers})


def test_a_file_comes_in_pieces_and_goes_on_where_it_was_after_a_restart(rig):
    client = rig.client("manager", name="ana")
    address = begin(client)
    [told] = name(client, address, "DCIM/IMG_1.JPG")
    assert (told["number"], told["offset"], told["state"], told["station"]) == (1, 0, "waiting", "cam-01")

    assert bring(client, address, 1, BODY[:1000]).json()["offset"] == 1000
    client = rig.client("manager", name="ana")  # another process: nothing but the disk knows
    [again] = name(client, address, "DCIM/IMG_1.JPG")
    assert (again["number"], again["offset"]) == (1, 1000)
    assert client.head(f"{address}/files/1").headers["upload-offset"] == "1000"

    wrong = bring(client, address, 1, BODY[500:])
    assert (wrong.status_code, wrong.headers["upload-offset"]) == (409, "1000")
    whole = bring(client, address, 1, BODY[1000:], 1000, **{"upload-sha256": hashlib.sha256(BODY).hexdigest()})
    assert whole.json()["state"] == "whole"
    assert bring(client, address, 1, b"", len(BODY)).json()["state"] == "whole"  # its answer got lost on the way
    with UploadBook(rig.web.state_dir) as book:
        [file] = book.due()
        path = book.path_of(file.upload, file.number)
        assert path.read_bytes() == BODY
        assert path.stat().st_mtime == 1_600_000_000


def test_what_arrives_damaged_begins_anew(rig):
    client = rig.client("manager")
    address = begin(client)
    name(client, address, "a.jpg")

    answer = bring(client, address, 1, BODY, **{"upload-sha256": "0" * 64})

    assert (answer.status_code, answer.headers["upload-offset"]) == (422, "0")
    assert client.get(f"{address}/files/1").json()["offset"] == 0


def test_a_finished_upload_tells_what_was_taken_known_and_refused(rig):
    client = rig.client("manager")
    address = begin(client)
    name(client, address, "a.jpg", "b.jpg", "c.jpg", "._junk.jpg", "notes.txt", "all.zip")
    for number, body in ((1, BODY), (2, BODY)):
        bring(client, address, number, body)
    assert client.post(f"{address}/finish").json()["state"] == "finished"

    services = fake_services()
    with UploadBook(rig.web.state_dir) as book:
        spool = Spool(rig.store, services, limit_bytes=10_000_000)
        for each in book.due():
            hand_over(book, each, spool)
    told = client.get(address).json()
    assert told["files"] == {"taken": 1, "known": 1, "waiting": 1}
    assert (told["skipped"], told["is_over"]) == (2, True)

    again = begin(client)
    name(client, again, "card/a.jpg")
    known = client.post(f"{again}/known", json={"hashes": {"1": hashlib.sha256(BODY).hexdigest(), "7": "x"}})
    assert known.json() == {"known": [1]}
    name(client, again, "card/b.jpg")
    assert bring(client, again, 2, BODY).json()["state"] == "known"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../../etc/cron.d/x.jpg", "etc/cron.d/x.jpg"),
        ("/etc/passwd.jpg", "etc/passwd.jpg"),
        ("C:\\DCIM\\IMG.JPG", "DCIM/IMG.JPG"),
        ("cam/./x//y.jpg", "cam/x/y.jpg"),
        ("día/ñandú.jpg", "día/ñandú.jpg"),
    ],
)
def test_a_name_keeps_its_folders_and_leads_nowhere(given, kept):
    assert new_file(given, 1, 0, station="cam-01").name == kept


@pytest.mark.parametrize(
    "given",
    ["a\0.jpg", 'a"b.jpg', "a\r\nset-cookie: x.jpg", "a\u202egpj.jpg", "con.jpg", "x" * 300 + ".jpg", "a<b>.jpg"],
)
def test_a_name_that_could_harm_is_changed_and_never_becomes_anothers(given):
    found = new_file(given, 1, 0, station="cam-01").name

    assert found.isprintable()
    assert not set(found) & set('\0"\r\n<>\u202e/\\')
    assert len(found) <= 200
    assert found.endswith(".jpg")
    assert found != new_file(f" {given}", 1, 0, station="cam-01").name
    assert "~" in found


@pytest.mark.parametrize(
    ("given", "size", "code"),
    [
        ("a.zip", 1, "archive"),
        ("a.html", 1, "not-media"),
        ("a", 1, "not-media"),
        ("._a.jpg", 1, "junk"),
        (".Trashes/a.jpg", 1, "junk"),
        ("a.jpg", 0, "empty"),
        ("a.jpg", 10**13, "too-large"),
        ("..", 1, "bad-name"),
        ("a.jpg", 1, "no-station"),
        ("<img src=x onerror=alert(1)>/a.jpg", 1, "bad-station"),
    ],
)
def test_what_is_not_wanted_is_told_with_why(given, size, code):
    with pytest.raises(NotWanted) as refused:
        new_file(given, size, 0, station="")
    assert refused.value.code == code


def test_the_first_folder_names_the_station_where_none_was_chosen(rig):
    client = rig.client("manager")
    told = name(client, begin(client, ""), "Cámara 3/DCIM/a.jpg", "a.jpg", "-x/b.jpg")

    assert [(each["station"], each["code"]) for each in told] == [
        ("Cámara_3", ""),
        ("", "no-station"),
        ("", "bad-station"),
    ]


def test_nothing_is_written_outside_its_folder_whatever_the_names_are(rig, tmp_path):
    client = rig.client("manager")
    before = {each for each in tmp_path.rglob("*") if "uploads" not in each.parts}
    address = begin(client)
    told = name(client, address, "../../up.jpg", "/abs.jpg", "..\\..\\win.jpg", "a\0b.jpg")
    for each in told:
        assert bring(client, address, each["number"], BODY).status_code == 200

    written = {each.name for each in (rig.web.own_dir / "uploads").rglob("*.bytes")}
    assert written == {"1.bytes", "2.bytes", "3.bytes", "4.bytes"}
    assert {each for each in tmp_path.rglob("*") if "uploads" not in each.parts} - before <= {rig.web.own_dir}
    for path in ("%2e%2e%2f", "..%2f..", "0" * 23, "g" * 24):
        assert client.get(f"/api/v1/uploads/{path}").status_code in {404, 405, 422}


def test_more_than_was_said_and_more_than_a_piece_may_have_is_refused(rig, monkeypatch):
    client = rig.client("manager")
    address = begin(client)
    name(client, address, "a.jpg", size=10)
    monkeypatch.setattr("server.upload.api.MOST_CHUNK", 100)

    assert bring(client, address, 1, b"x" * 11).status_code == 413
    assert bring(client, address, 1, b"x" * 101).status_code == 413
    assert (
        client.put(f"{address}/files/1", content=iter([b"x" * 99] * 9), headers={"upload-offset": "0"}).status_code
        == 413
    )
    assert client.get(f"{address}/files/1").json()["offset"] == 0
    assert client.put(f"{address}/files/1", content=b"x").status_code == 422
    assert client.post(f"{address}/files", content=b" " * 1_000_001).status_code == 413


def test_an_upload_that_has_no_room_is_refused_before_a_byte_of_it_came(tmp_path, monkeypatch):
    with WebRig(tmp_path, SITE.replace("web: {}", "web: {upload_bytes: 1000}")) as rig:
        client = rig.client("manager")
        address = begin(client)
        files = {"files": [{"name": f"{number}.jpg", "size": 400} for number in range(3)]}
        refused = client.post(f"{address}/files", json=files)
        assert refused.status_code == 413
        assert "no room" in refused.json()["detail"]
        files["files"].pop()
        assert client.post(f"{address}/files", json=files).status_code == 200
        assert client.post(f"{address}/files", json=files).status_code == 200  # the same, to go on
        client.delete(address)
        other = begin(client)
        assert client.post(f"{other}/files", json=files).status_code == 200

        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(desks.shutil, "disk_usage", lambda _path: usage._replace(free=desks.KEEP_FREE + 300))
        client.delete(other)
        assert "disk is full" in client.post(f"{begin(client)}/files", json=files).json()["detail"]


def test_an_upload_cancelled_leaves_no_bytes_behind(rig):
    client = rig.client("manager")
    address = begin(client)
    name(client, address, "a.jpg")
    bring(client, address, 1, BODY[:50])

    told = client.delete(address).json()

    assert (told["state"], told["files"]) == ("cancelled", {"dropped": 1})
    assert not list((rig.web.own_dir / "uploads").rglob("*.bytes"))
    assert client.post(f"{address}/files", json={"files": [{"name": "b.jpg", "size": 1}]}).status_code == 409


def test_an_upload_nobody_goes_on_with_is_given_up_and_forgotten(rig):
    client = rig.client("manager")
    address = begin(client)
    name(client, address, "a.jpg")
    bring(client, address, 1, BODY[:50])
    with UploadBook(rig.web.state_dir) as book:
        for days, left in ((20, 1), (100, 0)):
            with book._change() as database:
                database.execute("UPDATE uploads SET touched_s = touched_s - ?", (days * 86_400,))
            begin(client)
            assert len([each for each in book.uploads() if each.id in address]) == left
            assert not list((rig.web.own_dir / "uploads").rglob("*.bytes"))


def test_uploads_are_ones_own_and_for_ones_own_stations(rig):
    ana, ben = (
        rig.client("manager", name="ana", stations=["cam-01"]),
        rig.client("manager", name="ben", stations=["cam-02"]),
    )
    address = begin(ana)

    assert ben.get(address).status_code == 404
    assert ben.delete(address).status_code == 404
    assert ben.get("/api/v1/uploads").json()["items"] == []
    assert rig.client("admin").get(address).status_code == 200
    assert ben.post("/api/v1/uploads", json={"station": "cam-01"}).status_code == 403
    assert [each["code"] for each in name(ben, begin(ben, ""), "cam-01/a.jpg", "cam-02/a.jpg")] == ["not-yours", ""]
    assert rig.client("reviewer").post("/api/v1/uploads", json={}).status_code == 403
    assert rig.client(None).get("/api/v1/uploads").status_code == 401


def test_what_is_no_json_is_told_so(rig):
    client = rig.client("manager")
    address = begin(client)

    for body in (b"{", b"[]", b'{"files": [{"name": "\\ud800", "size": 1}]}', b'{"files": []}', b"\xff\xfe"):
        assert client.post(f"{address}/files", content=body).status_code == 422
