"""Mails to people who log in: an invitation, a link for a new password; by the site's own channel of the kind email.

Only with `web.address`: a link made from what a request says its host is would let anybody send our people elsewhere.
Sent in a thread of its own, so that the answer tells nobody whether there was anything to send; one that fails is
logged, and the link can be made again.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from edge.i18n import mark, translate
from edge.notices import Notice, Wording
from edge.pipeline.built import built
from edge.pipeline.runner import Failed, attempt
from edge.simulate import still_services
from edge.wording import one_line

from ..web import Web

EMAIL = "email"  # the notifier that mails (plugins/notifiers/email.py)
AT_ONCE = threading.BoundedSemaphore(4)
INVITED = mark("You are invited to {site}")
NEW_PASSWORD = mark("A new password for {site}")
ONCE = mark("The link works once, until {time}.")
NOT_YOU = mark("If you did not ask for it, do nothing: everything stays as it is.")


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail. headline, lines: marked texts, {site} and {time} are filled in."""

    to: str
    language: str
    headline: str
    lines: tuple[str, ...]
    link: str
    time: str = ""


def can_mail(web: Web) -> bool:
    """Whether this site can send links."""
    return bool(web.config.address) and _channel(web) is not None


def later(web: Web, make: Callable[[], Letter | None]) -> threading.Thread | None:
    """Make and send a letter in a thread; None when too many are under way, and this one is left out."""
    if not AT_ONCE.acquire(blocking=False):
        web.log.warning("web.mail_left_out", reason="too many mails at once")
        return None
    thread = threading.Thread(target=_work, args=(web, make), name="post", daemon=True)
    thread.start()
    return thread


def _work(web: Web, make: Callable[[], Letter | None]) -> None:
    try:
        sent = attempt(lambda: _send(web, letter) if (letter := make()) else None)
        if isinstance(sent, Failed):
            web.log.error("web.mail_failed", reason=sent.reason)
    finally:
        AT_ONCE.release()


def _send(web: Web, letter: Letter) -> None:
    name = _channel(web)
    assert name is not None
    spec, config = web.plan.channels[name]
    say = partial(translate, language=letter.language)
    site = one_line(web.plan.file.site.name)
    words = Wording(
        say(letter.headline).format(site=site),
        tuple(("", say(line).format(site=site, time=letter.time)) for line in letter.lines),
    )
    notice = Notice(
        key=f"account/{uuid4().hex}",
        kind="test",
        channel=name,
        words=words,
        language=letter.language,
        severity="info",
        at=web.clock.now(),
        to=letter.to,
        link=letter.link,
    )
    with still_services(web.plan, web.clock) as services, built(name, spec.build, config, services) as notifier:
        notifier.send(notice, picture=b"")


def _channel(web: Web) -> str | None:
    return next((name for name, (spec, _config) in web.plan.channels.items() if spec.name == EMAIL), None)
