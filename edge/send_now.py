"""A message past the outbox: to try a channel, or to say that the daemon has ended."""

from collections.abc import Iterator, Sequence
from functools import partial
from uuid import uuid4

from .alerts.people import Addressee
from .config import Plan
from .errors import FatalError
from .i18n import _, translate
from .notices import Notice, NoticeKind, Wording
from .pipeline.built import built
from .pipeline.runner import Failed, attempt
from .services import Services
from .wording import one_line


def send_now(
    plan: Plan, services: Services, names: Sequence[str], text: str | None, *, kind: NoticeKind = "test"
) -> Iterator[tuple[str, str]]:
    """Send one message to each, at once; gives (who, what went wrong or ""). Raises FatalError for an unknown name."""
    for to in [_known(plan, name) for name in names]:
        sent = attempt(partial(_send, plan, services, to, _notice(to, services, text, kind)))
        yield to.name, sent.reason if isinstance(sent, Failed) else ""


def _send(plan: Plan, services: Services, to: Addressee, notice: Notice) -> None:
    spec, config = plan.channels[to.channel]
    with built(to.channel, spec.build, config, services) as notifier:
        notifier.send(notice, picture=b"")


def _known(plan: Plan, name: str) -> Addressee:
    found = plan.directory.find(name)
    if found is None:
        names = ", ".join([*plan.directory.first, *plan.directory.by_name])
        raise FatalError(_("{name!r}: nobody of this name; there are: {names}").format(name=name, names=names or "–"))
    return found


def _notice(to: Addressee, services: Services, text: str | None, kind: NoticeKind) -> Notice:
    headline = one_line(text) if text else translate("Tigrillo can reach you this way.", to.language)
    site = (translate("Site", to.language), one_line(services.site_name))
    return Notice(
        key=f"{kind}/{uuid4().hex}",
        kind=kind,
        channel=to.channel,
        words=Wording(headline, (site,)),
        language=to.language,
        severity="critical" if kind == "health" else "info",
        at=services.clock.now(),
        to=to.address,
        person=to.person,
    )
