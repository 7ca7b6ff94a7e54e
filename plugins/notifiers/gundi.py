"""Notifier `gundi`: alerts as events on EarthRanger's map (or SMART's), through Gundi's API v2.

One thread of notices (an encounter) is one event: the first makes it (POST /v2/events/), later ones change it
(PATCH /v2/events/{id}/), pictures are attached (POST /v2/events/{id}/attachments/, part `file1`). Gundi asks for about
one request a minute, so each call of `send` makes at most one and says when the next may be; what waits in the
meantime is joined: the newest words of a thread go first, and older ones have nothing left to say.

Source: https://support.earthranger.com/documentation-for-developers/gundi-api; PATCH as in Gundi's own client
(github.com/PADAS/gundi-client, `update_event`).
"""

import hashlib
import json
import math
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.api import (
    ConfigError,
    Notice,
    NoticeRefused,
    NotifierSpec,
    NotifyError,
    Secret,
    Services,
    _,
    hookimpl,
    one_line,
)

from .answers import demand_success
from .gundi_events import PICTURES_KEPT, Events, Known
from .notice_json import encode, station_of, utc
from .outbound import Answer, Outbound, Reach, Target, open_outbound, parse_target

WAITING_KEPT = 64  # threads of which we remember what waits
STALE_S = 3600.0  # a notice that was not tried again for so long was given up by the outbox, and comes no more


class Place(BaseModel):
    """Decimal degrees, WGS 84."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)


class GundiConfig(Reach):
    """A connection of Gundi's portal, and what its events are.

    event_type: of alerts; it must exist at EarthRanger. health_event_type: of digests and state, which are refused
    without it. place: where messages about no station go on the map. request_every_s: 0 sends at once.
    """

    api_key: Secret
    event_type: str = Field(min_length=1, max_length=100)
    health_event_type: str = ""
    place: Place | None = None
    url: str = "https://sensors.api.gundiservice.org"
    allow_http: bool = False
    request_every_s: float = Field(default=60.0, ge=0, le=600)
    language: Literal["en", "es"] | None = None

    @model_validator(mode="after")
    def _address_may_be(self) -> "GundiConfig":
        self.target()
        return self

    def target(self) -> Target:
        """Where Gundi is. Raises ValueError."""
        return parse_target(self.url, allow_http=self.allow_http, allow=self.allow)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a notice wants of its thread's event. event: the body. picture: hash, "" without one."""

    at: datetime
    event: Mapping[str, Any]
    picture: str
    seen_s: float

    @property
    def changes(self) -> dict[str, Any]:
        """What a later notice may change of an event: when and where it began stays."""
        return {name: self.event[name] for name in ("title", "event_details")}

    @property
    def digest(self) -> str:
        return _sha256(encode(self.changes))


