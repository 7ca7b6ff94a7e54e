"""A frame in quarantine is tried again by a person's wish; nothing is deleted."""

from datetime import UTC, datetime

import pytest

from edge.clock import SteppedClock
from edge.errors import FatalError
from edge.model import CaptureTime, SpooledFrame
from edge.store.quarantine import page_of, retry, retry_all
from edge.store.schema import audit
from edge.store.sql import Store

NOW = datetime(2026, 3, 10, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path / 'db.sqlite'}") as store:
        yield store


def quarantined(store, tmp_path, name="a"):
    path = tmp_path / f"{name}.jpg"
    path.write_bytes(b"no picture")
    captured = CaptureTime(NOW, NOW.isoformat(), "UTC", "exif")
    frame = SpooledFrame(
        station="cam-01", id=name, kind="still", path=path, name=path.name, sha256="0" * 64, size_bytes=10,
        source="watch", captured=captured, received_at=NOW,
    )  # fmt: skip
    store.add_frames([(frame, 0)])
    claimed = store.claim_next(NOW)
    store.quarantine_frame(claimed, reason="not a picture", now=NOW)
    return path


def shown(store, **options):
    with store.reading() as connection:
        return page_of(connection, **options)


def test_a_frame_is_taken_again_from_its_first_attempt(store, tmp_path):
    quarantined(store, tmp_path)
    [row] = shown(store)

    said = retry(store, SteppedClock(), {"pk": row.pk, "who": "ana"})

    assert said == {"station": "cam-01", "frame": "a"}
    assert shown(store) == []
    again = store.claim_next(NOW)
    assert again is not None
    assert (again.id, again.attempts) == ("a", 1)
    with store.reading() as connection:
        [audited] = connection.execute(audit.select()).all()
    assert (audited.who, audited.action, audited.details) == ("ana", "quarantine.retry", {"reason": "not a picture"})


def test_a_frame_whose_file_is_gone_is_refused(store, tmp_path):
    quarantined(store, tmp_path).unlink()
    [row] = shown(store)

    assert not row.can_retry
    with pytest.raises(FatalError, match="its file is gone"):
        retry(store, SteppedClock(), {"pk": row.pk, "who": "ana"})
    assert shown(store) == [row]


def test_what_never_became_a_frame_is_refused(store):
    store.quarantine_other(source="mqtt", name="x", reason="unknown topic", path="", now=NOW)
    [row] = shown(store)

    with pytest.raises(FatalError, match="never became a frame"):
        retry(store, SteppedClock(), {"pk": row.pk, "who": "ana"})


def test_a_second_time_is_refused(store, tmp_path):
    quarantined(store, tmp_path)
    [row] = shown(store)
    retry(store, SteppedClock(), {"pk": row.pk, "who": "ana"})

    with pytest.raises(FatalError, match="tried again already"):
        retry(store, SteppedClock(), {"pk": row.pk, "who": "ana"})


def test_pages_go_on_where_the_last_ended_and_stay_within_ones_stations(store, tmp_path):
    for name in "abc":
        quarantined(store, tmp_path, name)
    store.quarantine_other(source="mqtt", name="x", reason="unknown topic", path="", now=NOW)

    first = shown(store, limit=2)
    rest = shown(store, before=first[-1].pk, limit=5)

    assert [row.name for row in first + rest] == ["x", "c.jpg", "b.jpg", "a.jpg"]
    assert [row.frame for row in shown(store, stations=frozenset({"cam-01"}))] == ["c", "b", "a"]
    assert shown(store, stations=frozenset({"cam-02"})) == []


def test_all_are_taken_again_but_those_whose_files_are_gone(store, tmp_path):
    for name in "abc":
        quarantined(store, tmp_path, name)
    (tmp_path / "b.jpg").unlink()
    store.quarantine_other(source="mqtt", name="x", reason="unknown topic", path="", now=NOW)
    newest, *_older = shown(store)

    first = retry_all(store, SteppedClock(), {"upto": newest.pk, "who": "ana", "stations": None})
    second = retry_all(store, SteppedClock(), {"upto": newest.pk, "who": "ana", "stations": None})

    assert (first, second) == ({"count": 2, "gone": 1}, {"count": 0, "gone": 1})
    assert [row.name for row in shown(store)] == ["x", "b.jpg"]
    with store.reading() as connection:
        [audited] = connection.execute(audit.select()).all()
    assert (audited.action, audited.subject) == ("quarantine.retry", "2 frames")
    again = [store.claim_next(NOW) for _time in range(3)]
    assert [each and (each.id, each.attempts) for each in again] == [("a", 1), ("c", 1), None]
