"""Stops on purpose, for tests: a process that kills itself at one exact point, as a power cut would.

TIGRILLO_CRASH="media.renamed:3" ends the process with SIGKILL when it is at that point for the third time;
"file.synced@*.frame:1" when a file of such a name was synced. Without the variable `reached` is an empty function.
Used by `tigrillo chaos`; standard library only, because the agent has such points, too.
"""

import os
import signal
from collections.abc import Callable
from fnmatch import fnmatchcase
from threading import Lock

VARIABLE = "TIGRILLO_CRASH"
POINTS = {  # every name that stands in a call of `reached`, and what has just been done there
    "file.synced": "a small file or an agent's frame is synced under its temporary name",
    "file.renamed": "it has its own name",
    "file.kept": "its folder is synced",
    "spool.removed": "the agent has deleted a frame that the server has",
    "uplink.sent": "the agent has handed a frame, an offer or a chunk to the network",
    "uplink.puback": "the broker has told the agent that it has a message",
    "uplink.ack": "the agent hears that frames are durable, and has done nothing yet",
    "uplink.acked": "the agent has done all that follows from an ack",
    "media.synced": "the server has synced a frame under its temporary name",
    "media.renamed": "it has its own name",
    "media.linked": "a frame that came in chunks has its second name",
    "media.kept": "the folders of a batch are synced",
    "store.added": "the rows of a batch are committed",
    "store.claimed": "a worker has a frame, committed",
    "store.recorded": "what was seen in a frame is committed",
    "outbox.taken": "a message is in its channel's hands, committed",
    "outbox.accepted": "the channel has taken it, which is not written down yet",
    "outbox.marked": "it is written down, committed",
    "pieces.synced": "a chunk is synced",
    "pieces.whole": "a frame that came in chunks has its row",
    "pieces.removed": "its chunks are gone, its offer not yet",
    "mqtt.answered": "the server has published an ack or another answer",
    "mqtt.puback": "the server has told the broker that it may forget a message",
}
# What `tigrillo chaos` tries in turn.
AGENT = (
    *("file.synced@*.frame", "file.renamed@*.frame", "file.kept@*.frame"),
    *("file.synced@counters.json", "file.renamed@counters.json", "file.kept@counters.json"),
    *("spool.removed", "uplink.sent", "uplink.puback", "uplink.ack", "uplink.acked"),
)
SERVER = (
    *("media.synced", "media.renamed", "media.kept", "store.added", "store.claimed", "store.recorded"),
    *("mqtt.answered", "mqtt.puback"),
)
OUTBOX = ("outbox.taken", "outbox.accepted", "outbox.marked")  # tried by benchmarks/alert_kills.py
SERVER_PIECES = (  # reached only while frames come in chunks; an offer's file is called <id>.json
    *("file.synced@*-*.json", "file.renamed@*-*.json", "file.kept@*-*.json"),
    *("pieces.synced", "media.linked", "pieces.whole", "pieces.removed"),
)


def fuse(text: str, *, die: Callable[[], None]) -> Callable[[str, str], None]:
    """A `reached` for one variable's text, POINT[@FILE]:COUNT. Raises ValueError saying what is wrong with it."""
    where, _colon, count = text.rpartition(":")
    point, _at, pattern = where.partition("@")
    if point not in POINTS or not count.isdecimal() or int(count) < 1:
        raise ValueError(f"{VARIABLE}={text!r}: expected POINT[@FILE]:COUNT, POINT one of {', '.join(POINTS)}")
    lock, left = Lock(), int(count)

    def burn(at: str, name: str = "") -> None:
        nonlocal left
        if at == point and (not pattern or fnmatchcase(name, pattern)):
            with lock:
                left -= 1
                if left == 0:
                    die()

    return burn


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _pass(point: str, name: str = "") -> None:
    """Nothing: nobody asked for a stop."""


# point: a key of POINTS. name: of the file it is about.
reached: Callable[..., None] = fuse(found, die=_die) if (found := os.environ.get(VARIABLE)) else _pass
