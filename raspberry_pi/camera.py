"""Hop 1, capture: where pictures come from. Nothing is decoded here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.i18n import _
from edge.wire import MAX_BODY_BYTES, kind_of

from .config import CameraSettings


class CameraError(Exception):
    """The camera gives nothing; the text says why. At the start the agent ends with it, later the shot is dropped."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What a camera gave: the bytes of one file. kind: "still" or "clip"."""

    body: bytes
    kind: str
    name: str


class Camera(Protocol):
    """Takes pictures."""

    def capture(self, index: int) -> Shot | None:
        """Take the picture number `index`, counted from 0 over the whole life of the spool.

        None: there will be no more. Raises CameraError when this one could not be taken.
        """


@dataclass(frozen=True, slots=True)
class Replay:
    """Files as they are, sorted by path; where it stands follows from `index`, so a restart goes on where it was."""

    files: tuple[Path, ...]
    folder: Path
    loop: bool = False

    def capture(self, index: int) -> Shot | None:
        """Read the file whose turn it is; see Camera."""
        if index >= len(self.files) and not self.loop:
            return None
        path = self.files[index % len(self.files)]
        try:
            if path.stat().st_size > MAX_BODY_BYTES:
                raise CameraError(f"{path}: is larger than the {MAX_BODY_BYTES} bytes that one message can carry")
            body = path.read_bytes()
        except OSError as exc:
            raise CameraError(f"{path}: can't be read: {exc.strerror}") from exc
        return Shot(body, kind_of(path.name) or "still", path.relative_to(self.folder).as_posix())


def open_camera(settings: CameraSettings) -> Camera:
    """The camera that the settings ask for. Raises CameraError when it can't work at all."""
    path = settings.path
    if path.is_file():
        return Replay((path,), path.parent, settings.loop)
    if not path.is_dir():
        raise CameraError("camera.path: " + _("{path}: no such file or folder").format(path=path))
    found = (each for each in path.rglob("*") if each.is_file() and not each.name.startswith("."))
    files = tuple(sorted(each for each in found if kind_of(each.name)))
    if not files:
        raise CameraError("camera.path: " + _("{path}: holds no picture and no video").format(path=path))
    return Replay(files, path, settings.loop)
