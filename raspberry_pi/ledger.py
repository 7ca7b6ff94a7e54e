"""counters.json: what is durable about frames that are gone, so that every count is found again after kill -9.

A frame that leaves without an ack is written down here first, by id and reason, and taken away then: whatever comes in
between, the next start finishes it. A small file is kept in reserve, so that a full disk can still be written down.
"""

import errno
import json
import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from edge.paths import write_atomically

log = logging.getLogger(__name__)
DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
RESERVE_BYTES = 65_536  # more than counters.json and its folder entry need on any file system we know


@dataclass(slots=True)
class Ledger:
    """The counts in counters.json. seq: frames made so far; shots: releases of the shutter; boots: starts of the agent.

    dropped: frames that left without an ack, by reason. leaving: id → reason of those that were counted as dropped and
    may still lie there. newest: the latest time at which a clock that could be believed was read.
    """

    path: Path
    seq: int = 0
    shots: int = 0
    boots: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    leaving: dict[str, str] = field(default_factory=dict)
    newest: datetime | None = None
    saved_seq: int = 0
    _saved_others: tuple[int, int] = (0, 0)

    @property
    def owes(self) -> bool:
        """Whether a start or a drop is not on the disk, which no frame's name proves."""
        return self._saved_others != self._others

    def load(self) -> None:
        """Read what an earlier run left; what can't be read is said, and counting starts from the frames."""
        try:
            self._take(json.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            log.warning(
                "spool.counters_damaged path=%s reason=%r; counting starts from the frames", self.path, str(exc)
            )
            self.dropped, self.leaving = Counter(), {}
            return
        self.saved_seq, self._saved_others = self.seq, self._others

    def save(self) -> None:
        """Write all of it; durable on return. Raises OSError; on a full disk only when the reserve was not enough."""
        content = self._content()
        try:
            write_atomically(self.path, content)
        except OSError as exc:
            if exc.errno not in DISK_IS_FULL or not self._reserve.exists():
                raise
            self._reserve.unlink()
            write_atomically(self.path, content)
        self.saved_seq, self._saved_others = self.seq, self._others

    def keep_reserve(self) -> None:
        """Make the reserve when it is missing and there is room for it."""
        if self._reserve.exists():
            return
        try:
            write_atomically(self._reserve, bytes(RESERVE_BYTES))
        except OSError as exc:
            if exc.errno not in DISK_IS_FULL:
                raise

    @property
    def _others(self) -> tuple[int, int]:
        return self.boots, self.dropped.total()

    @property
    def _reserve(self) -> Path:
        return self.path.with_name("reserve")

    def _take(self, found: Any) -> None:
        self.seq, self.shots = int(found["seq"]), int(found.get("shots", found["seq"]))
        self.boots = int(found.get("boots", 0))
        self.dropped = Counter({str(reason): int(count) for reason, count in found["dropped"].items()})
        self.leaving = {str(frame): str(reason) for frame, reason in found.get("leaving", {}).items()}
        newest = found.get("newest")
        self.newest = datetime.fromisoformat(newest) if newest else None

    def _content(self) -> bytes:
        return json.dumps(
            {
                "seq": self.seq,
                "shots": self.shots,
                "boots": self.boots,
                "dropped": dict(self.dropped),
                "leaving": self.leaving,
                "newest": self.newest.isoformat() if self.newest else None,
            }
        ).encode()
