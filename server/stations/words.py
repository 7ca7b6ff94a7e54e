"""What is wrong with a station, in the reader's words; the heartbeat's own texts, so that page and message agree."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from babel.dates import get_month_names

from edge.i18n import mark
from edge.pipeline.health_words import TEXTS, gigabytes, lasting

from ..speech import Speech
from .overview import Overview, Trouble
from .trend import Falling, charge_of

STATES = {  # state → its chip's class, and word
    "silent": ("bad", mark("silent")),
    "trouble": ("warn", mark("in trouble")),
    "online": ("good", mark("online")),
    "well": ("good", mark("well")),
    "resting": ("", mark("taken down")),
}
ANSWERS = {  # state of a command → its chip's class, and word
    "queued": ("", mark("waits")),
    "sent": ("", mark("sent")),
    "done": ("good", mark("carried out")),
    "failed": ("bad", mark("failed")),
    "expired": ("warn", mark("too late")),
}
KINDS = {  # what a sequence shows that has no name
    "animal": mark("Animal"),
    "human": mark("Person"),
    "vehicle": mark("Vehicle"),
    "blank": mark("Blank"),
    "unknown": mark("Not recognisable"),
}
UNITS = {"volts": "V", "percent": "%", "celsius": "°C", "seconds": "s"}
FEW_DAYS = 10.0  # from here on "about 12 days" claims more than is known


def troubles_of(each: Overview, speech: Speech) -> list[str]:
    """One line for each thing that is wrong, the gravest first."""
    return [trouble_text(trouble, speech, ZoneInfo(each.timezone)) for trouble in each.troubles]


def trouble_text(trouble: Trouble, speech: Speech, zone: ZoneInfo) -> str:
    """As in "battery low, 11.3 V"."""
    if trouble.sort == "never":
        return speech.text(mark("nothing was ever heard of it"))
    if trouble.sort == "fading":
        return falling_text(trouble.facts["falling"], speech)
    known, language = trouble.facts, speech.language
    lengths = {name: known[name] for name in ("gone", "off") if isinstance(known.get(name), timedelta)}
    facts = {name: lasting(length, language) for name, length in lengths.items()}
    if "at" in known:
        facts["at"] = speech.when(known["at"], zone)
    if "free" in known:
        facts["free"] = gigabytes(known["free"], language)
    if "count" in known:
        facts["count"] = speech.number(known["count"])
    for unit, digits in (("volts", 1), ("percent", 0)):
        if unit in known:
            facts["charge"] = measure(known[unit], unit, speech, digits)
    return speech.text(TEXTS[trouble.sort][0]).format(**facts)


def falling_text(falling: Falling, speech: Speech) -> str:
    """As in "battery 12.1 V and falling: about 3 days left"."""
    digits = 2 if falling.unit == "volts" else 0
    charge = measure(falling.value, falling.unit, speech, 1 if falling.unit == "volts" else 0)
    left = falling.days_left
    if left is None:
        text = speech.text(mark("battery {charge} and falling by {fall} a day"))
        return text.format(charge=charge, fall=measure(falling.per_day, falling.unit, speech, max(digits, 1)))
    if left > FEW_DAYS:
        return speech.text(mark("battery {charge} and falling: some weeks left")).format(charge=charge)
    if left < 1.5:
        return speech.text(mark("battery {charge} and falling: about a day left")).format(charge=charge)
    return speech.text(mark("battery {charge} and falling: about {days} days left")).format(
        charge=charge, days=speech.number(left)
    )


def measure(value: float | None, unit: str, speech: Speech, digits: int = 1) -> str:
    """A value with its unit: 12.1 V, 34 %, 1.2 GB; "–" for none."""
    if value is None:
        return "–"
    if unit == "bytes":
        return speech.bytes(value)
    return f"{speech.number(value, digits)} {UNITS.get(unit, '')}".rstrip()


def charge_text(each: Overview, speech: Speech) -> str:
    """Its battery now: volts, else percent; "" when its agent says nothing of one."""
    for unit, digits in (("volts", 1), ("percent", 0)):
        if (value := charge_of(each.health, unit)) is not None:
            return measure(value, unit, speech, digits)
    return ""


def months(speech: Speech) -> list[str]:
    """The months' short names, January first."""
    names = get_month_names("abbreviated", context="stand-alone", locale=speech.language)
    return [names[number].rstrip(".") for number in range(1, 13)]
