"""An alert in words, English or Spanish: what every channel says, whatever its form."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from string import Formatter
from zoneinfo import ZoneInfo

from .i18n import _, mark, translate
from .model import Alert, Detection
from .notices import TEMPLATE_FIELDS, Wording

LATE = timedelta(minutes=10)  # above this a reader must know that the animal may be gone
CATEGORIES = (mark("animal"), mark("person"), mark("vehicle"))  # the words of edge.model.Category
SEVERITY_WORDS = (mark("info"), mark("warning"), mark("critical"))
MOST_CHARACTERS = 200  # of one name or value; a name can come from a folder on a memory card


def word_alert(
    alert: Alert, *, language: str, timezone: str, now: datetime, extra: Mapping[str, str] | None = None
) -> Wording:
    """Put an alert into words; no value has line breaks, control or invisible characters.

    language: "en" or "es". timezone: IANA zone of the station, in which times are told. now: aware; a headline of
    another day tells the date too. extra: template fields that the alert does not know: link, code, place.
    """
    zone = ZoneInfo(timezone)
    what, where = _what(alert.detection, language), one_line(alert.station)
    headline = [_capital(what.common), where]
    if alert.captured.utc is not None:
        local = alert.captured.utc.astimezone(zone)
        headline.append(f"{local:%H:%M}" if local.date() == now.astimezone(zone).date() else f"{local:%Y-%m-%d %H:%M}")
    seen = f"{what.full}, {percent(what.score, language)}"
    rows = [
        (translate("Seen", language), f"{alert.count} × {seen}" if alert.count > 1 else seen),
        (translate("Station", language), where),
        *_times(alert, language, zone),
    ]
    if alert.detection.answer is not None:
        box = f"{translate(alert.detection.category, language)}, {percent(alert.detection.score, language)}"
        rows.append((translate("Detector", language), box))
    rows.append((translate("Rule", language), one_line(alert.rule)))
    rows.append((translate("Frame", language), _frame(alert, language)))
    line = " · ".join(headline)
    return Wording(line, tuple(rows), _fields(alert, what, line, language, zone) | dict(extra or {}))


def check_template(template: str) -> str:
    """The template, when it is one: text with {fields} of TEMPLATE_FIELDS. Raises ValueError naming what is not."""
    try:
        used = [name for _text, name, spec, turn in Formatter().parse(template) if name is not None or spec or turn]
        plain = template.format_map(dict.fromkeys(TEMPLATE_FIELDS, "x"))
    except KeyError as exc:
        name = str(exc.args[0])
        close = difflib.get_close_matches(name, TEMPLATE_FIELDS, 1)
        hint = _("; did you mean {names}?").format(names=f"{{{close[0]}}}") if close else ""
        known = ", ".join(TEMPLATE_FIELDS)
        raise ValueError(
            _("no field is called {name!r}{hint}; there are: {known}").format(name=name, hint=hint, known=known)
        ) from exc
    except (ValueError, IndexError, AttributeError) as exc:
        raise ValueError(_("{template!r} is no template: write fields as {{what}}").format(template=template)) from exc
    if not plain.strip() or not all(name in TEMPLATE_FIELDS for name in used):
        raise ValueError(_("{template!r} is no template: write fields as {{what}}").format(template=template))
    return template


def fill_template(template: str, words: Wording) -> str:
    """The template with its fields filled in; what a notice has no text for is left out, and so are double blanks."""
    filled = template.format_map({name: words.fields.get(name, "") for name in TEMPLATE_FIELDS})
    return " ".join(filled.split())


def _fields(alert: Alert, what: "_What", headline: str, language: str, zone: ZoneInfo) -> dict[str, str]:
    local = alert.captured.utc.astimezone(zone) if alert.captured.utc else None
    taxon = alert.detection.answer.taxon if alert.detection.answer else None
    return {
        "headline": headline,
        "what": _capital(what.common),
        "scientific": one_line(taxon.scientific_name) if taxon else "",
        "score": percent(what.score, language),
        "station": one_line(alert.station),
        "time": f"{local:%H:%M}" if local else "",
        "date": f"{local:%Y-%m-%d}" if local else "",
        "count": str(alert.count),
        "rule": one_line(alert.rule),
        "severity": translate(alert.severity, language),
    }


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
