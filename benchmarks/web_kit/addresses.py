"""Every page with the addresses it is asked by: other stations, species, days and places in the lists at each turn."""

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from edge.store.readers import Readers
from edge.store.schema import encounters, frames
from edge.store.web_schema import sequences

from .seed import DAYS, STATIONS, TAXA, station

PAGES = {
    "now": "/",
    "now, a station": "/?station={station}",
    "now, people": "/?kind=person",
    "now, what matters": "/now/matters",
    "encounter": "/encounters/{encounter}",
    "review": "/review",
    "review, a station": "/review?station={station}&unreviewed=1",
    "review, a species": "/review?species={species}",
    "review, sure at night": "/review?species={species}&score_from=0.9&light=night&order=oldest",
    "review, some days": "/review?from={day}&unreviewed=1&order=oldest",
    "review, disputed": "/review?disagrees=1",
    "review, progress": "/review/progress",
    "review, names": "/review/names.json",
    "review, one": "/review/{sequence}",
    "species": "/species",
    "species, some months": "/species?from={month}",
    "species, one": "/species/{species}",
    "species, one, a station": "/species/{species}?station={station}",
    "stations": "/stations",
    "stations, in trouble": "/stations?show=trouble",
    "station": "/stations/{station}",
    "deployment, new": "/stations/{station}/deployment",
    "alerts": "/alerts",
    "alerts, failed": "/alerts?state=failed&station={station}",
    "rules": "/alerts/rules",
    "rule": "/alerts/rules/edit?name=animals",
    "system": "/system",
    "quarantine": "/system/quarantine",
    "audit": "/system/audit",
    "audit of somebody": "/system/audit?who=ana",
    "configuration": "/system/configuration",
    "upload": "/upload",
    "export": "/export",
    "users": "/users",
    "account": "/account",
    "api, described": "/api",
    "api: encounters": "/api/v1/encounters?station={station}",
    "api: sequences": "/api/v1/sequences?species={species}",
    "api: one sequence": "/api/v1/sequences/{sequence}",
    "api: frames": "/api/v1/frames?station={station}",
    "api: one frame": "/api/v1/frames/{frame}",
    "api: species": "/api/v1/species",
    "api: one species": "/api/v1/species/{species}",
    "api: stations": "/api/v1/stations",
    "api: one station": "/api/v1/stations/{station}",
    "api: its days": "/api/v1/stations/{station}/days",
    "api: alerts": "/api/v1/alerts",
    "thumbnail, made": "/media/{new_frame}/thumb-0.webp",
    "thumbnail, kept": "/media/{frame}/thumb-0.webp",
    "metrics": "/metrics",
}


class Some:
    """Something else each time it is asked for: `"/?station={station}".format_map(some)`."""

    def __init__(self, readers: Readers, dice: random.Random) -> None:
        self._dice = dice
        with readers.read() as connection:
            few = dice.sample(range(1, 20_000), 2_000)
            met = select(encounters.c.uid).where(encounters.c.pk.in_(few))
            seen = select(sequences.c.pk).where(sequences.c.pk.in_(few))
            looked = select(frames.c.pk).where(frames.c.pk.in_(few))
            self._met, self._seen, self._looked = (list(connection.scalars(each)) for each in (met, seen, looked))
        self._new: Iterator[int] = iter(self._looked[1:])

    def __getitem__(self, name: str) -> object:
        """station, species, day, month, encounter, sequence, frame (always the same) or new_frame (each once)."""
        if name == "new_frame":
            return next(self._new)
        if name == "frame":
            return self._looked[0]
        day = datetime.now(UTC) - timedelta(days=self._dice.randrange(DAYS))
        found: Mapping[str, object] = {
            "station": station(self._dice.randrange(STATIONS)),
            "species": self._dice.choice(TAXA).scientific_name.replace(" ", "%20"),
            "day": f"{day:%Y-%m-%d}",
            "month": f"{day:%Y-%m}",
            "encounter": self._dice.choice(self._met),
            "sequence": self._dice.choice(self._seen),
        }
        return found[name]
