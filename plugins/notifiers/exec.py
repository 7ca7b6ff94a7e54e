"""Notifier `exec`: runs a program of the site's own for each notice.

The notice comes as JSON on standard input (docs/alerts.md names the keys), the picture as a file. The program's exit
code says what became of it: 0 sent, 75 (EX_TEMPFAIL of sysexits.h) not now, anything else never.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge.api import ConfigError, Notice, NoticeRefused, NotifierSpec, NotifyError, Services, _, hookimpl, one_line

from .notice_json import document, encode
from .program import Ended, run_program

EX_TEMPFAIL = 75
KEPT = ("PATH", "HOME", "LANG")  # of our own environment; all else may hold secrets of other channels
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def _argument(text: str) -> str:
    if "\0" in text:
        raise ValueError(_("{text!r}: an argument has no NUL in it").format(text=text[:80]))
    return text


def _addressee(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > 200:
        raise ValueError(_("{text!r}: one line of at most 200 printable characters").format(text=text[:80]))
    return text.strip()


class ExecConfig(BaseModel):
    """command: program and arguments, no shell; the program by its path or as PATH finds it.

    timeout_s: after which it is ended, with all that it started. language: the site's when left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: tuple[Annotated[str, AfterValidator(_argument)], ...] = Field(min_length=1)
    timeout_s: float = Field(default=30.0, gt=0, le=300)
    language: Literal["en", "es"] | None = None


@dataclass(frozen=True, slots=True)
class ExecNotifier:
    """Runs the program. program: its absolute path."""

    config: ExecConfig
    services: Services
    program: str

    def send(self, notice: Notice, *, picture: bytes) -> str | None:
        """Run it once; the first line it writes is the message's id. Raises NotifyError, NoticeRefused."""
        with _as_file(picture, self.services) as path:
            said = {"media_type": "image/jpeg", "bytes": len(picture), "sha256": hashlib.sha256(picture).hexdigest()}
            text = encode(document(notice, self.services, picture=said if path else None))
            try:
                ended = run_program(
                    [self.program, *self.config.command[1:]],
                    text=text,
                    environment=_environment(notice, path),
                    timeout_s=self.config.timeout_s,
                )
            except OSError as exc:
                raise NotifyError(f"{self._name} can't be started: {exc.strerror}") from exc
        return self._judge(ended)

    def check(self) -> str:
        """Whether the program is there and may be run; it is not run."""
        if shutil.which(self.program) is None:
            raise NotifyError(f"{self.program} is no program that can be run (any more)")
        return self.program

    def _judge(self, ended: Ended) -> str | None:
        why = f": {ended.last_error}" if ended.last_error else ""
        if ended.code is None:
            raise NotifyError(f"{self._name} took more than {self.config.timeout_s:g} s and was ended{why}")
        if ended.code == 0:
            return ended.first_line or None
        if ended.code == EX_TEMPFAIL:
            raise NotifyError(f"{self._name} says not now (exit code {ended.code}){why}")
        if ended.code < 0:  # short of memory, or somebody ended it: says nothing about the message
            raise NotifyError(f"{self._name} was ended by signal {-ended.code}{why}")
        raise NoticeRefused(f"{self._name} refused it (exit code {ended.code}){why}")

    @property
    def _name(self) -> str:
        return one_line(Path(self.program).name)


def _environment(notice: Notice, path: Path | None) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    told = {
        "TIGRILLO_KEY": notice.key,
        "TIGRILLO_KIND": notice.kind,
        "TIGRILLO_SEVERITY": notice.severity,
        "TIGRILLO_STATION": notice.station,
        "TIGRILLO_TO": notice.to,
        "TIGRILLO_HEADLINE": notice.words.headline,
    }
    plain = {name: one_line(value) for name, value in told.items()}
    shown = {} if path is None else {"TIGRILLO_PICTURE": str(path)}
    return {"PATH": DEFAULT_PATH} | kept | plain | shown


@contextmanager
def _as_file(picture: bytes, services: Services) -> Iterator[Path | None]:
    """The picture in a folder that only we can read, gone afterwards; None when there is none, or no room for it."""
    if not picture:
        yield None
        return
    folder: str | None = None
    path: Path | None = None
    try:
        folder = tempfile.mkdtemp(prefix="tigrillo-")
        path = Path(folder, "picture.jpg")
        path.write_bytes(picture)
    except OSError as exc:  # a full disk must not cost the message
        services.log.warning("notify.picture_lost", reason=str(exc))
        path = None
    try:
        yield path
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def build(config: ExecConfig, services: Services) -> Iterator[ExecNotifier]:
    """Find the program, so that a site whose program is missing does not start. Raises ConfigError."""
    wanted = config.command[0]
    program = shutil.which(wanted)
    if program is None:
        problem = _("exec: {program} is no program that can be run: write its whole path, and make it executable")
        raise ConfigError(problem.format(program=one_line(wanted)))
    yield ExecNotifier(config, services, str(Path(program).absolute()))


SPEC = NotifierSpec("exec", ExecConfig, build, address=_addressee)


@hookimpl
def tigrillo_notifiers() -> list[NotifierSpec[ExecConfig]]:
    """Name this channel."""
    return [SPEC]
