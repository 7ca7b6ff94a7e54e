"""A WebRig whose sequences are summed up, as the page's own thread does it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from starlette.testclient import TestClient

from edge.model import Detection
from edge.store.web_schema import sequences
from edge.summaries.work import Summariser
from server.rights import Role
from tests.web_rig import NOW, SITE, WebRig


class ReviewRig(WebRig):
    """`sum_up()` makes the rows of `sequences`, as the page's thread does."""

    made: int = 0  # sequences of `fresh`

    def sum_up(self) -> None:
        """Make all summaries."""
        timezone = self.plan.file.site.timezone
        Summariser(self.store, self.readers, self.plan.stations, timezone, self.clock, self.web.log).refresh()
        self.clock.step(60)  # a day that was just made is left alone for a while

    def client(self, role: Role | None = "viewer", **who: Any) -> TestClient:
        """As WebRig's, the same one for the same person: making an application takes longer than most requests."""
        known: dict[str, TestClient] = self.__dict__.setdefault("clients", {})
        key = repr((role, sorted(who.items())))
        if key not in known:
            known[key] = super().client(role, **who)
        return known[key]

    def fresh(self, *shown: tuple[Detection, ...], station: str = "cam-01") -> int:
        """A sequence that no test has seen, hours before all others, summed up; its pk."""
        self.made += 1
        pk = self.sequence(station, f"fresh{self.made}", *shown, at=NOW - timedelta(days=9, hours=self.made))
        self.sum_up()
        return pk

    def sequence(self, station: str, name: str, *shown: tuple[Detection, ...], at: datetime = NOW) -> int:
        """Frames of one sequence, a second apart, with these detections; the pk of the sequence."""
        pks = [
            self.record(station, f"{name}-{number}", each, at=at + timedelta(seconds=number))
            for number, each in enumerate(shown)
        ]
        return pks[0]

    def row(self, pk: int):
        """The row of a sequence."""
        with self.readers.read() as connection:
            return connection.execute(select(sequences).where(sequences.c.pk == pk)).mappings().one()


@contextmanager
def review_rig(folder: Path, site: str = SITE) -> Iterator[ReviewRig]:
    """The rig, closed in the end."""
    with ReviewRig(folder, site) as rig:
        yield rig
