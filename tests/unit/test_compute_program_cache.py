"""The folder of built programs: whole files or none, a bound, and what is damaged counts as missing."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge.compute.capability import RX580_8GB
from edge.compute.program_cache import MAGIC, ProgramCache, key_of


@pytest.fixture
def cache(tmp_path):
    return ProgramCache(tmp_path / "programs", limit_bytes=1000)


def test_what_is_kept_is_loaded(cache):
    cache.keep("a", b"binary")

    assert cache.load("a") == b"binary"
    assert cache.load("b") is None
    assert [path.name for path in cache.folder.iterdir()] == ["a.bin"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body[:-1],
        lambda body: body[: len(MAGIC) + 10],
        lambda _body: b"",
        lambda _body: os.urandom(500),
        lambda body: body[:-1] + bytes([body[-1] ^ 1]),
        lambda body: body.replace(b"program 1\n", b"program 2\n"),
    ],
    ids=["cut", "cut-in-head", "empty", "garbage", "one-bit", "other-version"],
)
def test_a_damaged_file_counts_as_missing_and_is_replaced(cache, damage):
    cache.keep("a", b"binary")
    path = cache.folder / "a.bin"
    path.write_bytes(damage(path.read_bytes()))

    assert cache.load("a") is None
    assert cache.holds("a")
    cache.keep("a", b"binary")
    assert cache.load("a") == b"binary"


def test_the_key_changes_with_all_that_the_binary_depends_on():
    keys = {
        key_of("s", "o", RX580_8GB),
        key_of("s2", "o", RX580_8GB),
        key_of("s", "o2", RX580_8GB),
        key_of("s", "o", replace(RX580_8GB, name="gfx804")),
        key_of("s", "o", replace(RX580_8GB, driver="2")),
    }

    assert len(keys) == 5
    assert key_of("s", "o", replace(RX580_8GB, compute_units=32)) in keys


def test_the_folder_stays_below_its_limit_and_keeps_what_was_used_last(cache):
    for number, name in enumerate("abcde"):
        cache.keep(name, bytes(250))
        os.utime(cache.folder / f"{name}.bin", (number, number))
    cache.load("a")

    deleted = cache.trim()

    assert deleted == 2
    assert sorted(path.stem for path in cache.folder.iterdir()) == ["a", "d", "e"]


def test_leftovers_of_a_killed_process_are_swept_and_those_of_a_living_one_are_not(cache):
    cache.keep("a", b"x")
    old, new = cache.folder / ".b.bin.1.part", cache.folder / ".c.bin.2.part"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 7200,) * 2)

    cache.trim()

    assert not old.exists()
    assert new.exists()


def test_a_folder_that_is_not_there_holds_nothing(cache):
    assert cache.trim() == 0
    assert cache.load("a") is None


# Processes that build the same

HOLDER = """
import sys, time
from pathlib import Path
from edge.compute.program_cache import ProgramCache
with ProgramCache(Path(sys.argv[1])).alone("plan", on_wait=lambda: None):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(cache):
    """Another process that holds the lock until it reads a line."""
    command = [sys.executable, "-c", HOLDER, str(cache.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_process_waits_until_the_first_is_done_and_says_so_once(cache, holder):
    told = []

    def wait():
        told.append("waiting")
        holder.stdin.write("\n")
        holder.stdin.flush()

    with cache.alone("plan", on_wait=wait, wait_s=20):
        assert holder.wait(timeout=5) == 0

    assert told == ["waiting"]


def test_who_builds_something_else_does_not_wait(cache, holder):
    with cache.alone("another plan", on_wait=lambda: pytest.fail("waited")):
        pass


def test_a_process_that_was_killed_holds_nobody_up(cache, holder):
    with cache.alone("plan", on_wait=holder.kill, wait_s=20):
        assert holder.wait(timeout=5) < 0


def test_who_waited_long_enough_begins_all_the_same(cache, holder):
    start = time.monotonic()

    with cache.alone("plan", on_wait=lambda: None, wait_s=0.2):
        assert holder.poll() is None

    assert 0.2 <= time.monotonic() - start < 5


def test_a_folder_that_cannot_be_made_costs_the_lock_only(tmp_path):
    (tmp_path / "file").write_text("")

    with ProgramCache(Path(tmp_path / "file" / "programs")).alone("plan", on_wait=lambda: None):
        pass
