"""What a running site is told beside signals, and what it says at its end: load the site anew, or the text before."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ..configuring.desk import ConfigurationDesk
from ..store.sql import Store


def _nothing() -> None:
    """Keep nothing."""


@dataclass(slots=True)
class Control:
    """One run's. Made by edge/reloading.py, read by edge/running.py.

    desk: takes new configurations, None where the run can't be loaded anew. reload: set when it is to be. signalled:
    it ended by SIGTERM or SIGINT. trial: whether this run decides about a change; keep: called when it has come up,
    raises OSError; failed: why it has not. excused: parts that failed before the change, too; failing: those that did
    in this run. opened: set when the site is open.
    """

    desk: Callable[[Store], ConfigurationDesk] | None = None
    reload: threading.Event = field(default_factory=threading.Event)
    signalled: bool = False
    trial: bool = False
    keep: Callable[[], None] = _nothing
    failed: str = ""
    excused: frozenset[str] = frozenset()
    failing: frozenset[str] = frozenset()
    opened: threading.Event = field(default_factory=threading.Event)
