"""A file as it came: found by the record only, named safely, of the type that its first bytes say, never run."""

import os
import stat
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote

from .known import Known

LONGEST_NAME = 150
UNKNOWN = "application/octet-stream"
# First bytes of what cameras write; everything else is a file without a type, which browsers only save.
TYPES: Final = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (8, b"WEBP", "image/webp"),
    (8, b"AVI ", "video/x-msvideo"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (4, b"moov", "video/quicktime"),
    (4, b"mdat", "video/quicktime"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf"),
    (0, b"\x1a\x45\xdf\xa3", "video/x-matroska"),
)
HEAD_BYTES = 16
# Windows gives these names to devices, whatever ending they have.
DEVICES: Final = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)}
)


class NotThere(Exception):
    """The file is not where the record says, or is another one by now."""


def original_of(known: Known) -> tuple[Path, os.stat_result, str]:
    """Path, status and content type of a frame's file. Raises NotThere.

    A link is followed only to what is still a picture or clip of the recorded size: whoever may write into a watched
    folder must not have other files of this machine sent.
    """
    try:
        real = known.path.resolve(strict=True)
        status = real.stat()
        with real.open("rb") as file:
            kind = content_type(file.read(HEAD_BYTES))
    except (OSError, RuntimeError, ValueError) as exc:
        raise NotThere from exc
    if not stat.S_ISREG(status.st_mode) or status.st_size != known.size_bytes:
        raise NotThere
    if kind == UNKNOWN and known.path.is_symlink():
        raise NotThere
    return real, status, kind


def content_type(head: bytes) -> str:
    """By the first bytes of a file; its name says nothing reliable."""
    return next((kind for at, magic, kind in TYPES if head[at : at + len(magic)] == magic), UNKNOWN)


def disposition(name: str) -> str:
    """`Content-Disposition` for a file to be saved under this name (RFC 6266; the name in UTF-8 as of RFC 5987)."""
    safe = safe_name(name)
    plain = "".join(each if each.isascii() and each not in '"\\%;' else "_" for each in safe)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"


def safe_name(name: str) -> str:
    """The last part of a name without what means something to a shell, a header, a reader's eye or a file system."""
    last = PurePosixPath(name.replace("\\", "/")).name
    # Cc: newlines; Cf: marks that turn the direction of text, so that "gpj.exe" reads "exe.jpg"; Zl, Zp: line ends
    clean = "".join(
        each for each in last if unicodedata.category(each) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    )
    clean = "".join("_" if each in '<>:"|?*/' else each for each in clean).strip(" .")
    stem, dot, suffix = clean.rpartition(".")
    if (stem or suffix).partition(".")[0].strip().casefold() in DEVICES:
        clean, stem = f"_{clean}", f"_{stem}"
    if len(clean) > LONGEST_NAME:
        clean = f"{stem[: LONGEST_NAME - len(suffix) - 1]}{dot}{suffix}" if len(suffix) < 12 else clean[:LONGEST_NAME]
    return clean or "file"
