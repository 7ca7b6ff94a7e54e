"""What an SMS costs: the GSM 7-bit alphabet, the number of segments a text takes, and how to take fewer.

A text of that alphabet goes 160 characters a segment, any other text 70: one "á" more than halves what fits. So `á`
goes as `a`, but `é`, `ñ`, `ü`, `¿` and `¡` stay, for the alphabet has them.
Source: 3GPP TS 23.038, 6.2.1 (alphabet, extension), 6.2.3 (UCS-2); TS 23.040, 9.2.3.24.1 (header of a split message).
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

# In the order of their codes, 0x00 to 0x7F; 0x1B is the escape to the extension and no character.
BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = "\f^{}\\[~]|€"  # each takes two of the 160: the escape, and a code
COST = dict.fromkeys(BASIC.replace("\x1b", ""), 1) | dict.fromkeys(EXTENSION, 2)
GSM7_SINGLE, GSM7_PART = 160, 153  # 140 bytes of 8 bits, less a header of 6 bytes (7 septets) where a message is split
UCS2_SINGLE, UCS2_PART = 70, 67  # UTF-16 units; the header takes three

# What NFKD does not take apart, or takes apart badly.
INSTEAD = {
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'", "′": "'", "″": '"',
    "`": "'", "´": "'", "–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-", "·": "-", "•": "-", "…": "...", "×": "x",
    "⁄": "/", "°": " ", "œ": "oe", "Œ": "OE", "đ": "d", "Đ": "D", "ł": "l", "Ł": "L", "ı": "i",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Size:
    """What a text takes as an SMS. units: septets or UTF-16 units. segments: messages it is split into, 1 at least."""

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    segments: int


def measure(text: str) -> Size:
    """What this very text takes. A character of two units is never split between two segments, as phones need it."""
    if all(character in COST for character in text):
        costs = [COST[character] for character in text]
        return Size("GSM-7", sum(costs), _segments(costs, single=GSM7_SINGLE, part=GSM7_PART))
    costs = [2 if ord(character) > 0xFFFF else 1 for character in text]
    return Size("UCS-2", sum(costs), _segments(costs, single=UCS2_SINGLE, part=UCS2_PART))


def _segments(costs: Sequence[int], *, single: int, part: int) -> int:
    if sum(costs) <= single:
        return 1
    segments, left = 1, part
    for cost in costs:
        if cost > left:
            segments, left = segments + 1, part
        left -= cost
    return segments


def to_gsm7(text: str) -> str:
    """One line in the GSM alphabet with the nearest letters, or as it is when it has letters of another script.

    Accents go only where the alphabet lacks the letter, signs that it has nothing for (emoji) go altogether. A name in
    Cyrillic stays what it is, in UCS-2: question marks in its place would help nobody.
    """
    whole = unicodedata.normalize("NFC", text)  # "e" and an accent are "é", which the alphabet has
    pieces = [_nearest(character) for character in whole]
    known = [piece for piece in pieces if piece is not None]
    return " ".join("".join(known).split()) if len(known) == len(pieces) else whole


def _nearest(character: str) -> str | None:
    """The same in the alphabet; a blank or "" for a sign one can do without, None for a letter there is nothing for."""
    if character in COST:
        return character
    if (other := INSTEAD.get(character)) is not None:
        return other
    plain = [INSTEAD.get(each, each) for each in unicodedata.normalize("NFKD", character) if not _is_mark(each)]
    if plain and all(letter in COST for piece in plain for letter in piece):
        return "".join(plain)
    kind = unicodedata.category(character)[0]
    return " " if kind in "ZP" else "" if kind in "SCM" else None


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) == "Mn"


def clip(text: str, most: int) -> str:
    """`text` in at most `most` characters (4 at least), cut behind a word where one ends in its second half."""
    if len(text) <= most:
        return text
    head = text[: most - 3]
    words = head if text[len(head)] == " " else head.rpartition(" ")[0]
    return (words if len(words) * 2 >= most else head).rstrip(" ,.;:-") + "..."


def cut(text: str, *, max_segments: int, keep: Sequence[str] = ()) -> str:
    """`text` in at most so many segments: words go from the end, `...` says where; what `keep` names stays whole.

    keep: what a word to be kept has in it, such as a link or a code. When those words alone take more, they are the
    text.
    """
    if measure(text).segments <= max_segments:
        return text
    words = [(word, any(piece in word for piece in keep if piece)) for word in text.split()]
    free = [index for index, (_word, kept) in enumerate(words) if not kept]
    for first in range(len(free) - 1, -1, -1):
        gone = set(free[first:])
        for short in _shorter(words[free[first]][0]) if first == 0 else ("",):
            shown = "".join(_with_dots(words, gone, free[first], short)).strip()
            if measure(shown).segments <= max_segments:
                return shown
    return " ".join(word for word, kept in words if kept)


def _shorter(word: str) -> Iterator[str]:
    """The first word, whole and then letter by letter less: a text of one endless word is split within it."""
    for length in range(len(word), -1, -1):
        yield word[:length]


def _with_dots(words: Sequence[tuple[str, bool]], gone: set[int], first: int, short: str) -> Iterator[str]:
    for index, (word, _kept) in enumerate(words):
        if index == first:
            # dots after a link or a code would be part of it for the phone that makes it something to tap
            apart = short or index == 0 or words[index - 1][1]
            yield f" {short}..." if apart else "..."
        elif index not in gone:
            yield f" {word}"
