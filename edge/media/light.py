"""How bright a picture is, and whether it has colours: what an infrared flash leaves has none. From a few pixels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model import F32, U8, Decoded, Picture, Yuv420

SAMPLES = 96  # pixels along the longer side that are looked at: 5,000 of them say what all do
STRIP = 0.08  # of the height, above and below: cameras write time and logo there, in colours
COLOURED = 0.9  # quantile of the distances: a tenth of a picture may be a coloured thing in front of a grey wall
# Distances of chroma from its own median, 0..255. Of the 35 files in shared/media the 17 grey ones have 0.0, the others
# 8.3 and more (docs/field-data.md); JPEG may leave a little colour in grey.
GREY = 4.0
FULL, LIMITED = (0.0, 255.0), (16.0, 219.0)  # luma of black, and from black to white; ITU-R BT.601


@dataclass(frozen=True, slots=True)
class Light:
    """brightness: mean luma, 0..1. infrared: whether it has no colour but one tint, as under an infrared flash."""

    brightness: float
    infrared: bool


def light_of(picture: Picture) -> Light:
    """The light of a picture; takes a fraction of a millisecond, and converts nothing of a decoder's planes."""
    decoded = picture.decoded() if isinstance(picture, Decoded) else None
    if isinstance(decoded, Yuv420):
        luma, blue, red = _of_planes(decoded)
    else:
        luma, blue, red = _of_pixels(picture.bgr() if decoded is None else decoded)
    return Light(float(np.clip(luma.mean(), 0, 1)), chroma_spread(blue, red) < GREY)


def chroma_spread(blue: F32, red: F32) -> float:
    """How far the colours lie apart: the COLOURED quantile of the distance from the median, 0..255.

    A tint over all of a picture is none: cameras without a filter give pink or blue pictures under infrared.
    """
    apart = np.hypot(blue - _quantile(blue, 0.5), red - _quantile(red, 0.5))
    return _quantile(apart, COLOURED)


def _quantile(values: F32, share: float) -> float:
    """np.quantile without numpy.ma, which it imports: 1 MB that a daemon needs for nothing else."""
    ordered = np.sort(values, axis=None)
    at = share * (ordered.size - 1)
    low = int(at)
    high = min(low + 1, ordered.size - 1)
    return float(ordered[low] + (ordered[high] - ordered[low]) * (at - low))


def _of_pixels(pixels: U8) -> tuple[F32, F32, F32]:
    """Luma 0..1, and both colour differences, of a few pixels. BT.601, full range, as JPEG has it."""
    blue, green, red = np.moveaxis(_few(pixels, SAMPLES).astype(np.float32), 2, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return luma / 255, 0.564 * (blue - luma), 0.713 * (red - luma)


def _of_planes(planes: Yuv420) -> tuple[F32, F32, F32]:
    black, span = FULL if planes.full_range else LIMITED
    luma = (_few(planes.planes[0][:, : planes.width], SAMPLES).astype(np.float32) - black) / span
    half = -(-planes.width // 2)
    if len(planes.planes) == 2:  # NV12: u and v in turn
        both = planes.planes[1]
        blue, red = both[:, 0 : 2 * half : 2], both[:, 1 : 2 * half : 2]
    else:
        blue, red = (each[:, :half] for each in planes.planes[1:])
    return luma, _few(blue, SAMPLES).astype(np.float32), _few(red, SAMPLES).astype(np.float32)


def _few(plane: U8, samples: int) -> npt.NDArray[np.uint8]:
    """Every so many-th pixel, without the strips above and below."""
    strip = int(plane.shape[0] * STRIP)
    inner = plane[strip : plane.shape[0] - strip]
    step = max(1, max(inner.shape[:2]) // samples)
    first_row, first_column = (min(step // 2, length - 1) for length in inner.shape[:2])
    return inner[first_row::step, first_column::step]