@dataclass(slots=True)
class GundiNotifier:
    """Keeps events as their threads want them, a request at a time."""

    config: GundiConfig
    services: Services
    outbound: Outbound
    api_key: str = field(repr=False)
    events: dict[str, Events] = field(default_factory=dict)
    waiting: OrderedDict[str, _Wanted] = field(default_factory=OrderedDict)
    free_at_s: float = -math.inf

    def send(self, notice: Notice, *, picture: bytes) -> str:
        """Bring the event one step nearer to the notice; its id once Gundi has all of it.

        Raises NotifyError with the time of the next step, or NoticeRefused: nothing that a map can show.
        """
        events = self._events(notice.channel)
        thread = notice.thread or notice.key
        mine = self._wanted(notice, picture)
        newest = self._newest(thread, mine)
        while (step := self._next(events.get(thread), mine, newest)) != "done":
            self._take_turn(step)
            if step == "attach":
                self._attach(events, thread, notice, picture)
            else:
                self._write(events, thread, replace(newest, event={**mine.event, **newest.changes}))
        if newest.at <= mine.at:
            self.waiting.pop(thread, None)
        known = events.get(thread)
        assert known is not None
        return known.object_id

    def check(self) -> str:
        """Show our key, and make nothing; takes no turn, for an alert may come the next moment."""
        answer, place = self._ask("GET", "/v2/events/", most=4096), self.outbound.target.place
        if answer.status in {401, 403}:
            raise NoticeRefused(f"{place} knows no such key (it answered {answer.status})")
        if answer.status != 405:  # only events may be posted there; it was asked after the key
            self._demand(answer)
        return f"Gundi at {place}"

    def _next(self, known: Known | None, mine: _Wanted, newest: _Wanted) -> Literal["make", "change", "attach", "done"]:
        if known is None:
            return "make"
        if known.at < newest.at and known.body != newest.digest:
            return "change"
        later_picture = newest.at > mine.at and newest.picture
        if mine.picture and mine.picture not in known.pictures and not later_picture:
            return "attach"
        return "done"

    def _newest(self, thread: str, mine: _Wanted) -> _Wanted:
        """The newest notice of this thread that is waiting, mine among them."""
        other = self.waiting.pop(thread, None)
        newest = other if other and other.at > mine.at and mine.seen_s - other.seen_s < STALE_S else mine
        self.waiting[thread] = newest
        while len(self.waiting) > WAITING_KEPT:
            self.waiting.popitem(last=False)
        return newest

    def _take_turn(self, step: str) -> None:
        """Pass once in `request_every_s`. Raises NotifyError that says when."""
        now_s = self.services.clock.monotonic_s()
        if now_s < self.free_at_s:
            why = "the picture waits" if step == "attach" else "the event waits"
            raise NotifyError(
                f"{self.outbound.target.place}: {why} for its turn, one request in {self.config.request_every_s:g} s",
                again_in_s=self.free_at_s - now_s,
            )
        self.free_at_s = now_s + self.config.request_every_s

    def _write(self, events: Events, thread: str, wanted: _Wanted) -> None:
        """Make the event of a thread, or change it to what is wanted now."""
        known = events.get(thread)
        if known is not None:
            answer = self._ask("PATCH", f"/v2/events/{known.object_id}/", encode(wanted.changes), most=4096)
            if answer.status == 404:  # Gundi has forgotten it; the next step makes it anew
                events.put(thread, None)
                return
            self._demand(answer)
            events.put(thread, replace(known, at=wanted.at, body=wanted.digest))
            return
        answer = self._ask("POST", "/v2/events/", encode(wanted.event))
        self._demand(answer)
        events.put(thread, Known(self._object_id(answer), wanted.at, wanted.digest))

    def _attach(self, events: Events, thread: str, notice: Notice, picture: bytes) -> None:
        """Attach the picture. One that Gundi will never take is logged; the event stands without it."""
        known = events.get(thread)
        assert known is not None
        boundary = uuid.uuid5(uuid.NAMESPACE_URL, notice.key).hex
        answer = self._ask(
            "POST",
            f"/v2/events/{known.object_id}/attachments/",
            _multipart(boundary, picture),
            content=f"multipart/form-data; boundary={boundary}",
        )
        try:
            self._demand(answer, lost=404)
        except NoticeRefused as exc:
            self.services.log.warning("notify.picture_refused", key=notice.key, reason=str(exc))
        pictures = (*known.pictures, _sha256(picture))[-PICTURES_KEPT:]
        events.put(thread, replace(known, pictures=pictures))

    def _ask(
        self, method: str, path: str, body: bytes = b"", *, content: str = "application/json", most: int = 65_536
    ) -> Answer:
        headers = {"apikey": self.api_key, "Accept": "application/json"} | ({"Content-Type": content} if body else {})
        base = self.outbound.target.path.rstrip("/")
        return self.outbound.request(method, base + path, headers=headers, body=body, most=most)

    def _demand(self, answer: Answer, *, lost: int = 0) -> None:
        """As demand_success; the status `lost` is one that stays."""
        if answer.status == lost:
            raise NoticeRefused(f"{self.outbound.target.place} answered {lost}")
        now = self.services.clock.now()
        try:
            demand_success(answer, self.outbound.target.place, now=now, hide=(self.api_key,))
        except NotifyError as exc:
            if exc.again_in_s is not None:
                self.free_at_s = max(self.free_at_s, self.services.clock.monotonic_s() + exc.again_in_s)
            raise

    def _object_id(self, answer: Answer) -> str:
        try:
            said = json.loads(answer.body)
            object_id = str((said[0] if isinstance(said, list) else said)["object_id"])
        except (ValueError, KeyError, IndexError, TypeError) as exc:
            raise NotifyError(f"{self.outbound.target.place} named no object_id: is this Gundi's address?") from exc
        if not (0 < len(object_id) <= 100 and all(each.isalnum() or each in "-_" for each in object_id)):
            raise NotifyError(f"{self.outbound.target.place} named an object_id that is none")
        return object_id

    def _events(self, channel: str) -> Events:
        if channel not in self.events:
            self.events[channel] = Events(self.services, channel)
        return self.events[channel]

    def _wanted(self, notice: Notice, picture: bytes) -> _Wanted:
        kind = self.config.event_type
        if notice.kind in {"digest", "health"}:
            kind = self.config.health_event_type
        if notice.kind == "answer" or not kind:
            raise NoticeRefused(f"gundi: no event is made of a message of the kind {notice.kind!r}")
        event = {
            "source": one_line(notice.station or self.services.site_name),
            "title": one_line(notice.words.headline),
            "event_type": kind,
            "recorded_at": utc(_recorded_at(notice)),
            "location": self._location(notice),
            "event_details": _details(notice),
        }
        digest = _sha256(picture) if picture else ""
        return _Wanted(notice.at, event, digest, self.services.clock.monotonic_s())

    def _location(self, notice: Notice) -> dict[str, float]:
        if not notice.station:
            if self.config.place is None:
                raise NoticeRefused(
                    "gundi: a message about no station has no place on a map: set `place` of the channel"
                )
            return {"lat": self.config.place.latitude, "lon": self.config.place.longitude}
        station = station_of(notice, self.services)
        if station is None or station.latitude is None or station.longitude is None:
            raise NoticeRefused(
                f"gundi: station {one_line(notice.station)} has no coordinates, and an event needs a place: "
                "give its latitude and longitude"
            )
        return {"lat": station.latitude, "lon": station.longitude}


