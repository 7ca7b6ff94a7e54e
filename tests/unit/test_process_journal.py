"""The journal of `tigrillo process`: what was finished survives a power cut, and comes back as it was."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.errors import FatalError
from edge.model import CaptureTime, Classification, Detection, Outcome, PictureResult, SpooledFrame
from edge.process import Failure, Item, Journal

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def outcome(name: str) -> Outcome:
    spooled = SpooledFrame("s", name, "still", Path(name), name, "", 1, "process", CaptureTime(AT, "", "UTC"), AT)
    box = Detection("animal", 0.5, (0.1, 0.2, 0.3, 0.4), "animal", (Classification("ocelot", 0.75),))
    return Outcome(spooled, (PictureResult(0, 0.0, (box,)),), 4, 3)


def item(name: str) -> Item:
    return Item(Path(name), name, "still")


def test_results_come_back_as_they_were_in_the_order_asked_for(tmp_path):
    journal = Journal(tmp_path / "out.json", "f", resume=False)
    for result in (outcome("b.jpg"), Failure("c.jpg", "está rota"), outcome("a.jpg")):
        journal.add(result)

    found = list(journal.results([item(name) for name in ("a.jpg", "b.jpg", "not yet.jpg", "c.jpg")]))

    assert found == [outcome("a.jpg"), outcome("b.jpg"), Failure("c.jpg", "está rota")]
    journal.close(finished=True)


def test_results_can_be_added_after_some_were_read(tmp_path):
    journal = Journal(tmp_path / "out.json", "f", resume=False)
    journal.add(outcome("a.jpg"))
    assert list(journal.results([item("a.jpg")])) == [outcome("a.jpg")]

    journal.add(outcome("b.jpg"))

    assert list(journal.results([item("a.jpg"), item("b.jpg")])) == [outcome("a.jpg"), outcome("b.jpg")]
    journal.close(finished=True)


def test_a_torn_last_line_is_dropped_and_the_rest_goes_on(tmp_path):
    journal = Journal(tmp_path / "out.json", "f", resume=False)
    journal.add(outcome("a.jpg"))
    journal.add(outcome("b.jpg"))
    journal.close(finished=False)
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-9])

    again = Journal(tmp_path / "out.json", "f", resume=True)
    assert "a.jpg" in again
    assert "b.jpg" not in again
    again.add(outcome("b.jpg"))
    again.close(finished=False)

    assert journal.path.read_bytes() == whole


@pytest.mark.parametrize("head", [b'{"fingerprint": "of others"}\n', b'{"else": 1}\n'])
def test_a_journal_of_something_else_is_refused_and_kept(tmp_path, head):
    path = tmp_path / "out.json.journal"
    path.write_bytes(head)

    with pytest.raises(FatalError, match="leave --resume out"):
        Journal(tmp_path / "out.json", "f", resume=True)

    assert path.read_bytes() == head
