"""What a broker is to hold of a site's stations, retained, and what of it has changed: discovery, states, health.

Used by one thread. Only the newest of each topic waits, so what waits is bounded by the number of stations. Which
stations Home Assistant was told of, and which readings they have, is kept in a file: after a restart those that are no
more are taken back, and the others keep their entities.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.api import Category, Event, Services, is_safe_name, write_atomically

from .home_assistant import (
    CATEGORIES,
    MEASURES,
    MOST_CHIPS,
    Low,
    Reading,
    Topics,
    chips,
    readings,
    site_device,
    station_device,
)

MOST_STATIONS = 500  # devices; whoever makes up station names must not fill Home Assistant
VERBS = frozenset({"station.online", "station.offline", "station.drift", "station.health"})


@dataclass(frozen=True, slots=True)
class Post:
    """One message to publish with QoS 1. optional: what it is part of counts as delivered without it."""

    topic: str
    body: bytes
    retain: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Showing:
    """What is shown, and how. seen_s: how long "seen" stays on after a sighting. discovery: for Home Assistant."""

    topics: Topics
    language: str
    seen_s: int = 60
    low: Low = Low()  # noqa: RUF009  # because it is frozen
    discovery: bool = True


@dataclass(slots=True)
class _Known:
    """A station. listed: the site names it, so that it goes when the site no longer does. keys, names: see readings."""

    listed: bool = False
    keys: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    online: bool | None = None
    health: dict[str, Reading] = field(default_factory=dict)
    seen_at_s: dict[Category, float] = field(default_factory=dict)
    sighting: bytes = b""


class Board:
    """Takes note of what happens, and gives what is to be published. file: what outlives the process."""

    def __init__(self, showing: Showing, services: Services, file: Path) -> None:
        self._showing = showing
        self._services = services
        self._file = file
        self._stations: dict[str, _Known] = {}
        self._gone: set[str] = set()
        self._waiting: dict[str, Post] = {}
        self._told_full = False
        self._changed = False
        self._load()

    def take(self) -> Post | None:
        """The next message to publish, and it no longer waits; None when all is said."""
        return self._waiting.pop(next(iter(self._waiting))) if self._waiting else None

    def say_all(self) -> None:
        """Everything is to be published: the connection is new, or Home Assistant has started."""
        topics = self._showing.topics
        self._waiting.clear()
        self._put(topics.availability, b"online")
        if self._showing.discovery:
            device = site_device(topics, self._services.site_name, language=self._showing.language)
            self._put(topics.config(""), _json(device))
        for name in sorted(self._gone):
            self._take_back(name)
        for name in self._stations:
            self._announce(name)
            self._say_unseen(name)
            self._say_state(name)

    def reconcile(self) -> None:
        """Stations that were added get a device; those that are no more, or revoked, lose theirs. Raises StoreBusy."""
        listed = {each for each in self._services.stations if is_safe_name(each)}
        allowed = {each for each in listed | self._stations.keys() if self._services.is_allowed(each)}
        for name in sorted(listed & allowed):
            if (known := self._known(name)) is not None and not known.listed:
                known.listed = self._changed = True
        for name, known in list(self._stations.items()):
            if name not in allowed or (known.listed and name not in listed):
                del self._stations[name]
                self._gone.add(name)
                self._changed = True
                self._take_back(name)

    def note(self, event: Event) -> None:
        """Take note of an event of a station; any other changes nothing."""
        if event.verb not in VERBS or (known := self._known(event.station)) is None:
            return
        if event.verb == "station.health":
            self._note_health(event.station, known, event.fields)
        elif event.verb == "station.drift":
            known.health["clock_off"] = True
            self._learn(event.station, known, {})
        else:
            known.online = event.ok
        self._say_state(event.station)

    def sighted(self, station: str, category: Category, sighting: bytes) -> None:
        """Take note of a sighting, which the caller publishes: it is said again on the next connection."""
        if (known := self._known(station)) is not None:
            known.sighting = sighting
            known.seen_at_s[category] = self._services.clock.monotonic_s()

    def forget_gone(self) -> None:
        """The broker took all that waited: what was taken back need not be again."""
        if self._gone and not self._waiting:
            self._gone.clear()
            self._changed = True

    def save(self) -> None:
        """Keep what outlives the process, if that has changed. Raises OSError."""
        if not self._changed:
            return
        stations = {
            name: {"listed": known.listed, "keys": sorted(known.keys), "names": known.names}
            for name, known in self._stations.items()
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._file, _json({"stations": stations, "gone": sorted(self._gone)}))
        self._changed = False

    def _load(self) -> None:
        """What the file says; a file that is damaged or missing says nothing."""
        try:
            found = json.loads(self._file.read_bytes())
            gone = {str(name) for name in found["gone"]}
            stations = {
                str(name): _Known(bool(each["listed"]), set(map(str, each["keys"])), dict(each["names"]))
                for name, each in found["stations"].items()
            }
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            self._services.log.warning("mqtt_alerts.file_unreadable", path=str(self._file), reason=str(exc))
            return
        self._stations = {name: each for name, each in stations.items() if is_safe_name(name)}
        self._gone = {name for name in gone if is_safe_name(name)}

    def _known(self, name: str) -> _Known | None:
        """The station, with a device from now on; None for a name that can't be one, or when there are too many."""
        if (known := self._stations.get(name)) is not None:
            return known
        if not is_safe_name(name):
            return None
        if len(self._stations) >= MOST_STATIONS:
            if not self._told_full:
                self._told_full = True
                self._services.log.warning("mqtt_alerts.too_many_stations", most=MOST_STATIONS, station=name)
            return None
        known = self._stations[name] = _Known()
        self._gone.discard(name)
        self._changed = True
        self._announce(name)
        self._say_unseen(name)
        return known

    def _note_health(self, station: str, known: _Known, fields: Mapping[str, object]) -> None:
        health, drifts = fields.get("health"), fields.get("drifts")
        if not isinstance(health, Mapping):
            return
        if known.online is None:  # it speaks, so it is there
            known.online = True
        names: dict[str, str] = {}  # over all messages not more than of one: each may name others
        for slug, name in chips(health).items():
            if slug in known.names or len(known.names | names) < MOST_CHIPS:
                names[slug] = name
        clock_off = drifts if isinstance(drifts, bool) else known.health.get("clock_off")
        found = readings(health, drifts=None if clock_off is None else bool(clock_off), low=self._showing.low)
        known.health = {
            key: value for key, value in found.items() if key in MEASURES or key.rpartition("_")[0] in names
        }
        self._learn(station, known, names)

    def _learn(self, station: str, known: _Known, names: Mapping[str, str]) -> None:
        """A reading that this station never had before becomes an entity."""
        if new := {key for key, value in known.health.items() if value is not None} - known.keys:
            known.keys |= new
            known.names |= names
            self._changed = True
            self._announce(station)

    def _announce(self, station: str) -> None:
        showing, known = self._showing, self._stations[station]
        if showing.discovery:
            device = station_device(
                showing.topics,
                station,
                known.keys,
                known.names,
                language=showing.language,
                seen_s=showing.seen_s,
            )
            self._put(showing.topics.config(station), _json(device))

    def _say_state(self, station: str) -> None:
        topics, known = self._showing.topics, self._stations[station]
        if known.online is not None:
            self._put(topics.of(station, "state"), b"online" if known.online else b"offline")
        if known.health:
            self._put(topics.of(station, "health"), _json(dict.fromkeys(sorted(known.keys)) | known.health))
        if known.sighting:
            self._put(topics.of(station, "sighting"), known.sighting)

    def _say_unseen(self, station: str) -> None:
        """Say `OFF` where nothing was seen lately.

        `ON` is never retained: Home Assistant would see the animal again whenever it starts.
        """
        topics, known, now_s = self._showing.topics, self._stations[station], self._services.clock.monotonic_s()
        for category in CATEGORIES:
            if now_s - known.seen_at_s.get(category, float("-inf")) > self._showing.seen_s:
                self._put(topics.of(station, category), b"OFF")

    def _take_back(self, station: str) -> None:
        """Empty retained messages: the broker forgets them, and Home Assistant the device."""
        topics = self._showing.topics
        if self._showing.discovery:
            self._put(topics.config(station), b"")
        for what in ("state", "health", "sighting", "picture", *CATEGORIES):
            self._put(topics.of(station, what), b"")

    def _put(self, topic: str, body: bytes) -> None:
        self._waiting.pop(topic, None)  # the newest goes to the end: after the discovery that it may need
        self._waiting[topic] = Post(topic, body, retain=True)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
