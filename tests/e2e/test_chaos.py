"""`tigrillo chaos`, the short form: 25 kills over agents, broker and server, 500 frames; and that it finds faults."""

import hashlib
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.chaos.verify import Camera, verify
from edge.chaos.witness import captured

KILLS, FRAMES, AGENTS = 25, 500, 3


def chaos(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edge.cli", "chaos", "--keep", str(folder), "--json", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def pictures_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "pictures").iterdir()}


def cameras_of(folder: Path) -> list[Camera]:
    return [Camera(each.name, each, pictures_of(each)) for each in sorted(folder.glob("cam-*")) if each.is_dir()]


def change(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "state" / "tigrillo.sqlite") as connection:
        connection.execute(statement)
    connection.close()


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> tuple[Path, subprocess.Popen[str], str, str]:
    folder = tmp_path_factory.mktemp("chaos") / "run"
    with chaos(folder, "--kills", str(KILLS), "--frames", str(FRAMES), "--agents", str(AGENTS), "--seed", "3") as run:
        out, told = run.communicate(timeout=170)
    return folder, run, out, told


@pytest.mark.timeout(180)
def test_twenty_five_kills_lose_double_and_damage_nothing(ended):
    folder, run, out, told = ended

    assert run.returncode == 0, out + told
    found = json.loads(out)
    assert found["ok"]
    assert found["kills"] >= KILLS
    assert sum(found["stopped"].values()) >= 5
    assert {"agent", "broker", "server"} == {role for role, count in found["killed"].items() if count}
    assert (found["rows"], found["lost"], found["doubled"], found["mismatched"]) == (FRAMES, 0, 0, 0)
    assert found["recorded"] + found["quarantined"] == FRAMES
    assert f"of {KILLS} kills" in told
    records = [captured(camera.record) for camera in cameras_of(folder)]
    assert FRAMES - KILLS <= sum(map(len, records)) <= FRAMES  # a kill may come between spool and record


FIRST = "(select min(pk) from frames where station = 'cam-01')"
LAST_NAME = "(select name from frames where station = 'cam-01' order by pk desc limit 1)"
REFUSED = "insert into quarantine (at, source, name, reason, path) values ('2026-01-01', 'mqtt', 'a', 'b', '')"


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (f"delete from frames where pk = {FIRST}", "1 frames lost"),
        (f"update frames set name = {LAST_NAME} where pk = {FIRST}", "1 frames doubled"),
        (f"update frames set sha256 = 'x' where pk = {FIRST}", "1 frames not whole"),
        (f"update frames set seq = seq + 1 where pk = {FIRST}", "sequence numbers"),
        (REFUSED, "refused: a: b"),
    ],
)
def test_a_row_that_is_gone_doubled_or_changed_is_found(ended, tmp_path, statement, fault):
    folder = ended[0]
    (tmp_path / "state").mkdir()
    shutil.copy(folder / "state" / "tigrillo.sqlite", tmp_path / "state")
    before = verify(cameras_of(folder), tmp_path / "state")

    change(tmp_path, statement)
    after = verify(cameras_of(folder), tmp_path / "state")

    assert before.faults == ()
    assert any(fault in each for each in after.faults)


def test_a_file_that_changed_is_found(ended, tmp_path):
    folder = ended[0]
    path = next((folder / "state" / "media").rglob("*.jpg"))
    body = path.read_bytes()

    path.write_bytes(body[:-1] + b"x")
    after = verify(cameras_of(folder), folder / "state")
    path.write_bytes(body)

    assert after.mismatched == 1
    assert any("not whole" in each for each in after.faults)


def test_chaos_that_is_told_to_end_leaves_no_process_behind(tmp_path):
    folder = tmp_path / "run"
    with chaos(folder, "--kills", "5", "--frames", "5000", "--agents", "2") as run:
        until = time.monotonic() + 30
        while time.monotonic() < until and not (folder / "cam-02" / "spool" / "status.json").exists():
            time.sleep(0.1)
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=60)

    left = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False)
    assert run.returncode == 143
    assert left.stdout == ""


def test_the_same_folder_is_not_used_twice(tmp_path):
    (tmp_path / "something").touch()

    with chaos(tmp_path) as run:
        _out, told = run.communicate(timeout=30)

    assert run.returncode == 1
    assert "not empty" in told
