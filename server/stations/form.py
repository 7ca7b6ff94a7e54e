"""The form of a deployment: what is typed ↔ its fields; every slip is told beside its field."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from edge.deployed import Deployment
from edge.fieldwork.effort import PROBLEM
from edge.fieldwork.entries import read_degrees, read_moment, read_number
from edge.i18n import _, speaking

MOMENT = "%Y-%m-%dT%H:%M"  # as <input type="datetime-local"> has it
TEXTS = ("camera_id", "camera_model", "bait", "feature", "habitat", "setup_by", "comments")
NUMBERS = ("uncertainty_m", "height_m", "tilt_deg", "heading_deg")
MOST_MINUTES = 7 * 24 * 60  # between two pictures by the clock; none is slower
FIELDS = ("start", "end", "latitude", "longitude", *NUMBERS, "timelapse_min", *TEXTS, "tags", "problems")


@dataclass(frozen=True, slots=True)
class Typed:
    """What the form says: fields of Deployment, and field of the form → what is wrong with it."""

    values: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


def read_form(form: Mapping[str, str], old: Deployment, zone: ZoneInfo, language: str) -> Typed:
    """The fields that are typed; an empty one takes away what was there. old: whose other details stay."""
    typed = Typed()
    with speaking(language):
        _read(typed, form, "start", "started_at", partial(_moment, zone))
        _read(typed, form, "end", "ended_at", partial(_moment, zone, end=True))
        _read(typed, form, "latitude", "latitude", partial(read_degrees, longitude=False))
        _read(typed, form, "longitude", "longitude", partial(read_degrees, longitude=True))
        for name in NUMBERS:
            _read(typed, form, name, name, read_number)
        _read(typed, form, "timelapse_min", "timelapse_min", _minutes)
        _read(typed, form, "problems", "problems", partial(_problems, zone))
        if "start" not in typed.faults and typed.values["started_at"] is None:
            typed.faults["start"] = _("say when it was set up")
    values = typed.values
    values |= {name: form.get(name, "").strip() for name in TEXTS}
    values["tags"] = tuple(filter(None, (each.strip() for each in form.get("tags", "").split(","))))
    details = {key: value for key, value in old.details.items() if key not in ("timelapse_min", "problems")}
    for name in ("timelapse_min", "problems"):
        if (value := values.pop(name, None)) is not None:
            details[name] = value
    values["details"] = details
    return typed


def form_of(each: Deployment, zone: ZoneInfo) -> dict[str, str]:
    """What the form shows of a deployment; times in its zone."""

    def told(at: datetime | None) -> str:
        return at.astimezone(zone).strftime(MOMENT) if at else ""

    shown = {"start": told(each.started_at), "end": told(each.ended_at)}
    for name in ("latitude", "longitude", *NUMBERS):
        value = getattr(each, name)
        shown[name] = "" if value is None else f"{value:.10g}"
    minutes = each.details.get("timelapse_min")
    shown["timelapse_min"] = f"{minutes:g}" if isinstance(minutes, int | float) else ""
    shown["problems"] = "\n".join(
        f"{told(datetime.fromisoformat(since))}/{told(datetime.fromisoformat(until))} {why}"
        for since, until, why in each.details.get("problems") or ()
    )
    return {**shown, **{name: getattr(each, name) for name in TEXTS}, "tags": ", ".join(each.tags)}


def _read(typed: Typed, form: Mapping[str, str], name: str, key: str, read: Callable[[str], Any]) -> None:
    text = form.get(name, "").strip()
    try:
        typed.values[key] = read(text) if text else None
    except (ValueError, OverflowError) as exc:
        typed.faults[name] = str(exc)


def _moment(zone: ZoneInfo, text: str, *, end: bool = False) -> datetime:
    return read_moment(text, zone.key, end=end)[0]


def _minutes(text: str) -> float:
    value = read_number(text)
    if not 0 < value <= MOST_MINUTES:
        raise ValueError(_("{text!r}: write minutes, from 1 to {most}").format(text=text[:20], most=MOST_MINUTES))
    return value


def _problems(zone: ZoneInfo, text: str) -> list[list[str]]:
    """Lines "FROM/UNTIL WHY" → [from, until, why], as `tigrillo deployments` has them. Raises ValueError."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        span, _space, why = line.partition(" ")
        since, slash, until = span.partition("/")
        if not slash:
            raise ValueError(_("{line!r}: write 2026-11-12/2026-11-15 card full").format(line=line[:80]))
        begin, end = _moment(zone, since), _moment(zone, until, end=True)
        if end <= begin:
            raise ValueError(_("{line!r}: ends before it starts").format(line=line[:80]))
        found.append([begin.isoformat(), end.isoformat(), why.strip() or PROBLEM])
    return found
