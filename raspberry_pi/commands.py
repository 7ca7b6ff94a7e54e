"""Commands from the server: each is run once, also over kill -9, and answered as often as it is asked.

A command is written down before it runs; one that was cut short is not run again but answered with what happened.
"""

import json
import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from queue import Empty, Queue
from threading import Lock
from typing import Any

from edge.messages import Command, Result
from edge.paths import write_atomically

from .ledger import DISK_IS_FULL

log = logging.getLogger(__name__)
REMEMBERED = 256
WAITING = 16  # commands that wait for the camera's thread; more are refused
CUT_SHORT = "the agent stopped while it ran; send it again as a new command"


@dataclass(slots=True)
class Journal:
    """What was asked and answered, and what lasts of it, in one file. None as a result: it has begun and not ended."""

    path: Path
    results: OrderedDict[str, Result | None] = field(default_factory=OrderedDict)
    wanted: list[str] = field(default_factory=list)
    schedule: dict[str, Any] = field(default_factory=dict)
    _begun: dict[str, str] = field(default_factory=dict)  # id → name of what runs, at most WAITING

    def load(self) -> None:
        """Read what an earlier run left; a command that had begun counts as cut short, a reboot as done."""
        try:
            found = json.loads(self.path.read_bytes())
            for each in found["results"]:
                began = each.get("ok") is None
                ok = each["name"] == "reboot" if began else bool(each["ok"])
                text = ("started again" if ok else CUT_SHORT) if began else str(each["text"])
                self._remember(Result(str(each["id"]), ok, text))
            self.wanted = [str(each) for each in found["wanted"]][-REMEMBERED:]
            self.schedule = dict(found["schedule"])
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            log.warning("commands.damaged path=%s reason=%r; what was asked is forgotten", self.path, str(exc))

    def begin(self, command: Command) -> None:
        """Write down that this command runs now. Raises OSError; then it must not run."""
        self._remember(None, command.id)
        self._begun[command.id] = command.name
        try:
            self._save()
        except OSError:
            del self.results[command.id], self._begun[command.id]
            raise

    def end(self, result: Result) -> None:
        """Write down how it ended; a full disk leaves it in memory."""
        self._remember(result)
        self._begun.pop(result.id, None)
        try:
            self._save()
        except OSError as exc:
            if exc.errno not in DISK_IS_FULL:
                raise
            log.warning("commands.not_saved reason=%r", exc.strerror)

    def _remember(self, result: Result | None, command_id: str = "") -> None:
        self.results[result.id if result else command_id] = result
        while len(self.results) > REMEMBERED:
            self.results.popitem(last=False)
        del self.wanted[:-REMEMBERED]

    def _save(self) -> None:
        results = [
            {"id": each, "name": self._begun.get(each, ""), "ok": result.ok if result else None,
             "text": result.text if result else ""}
            for each, result in self.results.items()
        ]  # fmt: skip
        content = {"results": results, "wanted": self.wanted, "schedule": self.schedule}
        write_atomically(self.path, json.dumps(content).encode())


class Desk:
    """Takes commands from the uplink's thread, hands them to the camera's, and brings the answers back.

    run: does the command and gives (ok, text). It is called by `work`, in the thread that calls that.
    """

    def __init__(self, journal: Journal, run: Callable[[Command], tuple[bool, str]]) -> None:
        self.journal = journal
        self._run = run
        self._inbox: Queue[Command] = Queue(WAITING)
        self._answers: deque[Result] = deque(maxlen=REMEMBERED)
        self._lock = Lock()

    def take(self, command: Command, *, now: datetime | None) -> None:
        """A command arrived. now: the time as far as it is known; without it nothing counts as expired."""
        with self._lock:
            self._take(command, now)

    def _take(self, command: Command, now: datetime | None) -> None:
        known = self.journal.results.get(command.id)
        if known is not None:
            self._answers.append(known)
        elif command.id in self.journal.results:
            return  # it runs
        elif now is not None and now > command.expires_at:
            self._refuse(command, f"expired at {command.expires_at.isoformat(timespec='seconds')}")
        else:
            self._begin(command)

    def work(self) -> bool:
        """Run the command that waits longest, if there is one; whether there was."""
        try:
            command = self._inbox.get_nowait()
        except Empty:
            return False
        ok, text = self._run(command)
        log.info("command.done id=%s name=%s ok=%s text=%r", command.id, command.name, ok, text)
        result = Result(command.id, ok, text)
        with self._lock:
            self.journal.end(result)
        self._answers.append(result)
        return True

    def answers(self) -> list[Result]:
        """The answers that were not fetched yet. A lost one is asked for again by the server."""
        found = []
        while self._answers:
            found.append(self._answers.popleft())
        return found

    def _begin(self, command: Command) -> None:
        if self._inbox.full():  # only this thread puts, so it can't become full from here on
            self._refuse(command, f"{WAITING} commands wait already")
            return
        try:
            self.journal.begin(command)
        except OSError as exc:
            if exc.errno not in DISK_IS_FULL:
                raise
            # Not remembered and so not run: it may come again and run once.
            self._answers.append(Result(command.id, ok=False, text=f"not run: {exc.strerror}"))
            return
        self._inbox.put_nowait(command)

    def _refuse(self, command: Command, reason: str) -> None:
        result = Result(command.id, ok=False, text=reason)
        self.journal.end(result)
        self._answers.append(result)
