"""What a camera's maker writes beside the time: who it is, and which picture of which trigger. Not more than that.

Offsets in Reconyx' maker notes: RCNX_MN10.pdf and ultrafire_makernote.pdf of Reconyx, as ExifTool's documentation gives
them, and the ten files of shared/media/burst.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MOST_PICTURES = 99  # of one trigger; more is no burst, but a note that was misread
LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class Burst:
    """name: what the camera calls its trigger; not unique for ever. number: which picture of it, from 1."""

    name: str = ""
    number: int | None = None


NO_BURST = Burst()


def camera_name(make: str, model: str, serial: str) -> str:
    """Make, model and serial number in one, as far as the file says them: "RECONYX HYPERFIRE 2 COVERT H2HF01234"."""
    words: list[str] = []
    for text in (make, model, serial):
        clean = " ".join("".join(each if each.isprintable() else " " for each in text).split())
        if clean and not (words and clean == words[-1]):
            words.append(clean)
    if len(words) > 1 and words[1].casefold().startswith(words[0].casefold()):
        del words[0]  # "Canon", "Canon EOS 70D"
    return " ".join(words)[:LONGEST_NAME]


def read_note(note: bytes) -> tuple[Burst, str]:
    """The burst and the serial number in a maker note; nothing of one that is not known here, or is cut short.

    note: its first 256 bytes at least, where it is as long.
    """
    for start, reader in READERS:
        if note.startswith(start):
            return reader(note)
    return NO_BURST, ""


def _hyperfire(note: bytes) -> tuple[Burst, str]:
    return _burst(_words(note, 14), event=_long(note, 18)), _serial(note[42:72].decode("utf-16-le", "replace"))


def _ultrafire(note: bytes) -> tuple[Burst, str]:
    event = int.from_bytes(note[55:59], "little")
    return _burst((*note[53:55], 0, 0)[:2], event=event), _serial(note[75:90].decode("latin-1"))


def _hyperfire_2(note: bytes) -> tuple[Burst, str]:
    return _burst(_words(note, 54), event=_long(note, 58)), _serial(note[126:156].decode("utf-16-le", "replace"))


# HyperFire writes its version, 0xF101; the others their name.
READERS: Final[tuple[tuple[bytes, Callable[[bytes], tuple[Burst, str]]], ...]] = (
    (b"\x01\xf1", _hyperfire),
    (b"RECONYXUF\0", _ultrafire),
    (b"RECONYXH2\0", _hyperfire_2),
)


def _words(note: bytes, at: int) -> tuple[int, int]:
    return int.from_bytes(note[at : at + 2], "little"), int.from_bytes(note[at + 2 : at + 4], "little")


def _long(note: bytes, at: int) -> int:
    """Two words, the high one first."""
    high, low = _words(note, at)
    return (high << 16) + low


def _burst(sequence: tuple[int, ...], *, event: int) -> Burst:
    """Picture 3 of 10; a trigger of one picture is no burst."""
    number, total = sequence
    return Burst(f"event {event}", number) if 1 <= number <= total <= MOST_PICTURES and total > 1 else NO_BURST


def _serial(text: str) -> str:
    known = text.partition("\0")[0].strip()
    return known if known.isascii() and known.isprintable() else ""
