"""What a channel does beside sending: it hears answers, says at the start whether it would work, and sees events."""

import threading
from collections.abc import Mapping
from functools import partial

from ..alerts.answers import Answers
from ..clock import Clock
from ..hookspecs import ChecksOnline, Hears, Observes
from ..model import Event
from ..services import Log
from .lanes import Outlet
from .runner import Failed, attempt

AGAIN_S = 60.0  # before a channel whose listening ended by an error is asked to listen again


def hearing(outlets: Mapping[str, Outlet]) -> list[tuple[str, Hears]]:
    """The channels that people can answer to."""
    return [(name, each.notifier) for name, each in outlets.items() if isinstance(each.notifier, Hears)]


def listen(name: str, hears: Hears, answers: Answers, log: Log, stop: threading.Event) -> None:
    """Let a channel hear answers until `stop` is set; when it fails say so and begin again after a pause."""
    while not stop.is_set():
        ended = attempt(lambda: hears.listen(partial(answers.hear, name), stop))
        if isinstance(ended, Failed):
            log.error("answers.failed", channel=name, reason=ended.reason, again_in_s=AGAIN_S)
            stop.wait(AGAIN_S)
        elif not stop.is_set():
            log.info("answers.finished", channel=name)
            return


def check_all(outlets: Mapping[str, Outlet], log: Log, stop: threading.Event) -> None:
    """Ask every channel that can tell whether it would work: wrong credentials are found now, and not at 02:14."""
    for name, outlet in outlets.items():
        if stop.is_set():
            return
        if isinstance(outlet.notifier, ChecksOnline):
            said = attempt(outlet.notifier.check)
            if isinstance(said, Failed):
                log.error("channel.would_fail", channel=name, reason=said.reason)
            else:
                log.info("channel.works", channel=name, says=said.value)


def watchers_of(outlets: Mapping[str, Outlet], clock: Clock) -> list[Observes]:
    """The channels that show what happens; each is told that the site starts."""
    found: list[Observes] = [outlet.notifier for outlet in outlets.values() if isinstance(outlet.notifier, Observes)]
    for each in found:
        each.observe(Event("site.started", clock.now()))
    return found
