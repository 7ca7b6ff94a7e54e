"""Notifier `console`: one line an alert on standard output, for a terminal or the journal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from edge.api import Alert, NotifierSpec, NotifyError, Services, hookimpl, translate, word_alert


class ConsoleConfig(BaseModel):
    """language: of the line; the site's when left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: Literal["en", "es"] | None = None


@dataclass(frozen=True, slots=True)
class ConsoleNotifier:
    """Prints alerts."""

    services: Services
    language: str

    def send(self, alert: Alert, *, picture: bytes) -> None:
        """Print one line, such as `ALERT Jaguar · cam-03 · 02:14 | Jaguar (Panthera onca), 93% | Rule: cats | …`."""
        line = self._line(alert, has_picture=bool(picture))
        encoding = sys.stdout.encoding or "utf-8"
        try:
            # A terminal in the C locale has no "·": a question mark in its place must not cost the alert.
            print(line.encode(encoding, "replace").decode(encoding), flush=True)
        except OSError as exc:
            raise NotifyError(f"standard output can't be written: {exc}") from exc

    def _line(self, alert: Alert, *, has_picture: bool) -> str:
        zone = self.services.timezone_of(alert.station)
        words = word_alert(alert, language=self.language, timezone=zone, now=self.services.clock.now())
        seen, *rest = words.rows
        parts = [f"{translate('ALERT', self.language)} {words.headline}", seen[1]]
        parts += [f"{label}: {value}" for label, value in rest]
        if not has_picture:
            parts.append(translate("The picture could not be read any more.", self.language))
        return " | ".join(parts)


@contextmanager
def build(config: ConsoleConfig, services: Services) -> Iterator[ConsoleNotifier]:
    """Give the notifier; there is nothing to open."""
    yield ConsoleNotifier(services, config.language or services.language)


SPEC = NotifierSpec("console", ConsoleConfig, build)


@hookimpl
def tigrillo_notifiers() -> list[NotifierSpec[ConsoleConfig]]:
    """Name this channel."""
    return [SPEC]
