"""A recorded frame's picture with its boxes, as a JPEG: what goes out with an alert or into a folder."""

from collections.abc import Sequence
from pathlib import Path

from ..errors import DecodeError, FrameError
from ..model import Detection, Kind, Outcome, PictureResult
from ..paths import write_atomically
from ..services import Media, Services
from .annotate import annotate, jpeg
from .blurred import hide_people


def evidence(
    media: Media,
    path: Path,
    kind: Kind,
    *,
    number: int,
    detections: Sequence[Detection],
    language: str,
    quality: int = 85,
    max_side_px: int = 1280,
) -> bytes:
    """Picture `number` of a frame with its boxes drawn in, people made unrecognisable, as JPEG.

    quality, max_side_px: the defaults gave 290 to 350 KB for the demo's 720p stills, which are noisy. Raises
    DecodeError when the file can't be read any more or has no such picture.
    """
    with media.open(path, kind) as clip:
        for found, _time_s, picture in clip:
            if found == number:
                drawn = annotate(hide_people(picture.bgr(), detections), detections, language=language)
                return jpeg(drawn, quality=quality, max_side_px=max_side_px)
    raise DecodeError(f"{path.name}: picture {number} is not in it any more")


def write_annotated(folder: Path, outcome: Outcome, services: Services) -> Path | None:
    """Write the best picture of a frame, with its boxes, below `folder` under the frame's own name.

    Returns where, or None when nothing was found in the frame or its file can't be read any more. Names that lead out
    of `folder` are flattened.
    """
    best = best_picture(outcome)
    if best is None:
        return None
    spooled = outcome.spooled
    parts = [part for part in Path(spooled.name).parts if part not in {"..", "/", "."}]
    target = folder.joinpath(*parts[:-1], f"{parts[-1] if parts else spooled.id}.boxes.jpg")
    try:
        body = evidence(
            services.media,
            spooled.path,
            spooled.kind,
            number=best.number,
            detections=best.detections,
            language=services.language,
            max_side_px=1920,
        )
    except FrameError as exc:
        services.log.warning("annotate.failed", name=spooled.name, reason=str(exc))
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, body)
    return target


def best_picture(outcome: Outcome) -> PictureResult | None:
    """The picture with the surest detection; None when there is none."""
    seen = [picture for picture in outcome.pictures if picture.detections]
    return max(seen, key=lambda picture: max(each.score for each in picture.detections), default=None)
