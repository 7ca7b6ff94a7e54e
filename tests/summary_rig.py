"""A site's record that tests of the summaries change at will: frames, boxes, answers, clocks."""

import logging
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, insert, select, update

from edge.clock import SteppedClock
from edge.services import Station
from edge.store.dialects import day_of
from edge.store.readers import Readers
from edge.store.reviews import mark_full_frames
from edge.store.schema import frames, observations, reviews, suspects
from edge.store.sql import Store
from edge.store.summaries import mark_stale
from edge.store.web_schema import days, favourites, sequence_frames, sequences, stale_days, tallies
from edge.summaries.work import Summariser

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PUMA, OCELOT, CAT = "Puma concolor", "Leopardus pardalis", "Felidae"


class Quiet:
    """A log that keeps what is said."""

    def __init__(self):
        self.said = []

    def info(self, event, **fields):
        self.said.append((event, fields))

    debug = warning = error = info


@dataclass
class Record:
    """A database with its summariser."""

    url: str
    zones: dict = field(default_factory=lambda: {"north": "America/Mexico_City", "south": "UTC"})

    def __post_init__(self):
        self.store, self.readers = Store(self.url), Readers(self.url)
        self.clock, self.log = SteppedClock(START), Quiet()
        self.stations = {name: Station(name, zone) for name, zone in self.zones.items()}
        self.number = 0

    def close(self):
        self.readers.close()
        self.store.close()

    def summariser(self):
        return Summariser(self.store, self.readers, self.stations, "UTC", self.clock, self.log)

    def frame(self, station="north", at=START, *, boxes=(), **columns):
        """Add a recorded frame; boxes: (category, taxon, score) or with a picture's number. Its pk."""
        self.number += 1
        row = {
            "station": station,
            "id": f"f{self.number}",
            "kind": "still",
            "path": f"/tmp/{self.number}.jpg",
            "name": f"IMG_{self.number:04}.JPG",
            "sha256": "0" * 64,
            "size_bytes": 1,
            "source": "test",
            "captured_utc": at,
            "received_at": (at or START) + timedelta(minutes=1),
            "state": "recorded",
            **columns,
        }
        with self.store.transaction() as connection:
            pk = connection.execute(insert(frames).values(row)).inserted_primary_key[0]
            for box in boxes:
                connection.execute(insert(observations).values(box_row(pk, *box)))
        return pk

    def review(self, frame, kind="animal", taxon="", *, box=None, count=1, **columns):
        row = {"frame_pk": frame, "observation_pk": box, "kind": kind, "taxon": taxon, "count": count}
        with self.store.transaction() as connection:
            added = insert(reviews).values({**row, "by": "ana", "at": START, **columns})
            pk = connection.execute(added).inserted_primary_key[0]
            mark_full_frames(connection, [frame])
            return pk

    def undo(self, review):
        with self.store.transaction() as connection:
            connection.execute(update(reviews).where(reviews.c.pk == review).values(undone_by="ana", undone_at=START))
            mark_full_frames(connection, [connection.scalar(select(reviews.c.frame_pk).where(reviews.c.pk == review))])

    def change(self, pk, **columns):
        with self.store.transaction() as connection:
            connection.execute(update(frames).where(frames.c.pk == pk).values(columns))

    def boxes(self, frame):
        with self.store.transaction() as connection:
            return list(connection.scalars(select(observations.c.pk).where(observations.c.frame_pk == frame)))

    def settle(self, summariser=None):
        """Refresh until nothing is stale."""
        summariser = summariser or self.summariser()
        for _round in range(50):
            self.clock.step(60)
            if not summariser.refresh():
                break
        assert self.stale() == []

    def stale(self):
        return self.rows(stale_days)

    def rows(self, table, *where):
        with self.store.transaction() as connection:
            query = select(table).where(*where).order_by(*table.primary_key.columns)
            return [dict(row) for row in connection.execute(query).mappings()]

    def sequences(self):
        return self.rows(sequences)

    def tally(self, station, period, taxon, kind="animal"):
        """(events, frames, individuals)."""
        here = (tallies.c.station == station, tallies.c.period == period)
        found = self.rows(tallies, *here, tallies.c.kind == kind, tallies.c.taxon == taxon)
        return (found[0]["events"], found[0]["frames"], found[0]["individuals"]) if found else None

    def everything(self):
        """All that the summaries say."""
        return {table.name: self.rows(table) for table in (sequences, sequence_frames, days, tallies)}

    def from_nothing(self):
        """The same made anew."""
        with self.store.transaction() as connection:
            for table in (sequence_frames, sequences, days, tallies):
                connection.execute(delete(table))
            at = func.coalesce(frames.c.captured_utc, frames.c.received_at)
            found = select(frames.c.station, day_of(at)).where(frames.c.state == "recorded").distinct()
            mark_stale(connection, [(station, day) for station, day in connection.execute(found)])
        self.settle()
        return self.everything()

    def at_random(self, seed, *, steps=60):
        """Change something, many times; yields after each."""
        chance = random.Random(seed)
        with self.store.transaction() as connection:
            suspect = {"station": "north", "category": "animal", "x": 0, "y": 0, "w": 1, "h": 1, "frames": 1, "days": 1}
            suspect |= {"first_at": START, "last_at": START, "found_at": START}
            connection.execute(insert(suspects).values(suspect))
        known, said = [], []
        for _step in range(steps):
            self._change(chance, known, said)
            yield

    def _change(self, chance, known, said):
        ways = (self._burst, self._burst, self._burst, self._answer, self._undo_one, self._clock)
        way = chance.choice((*ways, self._full, self._suppress, self._favour)) if known else self._burst
        way(chance, known, said)

    def _burst(self, chance, known, _said):
        # near midnights, UTC and local, as often as not
        day = START.replace(hour=chance.choice((0, 6, 14))) + timedelta(days=chance.randrange(4))
        at = day + timedelta(seconds=chance.choice((-70, -8, -2, 0, 5, 900, 1500, 3000)) + chance.randrange(30))
        station, step = chance.choice(("north", "south")), chance.choice((1, 4, 9, 40, 400))
        for number in range(chance.randrange(1, 9)):
            some = chance.sample(
                [("animal", PUMA, 0.8), ("animal", CAT, 0.7), ("animal", "", 0.9), ("animal", OCELOT, 0.6)], 2
            )
            boxes = [*some[: chance.randrange(3)], *([("person", "", 0.5)] if chance.random() < 0.1 else [])]
            more = {"burst": "b", "burst_number": number} if chance.random() < 0.2 else {}
            when = None if chance.random() < 0.05 else at + timedelta(seconds=number * step)
            camera = chance.choice(("", "", "", "second"))
            known.append(self.frame(station, when, boxes=boxes, camera=camera, **more))

    def _answer(self, chance, known, said):
        pk = chance.choice(known)
        kind = chance.choice(("animal", "blank", "human", "unknown"))
        taxon = chance.choice((PUMA, OCELOT, "")) if kind == "animal" else ""
        box = chance.choice([None, None, *self.boxes(pk)])
        said.append(self.review(pk, kind, taxon, box=box, count=chance.randrange(1, 4)))

    def _undo_one(self, chance, _known, said):
        if said:
            self.undo(said.pop(chance.randrange(len(said))))

    def _clock(self, chance, known, _said):
        moved = timedelta(seconds=chance.choice((-86_400, -3600, -5, 7, 3600, 90_000)))
        with self.store.transaction() as connection:
            for each in {chance.choice(known) for _each in range(5)}:
                at = connection.scalar(select(frames.c.captured_utc).where(frames.c.pk == each))
                if at is not None:
                    connection.execute(update(frames).where(frames.c.pk == each).values(captured_utc=at + moved))

    def _full(self, chance, known, _said):
        thumbnail, full = chance.choice(known), chance.choice(known)
        before = self.rows(frames, frames.c.pk == thumbnail)[0]["full_pk"]
        self.change(thumbnail, full_pk=full if full != thumbnail else None)
        for each in {full, before} - {None}:  # a thumbnail is known before its full frame is recorded
            self.change(each, state="recorded")

    def _suppress(self, chance, known, _said):
        with self.store.transaction() as connection:
            mine = observations.c.frame_pk.in_([chance.choice(known), chance.choice(known)])
            connection.execute(update(observations).where(mine).values(suspect_pk=1))
            state = chance.choice(("suppressed", "kept"))
            connection.execute(update(suspects).where(suspects.c.pk == 1).values(state=state))

    def _favour(self, chance, known, _said):
        pk = chance.choice(known)
        with self.store.transaction() as connection:
            if connection.scalar(select(favourites.c.frame_pk).where(favourites.c.frame_pk == pk)) is None:
                connection.execute(insert(favourites).values(frame_pk=pk, by="ana", at=START))
            # as the page does, which makes the row of its sequence at once
            connection.execute(update(frames).where(frames.c.pk == pk).values(people=False))
            mark_full_frames(connection, [pk])


def box_row(frame, category, taxon="", score=0.9, number=0, size=0.2):
    return {
        "frame_pk": frame,
        "number": number,
        "time_s": 0.0,
        "category": category,
        "score": score,
        "x": 0.1,
        "y": 0.1,
        "w": size,
        "h": size,
        "taxon": taxon,
        "taxon_score": score if taxon else None,
        "detection": {},
    }


logging.getLogger("alembic").setLevel(logging.WARNING)
