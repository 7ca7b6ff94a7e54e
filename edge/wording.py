"""An alert in words, English or Spanish: what every channel says, whatever its form."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from .i18n import mark, translate
from .model import Alert, Detection

LATE = timedelta(minutes=10)  # above this a reader must know that the animal may be gone
CATEGORIES = (mark("animal"), mark("person"), mark("vehicle"))  # the words of edge.model.Category
MOST_CHARACTERS = 200  # of one name or value; a name can come from a folder on a memory card


@dataclass(frozen=True, slots=True)
class Wording:
    """headline: what, where and when in one short line. rows: (label, value), one line each, most telling first."""

    headline: str
    rows: tuple[tuple[str, str], ...]


def word_alert(alert: Alert, *, language: str, timezone: str, now: datetime) -> Wording:
    """Put an alert into words; no value has line breaks, control or invisible characters.

    language: "en" or "es". timezone: IANA zone of the station, in which times are told. now: aware; a headline of
    another day tells the date too.
    """
    zone = ZoneInfo(timezone)
    what, where = _what(alert.detection, language), one_line(alert.station)
    headline = [_capital(what.common), where]
    if alert.captured.utc is not None:
        local = alert.captured.utc.astimezone(zone)
        headline.append(f"{local:%H:%M}" if local.date() == now.astimezone(zone).date() else f"{local:%Y-%m-%d %H:%M}")
    rows = [
        (translate("Seen", language), f"{what.full}, {percent(what.score, language)}"),
        (translate("Station", language), where),
        *_times(alert, language, zone),
    ]
    if alert.detection.answer is not None:
        box = f"{translate(alert.detection.category, language)}, {percent(alert.detection.score, language)}"
        rows.append((translate("Detector", language), box))
    rows.append((translate("Rule", language), one_line(alert.rule)))
    rows.append((translate("Frame", language), _frame(alert, language)))
    return Wording(" · ".join(headline), tuple(rows))


def one_line(text: str) -> str:
    """`text` with everything that is not a visible character or a plain blank replaced by a blank, and cut to 200."""
    plain = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return plain if len(plain) <= MOST_CHARACTERS else plain[: MOST_CHARACTERS - 1] + "…"


def percent(score: float, language: str) -> str:
    """0.934 → "93%", in Spanish "93 %"."""
    from babel.numbers import format_percent  # noqa: PLC0415  # because most commands word no alert and start faster

    return str(format_percent(score, locale=language))


@dataclass(frozen=True, slots=True)
class _What:
    common: str
    full: str
    score: float


def _what(detection: Detection, language: str) -> _What:
    if detection.answer is None:
        name = translate(detection.category, language)
        return _What(name, _capital(name), detection.score)
    taxon = detection.answer.taxon
    common, scientific = one_line(taxon.name(language)), one_line(taxon.scientific_name)
    full = _capital(common) if common == scientific else f"{_capital(common)} ({scientific})"
    return _What(common, full, detection.answer.score)


def _times(alert: Alert, language: str, zone: ZoneInfo) -> list[tuple[str, str]]:
    """When it was captured; when it was received, if that is not about the same time."""
    captured, received = alert.captured.utc, alert.received_at
    if captured is None:
        original = one_line(alert.captured.original)
        told = translate("unknown", language) + (f" ({original})" if original else "")
    else:
        told = _moment(captured, language, zone)
    rows = [(translate("Captured", language), told)]
    if received is None:
        return rows
    moment = _moment(received, language, zone)
    if captured is None:
        rows.append((translate("Received", language), moment))
    elif received - captured > LATE:
        later = translate("{delay} later", language).format(delay=_duration(received - captured))
        rows.append((translate("Received", language), f"{moment} – {later}"))
    elif captured - received > LATE:
        ahead = translate("the camera's clock is ahead", language)
        rows.append((translate("Received", language), f"{moment} – {ahead}"))
    return rows


def _moment(at: datetime, language: str, zone: ZoneInfo) -> str:
    from babel.dates import format_date  # noqa: PLC0415  # because most commands word no alert and start faster

    local = at.astimezone(zone)
    return f"{format_date(local, 'long', locale=language)}, {local:%H:%M:%S} ({zone.key})"


def _duration(delay: timedelta) -> str:
    """Two units at most; min, h and d read the same in both languages."""
    minutes = round(delay.total_seconds() / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // (24 * 60)} d {minutes // 60 % 24} h"


def _frame(alert: Alert, language: str) -> str:
    frame = one_line(alert.frame_id)
    if alert.kind == "still":
        return frame
    return frame + ", " + translate("picture {number}", language).format(number=alert.picture_number)


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
