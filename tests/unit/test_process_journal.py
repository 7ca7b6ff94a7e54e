"""The journal of `tigrillo process`: what is resumed, what is refused, and what a power cut may do to it."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.errors import FatalError
from edge.model import CaptureTime, Outcome, SpooledFrame
from edge.process import Failure, Item, Journal, common_folder, find_items, fingerprint_of


def outcome(name):
    captured = CaptureTime(None)
    path = Path("/card") / name
    spooled = SpooledFrame("process", name, "still", path, name, "", 1, "process", captured, datetime.now(UTC))
    return Outcome(spooled, (), 640, 480)


def items(*names):
    return [Item(Path("/card") / name, name, "still") for name in names]


def write(out, *results, fingerprint="f", resume=False):
    journal = Journal(out, fingerprint, resume=resume)
    for each in results:
        journal.add(each)
    journal.close(finished=False)


def test_a_journal_is_continued_where_it_stopped(tmp_path):
    out = tmp_path / "results.json"
    write(out, outcome("a.jpg"), Failure("b.jpg", "empty"))
    write(out, outcome(os.fsdecode(b"caf\xe9.jpg")), resume=True)

    journal = Journal(out, "f", resume=True)

    found = list(journal.results(items("a.jpg", "b.jpg", "c.jpg", os.fsdecode(b"caf\xe9.jpg"))))
    assert [each.name if isinstance(each, Failure) else each.spooled.name for each in found] == [
        "a.jpg",
        "b.jpg",
        os.fsdecode(b"caf\xe9.jpg"),
    ]
    journal.close(finished=True)
    assert not journal.path.exists()


@pytest.mark.parametrize("torn", [b'{"outcome": {"spoo', b"\0" * 100, b"\0" * 100 + b"\n", b'{"what": 1}\n', b"[]\n"])
def test_what_a_power_cut_tore_is_dropped_and_looked_at_again(tmp_path, torn):
    out = tmp_path / "results.json"
    write(out, outcome("a.jpg"))
    with (tmp_path / "results.json.journal").open("ab") as file:
        file.write(torn)

    write(out, outcome("b.jpg"), resume=True)

    lines = (tmp_path / "results.json.journal").read_text().splitlines()
    assert [json.loads(line)["outcome"]["spooled"]["name"] for line in lines[1:]] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("head", [b"\0" * 100 + b"\n", b"[]\n", b'{"fingerprint": "other"}\n'])
def test_a_journal_that_is_none_of_ours_is_not_continued(tmp_path, head):
    (tmp_path / "results.json.journal").write_bytes(head)

    with pytest.raises(FatalError, match="leave --resume out"):
        Journal(tmp_path / "results.json", "f", resume=True)

    assert (tmp_path / "results.json.journal").read_bytes() == head


def test_an_empty_journal_is_begun(tmp_path):
    (tmp_path / "results.json.journal").touch()

    write(tmp_path / "results.json", outcome("a.jpg"), resume=True)

    assert (tmp_path / "results.json.journal").read_text().count("\n") == 2


def test_the_same_names_on_another_card_are_other_files(tmp_path):
    for card in ("card-1", "card-2"):
        (tmp_path / card).mkdir()
    first, second = (fingerprint_of(common_folder([tmp_path / card]), [], []) for card in ("card-1", "card-2"))
    write(tmp_path / "results.json", outcome("IMG_0001.JPG"), fingerprint=first)

    with pytest.raises(FatalError, match="other folders"):
        Journal(tmp_path / "results.json", second, resume=True)


def test_two_runs_do_not_write_one_file(tmp_path):
    first = Journal(tmp_path / "results.json", "f", resume=False)
    first.add(outcome("a.jpg"))

    with pytest.raises(FatalError, match="another run"):
        Journal(tmp_path / "results.json", "f", resume=False)

    assert len(list(first.results(items("a.jpg")))) == 1
    first.close(finished=True)


def test_an_output_folder_that_is_not_there_is_said_in_one_line(tmp_path):
    with pytest.raises(FatalError, match="can't be written"):
        Journal(tmp_path / "nowhere" / "results.json", "f", resume=False)


def test_names_start_at_the_folder_as_the_person_wrote_it(tmp_path):
    (tmp_path / "disk" / "card").mkdir(parents=True)
    (tmp_path / "disk" / "card" / "a.jpg").touch()
    (tmp_path / "link").symlink_to(tmp_path / "disk")

    found = find_items([tmp_path / "link" / "card" / "a.jpg"])

    assert [item.name for item in found] == ["a.jpg"]
