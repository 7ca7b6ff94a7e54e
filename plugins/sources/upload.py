"""Source `upload`: hop 2, receive, from what people sent through the page. A site with a page has it without naming it.

Whole files of the book of uploads (edge/uploads.py) → the sink, which gives them a second name in its own folder →
their first name goes. A kill at any moment is made good at the next start: a file that was being taken is taken again,
and the sink knows its content.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from edge.api import (
    Incoming,
    RefusedError,
    RetryableError,
    Services,
    Sink,
    SourceSpec,
    UploadBook,
    UploadedFile,
    hookimpl,
)

NAME = "upload"
PAUSE_S = 1.0  # the first pause when the sink can't take a file; it doubles
LONGEST_PAUSE_S = 30.0


class UploadConfig(BaseModel):
    """look_s: how often it is looked whether a file has come."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    look_s: float = Field(default=0.5, gt=0, le=60)


@dataclass(frozen=True, slots=True)
class UploadSource:
    """Files that came through the page."""

    config: UploadConfig
    services: Services

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Hand over files until `stop` is set; see Source."""
        pause_s = PAUSE_S
        with closing(UploadBook(self.services.state_dir)) as book:
            while not stop.wait(self.config.look_s):
                try:
                    while due := book.due():
                        for each in due:
                            if stop.is_set():
                                return
                            hand_over(book, each, sink)
                            pause_s = PAUSE_S
                except (RetryableError, sqlite3.OperationalError) as exc:  # a full spool, a database somebody holds
                    self.services.log.warning("upload.deferred", reason=str(exc), again_in_s=pause_s)
                    stop.wait(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def hand_over(book: UploadBook, file: UploadedFile, sink: Sink) -> None:
    """Deal with one whole file. Raises RetryableError when the sink can't take it now."""
    path = book.path_of(file.upload, file.number)
    # one that was being taken when we were killed is not "known" because of that
    is_known = file.state == "whole" and sink.knows(file.station, file.sha256)
    if not is_known and file.state == "whole" and not book.set_file(file, "taking", was=["whole"]):
        return
    try:
        if not is_known:
            sink.receive(Incoming(file.station, file.name, file.kind, path, NAME, sha256=file.sha256, ours=True))
    except RefusedError as exc:  # which the sink has recorded; the bytes stay for as long as the upload is kept
        book.set_file(file, "refused", reason=str(exc))
        return
    book.set_file(file, "known" if is_known else "taken")
    path.unlink(missing_ok=True)


@contextmanager
def build(config: UploadConfig, services: Services) -> Iterator[UploadSource]:
    """Give the source."""
    yield UploadSource(config, services)


SPEC = SourceSpec(NAME, UploadConfig, build)


@hookimpl
def tigrillo_sources() -> list[SourceSpec[UploadConfig]]:
    """Name this source."""
    return [SPEC]
