"""Hop 1, capture: the files of a folder as they are, in order. Nothing is decoded here."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.i18n import _
from edge.wire import MAX_BODY_BYTES, kind_of

from ..hardware_config import ReplaySettings
from .base import CameraError, Luma, Shot


@dataclass(frozen=True, slots=True)
class Replay:
    """Files as they are, sorted by path; where it stands follows from `index`, so a restart goes on where it was."""

    files: tuple[Path, ...]
    folder: Path
    loop: bool = False
    name: str = "replay"

    def start(self) -> None:
        """Nothing to open."""

    def capture(self, index: int, *, night: bool = False) -> Iterator[Shot] | None:
        """The file whose turn it is; see Camera."""
        del night
        if index >= len(self.files) and not self.loop:
            return None
        return self._read(self.files[index % len(self.files)])

    def luma(self) -> Luma | None:
        """Files are not looked into."""
        return None

    def close(self) -> None:
        """Nothing to give back."""

    def _read(self, path: Path) -> Iterator[Shot]:
        try:
            if path.stat().st_size > MAX_BODY_BYTES:
                raise CameraError(f"{path}: is larger than the {MAX_BODY_BYTES} bytes that one message can carry")
            body = path.read_bytes()
        except OSError as exc:
            raise CameraError(f"{path}: can't be read: {exc.strerror}") from exc
        yield Shot(body, kind_of(path.name) or "still", path.relative_to(self.folder).as_posix())


def open_replay(settings: ReplaySettings) -> Replay:
    """The files that the settings name. Raises CameraError when there are none."""
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
