"""Changes of the site's YAML, kept in `<state_dir>/configuration`: each a folder with both texts, who, when, outcome.

Written so that kill -9 at any point leaves a site that starts: first the folder, then the site's file; which of the
two texts the file holds then says how far it came (trial.py).
"""

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from ..errors import FatalError
from ..foreign import foreign
from ..i18n import _
from ..paths import is_safe_name, sync_dir, write_atomically
from ..stations.folders import PRIVATE, make_folder, write_file
from .proposal import sha256_of

FOLDER = "configuration"
KEPT_CHANGES = 20
LONGEST_WHO, LONGEST_WHY = 120, 500

# trying: written, and the daemon has not judged it yet. kept: it came up. rolled_back: the one before was put back.
# written: no daemon ran. overtaken: somebody edited the file by hand while it was tried.
State = Literal["trying", "kept", "rolled_back", "written", "overtaken"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change. before, after: SHA-256 of the two texts. attempts: starts with it that were not judged yet.

    at, ended_at: ISO 8601, UTC; ended_at and reason are "" while it is tried. reason: why it was not kept, in English.
    """

    id: str
    at: str
    who: str
    why: str
    before: str
    after: str
    state: State = "trying"
    reason: str = ""
    ended_at: str = ""
    attempts: int = 0

    @property
    def began(self) -> datetime:
        """When it was asked for, aware."""
        return datetime.fromisoformat(self.at)

    @property
    def is_over(self) -> bool:
        """Whether its outcome is known."""
        return self.state != "trying"


def new_id(now: datetime) -> str:
    """A name for a change; sorts by time."""
    return f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Changes:
    """Those of a site, the last 20."""

    state_dir: Path

    @property
    def folder(self) -> Path:
        """Where they lie; readable by the site's user alone, because a site names people."""
        return self.state_dir / FOLDER

    def newest_first(self) -> list[Change]:
        """All that are kept; a folder that can't be read is passed over."""
        return list(self._read())

    def get(self, change_id: str) -> Change | None:
        """One of them; None when there is none of this name."""
        if not is_safe_name(change_id):
            return None
        with contextlib.suppress(OSError, ValueError, TypeError):
            return Change(**json.loads((self.folder / change_id / "change.json").read_bytes()))
        return None

    def text(self, change_id: str, which: Literal["before", "after"]) -> str:
        """The site's text before or after a change. Raises FatalError when it is no longer kept."""
        if which in ("before", "after") and self.get(change_id) is not None:
            with contextlib.suppress(OSError, UnicodeDecodeError):
                return (self.folder / change_id / f"{which}.yaml").read_text("utf-8")
        raise FatalError(_("change {id!r} is not kept any more").format(id=change_id[:80]))

    def trial(self) -> Change | None:
        """The change that is not judged yet; None when there is none."""
        return next((change for change in self._read() if not change.is_over), None)

    def begin(
        self,
        site: Path,
        text: str,
        *,
        base: str,
        who: str,
        why: str,
        now: datetime,
        change_id: str = "",
        tried: bool = True,
    ) -> Change:
        """Write a checked text to the site's file, the old one kept; the second time with one `change_id`: nothing.

        base: SHA-256 of the file as it was when the change was made. tried: a daemon will judge it; else it counts as
        written. Raises FatalError when the file has changed since, another change is on trial, or nothing can be
        written; then all is as before.
        """
        if change_id and (known := self.get(change_id)):
            return known
        site = site.resolve()  # a link stays one
        try:
            old = site.read_bytes()
        except OSError as exc:
            raise _cannot_write(site, exc) from exc
        if sha256_of(old) != base:
            raise FatalError(
                _("{name} was changed meanwhile: load it again, and make your change there").format(name=site.name)
            )
        if self.trial() is not None:
            raise FatalError(_("another change is being tried: wait until it is kept or rolled back"))
        change = Change(
            change_id or new_id(now),
            now.isoformat(),
            who[:LONGEST_WHO],
            why[:LONGEST_WHY],
            base,
            sha256_of(text.encode()),
        )
        try:
            self._keep(change, old, text.encode())
            write_site(site, text.encode())
        except OSError as exc:
            shutil.rmtree(self.folder / change.id, ignore_errors=True)
            raise _cannot_write(site, exc) from exc
        self._forget_old()
        return change if tried else self.close(change, "written", "", now)

    def close(self, change: Change, state: State, reason: str, now: datetime) -> Change:
        """Note the outcome. Raises OSError as the file system gives it."""
        return self._write(replace(change, state=state, reason=reason, ended_at=now.isoformat()))

    def count_attempt(self, change: Change) -> Change:
        """A start with it begins. Raises OSError as the file system gives it."""
        return self._write(replace(change, attempts=change.attempts + 1))

    def postpone(self, change: Change) -> Change:
        """It was stopped in good order before it could be judged: the next start tries again."""
        return self._write(replace(change, attempts=0))

    def _read(self) -> Iterator[Change]:
        with contextlib.suppress(OSError):
            for name in sorted((each.name for each in self.folder.iterdir()), reverse=True):
                if (change := self.get(name)) is not None:
                    yield change

    def _keep(self, change: Change, old: bytes, new: bytes) -> None:
        make_folder(self.folder)
        coming = self.folder / f".new-{change.id}"
        make_folder(coming)
        values: dict[str, Any] = asdict(change)
        for name, body in (("before.yaml", old), ("after.yaml", new), ("change.json", json.dumps(values).encode())):
            write_file(coming / name, body, mode=PRIVATE)
        coming.replace(self.folder / change.id)
        sync_dir(self.folder)

    def _write(self, change: Change) -> Change:
        write_file(self.folder / change.id / "change.json", json.dumps(asdict(change)).encode(), mode=PRIVATE)
        return change

    def _forget_old(self) -> None:
        names = sorted(each.name for each in self.folder.iterdir())
        for name in [each for each in names if not each.startswith(".")][:-KEPT_CHANGES]:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in names:
            if name.startswith(".new-"):  # left by a kill
                shutil.rmtree(self.folder / name, ignore_errors=True)


def write_site(site: Path, body: bytes) -> None:
    """Replace the site's file, whole; mode and, where we may, owner stay. Raises OSError."""
    was = site.stat()
    write_atomically(site, body, mode=was.st_mode & 0o7777)
    with contextlib.suppress(PermissionError):  # only root gives files away; who may replace it is its owner mostly
        if (was.st_uid, was.st_gid) != (site.stat().st_uid, site.stat().st_gid):
            os.chown(site, was.st_uid, was.st_gid)


def _cannot_write(site: Path, exc: OSError) -> FatalError:
    return FatalError(
        _(
            "{path}: can't be written ({reason}): the service's user must own the file and may write to its folder"
        ).format(path=site, reason=foreign(exc.strerror or exc))
    )
