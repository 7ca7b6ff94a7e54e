"""Notifier `console`: one line an alert on standard output, for a terminal or the journal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from edge.api import Notice, NotifierSpec, NotifyError, Services, hookimpl, mark, translate

KINDS = {
    "alert": mark("ALERT"),
    "update": mark("UPDATE"),
    "digest": mark("DIGEST"),
    "health": mark("STATE"),
    "answer": mark("ANSWER"),
    "test": mark("TEST"),
}


class ConsoleConfig(BaseModel):
    """language: of the line; the site's when left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: Literal["en", "es"] | None = None


@dataclass(frozen=True, slots=True)
class ConsoleNotifier:
    """Prints notices."""

    def send(self, notice: Notice, *, picture: bytes) -> None:
        """Print one line, such as `ALERT Jaguar · cam-03 · 02:14 | Jaguar (Panthera onca), 93% | Rule: cats | …`."""
        line = _line(notice, has_picture=bool(picture))
        encoding = sys.stdout.encoding or "utf-8"
        try:
            # A terminal in the C locale has no "·": a question mark in its place must not cost the alert.
            print(line.encode(encoding, "replace").decode(encoding), flush=True)
        except OSError as exc:
            raise NotifyError(f"standard output can't be written: {exc}") from exc


def _line(notice: Notice, *, has_picture: bool) -> str:
    words, language = notice.words, notice.language
    parts = [f"{translate(KINDS[notice.kind], language)} {words.headline}"]
    rows = list(words.rows)
    if notice.alert is not None:
        parts.append(rows.pop(0)[1])
    parts += [f"{label}: {value}" if label else value for label, value in rows]
    if notice.alert is not None and not has_picture:
        parts.append(translate("The picture could not be read any more.", language))
    return " | ".join(parts)


@contextmanager
def build(_config: ConsoleConfig, _services: Services) -> Iterator[ConsoleNotifier]:
    """Give the notifier; there is nothing to open."""
    yield ConsoleNotifier()


SPEC = NotifierSpec("console", ConsoleConfig, build)


@hookimpl
def tigrillo_notifiers() -> list[NotifierSpec[ConsoleConfig]]:
    """Name this channel."""
    return [SPEC]
