"""The stations' rows, and how the daemon sees them."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from edge.clock import SteppedClock
from edge.errors import SchemaError, StoreBusy
from edge.services import Station
from edge.stations.book import Book, Certificate, StationRow, TokenRefused
from edge.stations.desk import open_desk
from edge.stations.known import KnownStations

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=15)


def row(name: str, **fields) -> StationRow:
    return StationRow(name, *(fields.get(key) for key in ("latitude", "longitude", "timezone")), "", NOW, None)


def certificate(serial: str, way: str = "enroll") -> Certificate:
    return Certificate(serial, way, NOW, NOW + timedelta(days=730), None)


@pytest.fixture
def book(tmp_path) -> Book:
    return Book(tmp_path / "stations" / "stations.sqlite")


def test_reading_makes_no_file(book):
    assert book.all() == []
    assert book.revoked_serials() == []
    assert not book.path.exists()


def test_a_station_comes_back_as_it_was_added(book):
    book.add(row("cámara-01", latitude=2.5, longitude=-73.5, timezone="America/Bogota"))

    assert book.find("cámara-01") == row("cámara-01", latitude=2.5, longitude=-73.5, timezone="America/Bogota")
    assert book.find("other") is None


def test_a_token_is_used_once_whoever_comes_first(book):
    book.add(row("a"))
    book.open_token("hash", "a", now=NOW, expires_at=LATER)

    def use(_number: int) -> str:
        try:
            return book.use_token("hash", NOW)
        except TokenRefused:
            return ""

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(use, range(16)))

    assert sorted(answers) == [""] * 15 + ["a"]
    assert book.token_used("hash")


@pytest.mark.parametrize(("at", "complaint"), [(LATER, "expired"), (LATER + timedelta(days=900), "expired")])
def test_a_token_is_refused_from_its_end_on(book, at, complaint):
    book.add(row("a"))
    book.open_token("hash", "a", now=NOW, expires_at=LATER)

    with pytest.raises(TokenRefused, match=complaint):
        book.use_token("hash", at)
    assert book.use_token("hash", LATER - timedelta(seconds=1)) == "a"


def test_enrolling_anew_revokes_what_the_station_had_and_renewing_does_not(book):
    book.add(row("a"))
    book.add_certificate("a", certificate("01"))
    book.add_certificate("a", certificate("02", "renew"))
    before = book.revoked_serials()
    book.add_certificate("a", certificate("ff", "bundle"))

    assert before == []
    assert book.revoked_serials() == [(1, NOW), (2, NOW)]


def test_revoking_takes_certificates_and_tokens(book):
    book.add(row("a"))
    book.add_certificate("a", certificate("0a"))
    book.open_token("hash", "a", now=NOW, expires_at=LATER)

    assert book.revoke("a", NOW)
    assert not book.revoke("b", NOW)
    assert book.revoked_serials() == [(10, NOW)]
    with pytest.raises(TokenRefused):
        book.use_token("hash", NOW)


def test_a_file_that_is_no_database_is_named(book):
    book.path.parent.mkdir()
    book.path.write_bytes(b"hello " * 1000)

    with pytest.raises(SchemaError, match=str(book.path)):
        book.all()


def test_rows_of_a_newer_program_are_left_alone(book):
    book.add(row("a"))
    with sqlite3.connect(book.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(SchemaError, match="newer"):
        book.all()


def test_the_journal_is_no_write_ahead_log(book):
    book.add(row("a"))

    connection = sqlite3.connect(book.path)
    mode = connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()

    assert mode == ("delete",)


def known(book: Book, clock: SteppedClock, **fields) -> KnownStations:
    return KnownStations(book, {"named": Station("named", "Europe/Madrid")}, "America/Bogota", clock, **fields)


def test_a_revoked_station_is_refused_within_a_second(book):
    clock = SteppedClock(NOW)
    stations = known(book, clock)
    book.add(row("a"))
    before = stations.is_allowed("a")

    book.revoke("a", NOW)
    clock.step(1)

    assert before
    assert not stations.is_allowed("a")


@pytest.mark.parametrize(("enforce", "stranger"), [(False, True), (True, False)])
def test_strangers_may_send_unless_that_is_enforced(book, enforce, stranger):
    book.add(row("a"))
    stations = known(book, SteppedClock(NOW), enforce=enforce)

    assert [stations.is_allowed(name) for name in ("a", "named", "stranger")] == [True, True, stranger]


def test_the_sites_yaml_wins_over_a_row_and_a_row_over_the_sites_zone(book):
    for name in ("named", "zoned", "plain", "placed"):
        book.add(row(name, latitude=1.0, longitude=2.0, timezone="Asia/Tokyo" if name != "plain" else None))
    named = {"named": Station("named", "Europe/Madrid", 5.0), "placed": Station("placed", "", 5.0, 6.0)}
    stations = KnownStations(book, named, "America/Bogota", SteppedClock(NOW))

    found = {name: (each.timezone, each.latitude, each.longitude) for name, each in stations.items()}

    assert found == {
        "named": ("Europe/Madrid", 5.0, 2.0),
        "placed": ("Asia/Tokyo", 5.0, 6.0),
        "plain": ("America/Bogota", 1.0, 2.0),
        "zoned": ("Asia/Tokyo", 1.0, 2.0),
    }
    assert stations.get("stranger") is None


def test_a_locked_file_is_a_reason_to_wait_and_not_to_refuse(book, monkeypatch):
    monkeypatch.setattr("edge.stations.book.BUSY_MS", 10)
    book.add(row("a"))
    connection = sqlite3.connect(book.path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StoreBusy):
            known(Book(book.path), SteppedClock(NOW)).is_allowed("a")
    finally:
        connection.close()


def test_reading_waits_for_nobody_who_only_means_to_write(book):
    book.add(row("a"))
    connection = sqlite3.connect(book.path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = book.find("a")
    finally:
        connection.close()

    assert found == row("a")


def test_who_comes_first_at_the_same_time_makes_one_authority(tmp_path):
    start = Barrier(4)

    def come(number: int) -> bytes:
        start.wait(10)
        desk = open_desk(tmp_path, site="here", names=["127.0.0.1"], clock=SteppedClock(NOW))
        desk.add(row(f"cam-{number}"))
        return desk.authority.fingerprint

    with ThreadPoolExecutor(4) as people:
        found = set(people.map(come, range(4)))

    desk = open_desk(tmp_path, site="here", names=["127.0.0.1"], clock=SteppedClock(NOW))
    assert found == {desk.authority.fingerprint}
    assert len(desk.book.all()) == 4
