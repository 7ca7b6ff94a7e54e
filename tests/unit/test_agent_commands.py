"""Commands: each once, also over a crash; answered as often as they come; a full disk runs nothing twice."""

import errno
from datetime import UTC, datetime, timedelta

import pytest

from edge.messages import Command, Result
from raspberry_pi import commands
from raspberry_pi.commands import CUT_SHORT, REMEMBERED, WAITING, Desk, Journal

NOW = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)


class Done:
    """A desk on a journal file, and what it ran."""

    def __init__(self, folder) -> None:
        self.ran: list[str] = []
        self.journal = Journal(folder / "commands.json")
        self.journal.load()
        self.desk = Desk(self.journal, self._run)

    def _run(self, command: Command) -> tuple[bool, str]:
        self.ran.append(command.id)
        return True, f"did {command.name}"

    def take(self, command_id: str, name: str = "capture", *, now: datetime | None = NOW) -> None:
        self.desk.take(Command(command_id, name, NOW + timedelta(minutes=5)), now=now)


def test_a_command_is_run_once_and_answered_as_often_as_it_comes(tmp_path):
    done = Done(tmp_path)
    done.take("c-1")
    done.take("c-1")  # it has begun: no answer yet
    assert done.desk.answers() == []
    while done.desk.work():
        pass
    done.take("c-1")

    assert done.ran == ["c-1"]
    assert done.desk.answers() == [Result("c-1", ok=True, text="did capture")] * 2


def test_a_restart_remembers_what_was_done_and_what_was_cut_short(tmp_path):
    done = Done(tmp_path)
    for command_id in ("c-1", "c-2", "c-3"):
        done.take(command_id, "reboot" if command_id == "c-3" else "capture")
    done.desk.work()

    again = Done(tmp_path)  # killed with two that had begun
    for command_id in ("c-1", "c-2", "c-3"):
        again.take(command_id)

    assert again.ran == []
    assert again.desk.answers() == [
        Result("c-1", ok=True, text="did capture"),
        Result("c-2", ok=False, text=CUT_SHORT),
        Result("c-3", ok=True, text="started again"),
    ]


def test_an_expired_command_is_refused_and_without_a_clock_nothing_expires(tmp_path):
    done = Done(tmp_path)
    done.take("c-1", now=NOW + timedelta(hours=1))
    done.take("c-2", now=None)
    done.desk.work()

    first, second = done.desk.answers()
    assert (first.id, first.ok, "expired" in first.text) == ("c-1", False, True)
    assert second == Result("c-2", ok=True, text="did capture")
    assert done.ran == ["c-2"]


def test_more_than_can_wait_are_refused(tmp_path):
    done = Done(tmp_path)
    for number in range(WAITING + 1):
        done.take(f"c-{number}")

    assert [(each.id, each.ok) for each in done.desk.answers()] == [(f"c-{WAITING}", False)]


def test_the_last_256_are_remembered(tmp_path):
    done = Done(tmp_path)
    for number in range(REMEMBERED + 10):
        done.take(f"c-{number}")
        done.desk.work()

    again = Done(tmp_path)
    assert len(again.journal.results) == REMEMBERED
    assert "c-9" not in again.journal.results
    assert "c-10" in again.journal.results


def test_on_a_full_disk_a_command_is_not_run_and_may_come_again(tmp_path, monkeypatch):
    def full(path, body):
        raise OSError(errno.ENOSPC, "No space left on device")

    done = Done(tmp_path)
    monkeypatch.setattr(commands, "write_atomically", full)
    done.take("c-1")
    assert not done.desk.work()
    assert [(each.ok, "No space" in each.text) for each in done.desk.answers()] == [(False, True)]
    monkeypatch.undo()

    done.take("c-1")
    assert done.desk.work()
    assert done.ran == ["c-1"]


@pytest.mark.parametrize("content", ["", "[]", '{"results": [{}]}', '{"results": 5}'])
def test_a_damaged_journal_is_said_and_begun_anew(tmp_path, caplog, content):
    (tmp_path / "commands.json").write_text(content)

    done = Done(tmp_path)
    done.take("c-1")
    done.desk.work()

    assert done.ran == ["c-1"]
    assert "commands.damaged" in caplog.text
