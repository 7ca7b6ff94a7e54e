"""What the record knows of a frame's picture: its file, and where people are in it. Read anew for every request.

So a person whom a reviewer has just marked is hidden in the next answer: what is hidden is part of a picture's key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from edge.model import Detection, Kind, PictureResult
from edge.privacy.hidden import hidden_of
from edge.store.schema import frames
from edge.tracking.between import Between

COLUMNS = tuple(
    frames.c[name]
    for name in (
        "pk", "station", "id", "kind", "path", "name", "sha256", "size_bytes", "state", "people", "original",
        "pictures", "full_pk", "width", "height", "frame_rate", "damage", "captured_utc", "captured_original",
        "captured_origin", "received_at", "recorded_at", "brightness", "infrared", "camera", "source",
    )
)  # fmt: skip
STILL = ((0, 0.0),)


@dataclass(frozen=True, slots=True)
class Known:
    """A recorded frame. pictures: (number, seconds) of those looked at, in order; one at least.

    hidden, everything, people: as of `edge.privacy.hidden.Hidden`.
    """

    pk: int
    station: str
    id: str
    kind: Kind
    path: Path
    name: str
    sha256: str
    size_bytes: int
    original: str
    pictures: tuple[tuple[int, float], ...]
    hidden: Mapping[int, tuple[Detection, ...]]
    everything: bool
    people: bool
    width: int
    height: int
    frame_rate: float | None
    damage: str
    captured: datetime | None
    received: datetime
    facts: Mapping[str, Any]

    @property
    def results(self) -> list[PictureResult]:
        """The pictures with the people on them only, as edge.tracking.between takes them."""
        return [PictureResult(number, time_s, self.hidden.get(number, ())) for number, time_s in self.pictures]

    def time_of(self, number: int) -> float | None:
        """Seconds into the clip of a picture that was looked at; None for others."""
        return dict(self.pictures).get(number)

    def people_at(self, number: int) -> tuple[Detection, ...]:
        """Who is hidden in a picture: in a clip also those of the pictures around it, who may stand in between."""
        time_s = self.time_of(number)
        if self.kind == "still" or time_s is None:
            return self.hidden.get(number, ())
        return Between(self.results).people(time_s)


def read_known(connection: Connection, frame_pk: int) -> Known | None:
    """The frame with this pk; None when there is none, or the stages have not looked at it yet."""
    row = connection.execute(select(*COLUMNS).where(frames.c.pk == frame_pk)).mappings().one_or_none()
    if row is None or row["state"] != "recorded":
        return None
    hidden = hidden_of(connection, row)
    looked_at = tuple((int(number), float(time_s)) for number, time_s, *_rest in row["pictures"] or ())
    return Known(
        pk=row["pk"],
        station=row["station"],
        id=row["id"],
        kind=row["kind"],
        path=Path(row["path"]),
        name=row["name"],
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        original=row["original"],
        pictures=looked_at or STILL,
        hidden=hidden.boxes,
        everything=hidden.everything,
        people=hidden.people,
        width=row["width"] or 0,
        height=row["height"] or 0,
        frame_rate=row["frame_rate"],
        damage=row["damage"],
        captured=row["captured_utc"],
        received=row["received_at"],
        facts=dict(row),
    )
