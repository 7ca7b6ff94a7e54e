"""Who has a mail that others do not have yet: a mail server may take one for some of its recipients only.

One small file a mail in the state folder, so that the next attempt goes to the others only, also after a restart.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from edge.api import Services, write_atomically

from .email_names import digest

KEPT = 1000  # mails; beyond that the oldest is forgotten


@dataclass(frozen=True, slots=True)
class HalfSent:
    """key of a mail → addresses that have it. Two channels may share a folder, because no two mails share a key.

    What can't be written is kept in memory and told to the log: a full disk must not cost a mail.
    """

    services: Services
    _memory: OrderedDict[str, frozenset[str]] = field(default_factory=OrderedDict)

    @property
    def _folder(self) -> Path:
        return self.services.state_dir / "email"

    def have(self, key: str) -> frozenset[str]:
        """Who has this mail; nobody when it was taken by all, or never sent."""
        if key in self._memory:
            return self._memory[key]
        try:
            found = json.loads(self._path(key).read_bytes())
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError) as exc:
            self.services.log.warning("email.journal_unreadable", path=str(self._path(key)), reason=str(exc))
            return frozenset()
        return frozenset(map(str, found)) if isinstance(found, list) else frozenset()

    def keep(self, key: str, addresses: Iterable[str]) -> None:
        """These have it, others don't."""
        have = frozenset(addresses)
        self._memory[key] = have
        while len(self._memory) > KEPT:
            self._memory.popitem(last=False)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._path(key), json.dumps(sorted(have)).encode(), mode=0o600)
            self._prune()
        except OSError as exc:
            self.services.log.warning("email.journal_unwritable", path=str(self._path(key)), reason=str(exc))

    def forget(self, key: str) -> None:
        """All have it now, or nobody else ever will."""
        self._memory.pop(key, None)
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as exc:
            self.services.log.warning("email.journal_unwritable", path=str(self._path(key)), reason=str(exc))

    def _prune(self) -> None:
        files = list(self._folder.glob("*.json"))
        if len(files) > KEPT:
            for path in sorted(files, key=lambda each: each.stat().st_mtime)[: len(files) - KEPT]:
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{digest(key)}.json"
