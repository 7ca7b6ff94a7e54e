"""Originals with people: withheld, deleted and released. A power cut at any moment is made good by the next try.

A withheld original lies in `<state_dir>/withheld`, which its owner alone can read. The record goes on pointing at it,
so that pictures for people can still be made of it; all of those are blurred (edge/media/blurred.py).
"""

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from ..clock import Clock
from ..errors import FatalError
from ..foreign import foreign
from ..i18n import _
from ..paths import sync_dir
from ..services import Log
from ..store import people as rows
from ..store.people import Shown
from ..store.sql import Store
from .policy import PeopleConfig

FOLDER = "withheld"
MOST = 200  # originals in one round, of each kind
SETTLES = timedelta(minutes=2)  # before an original is moved: an alert that is just being written reads it
SENT_BY = timedelta(hours=1)  # before one is deleted: alerts take their pictures from it
POLICY = "policy"  # who, in the audit


@dataclass(frozen=True, slots=True)
class Swept:
    """What a round did. failed: files that could not be moved or deleted, each with its reason."""

    withheld: int = 0
    deleted: int = 0
    failed: tuple[str, ...] = ()


@dataclass(slots=True)
class Originals:
    """The originals of one site, under its policy."""

    store: Store
    state_dir: Path
    policy: PeopleConfig
    clock: Clock
    log: Log
    _stuck: set[int] = field(default_factory=set)  # said once, and not tried again before a restart
    _after: dict[str, int] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where withheld originals lie."""
        return self.state_dir / FOLDER

    def sweep(self) -> Swept:
        """Withhold and delete what the policy says, MOST of each; the next round goes on after these.

        `keep` does nothing, also not to what another policy withheld before.
        """
        now = self.clock.now()
        withheld_for = self.policy.withheld_for
        failed: list[str] = []
        withheld = deleted = 0
        if withheld_for is not None:
            for shown in self._next("withhold", rows.to_withhold, now - SETTLES):
                withheld += self._try(self.withhold, shown, now, failed)
            for shown in self._next("delete", rows.to_delete, now - withheld_for):
                deleted += self._try(self.delete, shown, now, failed)
        elif self.policy.originals == "delete":
            for which, look in (("withhold", rows.to_withhold), ("delete", rows.to_delete)):
                for shown in self._next(which, look, now - SENT_BY):
                    deleted += self._try(self.delete, shown, now, failed)
        if withheld or deleted:
            self.log.info("people.swept", withheld=withheld, deleted=deleted)
        return Swept(withheld, deleted, tuple(failed))

    def withhold(self, shown: Shown, now: datetime) -> None:
        """Move an original to where nobody else can read it; one that is gone counts as deleted. Raises OSError."""
        target = self.folder / f"{shown.pk}-{shown.path.name}"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        # a round that a power cut ended after the move finds the file at its new place
        if not target.exists() and not shown.path.exists():
            self.delete(shown, now)
            return
        if shown.path.exists() and shown.path != target:
            _move(shown.path, target)
        target.chmod(0o600)
        with self.store.transaction() as connection:
            details = {"from": str(shown.path)}
            rows.change(connection, shown, original="withheld", path=target, who=POLICY, now=now, details=details)

    def delete(self, shown: Shown, now: datetime) -> None:
        """Delete an original; the row stays. Raises OSError."""
        was_there = shown.path.exists()
        if not was_there and not shown.path.parent.exists():  # a disk that is not mounted now
            raise FileNotFoundError(errno.ENOENT, "its folder is not there", str(shown.path))
        if was_there:
            shown.path.unlink()
            sync_dir(shown.path.parent)
        with self.store.transaction() as connection:
            details = {"path": str(shown.path), "was_there": was_there, "policy": self.policy.originals}
            rows.change(connection, shown, original="deleted", who=POLICY, now=now, details=details)

    def release(self, frame_id: str, station: str, *, who: str, why: str) -> Shown:
        """Put an original back where it was, for good: no policy takes it again. Raises FatalError."""
        found = [each for each in rows.find(self.store, frame_id) if station in {"", each.station}]
        if len(found) != 1:
            text = _("no recorded frame {id!r}") if not found else _("{id!r} is at several stations: name one")
            raise FatalError(text.format(id=frame_id))
        shown, now = found[0], self.clock.now()
        if shown.original == "deleted":
            raise FatalError(_("{id}: its original was deleted, nothing brings it back").format(id=frame_id))
        with self.store.transaction() as connection:
            back = rows.came_from(connection, shown) if shown.original == "withheld" else None
        back = back or shown.path
        try:
            if back != shown.path and not (back.exists() and not shown.path.exists()):
                if back.exists():
                    raise FatalError(_("{path}: another file lies there: move it away first").format(path=back))
                back.parent.mkdir(parents=True, exist_ok=True)
                _move(shown.path, back)
        except OSError as exc:
            reason = foreign(exc.strerror or str(exc))
            raise FatalError(_("{path}: can't be put back: {reason}").format(path=back, reason=reason)) from exc
        with self.store.transaction() as connection:
            details = {"to": str(back), "why": why}
            rows.change(connection, shown, original="released", path=back, who=who, now=now, details=details)
        return replace(shown, original="released", path=back)

    def _next(self, which: str, look: Callable[..., list[Shown]], before: datetime) -> list[Shown]:
        """The next MOST; after the last ones it begins anew."""
        found = look(self.store, recorded_before=before, after=self._after.get(which, 0), limit=MOST)
        self._after[which] = found[-1].pk if len(found) == MOST else 0
        return [each for each in found if each.pk not in self._stuck]

    def _try(self, act: Callable[[Shown, datetime], None], shown: Shown, now: datetime, failed: list[str]) -> bool:
        try:
            act(shown, now)
        except OSError as exc:
            reason = f"{shown.path}: {exc.strerror or exc}"
            self.log.warning("people.stuck", station=shown.station, frame_id=shown.id, reason=reason)
            self._stuck.add(shown.pk)
            failed.append(reason)
            return False
        return True


def _move(source: Path, target: Path) -> None:
    """Move a file, over the border of a file system, too; whole at its new place before it leaves the old one."""
    try:
        source.rename(target)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        part = target.with_name(f".{target.name}.part")
        with source.open("rb") as old, part.open("wb") as new:
            os.fchmod(new.fileno(), 0o600)
            shutil.copyfileobj(old, new)
            new.flush()
            os.fsync(new.fileno())
        part.replace(target)
        sync_dir(target.parent)
        source.unlink()
    sync_dir(target.parent)
    sync_dir(source.parent)
