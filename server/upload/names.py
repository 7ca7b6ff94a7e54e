"""What a browser says of a file → what is believed: a safe name, its station, or why it is not wanted.

Nothing on disk is ever named by it (edge/uploads.py); the name is kept for people, and its folders name the station.
"""

import hashlib
import re
import unicodedata
from pathlib import PurePosixPath

from edge.i18n import mark
from edge.paths import is_safe_name
from edge.uploads import NewFile
from edge.wire import MAX_NAME, kind_of

from ..media.originals import safe_name

MOST_FILE_BYTES = 4_000_000_000
MOST_PARTS = 20
LATEST_MS = 4_102_444_800_000  # 2100
JUNK = re.compile(r"[.@#$~].*|System Volume Information|lost\+found|Thumbs\.db|desktop\.ini", re.IGNORECASE)
ARCHIVES = frozenset({".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz"})

REASONS = {
    "archive": mark("an archive: unpack it first and send the folder"),
    "not-media": mark("neither a picture nor a video that can be read"),
    "junk": mark("left by a camera or computer"),
    "empty": mark("has no content"),
    "too-large": mark("larger than 4 GB"),
    "bad-name": mark("its name can't be used"),
    "no-station": mark("lies in no folder that could name its station"),
    "bad-station": mark("its folder is no station's name: letters, digits, '_', '-' and '.' only, at most 64"),
    "not-yours": mark("you may not send for this station"),
}


class NotWanted(Exception):
    """This file is not taken; code: a key of REASONS."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def new_file(name: str, size: int, mtime_ms: int, *, station: str) -> NewFile:
    """What is taken down of a file. station: of all files, "" for the first folder of each. Raises NotWanted."""
    raw = parts_of(name)
    if not raw:
        raise NotWanted("bad-name")
    if any(JUNK.fullmatch(part) for part in raw):
        raise NotWanted("junk")
    parts = [_safe_part(each) for each in raw]
    kind = kind_of(parts[-1])
    if kind is None:
        raise NotWanted("archive" if PurePosixPath(parts[-1]).suffix.lower() in ARCHIVES else "not-media")
    if size <= 0:
        raise NotWanted("empty")
    if size > MOST_FILE_BYTES:
        raise NotWanted("too-large")
    if not station and len(parts) < 2:
        raise NotWanted("no-station")
    mtime_ms = mtime_ms if 0 < mtime_ms < LATEST_MS else 0
    return NewFile(_joined(parts), station_named(station or parts[0]), kind, size, mtime_ms)


def parts_of(name: str) -> list[str]:
    """The folders and the file of a relative name; those that lead nowhere are left out. [] when there is no file."""
    found = [each for each in name.replace("\\", "/").split("/") if each.strip() not in {"", ".", ".."}]
    if not found or not found[-1].strip(" ."):
        return []
    # "C:" of a path that an old browser sent whole
    found = [each for each in found if not re.fullmatch(r"[A-Za-z]:", each)][-MOST_PARTS:]
    return [unicodedata.normalize("NFC", each) for each in found]


def _safe_part(part: str) -> str:
    """A part made safe; one that had to be changed for that gets a mark, so that two do not become one."""
    safe = safe_name(part)
    if safe == part:
        return safe
    stem, dot, suffix = safe.rpartition(".")
    mark_ = hashlib.sha256(part.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{stem}~{mark_}{dot}{suffix}" if dot else f"{safe}~{mark_}"


def station_named(text: str) -> str:
    """The station that a person or folder names, as the source `watch` has it. Raises NotWanted."""
    station = "_".join(unicodedata.normalize("NFC", text).split())
    if not is_safe_name(station):
        raise NotWanted("bad-station")
    return station


def _joined(parts: list[str]) -> str:
    while len(text := "/".join(parts)) > MAX_NAME and len(parts) > 1:
        parts = parts[1:]
    return text[-MAX_NAME:]
