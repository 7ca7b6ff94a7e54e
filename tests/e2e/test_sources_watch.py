"""The watch source on a real folder, with real inotify: what is handed over, when, as which station, and what not."""

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.api import RefusedError, SpoolFull, StoreBusy
from edge.testing import MemoryLog, check_source_contract, fake_services
from plugins.sources import ready_files
from plugins.sources.seen_files import SeenFiles
from plugins.sources.watch import SPEC, WatchConfig, _Desk, build


class HashingSink:
    """Knows content by station and hash, as the real spool does."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, str, str]] = []
        self.refused: list[tuple[str, str]] = []
        self.errors: list[Exception] = []
        self.asked = 0
        self._known: set[tuple[str, str]] = set()

    def receive(self, incoming):
        if self.errors:
            raise self.errors.pop(0)
        assert isinstance(incoming.body, Path)
        assert incoming.captured is None
        sha256 = hashlib.sha256(incoming.body.read_bytes()).hexdigest()
        if (incoming.station, sha256) in self._known:
            return False
        self._known.add((incoming.station, sha256))
        self.frames.append((incoming.station, incoming.name, incoming.kind))
        return True

    def refuse(self, *, source, name, reason, body=b""):
        assert source == "watch"
        self.refused.append((name, reason))

    def knows(self, station, sha256):
        self.asked += 1
        return (station, sha256) in self._known

    @property
    def names(self) -> list[str]:
        return [name for _, name, _ in self.frames]


@contextmanager
def watching(folder: Path, sink: HashingSink, services=None, **options) -> Iterator[None]:
    config = WatchConfig(**{"folder": folder, "settle_s": 0.1, "rescan_s": 3600, **options})
    stop = threading.Event()
    with build(config, services or fake_services()) as source:
        failures: list[BaseException] = []

        def run() -> None:
            try:
                source.run(sink, stop)
            except BaseException as exc:
                failures.append(exc)
                raise

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(10)
            assert not thread.is_alive()
            assert failures == []


def wait_until(condition, timeout_s: float = 8.0) -> bool:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.01)
    return False


def write(path: Path, body: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def test_what_is_there_and_what_comes_is_handed_over_under_its_folders_station(tmp_path):
    write(tmp_path / "cam-1" / "DCIM" / "b.JPG", b"b")
    write(tmp_path / "cam-1" / "a.mp4", b"a")
    write(tmp_path / "notes.txt", b"n")
    sink = HashingSink()

    with watching(tmp_path, sink):
        assert wait_until(lambda: len(sink.frames) == 2)
        write(tmp_path / "Cámara 3" / "new.tif", b"c")
        write(tmp_path / "loose.png", b"d")
        assert wait_until(lambda: len(sink.frames) == 4)

    assert sink.frames[:2] == [("cam-1", "cam-1/a.mp4", "clip"), ("cam-1", "cam-1/DCIM/b.JPG", "still")]
    assert sorted(sink.frames[2:]) == sorted(
        [("Cámara_3", "Cámara 3/new.tif", "still"), (tmp_path.name, "loose.png", "still")]
    )
    assert (tmp_path / "cam-1" / "DCIM" / "b.JPG").read_bytes() == b"b"
    assert sink.refused == []


def test_a_file_is_read_only_when_it_has_stopped_growing(tmp_path):
    sink = HashingSink()

    with watching(tmp_path, sink, station="cam-1", settle_s=0.4):
        with (tmp_path / "slow.avi").open("wb") as file:
            for _ in range(8):
                file.write(b"part")
                file.flush()
                time.sleep(0.1)
            before_the_end = list(sink.frames)
        assert wait_until(lambda: len(sink.frames) == 1)
        time.sleep(0.5)

    assert before_the_end == []
    assert len(sink.frames) == 1


def test_known_content_is_not_handed_over_twice_but_changed_content_is(tmp_path):
    path = write(tmp_path / "a.jpg", b"one")
    write(tmp_path / "copy of a.jpg", b"one")
    sink = HashingSink()

    with watching(tmp_path, sink, station="cam-1", rescan_s=0.2):
        assert wait_until(lambda: len(sink.frames) == 1)
        time.sleep(0.6)
        assert sink.names == ["a.jpg"]
        path.write_bytes(b"another")
        assert wait_until(lambda: len(sink.frames) == 2)

    assert sink.names == ["a.jpg", "a.jpg"]


def test_neither_a_walk_nor_a_restart_reads_a_file_again(tmp_path, monkeypatch):
    folder, services, sink = tmp_path / "in", fake_services(), HashingSink()
    for number in range(5):
        write(folder / f"{number}.jpg", b"%d" % number)
    with watching(folder, sink, services, station="cam-1", rescan_s=0.1):
        assert wait_until(lambda: len(sink.frames) == 5)
        asked = sink.asked
        time.sleep(0.5)
        assert sink.asked == asked

    def unread(path: Path) -> str:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr("plugins.sources.watch._hash", unread)
    with watching(folder, sink, services, station="cam-1"):
        assert wait_until(lambda: sink.asked == 2 * asked)

    assert len(sink.frames) == 5


def test_a_store_that_lost_everything_gets_the_files_again(tmp_path):
    folder, services = tmp_path / "in", fake_services()
    write(folder / "a.jpg", b"a")
    for sink in (HashingSink(), HashingSink()):
        with watching(folder, sink, services, station="cam-1"):
            assert wait_until(lambda sink=sink: len(sink.frames) == 1)


@pytest.mark.parametrize("error", [SpoolFull("full"), StoreBusy("locked")])
def test_a_sink_that_can_not_take_a_file_now_gets_it_later(tmp_path, error):
    write(tmp_path / "a.jpg", b"a")
    sink = HashingSink()
    sink.errors = [error]

    with watching(tmp_path, sink, station="cam-1"):
        assert wait_until(lambda: len(sink.frames) == 1)


def test_a_file_the_sink_refuses_is_offered_once(tmp_path):
    write(tmp_path / "a.jpg", b"a")
    write(tmp_path / "b.jpg", b"b")
    sink = HashingSink()
    sink.errors = [RefusedError("no")]

    with watching(tmp_path, sink, station="cam-1", rescan_s=0.1):
        assert wait_until(lambda: len(sink.frames) == 1)
        time.sleep(0.4)

    assert sink.names == ["b.jpg"]


def test_junk_and_hidden_files_are_left_alone(tmp_path):
    for name in (".hidden.jpg", "@eaDir/a.jpg", "#recycle/a.jpg", ".Trash-1000/a.jpg", "$RECYCLE.BIN/a.jpg", "._a.jpg"):
        write(tmp_path / name, name.encode())
    sink = HashingSink()

    with watching(tmp_path, sink, station="cam-1", rescan_s=0.2):
        write(tmp_path / ".late" / "a.jpg", b"late")
        write(tmp_path / "seen.jpg", b"seen")
        assert wait_until(lambda: len(sink.frames) == 1)
        time.sleep(0.4)

    assert sink.names == ["seen.jpg"]
    assert sink.refused == []


def test_a_forbidden_station_is_refused_once_and_the_rest_goes_on(tmp_path):
    write(tmp_path / "cam;rm -rf" / "a.jpg", b"a")
    write(tmp_path / "cam-2" / "b.jpg", b"b")
    sink = HashingSink()

    with watching(tmp_path, sink, rescan_s=0.1):
        assert wait_until(lambda: len(sink.frames) == 1)
        assert wait_until(lambda: len(sink.refused) == 1)
        time.sleep(0.4)

    assert sink.frames == [("cam-2", "cam-2/b.jpg", "still")]
    assert sink.refused == [("cam;rm -rf/a.jpg", sink.refused[0][1])]
    assert "letters, digits" in sink.refused[0][1]


def test_a_pattern_finds_the_station_and_what_it_does_not_find_is_refused(tmp_path):
    write(tmp_path / "2026" / "cam-7_north" / "a.jpg", b"a")
    write(tmp_path / "2026" / "x" / "b.jpg", b"b")
    write(tmp_path / "2026" / "cam-._.._" / "c.jpg", b"c")
    sink = HashingSink()

    with watching(tmp_path, sink, station_pattern=r"cam-(?P<station>[^_/]+)"):
        assert wait_until(lambda: len(sink.frames) == 1)
        assert wait_until(lambda: len(sink.refused) == 2)

    assert sink.frames == [("7", "2026/cam-7_north/a.jpg", "still")]


def test_a_link_out_of_the_folder_is_refused_and_a_linked_folder_not_entered(tmp_path):
    outside = write(tmp_path / "outside" / "secret.jpg", b"secret")
    folder = tmp_path / "in"
    write(folder / "a.jpg", b"a")
    (folder / "link.jpg").symlink_to(outside)
    (folder / "dangling.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (folder / "sub").symlink_to(outside.parent, target_is_directory=True)
    sink = HashingSink()

    with watching(folder, sink, station="cam-1", rescan_s=0.1):
        assert wait_until(lambda: len(sink.frames) == 1)
        assert wait_until(lambda: len(sink.refused) == 1)
        time.sleep(0.3)

    assert sink.names == ["a.jpg"]
    assert sink.refused[0][0] == "link.jpg"


def test_pipes_and_folders_named_like_pictures_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    write(tmp_path / "folder.jpg" / "a.jpg", b"a")
    sink = HashingSink()

    with watching(tmp_path, sink, station="cam-1"):
        assert wait_until(lambda: len(sink.frames) == 1)

    assert sink.names == ["folder.jpg/a.jpg"]


def test_a_name_that_is_no_text_is_refused(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.jpg")).write_bytes(b"a")
    sink = HashingSink()

    with watching(tmp_path, sink, station="cam-1"):
        assert wait_until(lambda: len(sink.refused) == 1)

    assert "UTF-8" in sink.refused[0][1]


def test_without_recursion_only_the_folder_itself_is_watched(tmp_path):
    write(tmp_path / "sub" / "a.jpg", b"a")
    sink = HashingSink()

    with watching(tmp_path, sink, recursive=False, station="cam-1", rescan_s=0.2):
        write(tmp_path / "sub" / "b.jpg", b"b")
        write(tmp_path / "c.jpg", b"c")
        assert wait_until(lambda: len(sink.frames) == 1)
        time.sleep(0.4)

    assert sink.names == ["c.jpg"]


def test_a_folder_that_comes_later_is_found_and_a_new_one_in_its_place_too(tmp_path):
    folder, sink, log = tmp_path / "disk", HashingSink(), MemoryLog()

    with watching(folder, sink, fake_services(log=log), station="cam-1", rescan_s=0.2):
        assert wait_until(lambda: any(event == "watch.no_folder" for _, event, _ in log.entries))
        write(folder / "a.jpg", b"a")
        assert wait_until(lambda: len(sink.frames) == 1)
        folder.rename(tmp_path / "old")
        write(folder / "b.jpg", b"b")
        assert wait_until(lambda: len(sink.frames) == 2)

    assert sink.refused == []


def test_a_folder_that_is_moved_in_is_found_with_all_its_files(tmp_path):
    outside, folder, sink = tmp_path / "outside", tmp_path / "in", HashingSink()
    folder.mkdir()
    for number in range(3):
        write(outside / "cam-1" / f"{number}.jpg", b"%d" % number)

    with watching(folder, sink):
        time.sleep(0.3)
        (outside / "cam-1").rename(folder / "cam-1")
        assert wait_until(lambda: len(sink.frames) == 3)


def test_a_card_with_more_files_than_are_watched_at_once_is_read_in_turns(tmp_path, monkeypatch):
    monkeypatch.setattr(ready_files, "RESTING_LIMIT", 10)
    for number in range(45):
        write(tmp_path / f"{number:02d}.jpg", b"%d" % number)
    sink = HashingSink()

    with watching(tmp_path, sink, station="cam-1", settle_s=0.02):
        assert wait_until(lambda: len(sink.frames) == 45)

    assert sorted(sink.names) == [f"{number:02d}.jpg" for number in range(45)]


def test_when_inotify_has_more_to_tell_than_is_kept_a_walk_finds_it(tmp_path, monkeypatch):
    monkeypatch.setattr(ready_files, "TOUCHED_LIMIT", 3)
    sink = HashingSink()

    with watching(tmp_path, sink, station="cam-1"):
        time.sleep(0.2)
        for number in range(20):
            write(tmp_path / f"{number}.jpg", b"%d" % number)
        assert wait_until(lambda: len(sink.frames) == 20)


def test_a_file_that_can_not_be_read_is_recorded_once_and_tried_again(tmp_path, monkeypatch):
    path = write(tmp_path / "a.jpg", b"a")
    sink, mark = HashingSink(), ready_files.mark_of(path)
    seen = SeenFiles(tmp_path / "state", tmp_path)
    desk = _Desk(WatchConfig(folder=tmp_path, station="cam-1"), tmp_path, sink, seen)

    def denied(path: Path) -> str:  # because tests run as root, whom no permission stops
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("plugins.sources.watch._hash", denied)
    desk.hand_over(path, mark)
    desk.hand_over(path, mark)
    refused, done = list(sink.refused), seen.is_done(path, mark)
    monkeypatch.undo()
    desk.hand_over(path, mark)
    seen.close()

    assert refused == [("a.jpg", "can't be read: Permission denied")]
    assert not done
    assert sink.names == ["a.jpg"]


def test_a_damaged_memory_is_begun_anew(tmp_path):
    with_one = SeenFiles(tmp_path, tmp_path)
    with_one.close()
    (database,) = (tmp_path / "watch").glob("*.sqlite")
    database.write_bytes(b"this is no database" * 100)

    seen = SeenFiles(tmp_path, tmp_path)

    assert not seen.is_done(tmp_path / "a.jpg", ready_files.Mark(1, 1))
    seen.close()


def test_a_memory_that_is_damaged_further_on_is_begun_anew(tmp_path):
    mark = ready_files.Mark(1, 1)
    filled = SeenFiles(tmp_path, tmp_path)
    for number in range(200):
        filled.remember(tmp_path / f"{number}.jpg", mark, sha256="0" * 64, outcome="kept")
    filled.close()
    (database,) = (tmp_path / "watch").glob("*.sqlite")
    pages = database.read_bytes()
    database.write_bytes(pages[:4096] + b"\xff" * (len(pages) - 4096))

    seen = SeenFiles(tmp_path, tmp_path)

    assert not seen.is_done(tmp_path / "5.jpg", mark)
    seen.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"station": "../../etc"}, "letters, digits"),
        ({"station_pattern": "cam-[0-9]+"}, "group named station"),
        ({"station_pattern": "("}, "regular expression"),
        ({"station": "a", "station_pattern": "(?P<station>.)"}, "exclude"),
        ({"include": ["jpg", "exe"]}, "exe"),
        ({"settle_s": 0}, "greater than 0"),
        ({"folders": "x"}, "folders"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path, options, said):
    with pytest.raises(ValidationError, match=said):
        WatchConfig(**{"folder": tmp_path, **options})


def test_include_narrows_what_is_taken(tmp_path):
    config = WatchConfig(folder=tmp_path, include=[".JPG", "mp4"])

    assert config.accepts("a.jpg")
    assert config.accepts("b.MP4")
    assert not config.accepts("c.png")


def test_it_keeps_the_contract_of_a_source(tmp_path):
    for number in range(3):
        write(tmp_path / f"{number}.jpg", b"%d" % number)

    got = check_source_contract(
        SPEC, WatchConfig(folder=tmp_path, station="cam-1", settle_s=0.05), fake_services(), expect=3
    )

    assert sorted(incoming.name for incoming in got) == ["0.jpg", "1.jpg", "2.jpg"]
