"""From what a person knows of a camera's clock to the Correction that puts it right. Pure.

A person looks at a picture (its clock says CAMERA) and knows when it was really taken (REAL): a hand held up with a
watch when the camera was set up or fetched. One such pair gives an offset; two give the drift as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ..camera_clock import DAY_S, Correction, corrected, read_face, zone_of
from ..i18n import _

MOST_DRIFT_S = 3600.0  # a day; a quartz clock in the sun loses seconds, a wrong pair of instants gives hours
LONGEST_OFFSET_S = 200 * 365 * DAY_S
LEAST_APART_S = 3600.0  # between two known instants: closer, a second's error is minutes after a week


@dataclass(frozen=True, slots=True)
class Known:
    """What a camera's clock said at an instant, and when that really was; both aware. face: as the clock showed it."""

    camera: datetime
    real: datetime
    face: str = ""

    @property
    def off_s(self) -> float:
        """Seconds that the clock was behind."""
        return (self.real - self.camera).total_seconds()


def read_known(text: str, *, timezone: str) -> Known:
    """The pair of "CAMERA=REAL": "1970-01-03T04:05=2026-11-22T17:30:10", in the station's zone unless they say another.

    Raises ValueError with what would be right.
    """
    camera, sign, real = text.partition("=")
    if not sign:
        raise ValueError(_("{text!r}: write CAMERA=REAL, what the clock said and when that was").format(text=text[:80]))
    return Known(read_moment(camera, timezone=timezone), read_moment(real, timezone=timezone), camera)


def read_moment(text: str, *, timezone: str) -> datetime:
    """An aware moment, read in this zone unless it has an offset. Raises ValueError with what would be right."""
    face = read_face(text)
    if face is None:
        raise ValueError(_("{text!r}: write a moment such as 2026-11-22T18:30:05").format(text=text.strip()[:40]))
    return face if face.tzinfo else face.replace(tzinfo=ZoneInfo(timezone))


def from_offset(station: str, offset_s: float) -> Correction:
    """The clock was so many seconds behind, always."""
    return Correction(station, offset_s=offset_s)


def from_known(station: str, known: Sequence[Known], *, already: Sequence[Correction] = ()) -> Correction:
    """The correction that makes of what the clock said what it was: an offset, of two instants with the drift.

    already: corrections in force, on top of which this one comes. Raises ValueError for two instants that are too
    close, or whose drift no clock has.
    """
    left = [replace(each, camera=corrected(each.camera, each.face, already)) for each in known]
    pairs = sorted(zip(known, left, strict=True), key=lambda pair: pair[0].camera)
    (first, first_left), (last, last_left) = pairs[0], pairs[-1]
    if len(pairs) == 1:
        return Correction(station, offset_s=first_left.off_s)
    apart_s = (last.camera - first.camera).total_seconds()
    if apart_s < LEAST_APART_S:
        raise ValueError(_("the two known instants must be an hour apart at least, better days"))
    drift_s = (last_left.off_s - first_left.off_s) / (apart_s / DAY_S)
    if abs(drift_s) > MOST_DRIFT_S:
        text = _(
            "a drift of {minutes} minutes a day is no clock's: is one of the instants wrong, or was the clock set?"
        )
        raise ValueError(text.format(minutes=round(drift_s / 60)))
    return Correction(station, offset_s=first_left.off_s, anchor=first.camera, drift_s_per_day=drift_s)


def from_zone(station: str, zone: str) -> Correction:
    """The clock was set to another zone, or kept another season's time: its text is read anew in `zone`.

    Raises ValueError for a zone that nobody knows.
    """
    try:
        zone_of(zone)
    except ValueError as exc:
        text = _("{zone!r}: no such zone: write America/Bogota or an offset such as -05:00")
        raise ValueError(text.format(zone=zone[:40])) from exc
    return Correction(station, timezone=zone)


def for_deployment(new: Correction, start: datetime, end: datetime | None, *, timezone: str) -> Correction:
    """The same for the frames of a deployment: since and until as its camera's clock said them.

    start, end: when it really began and ended, None while it goes on. timezone: of the station, in which the clock was
    read.
    """
    return replace(new, since=_said(new, start, timezone), until=end and _said(new, end, timezone))


def _said(new: Correction, real: datetime, timezone: str) -> datetime:
    """What the clock said at a real instant."""
    if new.timezone:
        face = real.astimezone(zone_of(new.timezone)).replace(tzinfo=ZoneInfo(timezone), fold=0)
        return face.astimezone(UTC)
    if new.anchor is None:
        return real - timedelta(seconds=new.offset_s)
    since_s = (real - new.anchor).total_seconds() - new.offset_s
    return new.anchor + timedelta(seconds=since_s / (1 + new.drift_s_per_day / DAY_S))


def read_offset(text: str) -> float:
    """Seconds of "+1h", "-90s", "1h30m", "-2d3h", "+01:00:00", "3600". Raises ValueError with what would be right."""
    body = text.strip().casefold()
    sign = -1.0 if body.startswith("-") else 1.0
    body = body.lstrip("+-")
    try:
        size_s = _seconds(body)
    except ValueError:
        size_s = float("nan")
    if not size_s < LONGEST_OFFSET_S:  # a nan is not
        hint = _("{text!r}: write an offset such as +1h, -90s, 1d2h30m or -01:30:00")
        raise ValueError(hint.format(text=text[:40]))
    return sign * size_s


def _seconds(body: str) -> float:
    parts = body.split(":")
    if len(parts) in {2, 3}:
        hours, minutes, *seconds = (float(each) for each in parts)
        return hours * 3600 + minutes * 60 + sum(seconds)
    return _sum_of_units(body)


def _sum_of_units(body: str) -> float:
    total, number = 0.0, ""
    sizes = {"d": DAY_S, "h": 3600.0, "m": 60.0, "s": 1.0}
    for letter in body:
        if letter in sizes:
            total, number = total + float(number) * sizes[letter], ""
        else:
            number += letter
    if number:
        if total:
            raise ValueError(body)
        return float(number)
    if not body:
        raise ValueError(body)
    return total
