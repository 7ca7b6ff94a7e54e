"""A card through the page into the record: the real daemon and its page, killed in the middle, nothing lost."""

import os
import signal
import struct
import subprocess
import sys
import zlib
from contextlib import contextmanager

import cv2
import httpx2
import numpy as np
from sqlalchemy import select

from edge.clock import SystemClock
from edge.config import load_plan
from edge.registry import load_registry
from edge.store import users
from edge.store.keys import add_token
from edge.store.schema import frames
from edge.store.sql import Store
from tests.e2e.waiting import HOST, free_port, listens, wait_until

LONGEST_S = 60
SITE = """\
site: {{name: Reserva, timezone: America/Bogota}}
state_dir: state
sources: []
stages: [{{use: motion}}]
web: {{port: {port}}}
"""


def picture(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (60, 80), np.uint8)
    return cv2.imencode(".jpg", np.kron(noise, np.ones((8, 8), np.uint8)))[1].tobytes()


def bomb() -> bytes:
    """30000 × 30000 pixels in a few kilobytes."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 3_000_000))
        + chunk(b"IEND", b"")
    )


CARD = {
    "DCIM/1.jpg": picture(1),
    "DCIM/2.jpg": picture(2),
    "DCIM/3.jpg": picture(3),
    "DCIM/copy.jpg": picture(1),
    "DCIM/bomb.png": bomb(),
    "DCIM/page.jpg": b"<html><script>alert(1)</script></html>",
}


@contextmanager
def running(site, port: int):
    """The daemon and its page; both are gone afterwards."""
    with (site.parent / "log.txt").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "edge.cli", "run", str(site)], stdout=log, stderr=log)
    try:
        wait_until(lambda: process.poll() is not None or listens(port), LONGEST_S)
        assert process.poll() is None, (site.parent / "log.txt").read_text()
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(LONGEST_S)
        wait_until(lambda: not listens(port), LONGEST_S)


@contextmanager
def asking(port: int, key: str):
    """A program with a key."""
    headers = {"authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=f"http://{HOST}:{port}", headers=headers, timeout=LONGEST_S) as client:
        yield client


def test_a_card_sent_over_a_bad_link_and_a_kill_is_in_the_record_once(tmp_path):
    port, site = free_port(), tmp_path / "site.yaml"
    site.write_text(SITE.format(port=port))
    plan = load_plan(site, load_registry())
    plan.state_dir.mkdir()
    with Store(plan.database_url) as store, store.transaction() as connection:
        now = SystemClock().now()
        user = users.add(connection, "ana", "manager", now=now, who="test")
        key = add_token(connection, user, "card", ["see", "upload"], now=now, who="test", days=None)
    named = [{"name": f"cam-07/{name}", "size": len(body), "mtime": 1_700_000_000_000} for name, body in CARD.items()]

    with running(site, port) as daemon, asking(port, key) as client:
        upload = f"/api/v1/uploads/{client.post('/api/v1/uploads', json={}).raise_for_status().json()['id']}"
        items = client.post(f"{upload}/files", json={"files": named}).raise_for_status().json()["items"]
        bodies = dict(zip([each["number"] for each in items], CARD.values(), strict=True))
        bring(client, upload, 1, bodies[1])
        bring(client, upload, 2, bodies[2][:1000])
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait(LONGEST_S)

    with running(site, port), asking(port, key) as client:
        again = client.post(f"{upload}/files", json={"files": named}).raise_for_status().json()["items"]
        assert [each["number"] for each in again] == list(bodies)
        assert again[1]["offset"] == 1000
        for each in again:
            if each["state"] == "waiting":
                bring(client, upload, each["number"], bodies[each["number"]][each["offset"] :], each["offset"])
        client.post(f"{upload}/finish").raise_for_status()
        wait_until(lambda: client.get(upload).json()["is_over"], LONGEST_S)
        assert client.get(upload).json()["files"] == {"taken": 5, "known": 1}
        with Store(plan.database_url, read_only=True) as store:
            wait_until(lambda: {each[0] for each in states(store)} == {"recorded", "quarantined"}, LONGEST_S)
            found = states(store)
        assert sorted((state, name) for state, name, _pk, _at in found) == [
            ("quarantined", "cam-07/DCIM/bomb.png"),
            ("quarantined", "cam-07/DCIM/page.jpg"),
            ("recorded", "cam-07/DCIM/1.jpg"),
            ("recorded", "cam-07/DCIM/2.jpg"),
            ("recorded", "cam-07/DCIM/3.jpg"),
        ]
        for _state, _name, _pk, at in found:
            assert at.timestamp() == 1_700_000_000
    assert not list((plan.state_dir / "web" / "uploads").rglob("*.bytes"))


def bring(client, upload: str, number: int, body: bytes, offset: int = 0) -> None:
    client.put(f"{upload}/files/{number}", content=body, headers={"upload-offset": str(offset)}).raise_for_status()


def states(store) -> list:
    columns = (frames.c.state, frames.c.name, frames.c.pk, frames.c.captured_utc)
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(select(*columns))]
