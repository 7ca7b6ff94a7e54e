"""What stands in an SMS: a notice in at most so many segments, by our own words or by a site's template.

Shared by the channels that send SMS (`sms`, `modem`) and by `whatsapp`, which takes the same telephone numbers.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import AfterValidator

from edge.api import Notice, Wording, _, check_template, fill_template, mark, translate

from .gsm7 import clip, cut, measure, to_gsm7

MAX_SEGMENTS = 2  # the usual `max_segments`: an alert with a link
MOST_SEGMENTS = 10  # what Twilio takes (1600 characters), and what phones put together again
# Names and places are cut to so many characters, one step after the other, until the text fits.
STEPS = (200, 80, 60, 40, 32, 26, 20, 16, 12)
LONG_FIELDS = ("headline", "what", "scientific", "station", "place", "rule")
URL_CHARACTERS = "%/:=&?~#+!$,;'@()*[]"
SEPARATORS = re.compile(r"[\s().\-/]")
E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)  # ITU-T E.164: 15 digits at most; the shortest have 7

# As long as they get in the field: what a template is tried with when a site is loaded.
LONGEST = {
    "headline": "Perro de monte de orejas cortas · quebrada-honda-03 · 2026-06-01 02:14",
    "what": "Perro de monte de orejas cortas",
    "scientific": "Leopardus pardalis mearnsi",
    "score": "100 %",
    "station": "quebrada-honda-norte-03",
    "time": "02:14",
    "date": "2026-06-01",
    "place": "Quebrada Honda, lindero norte",
    "count": "12",
    "rule": "felinos en el corral",
    "severity": "warning",
    "link": "https://trampas.example.org/a/" + "x" * 60,
    "code": "7F2K",
}
PREFIX = {"update": mark("Update"), "test": mark("Test")}


def check_number(text: str) -> str:
    """A telephone number as E.164 has it: "+57 300 1234567" → "+573001234567". Raises ValueError with what is right."""
    number = SEPARATORS.sub("", text)
    if not E164.fullmatch(number) or "(0)" in text:
        raise ValueError(
            _("{text!r} is no telephone number with its country: write it like +573001234567").format(text=text[:40])
        )
    return number


def _checked(template: str | dict[Literal["en", "es"], str]) -> str | dict[Literal["en", "es"], str]:
    for each in template.values() if isinstance(template, dict) else (template,):
        check_template(each)
    return template


PhoneNumber = Annotated[str, AfterValidator(check_number)]
# One text for everybody, or one a language; a language that is not named gets our own words.
SmsTemplate = Annotated[str | dict[Literal["en", "es"], str], AfterValidator(_checked)]


def check_budget(template: str | Mapping[Literal["en", "es"], str] | None, *, max_segments: int) -> None:
    """Raise ValueError when a template needs more than `max_segments` with names as long as they get in the field."""
    for text in template.values() if isinstance(template, Mapping) else (template,) if template else ():
        size = measure(to_gsm7(fill_template(text, Wording("", (), LONGEST))))
        if size.segments > max_segments:
            raise ValueError(
                _(
                    "the template takes {needed} SMS of {encoding} with long names, `max_segments` is {most}: "
                    "shorten it, or raise max_segments"
                ).format(needed=size.segments, encoding=size.encoding, most=max_segments)
            )


def write_sms(
    notice: Notice,
    *,
    template: str | Mapping[Literal["en", "es"], str] | None = None,
    max_segments: int = MAX_SEGMENTS,
) -> str:
    """The notice as one text of at most `max_segments` SMS, without line breaks, in the GSM alphabet where that can be.

    template: for notices about animals, people and vehicles; others are told by their headline and as many rows as fit.
    What is too long loses ends of names first, then words; the link and the code are never lost.
    """
    link = quote(notice.link, safe=URL_CHARACTERS)
    fields = {**notice.words.fields, "link": link, "code": notice.code}
    if not notice.words.fields.get("what"):
        return _tell_rows(notice, link, max_segments)
    text = template if isinstance(template, str) else (template or {}).get(_language(notice.language))
    for most in STEPS:
        short = {name: clip(value, most) if name in LONG_FIELDS else value for name, value in fields.items()}
        words = Wording(clip(notice.words.headline, most), (), short)
        body = to_gsm7(fill_template(text, words) if text else _tell_alert(notice, short))
        if measure(body).segments <= max_segments:
            return body
    return cut(body, max_segments=max_segments, keep=(link, *_answer_words(notice)))


def _language(language: str) -> Literal["en", "es"]:
    return "es" if language == "es" else "en"


def _tell_alert(notice: Notice, fields: Mapping[str, str]) -> str:
    """`Jaguar (93%), cam-03, 02:14. Reply ACK 7F2K`; with the date when the headline has it: it is another day's."""
    date = fields.get("date", "")
    when = f"{date} {fields.get('time', '')}" if date and date in notice.words.headline else fields.get("time", "")
    score, count = fields.get("score", ""), fields.get("count", "")
    what = fields["what"] + (f" x{count}" if count not in {"", "1"} else "") + (f" ({score})" if score else "")
    facts = ", ".join(each.strip() for each in (what, fields.get("station", ""), when) if each.strip())
    return " ".join([*_before(notice), f"{facts}.", *_after(notice, fields["link"])])


def _tell_rows(notice: Notice, link: str, max_segments: int) -> str:
    """`All is well: 7 stations were heard today. Battery: 12.4 V`; rows that don't fit are counted.

    What the headline says already is not said again.
    """
    rows = [f"{label}: {value}" if label else value for label, value in notice.words.rows]
    rows = [row for row in rows if row not in notice.words.headline]
    ends = list(_after(notice, link))
    for shown in range(len(rows), -1, -1):
        more = translate("and {count} more", notice.language).format(count=len(rows) - shown)
        told = "; ".join([*rows[:shown], *([more] if shown < len(rows) else [])])
        headline = notice.words.headline + (f": {told}" if told else "")
        body = to_gsm7(" ".join(" ".join([*_before(notice), headline, *ends]).split()))
        if measure(body).segments <= max_segments:
            return body
    return cut(body, max_segments=max_segments, keep=(link, *_answer_words(notice)))


def _answer_words(notice: Notice) -> tuple[str, ...]:
    return ("ACK", notice.code) if notice.code else ()


def _before(notice: Notice) -> Iterator[str]:
    if notice.severity == "critical":
        yield translate("URGENT", notice.language) + ":"
    if prefix := PREFIX.get(notice.kind):
        yield translate(prefix, notice.language) + ":"


def _after(notice: Notice, link: str) -> Iterator[str]:
    if link:
        yield link
    if notice.code:
        yield translate("Reply ACK {code}", notice.language).format(code=notice.code)
