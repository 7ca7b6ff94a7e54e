"""The main job, whole: agent → broker → daemon → record → mail and file; and under kill -9."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from email import message_from_bytes, policy
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.demo.footage import fetch_pictures, make_footage

FRAMES = 31  # 30 stills from the agent and a clip from the SD card
CAT_FRAMES = 18
KILLS = ("daemon",) * 4 + ("agent",) * 3 + ("broker",) * 3

# stations at which a rule held: each walk of the cat is one encounter
TOLD = "select count(distinct encounter_pk) from matches"


def demo(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edge.cli", "demo", "--keep", str(folder), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def query(folder: Path, statement: str) -> list[tuple]:
    connection = sqlite3.connect(f"file:{folder / 'state' / 'tigrillo.sqlite'}?mode=ro", uri=True)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def assert_nothing_lost_and_nothing_twice(folder: Path, frames: int) -> None:
    rows = query(folder, "select station, id, sha256, path, state from frames")
    assert Counter(state for *_rest, state in rows) == {"recorded": frames}
    assert len({(station, frame_id) for station, frame_id, *_rest in rows}) == frames
    assert not list((folder / "agent-spool").glob("*.frame"))
    seqs = sorted(int(frame_id.split("-")[1]) for station, frame_id, *_rest in rows if not station.endswith("-sd"))
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    doubled = query(
        folder, "select frame_pk, number, x, y, count(*) from observations group by 1, 2, 3, 4 having count(*) > 1"
    )
    assert doubled == []
    sent = query(folder, "select count(*) from notices where state = 'sent'")[0][0]
    assert sent == query(folder, "select count(*) from notices")[0][0] == query(folder, TOLD)[0][0]


@pytest.mark.timeout(180)
def test_the_demo_takes_every_frame_from_the_camera_to_mailbox_and_file(models_dir, tmp_path):
    folder = tmp_path / "demo"

    with demo(folder) as process:
        output = process.communicate(timeout=150)[0]

    assert process.returncode == 0, output
    assert f"{FRAMES} captured = {FRAMES} received = {FRAMES} recorded" in " ".join(output.split())
    assert_nothing_lost_and_nothing_twice(folder, FRAMES)

    mails = sorted((folder / "mail").glob("*.eml"))
    assert len(mails) == query(folder, TOLD)[0][0] == 2
    message = message_from_bytes(mails[0].read_bytes(), policy=policy.default)
    (picture,) = [part for part in message.walk() if part.get_content_type() == "image/jpeg"]
    decoded = cv2.imdecode(np.frombuffer(picture.get_content(), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (720, 1280, 3)

    document = json.loads((folder / "results.json").read_text())
    found = [image for image in document["images"] if image["detections"]]
    assert len(document["images"]) == FRAMES
    assert len(found) >= CAT_FRAMES
    assert len(list((folder / "annotated").rglob("*.jpg"))) == len(found)


@pytest.mark.timeout(280)
def test_ten_kills_of_agent_daemon_and_broker_lose_and_double_nothing(models_dir, tmp_path):
    stills = tmp_path / "stills"
    fetch_pictures(models_dir.parent / "demo")
    make_footage(models_dir.parent / "demo", stills)
    folder = tmp_path / "demo"
    chance = random.Random(7)
    order = chance.sample(KILLS, len(KILLS))
    killed: list[str] = []

    with demo(folder, "--media", str(stills), "--frames", "30", "--every", "1.2", "--seconds", "200") as process:
        time.sleep(4)
        while order and process.poll() is None:
            time.sleep(chance.uniform(1.5, 3.5))
            pid = json.loads((folder / "pids.json").read_text())[order[0]]
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # the demo is just about to start it again
            killed.append(order.pop(0))
        output = process.communicate(timeout=230)[0]

    assert Counter(killed) == Counter(KILLS), output
    assert process.returncode == 0, output
    assert "processes had to be started again" in output
    assert_nothing_lost_and_nothing_twice(folder, 30)


def test_a_demo_that_is_told_to_end_leaves_no_process_behind(models_dir, tmp_path):
    folder = tmp_path / "demo"

    with demo(folder) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (folder / "agent-spool" / "status.json").exists():
            time.sleep(0.1)
        pids = json.loads((folder / "pids.json").read_text())
        process.terminate()
        process.communicate(timeout=60)

    assert process.returncode == 143
    assert set(pids) == {"broker", "daemon", "agent"}
    assert [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()] == []


def test_more_frames_than_stills_show_the_stills_again(models_dir, tmp_path):
    folder, stills = tmp_path / "demo", tmp_path / "stills"
    stills.mkdir()
    (stills / "grey.jpg").write_bytes(cv2.imencode(".jpg", np.full((480, 640, 3), 90, np.uint8))[1].tobytes())

    with demo(folder, "--media", str(stills), "--frames", "3", "--every", "0.1", "--seconds", "60") as process:
        output = process.communicate(timeout=100)[0]

    assert process.returncode == 0, output
    assert_nothing_lost_and_nothing_twice(folder, 3)
