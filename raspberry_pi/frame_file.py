"""One frame as one file of the spool: a line of JSON, then the bytes.

The line holds the header that travels with the frame, and what only this Pi has to know: the shot's number, its moment
on the clock that never jumps, and the thumbnail made of it.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from edge.paths import open_atomically
from edge.wire import FrameHeader

LINE_BYTES = 65_536  # a header is at most a few kilobytes; a longer first line is none
PIECE_BYTES = 262_144  # read at once while hashing


class DamagedFrameError(Exception):
    """What lies on the disk is not what was written."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What only the Pi needs to know of a frame.

    shot: counts releases of the shutter, 1 the first; a still and its thumbnail share one. monotonic_s and machine: the
    moment, and which start of the machine that clock belongs to. thumbnail: id of the thumbnail that goes ahead, or "".
    """

    shot: int = 0
    monotonic_s: float = 0.0
    machine: str = ""
    thumbnail: str = ""


@dataclass(frozen=True, slots=True)
class FrameFile:
    """A frame on the disk. body_at: where its bytes begin; size: how many there are."""

    path: Path
    header: FrameHeader
    notes: Notes
    body_at: int
    size: int

    def read(self) -> bytes:
        """All bytes, checked against the hash. Raises DamagedFrameError."""
        body = self.read_part(0, self.size)
        if hashlib.sha256(body).hexdigest() != self.header.sha256:
            raise self._damaged()
        return body

    def check(self) -> None:
        """Compare the bytes with the hash, in pieces. Raises DamagedFrameError."""
        digest = hashlib.sha256()
        for offset in range(0, self.size, PIECE_BYTES):
            digest.update(self.read_part(offset, min(PIECE_BYTES, self.size - offset)))
        if digest.hexdigest() != self.header.sha256:
            raise self._damaged()

    def read_part(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on. Raises DamagedFrameError when they are not there."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.body_at + offset)
                part = file.read(size)
        except OSError as exc:
            raise DamagedFrameError(f"{self.header.id}: can't be read back from the disk: {exc}") from exc
        if len(part) != size:
            raise self._damaged()
        return part

    def _damaged(self) -> DamagedFrameError:
        return DamagedFrameError(f"{self.header.id}: the bytes on the disk have changed since they were written")


def head_of(header: FrameHeader, notes: Notes) -> bytes:
    """The line in front of the bytes."""
    own = {
        "shot": str(notes.shot),
        "monotonic_s": f"{notes.monotonic_s:.3f}",
        "machine": notes.machine,
        "thumbnail": notes.thumbnail,
    }
    return json.dumps(dict(header.to_properties()) | own).encode() + b"\n"


def write_frame(path: Path, head: bytes, body: bytes) -> None:
    """Write a frame so that it is there whole or not at all, also after a power cut. Raises OSError."""
    with open_atomically(path) as file:
        file.write(head)
        file.write(body)


def open_frame(path: Path) -> FrameFile:
    """Read the line of a frame. Raises DamagedFrameError."""
    try:
        with path.open("rb") as file:
            line = file.readline(LINE_BYTES)
            size = file.seek(0, 2) - len(line)
        found = json.loads(line)
        header = FrameHeader.from_properties(found.items())
        notes = Notes(
            int(found.get("shot", 0)),
            float(found.get("monotonic_s", 0)),
            found.get("machine", ""),
            found.get("thumbnail", ""),
        )
    except (OSError, ValueError, AttributeError, TypeError) as exc:
        raise DamagedFrameError(f"{path.stem}: can't be read back from the disk: {exc}") from exc
    if header.id != path.stem:
        raise DamagedFrameError(f"{path.stem}: the file says that it is {header.id}")
    return FrameFile(path, header, notes, len(line), size)
