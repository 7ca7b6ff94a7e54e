"""A change on trial: what the next start does with it, and how the text before it comes back."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..errors import FatalError
from ..foreign import foreign
from .changes import Change, Changes, write_site
from .proposal import sha256_of


@dataclass(frozen=True, slots=True)
class Taken:
    """What a start finds. trial: the change to be judged, None where there is none. text: of the site, to be loaded.

    outcome: of a change that the last process left without one, None where there was none.
    """

    text: str
    trial: Change | None = None
    outcome: Change | None = None


def take_up(changes: Changes, site: Path, text: str, now: datetime) -> Taken:
    """Look for a change without an outcome, put right what a kill left, and count the attempt that begins.

    text: what the site's file holds. Raises FatalError when nothing can be written: then nobody could judge it.
    """
    change = changes.trial()
    if change is None:
        return Taken(text)
    try:
        held = sha256_of(text.encode())
        if held == change.before:
            reason = "the process ended before it was written"
            return Taken(text, outcome=changes.close(change, "rolled_back", reason, now))
        if held != change.after:
            return Taken(text, outcome=changes.close(change, "overtaken", "the file was edited by hand meanwhile", now))
        if change.attempts:
            back, closed = put_back(changes, change, site, "the process ended while it was tried", now)
            return Taken(back, outcome=closed)
        return Taken(text, trial=changes.count_attempt(change))
    except OSError as exc:
        raise FatalError(f"{changes.folder}: {foreign(exc.strerror or exc)}") from exc


def put_back(changes: Changes, change: Change, site: Path, reason: str, now: datetime) -> tuple[str, Change]:
    """(the text before the change, which is to be loaded; the change with its outcome). Raises FatalError.

    A file that somebody has edited since is left as it is: theirs is loaded at the next start. One that can't be
    written, too, and the change stays open, so that the next start tries it again.
    """
    text = changes.text(change.id, "before")
    site = site.resolve()
    try:
        if sha256_of(site.read_bytes()) != change.after:
            said = f"{reason}; the file was edited by hand meanwhile, and is left as it is"
            return text, changes.close(change, "overtaken", said, now)
        write_site(site, text.encode())
        return text, changes.close(change, "rolled_back", reason, now)
    except OSError:
        return text, change  # what runs is the old text; the next start tries to write it again
