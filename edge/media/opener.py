"""From a file to pictures: the Media service of a site.

A still gives one picture, a clip those that are to be looked at; both are read strictly, say what was damaged, and
are closed when the `with` ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..model import Kind, Picture
from ..services import Clip
from .stills import StillPicture, read_still


@dataclass(slots=True, eq=False)
class StillClip:
    """A still seen as a clip of one picture (edge.services.Clip)."""

    picture: StillPicture
    frame_rate: float | None = None

    @property
    def damage(self) -> str:
        """What could not be read of the file, in words."""
        return self.picture.damage

    def __iter__(self) -> Iterator[tuple[int, float, Picture]]:
        """The one picture."""
        yield 0, 0.0, self.picture


@dataclass(frozen=True, slots=True)
class FileMedia:
    """Opens stills and clips (edge.services.Media).

    max_pixels: pictures larger than that are refused before they are decoded. sample_fps: pictures a second looked at
    in a clip; None for all; the first is always among them, and clips of a lower rate give every picture. threads: a
    clip's decoder may use. clip_pictures: looked at in one clip, at most; None for no bound. What is left out of longer
    ones: edge/media/survey.py.
    """

    max_pixels: int = 120_000_000  # the largest trap cameras interpolate to 60 megapixels
    sample_fps: float | None = 1.0  # an animal seldom stays for less than a second; MegaDetector's own default
    threads: int = 2
    clip_pictures: int | None = 600

    @contextmanager
    def open(self, path: Path, kind: Kind) -> Iterator[Clip]:
        """Open a still or clip. Raises DecodeError with one line: file, what is wrong with it, next step."""
        if kind == "still":
            yield StillClip(read_still(path, max_pixels=self.max_pixels))
            return
        from .clips import open_clip  # noqa: PLC0415  # because FFmpeg takes 16 MB, which a site of stills need not pay

        with open_clip(
            path,
            sample_fps=self.sample_fps,
            max_pixels=self.max_pixels,
            threads=self.threads,
            budget=self.clip_pictures,
        ) as clip:
            yield clip
