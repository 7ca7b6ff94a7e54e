"""A year of 200 stations as rows, the same for SQLite and PostgreSQL; written in bulk, without triggers.

A trigger of a camera gives three frames, a second apart. A fifth of them are blank; the others have 25 boxes in eight
frames, so that 2.5 observations come to a frame. Species are as uneven as they are in a forest.
"""

import json
import random
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from edge.model import SEVERITIES, Answer, Classification, Detection, Taxon
from edge.store.engines import is_postgresql_url
from edge.store.rows import detection_to_json
from edge.store.sql import Store
from edge.store.triggers import SQLITE_TRIGGERS, trigger_statements

STATIONS, DAYS, BURST = 200, 365, 3
BOXES = (3, 3, 3, 3, 3, 3, 3, 4)  # of frames that are not blank
MAMMALS = ("Animalia", "Chordata", "Mammalia")
TAXA = tuple(
    Taxon(name, "species", (*MAMMALS, *above, name.split()[0], name), english, spanish)
    for name, above, english, spanish in (
        ("Cuniculus paca", ("Rodentia", "Cuniculidae"), "paca", "paca"),
        ("Dasyprocta punctata", ("Rodentia", "Dasyproctidae"), "agouti", "guatín"),
        ("Didelphis marsupialis", ("Didelphimorphia", "Didelphidae"), "common opossum", "zarigüeya"),
        ("Dasypus novemcinctus", ("Cingulata", "Dasypodidae"), "nine-banded armadillo", "armadillo"),
        ("Pecari tajacu", ("Artiodactyla", "Tayassuidae"), "collared peccary", "pecarí"),
        ("Mazama americana", ("Artiodactyla", "Cervidae"), "red brocket", "venado soche"),
        ("Eira barbara", ("Carnivora", "Mustelidae"), "tayra", "tayra"),
        ("Leopardus pardalis", ("Carnivora", "Felidae"), "ocelot", "ocelote"),
        ("Tapirus terrestris", ("Perissodactyla", "Tapiridae"), "tapir", "danta"),
        ("Puma concolor", ("Carnivora", "Felidae"), "puma", "puma"),
        ("Panthera onca", ("Carnivora", "Felidae"), "jaguar", "jaguar"),
    )
)
RAW = tuple(Classification(f"class {number}", 0.4 / number) for number in range(1, 6))


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a table. columns: their names."""

    name: str
    columns: str
    rows: Iterable[Sequence[Any]]


def station(number: int) -> str:
    """The name of a station."""
    return f"cam-{number:03}"


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"


class House:
    """What happened there. pictures: files that all frames show, one after the other. until: naive UTC."""

    def __init__(self, observations: int, pictures: Sequence[Path], until: datetime) -> None:
        self.frames = observations * 2 // 5 // BURST * BURST
        self.pictures = pictures
        self.until = until
        self._dice = random.Random(7)  # the same house each time
        weights = [1 / (rank + 1) for rank in range(len(TAXA))]
        self.taxa = self._dice.choices(range(-1, len(TAXA)), [0.755, *weights], k=self.frames // BURST)
        self.times = sorted(
            until - timedelta(seconds=self._dice.randrange(3600, DAYS * 86_400)) for _trigger in self.taxa
        )

    def tables(self) -> Iterator[Table]:
        """All of them, in an order in which what is referred to is there."""
        yield Table(
            "frames",
            "pk station id kind path name sha256 size_bytes spool_bytes source captured_utc said_utc captured_original "
            "captured_timezone captured_origin received_at state attempts reason recorded_at width height damage "
            "stage_ms pictures boot boot_count seq clock triggered_by stands_for late camera burst people original",
            self._frames(),
        )
        yield Table(
            "observations",
            "pk frame_pk number time_s category score x y w h label taxon taxon_rank taxon_score detection remark",
            self._observations(),
        )
        yield Table(
            "encounters",
            "pk uid code station category lineage started_at last_at opened_at frames best_frame_pk best_number "
            "best_quality acked_by",
            self._encounters(),
        )
        yield Table("matches", "frame_pk encounter_pk rule outcome number quality because", self._matches())
        yield Table(
            "notices",
            "key kind addressee who channel severity station rule step late shows_people encounter_pk frame_pk number "
            "count state reason attempts created_at next_attempt_at sent_at error receipt receipt_state",
            self._notices(),
        )
        yield Table(
            "reviews",
            "frame_pk kind taxon count sex life_stage behaviour comments by at undone_by action",
            self._reviews(),
        )
        yield Table("station_state", "station online heard_at boot version drifts health health_at", self._states())
        yield Table("station_health", "station at received_at drifts health", self._health())
        yield Table(
            "deployments",
            "id station started_at ended_at latitude longitude timezone camera_id camera_model bait feature habitat "
            "setup_by comments origin created_at",
            self._deployments(),
        )
        yield Table("quarantine", "at source name reason path", self._quarantine())
        yield Table("audit", "at who action subject", self._audit())
        yield Table("stale_days", "station day marks", self._stale())

    def _triggers(self) -> Iterator[tuple[int, str, datetime, int]]:
        """(its number, station, when, number of the taxon or -1)."""
        for number, (at, taxon) in enumerate(zip(self.times, self.taxa, strict=True)):
            yield number, station(number * 7 % STATIONS), at, taxon

    def _kinds(self) -> Iterator[tuple[int, str, datetime, int, bool]]:
        """The same and whether it shows a person: one in fifty of those that show something."""
        for number, where, at, taxon in self._triggers():
            yield number, where, at, taxon, taxon >= 0 and number % 50 == 0

    def _frames(self) -> Iterator[Sequence[Any]]:
        for number, where, at, _taxon, person in self._kinds():
            for position in range(BURST):
                pk, taken = number * BURST + position + 1, _text(at + timedelta(seconds=position))
                path = str(self.pictures[pk % len(self.pictures)])
                came = _text(at + timedelta(seconds=position + 30))
                yield (
                    *(pk, where, f"{pk:024x}", "still", path, f"IMG_{pk}.JPG", f"{pk:064x}", 60_000, 0, "watch"),
                    *(taken, taken, "", "America/Bogota", "exif", came, "recorded", 1, "", came, 640, 480, "", "{}"),
                    *('[[0, 0.0, ""]]', "", 0, 0, "", "", "", 0, "", "", int(person), "kept"),
                )

    def _observations(self) -> Iterator[Sequence[Any]]:
        pk, seen = 0, 0
        for number, _where, _at, taxon, person in self._kinds():
            if taxon < 0:
                continue
            answer = None if person else Answer(TAXA[taxon], 0.95)
            category = "person" if person else "animal"
            box = Detection(category, 0.9, (0.1, 0.2, 0.3, 0.4), category, RAW, answer)
            text = json.dumps(detection_to_json(box))
            name, rank, sure = (answer.taxon.scientific_name, "species", 0.95) if answer else ("", "", None)
            for position in range(BURST):
                for _box in range(BOXES[seen % len(BOXES)]):
                    pk += 1
                    score = 0.5 + pk % 50 / 100
                    place = (0.1, 0.2, 0.3, 0.4)
                    about = (category, score, *place, category, name, rank, sure, text, "")
                    yield (pk, number * BURST + position + 1, 0, 0.0, *about)
                seen += 1

    def _met(self) -> Iterator[tuple[int, int, str, datetime, int]]:
        """(pk, pk of its frame, station, when, taxon): every other trigger that shows an animal."""
        pk = 0
        for number, where, at, taxon, person in self._kinds():
            if taxon >= 0 and not person and number % 2:
                pk += 1
                yield pk, number * BURST + 1, where, at, taxon

    def _encounters(self) -> Iterator[Sequence[Any]]:
        for pk, frame, where, at, taxon in self._met():
            code = "".join("ABCDEFGHJKLMNPQRSTUVWXYZ"[pk // 24**place % 24] for place in range(4))
            last = _text(at + timedelta(seconds=BURST))
            what = (f"{pk:012x}", code, where, "animal", json.dumps(TAXA[taxon].lineage))
            yield (pk, *what, _text(at), last, _text(at), BURST, frame, 0, 0.5, "")

    def _matches(self) -> Iterator[Sequence[Any]]:
        for pk, frame, _where, _at, _taxon in self._met():
            yield frame, pk, "animals", "opened", 0, 0.5, "[]"

    def _notices(self) -> Iterator[Sequence[Any]]:
        for pk, frame, where, at, _taxon in self._met():
            if pk % 4 == 0:
                when, state = _text(at), ("sent", "sent", "sent", "dropped", "failed")[pk // 4 % 5]
                to = ("alert", "eva@example.org", "eva", "screen", SEVERITIES[pk % 3])
                sent = when if state == "sent" else None
                rest = (1, state, "", 1, when, when, sent, "", "", "")
                yield (f"k{pk}", *to, where, "animals", 0, 0, 0, pk, frame, 0, *rest)

    def _reviews(self) -> Iterator[Sequence[Any]]:
        for number, _where, at, taxon, _person in self._kinds():
            if number % 10 == 0:
                kind, name = ("animal", TAXA[(taxon + number // 10 % 7 // 6) % len(TAXA)].scientific_name)
                said = ("blank", "", 0) if taxon < 0 else (kind, name, 1)
                when = _text(at + timedelta(days=1))
                for position in range(BURST):
                    yield (number * BURST + position + 1, *said, "", "", "", "", "eva", when, "", f"s{number}")

    def _states(self) -> Iterator[Sequence[Any]]:
        for number in range(STATIONS):
            when = _text(self.until - timedelta(minutes=number % 90))
            yield station(number), 1, when, "boot", "0.1.0", 0, self._said(number), when

    def _health(self) -> Iterator[Sequence[Any]]:
        for hour in range(300):
            when = _text(self.until - timedelta(hours=300 - hour))
            for number in range(STATIONS):
                yield station(number), when, when, 0, self._said(number + hour)

    def _said(self, number: int) -> str:
        battery = {"battery": {"volts": 11.5 + number % 20 / 10, "percent": number % 100}, "temperature_c": 24.0}
        return json.dumps({**battery, "disk_free_bytes": 8 * 10**9, "spool": {"frames": number % 5}, "uptime_s": 60})

    def _deployments(self) -> Iterator[Sequence[Any]]:
        for number in range(STATIONS):
            middle = self.until - timedelta(days=DAYS // 2)
            for part, start, end in (("a", self.until - timedelta(days=DAYS), middle), ("b", middle, None)):
                place = (4 + number // 20 / 100, -74 + number % 20 / 100)
                ends = _text(end) if end else None
                about = (*place, "", f"c-{number}", "", "", "", "", "eva", "", "typed", _text(start))
                yield (f"{station(number)}-{part}", station(number), _text(start), ends, *about)

    def _quarantine(self) -> Iterator[Sequence[Any]]:
        for number in range(500):
            when = _text(self.until - timedelta(hours=500 - number))
            yield when, "watch", f"IMG_{number}.JPG", "the picture is cut short", ""

    def _audit(self) -> Iterator[Sequence[Any]]:
        for number in range(5_000):
            when = _text(self.until - timedelta(minutes=5_000 - number))
            yield when, ("eva", "ana")[number % 2], "people.unblur", f"frame {station(number % STATIONS)}/{number}"

    def _stale(self) -> Iterator[Sequence[Any]]:
        found = {
            (where, f"{at + timedelta(seconds=second):%Y-%m-%d}")
            for _number, where, at, _taxon in self._triggers()
            for second in range(BURST)
        }
        return ((where, day, 1) for where, day in sorted(found))


def fill(url: str, house: House) -> None:
    """Make the database at this address and put everything into it."""
    Store(url).close()
    (_fill_postgresql if is_postgresql_url(url) else _fill_sqlite)(url, house)


def _fill_sqlite(url: str, house: House) -> None:
    connection = sqlite3.connect(make_url(url).database or "", isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    for name in SQLITE_TRIGGERS:
        connection.execute(f"DROP TRIGGER {name}")
    for table in house.tables():
        columns = [f'"{name}"' for name in table.columns.split()]
        marks = ", ".join("?" * len(columns))
        connection.executemany(f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})", table.rows)
    for statement in trigger_statements("sqlite"):
        connection.execute(statement)
    connection.execute("COMMIT")
    connection.close()


def _fill_postgresql(url: str, house: House) -> None:
    address = url.replace("+psycopg", "")
    with psycopg.connect(address) as connection:
        connection.execute("SET session_replication_role = replica")  # no triggers
        for table in house.tables():
            columns = ", ".join(f'"{name}"' for name in table.columns.split())
            with connection.cursor().copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
                for row in table.rows:
                    copy.write_row(row)
            if table.columns.startswith("pk "):
                connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', 'pk'), (SELECT max(pk) FROM {table.name}))"
                )
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("ANALYZE")  # as autovacuum does in its first minute