def _recorded_at(notice: Notice) -> datetime:
    """When it was seen, as far as that is known."""
    if notice.alert is None:
        return notice.at
    return notice.alert.captured.utc or notice.alert.received_at or notice.at


def _details(notice: Notice) -> dict[str, Any]:
    """Flat, as EarthRanger's schemas of event types are; keys stand in docs/alerts.md."""
    details: dict[str, Any] = {"kind": notice.kind, "severity": notice.severity, "station": one_line(notice.station)}
    details |= {"code": notice.code, "link": notice.link, "place": one_line(notice.words.fields.get("place", ""))}
    alert = notice.alert
    if alert is None:
        details["text"] = "; ".join(
            one_line(f"{label}: {value}" if label else value) for label, value in notice.words.rows
        )
    else:
        answer = alert.detection.answer
        details |= {
            "rule": one_line(alert.rule),
            "category": alert.detection.category,
            "species": one_line(answer.taxon.name(notice.language)) if answer else "",
            "scientific_name": one_line(answer.taxon.scientific_name) if answer else "",
            "score": round(float(answer.score if answer else alert.detection.score), 4),
            "count": alert.count,
            "frame_id": one_line(alert.frame_id),
            "time_known": alert.captured.utc is not None,
        }
    return {name: value for name, value in details.items() if value != ""}


def _multipart(boundary: str, picture: bytes) -> bytes:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file1"; filename="picture.jpg"\r\n'
    return f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + picture + f"\r\n--{boundary}--\r\n".encode()


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@contextmanager
def build(config: GundiConfig, services: Services) -> Iterator[GundiNotifier]:
    """Read the key and the CA once. Raises ConfigError."""
    api_key = config.api_key.reveal()
    if not (api_key.isascii() and api_key.isprintable()):
        raise ConfigError(_("gundi: the key must be one line of ASCII"))
    yield GundiNotifier(config, services, open_outbound(config.target(), config), api_key)


SPEC = NotifierSpec("gundi", GundiConfig, build)


@hookimpl
def tigrillo_notifiers() -> list[NotifierSpec[GundiConfig]]:
    """Name this channel."""
    return [SPEC]
