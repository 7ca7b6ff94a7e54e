"""Corrections of cameras' clocks on their way to the record: worked out by a command, written by whoever may write.

They are JSON in between. Each of the three may be done twice.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from ..camera_clock import Correction
from ..errors import FatalError
from ..i18n import _
from ..store import clocks as rows
from ..store.clocks import Counted
from ..store.sql import Store

BATCHES = 10  # of frames, in one request: half a second, so that the daemon answers others in between
_CORRECTION, _COUNTED = TypeAdapter(Correction), TypeAdapter(Counted)


def correction_json(new: Correction, *, why: str, who: str, now: datetime) -> dict[str, Any]:
    """What `correct` takes."""
    return {"correction": _CORRECTION.dump_python(new, mode="json"), "why": why, "who": who, "now": now.isoformat()}


def correct(store: Store, values: Mapping[str, Any]) -> dict[str, Any]:
    """Note a correction; its number."""
    new, now = _CORRECTION.validate_python(values["correction"]), datetime.fromisoformat(values["now"])
    with store.transaction() as connection:
        pk = rows.add(connection, new, why=str(values["why"]), who=str(values["who"]), now=now)
    return {"correction": pk}


def undo(store: Store, values: Mapping[str, Any]) -> dict[str, Any]:
    """Take a correction out of force; its station. Raises FatalError for one that there is not, or is out already."""
    pk, who, now = int(values["correction"]), str(values["who"]), datetime.fromisoformat(values["now"])
    with store.transaction() as connection:
        known = rows.find(connection, pk)
        if known is None:
            raise FatalError(_("no correction {number}: `tigrillo clock show` lists them").format(number=pk))
        if not rows.undo(connection, known, who=who, now=now) and known.undone_at != now:
            text = _("correction {number} was undone by {who} on {day} already")
            day = known.undone_at.date().isoformat() if known.undone_at else ""
            raise FatalError(text.format(number=pk, who=known.undone_by, day=day))
    return {"station": known.correction.station}


def recount(store: Store, values: Mapping[str, Any]) -> dict[str, Any]:
    """Give some more frames of a station their times: `{"station", "began", **Counted}` → Counted, as JSON."""
    counted = _COUNTED.validate_python({name: values[name] for name in asdict(Counted()) if name in values})
    began = datetime.fromisoformat(values["began"])
    done = rows.recount(store, str(values["station"]), began=began, counted=counted, batches=BATCHES)
    return asdict(done)
