"""Stops on purpose: at the point that is named, at the time that is named, and not at all without the variable."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge import crash

REPO = Path(__file__).resolve().parents[2]
WRITE_TWICE = """
from pathlib import Path
from edge.paths import write_atomically
write_atomically(Path("a"), b"1")
write_atomically(Path("a"), b"2")
"""


def reached_in(text: str) -> set[str]:
    return set(re.findall(r'reached\("([a-z.]+)"', text))


def test_without_the_variable_a_point_is_an_empty_function():
    assert crash.reached is crash._pass


def test_a_fuse_burns_at_its_point_and_count_once():
    deaths = []
    reached = crash.fuse("file.synced@*.frame:2", die=lambda: deaths.append(1))
    seen = []

    for point, name in (
        ("file.synced", "a.frame"),
        ("file.synced", "a.json"),
        ("file.renamed", "b.frame"),
        ("file.synced", "b.frame"),
        ("file.synced", "c.frame"),
    ):
        reached(point, name)
        seen.append(len(deaths))

    assert seen == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("text", ["", "file.synced", "file.synced:0", "file.synced:x", "no.such:1"])
def test_what_names_no_point_is_an_error(text):
    with pytest.raises(ValueError, match=r"POINT\[@FILE\]:COUNT"):
        crash.fuse(text, die=lambda: None)


@pytest.mark.parametrize(("at", "left"), [("file.synced:2", b"1"), ("file.renamed:2", b"2"), ("file.kept@b:1", b"2")])
def test_a_process_kills_itself_at_the_point_and_leaves_the_file_whole(tmp_path, at, left):
    done = subprocess.run(
        [sys.executable, "-c", WRITE_TWICE],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(REPO), crash.VARIABLE: at}, capture_output=True, check=False,
    )  # fmt: skip

    assert (tmp_path / "a").read_bytes() == left
    assert done.returncode == (0 if at == "file.kept@b:1" else -signal.SIGKILL)


def test_every_point_stands_in_the_code_and_every_point_in_the_code_is_known():
    files = [path for room in ("edge", "plugins", "raspberry_pi") for path in (REPO / room).rglob("*.py")]

    assert set().union(*(reached_in(path.read_text("utf-8")) for path in files)) == set(crash.POINTS)


def test_what_chaos_tries_are_points_and_all_of_them():
    tried = {each.partition("@")[0] for each in (*crash.AGENT, *crash.SERVER, *crash.SERVER_PIECES, *crash.OUTBOX)}

    assert tried == set(crash.POINTS)
