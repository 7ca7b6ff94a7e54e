"""What people send through the page gets into the pipeline: once, with its own time, and after a kill at any moment."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from edge.errors import RefusedError, SpoolFull
from edge.fakes import fake_services
from edge.pipeline.spool import Spool
from edge.store.sql import Store
from edge.testing import MemorySink, check_source_contract
from edge.uploads import NewFile, UploadBook, UploadedFile
from plugins.sources import upload
from plugins.sources.upload import UploadConfig, hand_over

BODY = b"\xff\xd8\xff\xe0 picture"


@pytest.fixture
def book(tmp_path):
    with UploadBook(tmp_path / "state") as book:
        book.begin("u1", who="ana", station="")
        yield book


def whole(book: UploadBook, name: str = "cam-01/a.jpg", body: bytes = BODY) -> UploadedFile:
    """A file that has come."""
    [file] = book.add("u1", [NewFile(name, "cam-01", "still", len(body), 0)])
    path = book.path_of("u1", file.number)
    path.write_bytes(body)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    book.set_file(file, "whole", sha256=hashlib.sha256(body).hexdigest())
    found = book.file("u1", file.number)
    assert found
    return found


@contextmanager
def spool_of(tmp_path, **options) -> Iterator[tuple[Spool, Store]]:
    services = replace(fake_services(), state_dir=tmp_path / "state")
    with Store(f"sqlite:///{tmp_path}/site.sqlite") as store:
        yield Spool(store, services, limit_bytes=options.get("limit", 10_000_000)), store


def test_a_whole_file_becomes_a_frame_of_its_station_with_its_own_time(book, tmp_path):
    file = whole(book)
    with spool_of(tmp_path) as (spool, store):
        hand_over(book, file, spool)
        frame = store.claim_next(spool._services.clock.now())

    assert (frame.station, frame.name, frame.source) == ("cam-01", "cam-01/a.jpg", "upload")
    assert frame.path.read_bytes() == BODY
    assert frame.captured.utc.timestamp() == 1_600_000_000
    assert not book.path_of("u1", file.number).exists()
    assert book.sums("u1").files == {"taken": 1}


def test_content_that_is_here_already_is_told_as_known(book, tmp_path):
    first, second = whole(book), whole(book, "cam-01/copy.jpg")
    with spool_of(tmp_path) as (spool, _store):
        for each in (first, second):
            hand_over(book, each, spool)

    assert book.sums("u1").files == {"taken": 1, "known": 1}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_while_a_file_is_taken_loses_nothing_and_doubles_nothing(book, tmp_path, monkeypatch, moment):
    class Killed(BaseException):
        pass

    file = whole(book)
    with spool_of(tmp_path) as (spool, store):
        receive = spool.receive

        def killed(incoming):
            if moment == "after":
                receive(incoming)
            raise Killed

        monkeypatch.setattr(spool, "receive", killed)
        with pytest.raises(Killed):
            hand_over(book, file, spool)
        monkeypatch.setattr(spool, "receive", receive)
        [again] = book.due()
        hand_over(book, again, spool)
        assert store.claim_next(spool._services.clock.now()).path.read_bytes() == BODY
        assert store.claim_next(spool._services.clock.now()) is None
    assert book.sums("u1").files == {"taken": 1}


def test_a_full_spool_keeps_files_waiting_and_a_refusal_is_told_with_its_reason(book, tmp_path):
    first = whole(book)
    with pytest.raises(SpoolFull):
        hand_over(book, first, MemorySink(refusals=[SpoolFull("full")]))
    [again] = book.due()
    assert book.path_of("u1", again.number).exists()

    hand_over(book, again, MemorySink(refusals=[RefusedError("its station is no name")]))
    [refused] = book.files("u1", states=["refused"])
    assert refused.reason == "its station is no name"
    assert book.due() == []


def test_the_source_takes_what_comes_while_it_runs(tmp_path):
    services = fake_services()
    sink, stop = MemorySink(), threading.Event()
    with UploadBook(services.state_dir) as book, upload.build(UploadConfig(look_s=0.01), services) as source:
        thread = threading.Thread(target=source.run, args=(sink, stop))
        thread.start()
        book.begin("u1", who="ana", station="cam-01")
        whole(book)
        assert sink.wait_for(1)
        stop.set()
        thread.join(10)
    [incoming] = sink.received
    assert (incoming.station, incoming.kind, incoming.ours) == ("cam-01", "still", True)


def test_the_source_keeps_the_promises_of_sources():
    services = fake_services()
    with UploadBook(services.state_dir) as book:
        book.begin("u1", who="ana", station="cam-01")
        for number in range(3):
            whole(book, f"{number}.jpg", BODY + bytes([number]))

    check_source_contract(upload.SPEC, UploadConfig(look_s=0.01), services, expect=3)


def test_an_upload_cancelled_drops_what_has_not_come_and_keeps_what_has(book):
    whole(book)
    book.add("u1", [NewFile("cam-01/b.jpg", "cam-01", "still", 9, 0)])
    assert book.announced_bytes() == len(BODY) + 9

    book.set_upload("u1", "cancelled")

    assert book.sums("u1").files == {"whole": 1, "dropped": 1}
    assert book.announced_bytes() == len(BODY)


def test_the_same_file_chosen_again_is_the_same_and_another_of_its_name_takes_its_place(book):
    new = NewFile("a.jpg", "cam-01", "still", 9, 5)
    [first] = book.add("u1", [new])
    [again] = book.add("u1", [new])
    [other] = book.add("u1", [NewFile("a.jpg", "cam-01", "still", 10, 5)])

    assert again == first
    assert other.number != first.number
    assert book.sums("u1").files == {"waiting": 1}
