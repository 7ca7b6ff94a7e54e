"""Notifier `apprise`: messages through the 90 and more services that the library Apprise knows.

An optional extra: `pip install 'tigrillo[apprise]'`. Whom a service took a message for is remembered while others still
have to get it, so that a second attempt goes to those only.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field

from edge.api import ConfigError, Notice, NotifierSpec, NotifyError, Secret, Services, _, hookimpl, one_line, translate

HALF_SENT_KEPT = 1000  # notices of which we remember who has them; beyond that the oldest is forgotten
LEAST_PIECE = 6  # characters of a part of an URL that may be a key
TYPES = {"info": "info", "warning": "warning", "critical": "failure"}  # severity → Apprise's colours and signs


class AppriseConfig(BaseModel):
    """urls: Apprise's own (https://github.com/caronc/apprise/wiki), one service each, secret for the keys in them.

    timeout_s: for all of them together. language: the site's when left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    urls: tuple[Secret, ...] = Field(min_length=1, max_length=32)
    timeout_s: float = Field(default=30.0, gt=0, le=300)
    language: Literal["en", "es"] | None = None


@dataclass(frozen=True, slots=True)
class AppriseNotifier:
    """Hands notices to the services. ways: Apprise's object for each URL. accepted: key → which of them have it."""

    config: AppriseConfig
    ways: Sequence[Any] = field(repr=False)
    secrets: Sequence[str] = field(repr=False)
    accepted: OrderedDict[str, frozenset[int]] = field(default_factory=OrderedDict)

    def send(self, notice: Notice, *, picture: bytes) -> None:
        """Return when every service took it. Raises NotifyError naming those that did not."""
        has_it = self.accepted.pop(notice.key, frozenset())
        missing = [number for number in range(len(self.ways)) if number not in has_it]
        faults = self._notify(notice, picture, missing)
        if not faults:
            return
        self.accepted[notice.key] = has_it | (set(missing) - faults.keys())
        while len(self.accepted) > HALF_SENT_KEPT:
            self.accepted.popitem(last=False)
        raise NotifyError("; ".join(faults.values()))

    def _notify(self, notice: Notice, picture: bytes, numbers: Sequence[int]) -> dict[int, str]:
        """Ask these services at the same time; those that did not take it, and why."""
        from apprise import Apprise, NotifyFormat  # noqa: PLC0415  # because it is optional, and large

        services = Apprise()
        for number in numbers:
            services.add(self.ways[number])
        result = services.notify(
            title=notice.words.headline,
            body=_text(notice, shown=bool(picture)),
            notify_type=TYPES[notice.severity],
            body_format=NotifyFormat.TEXT,
            attach=_attachment(picture) if picture else None,
            timeout=self.config.timeout_s,
        )
        with result:
            took = {int(each.tag[0]): each for each in result}
            return {number: self._fault(number, took.get(number)) for number in numbers if not took.get(number)}

    def _fault(self, number: int, result: Any) -> str:
        name = one_line(str(self.ways[number].service_name))
        said = [entry.message for entry in result.logs()][-1:] if result is not None else []
        reason = one_line(hide("".join(map(str, said)), self.secrets)) or "took no message"
        return f"urls[{number}] ({name}): {reason}"


def _attachment(picture: bytes) -> Any:
    from apprise.attachment import memory  # noqa: PLC0415  # because it is optional, and large

    attach: Any = memory.AttachMemory  # it has no types
    return attach(picture, name="picture.jpg", mimetype="image/jpeg")


def hide(text: str, secrets: Sequence[str]) -> str:
    """`text` without any part of these URLs: a library's own words may hold a key that stood in one."""
    pieces = {piece for url in secrets for piece in re.split(r"[/:@?&=,#\s]+", url) if len(piece) >= LEAST_PIECE}
    for piece in sorted({*secrets, *pieces, *map(unquote, pieces)}, key=len, reverse=True):
        text = text.replace(piece, "…")
    return text


def _text(notice: Notice, *, shown: bool) -> str:
    lines = [f"{label}: {value}" if label else value for label, value in notice.words.rows]
    if notice.alert is not None and not shown:
        lines.append(translate("The picture could not be read any more.", notice.language))
    lines += [notice.link] if notice.link else []
    return "\n".join(lines) or notice.words.headline


@contextmanager
def build(config: AppriseConfig, services: Services) -> Iterator[AppriseNotifier]:  # noqa: ARG001  # because all have it
    """Read the URLs once and ask the library whether it knows them. Raises ConfigError, without showing one."""
    try:
        from apprise import Apprise, AppriseAsset  # noqa: PLC0415  # because it is optional, and large
    except ImportError as exc:
        problem = _("channel `apprise` needs a library that is not installed: pip install 'tigrillo[apprise]'")
        raise ConfigError(problem) from exc
    asset = AppriseAsset(app_id="Tigrillo", app_desc="Tigrillo", storage_mode="memory", secure_logging=True)
    secrets = [url.reveal() for url in config.urls]
    ways = [Apprise.instantiate(url, asset=asset, tag=str(number)) for number, url in enumerate(secrets)]
    for number, way in enumerate(ways):
        if way is None:
            problem = _("apprise: urls[{number}] is no address that Apprise knows: see its list of services")
            raise ConfigError(problem.format(number=number))
    yield AppriseNotifier(config, ways, secrets)


SPEC = NotifierSpec("apprise", AppriseConfig, build)


@hookimpl
def tigrillo_notifiers() -> list[NotifierSpec[AppriseConfig]]:
    """Name this channel."""
    return [SPEC]
