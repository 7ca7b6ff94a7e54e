"""Who wants the site's YAML changed comes here: checked once more, written, kept in the audit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from ..clock import Clock
from ..errors import ConfigError, FatalError
from ..i18n import _
from ..registry import Registry
from ..store.schema import audit
from ..store.sql import Store
from .changes import Change, Changes, new_id
from .proposal import propose


@dataclass(frozen=True, slots=True)
class ConfigurationDesk:
    """One site's. tried: a daemon runs, and will judge what is written; else it only lies there for the next start."""

    site: Path
    state_dir: Path
    registry: Registry
    store: Store
    clock: Clock
    tried: bool

    def apply(self, values: Mapping[str, Any]) -> Change:
        """Write a new configuration; the second time with one `id` nothing happens. Raises FatalError to refuse.

        values: id, text, base (SHA-256 of the file that the text was made from), who, why.
        """
        said = {name: str(values[name]) for name in ("id", "text", "base", "who", "why")}
        changes = Changes(self.state_dir)
        if known := changes.get(said["id"]):
            return known
        proposal = propose(self.site, said["text"], self.registry, base=said["base"])
        if proposal.faults:
            raise ConfigError("\n".join(proposal.faults))
        if not proposal.diff:
            raise FatalError(_("nothing changes: the file has this text already"))
        now, change_id = self.clock.now(), said["id"] or new_id(self.clock.now())
        row = {"at": now, "who": said["who"], "action": "configuration", "subject": change_id}
        with self.store.transaction() as connection:  # around it: what is not written leaves no row, nor the reverse
            connection.execute(insert(audit).values(**row, details={"why": said["why"]}))
            return changes.begin(
                self.site,
                proposal.text,
                base=proposal.base,
                who=said["who"],
                why=said["why"],
                now=now,
                change_id=change_id,
                tried=self.tried,
            )
