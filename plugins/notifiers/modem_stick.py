"""What the channel `modem` asks of a stick, whatever program speaks with it, and how such a program is run."""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from edge.api import ConfigError, NotifyError, Receipt, _, one_line

from .program import Ended, run_program

# Programs that are told their texts as arguments need a character set that has them: in the locale C, mmcli loses the
# whole option. C.UTF-8 has the same untranslated messages.
LOCALE = "C.UTF-8"
KEPT = ("PATH", "HOME", "DBUS_SYSTEM_BUS_ADDRESS")  # of our own environment; all else may hold secrets
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
MOST_BYTES = 262_144  # of an output; a SIM holds up to 250 messages of 160 letters, mostly 20 to 50
MARGIN_S = 1.0  # a program that has a time-out of its own is to tell us before we end it


class NotSent(NotifyError):
    """The message surely did not leave; it may be tried again."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message somebody sent. places: where its parts lie, for `delete`. whole: False while parts are missing.

    id: the same whenever this message is read. at: when the network took it, None when that can't be read.
    """

    id: str
    sender: str
    text: str
    at: datetime | None
    places: tuple[str, ...]
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """What the network says of a message of ours. reference: 0..255, given by the network when it took the message."""

    number: str
    reference: str
    receipt: Receipt
    at: datetime | None
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What lies on a stick, or in its program."""

    letters: tuple[Letter, ...] = ()
    reports: tuple[Report, ...] = ()


class Stick(Protocol):
    """A modem. Each raises NotifyError with what to do; may be used from several threads."""

    def check(self) -> str:
        """Which modem and network, and how well it hears it. Raises NotifyError when it could not send now."""

    def prepare(self, number: str, text: str) -> str:
        """Lay a message ready; gives where, "" where there is no such thing. Raises NotSent, NoticeRefused."""

    def send(self, place: str, number: str, text: str) -> str:
        """Send it; gives the network's reference, "" when it tells none.

        Raises NotSent, NoticeRefused, and NotifyError when nobody knows.
        """

    def sent(self, place: str, number: str, text: str) -> str | None:
        """The reference of a message that was laid ready there and has left since; None when that is not known."""

    def look(self) -> Found:
        """What arrived and was not deleted yet, oldest first."""

    def delete(self, places: Sequence[str]) -> None:
        """Delete messages; what is gone already is no error."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program on this machine, run by one thread at a time: a serial port has room for one."""

    name: str
    path: str
    timeout_s: float
    _one: threading.Lock = field(default_factory=threading.Lock)

    def run(self, *arguments: str) -> Ended:
        """Run it to its end; code None when time was up. Raises NotSent when it can't be started."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        with self._one:
            try:
                return run_program(
                    [self.path, *arguments],
                    text=b"",
                    environment={"PATH": DEFAULT_PATH} | kept | {"LC_ALL": LOCALE},
                    timeout_s=self.timeout_s,
                    keep_bytes=MOST_BYTES,
                )
            except (OSError, ValueError) as exc:  # ValueError: a NUL in an argument
                reason = exc.strerror if isinstance(exc, OSError) else str(exc)
                raise NotSent(f"{self.name} can't be started: {one_line(str(reason))}") from exc

    def too_slow(self) -> NotifyError:
        """What to raise when time was up."""
        return NotifyError(f"{self.name} took more than {self.timeout_s:g} s and was ended")


def find_tool(name: str, path: str | None, timeout_s: float) -> Tool:
    """The program at this path. Raises ConfigError when there is none."""
    if path is None:
        raise ConfigError(_("modem: {program} is not there: install the package that has it").format(program=name))
    return Tool(name, path, timeout_s)


def signal_words(percent: int) -> str:
    """How well a modem hears the network, in words: 67 → "signal good (67 %)"."""
    if percent >= 75:
        words = _("signal strong ({percent} %)")
    elif percent >= 50:
        words = _("signal good ({percent} %)")
    elif percent >= 25:
        words = _("signal fair ({percent} %)")
    else:
        words = _("signal weak ({percent} %): move the modem or its aerial")
    return words.format(percent=percent)
