"""The log: one line an event, readable on a terminal, JSON under systemd; no secret that was read stands in it."""

import io
import logging
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from .redaction import redacted
from .services import Log


class _Lasting(io.TextIOBase):
    """A stream whose reader may be gone or whose disk may be full: the line is lost, the frame is not."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def _without_secrets(_logger: Any, _method: str, line: Any) -> str:
    """The finished line, so that no field, repr or traceback is forgotten."""
    return redacted(str(line))


def make_log(*, json_lines: bool, level: str = "info") -> Log:
    """A structured log on standard error. level: debug, info, warning or error."""
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json_lines
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    log: Log = structlog.wrap_logger(
        structlog.PrintLogger(cast("TextIO", _Lasting(sys.stderr))),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
            _without_secrets,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
    )
    return log
