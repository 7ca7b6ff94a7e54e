"""Brightness and the infrared look of pictures; day, twilight and night by the sun."""

import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astral import Observer
from astral.sun import elevation
from hypothesis import given
from hypothesis import strategies as st

from edge.api import light_at
from edge.media.light import light_of
from edge.media.opener import FileMedia
from edge.media.stills import StillPicture
from edge.model import U8, Yuv420
from edge.sunlight import sun_degrees

BOGOTA = (4.6, -74.1)
GREY_FILES = {
    *("american_black_bear.jpg", "ena24_2480.jpg", "ena24_2968.jpg", "ena24_4383.jpg", "ena24_9455.jpg"),
    *("09100029_Eland.MP4", "PICT0021.ASF"),
}


class Planes:
    """A decoded picture of a clip."""

    damage = ""

    def __init__(self, planes: Yuv420) -> None:
        self.planes = planes
        self.width, self.height = planes.width, planes.height

    def decoded(self) -> Yuv420:
        return self.planes

    def bgr(self) -> U8:
        raise AssertionError("the whole picture was converted")

    luma = bgr


def scene(*, tint: tuple[int, int, int] = (0, 0, 0), colours: bool = False, noise: int = 0) -> U8:
    """A 1080p picture with shapes, noise in its brightness alone unless `colours`."""
    random = np.random.default_rng(1)
    grey = random.integers(40, 160, (54, 96, 1)).repeat(20, 0).repeat(20, 1)
    spread = random.integers(-30, 31, (54, 96, 3)).repeat(20, 0).repeat(20, 1) if colours else 0
    speckle = random.integers(-noise, noise + 1, (1080, 1920, 3)) if noise else 0
    return np.clip(grey + spread + speckle + np.array(tint), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("pixels", "infrared"),
    [
        (scene(), True),
        (scene(noise=2), True),
        (scene(tint=(40, 0, 60)), True),
        (scene(colours=True), False),
    ],
)
def test_a_picture_without_colours_looks_infrared_whatever_its_tint(pixels: U8, infrared: bool) -> None:
    assert light_of(StillPicture(pixels)).infrared is infrared


def test_a_coloured_strip_with_the_makers_logo_is_no_colour() -> None:
    pixels = scene()
    pixels[-80:] = (20, 90, 250)

    assert light_of(StillPicture(pixels)).infrared


@pytest.mark.parametrize(("value", "brightness"), [(0, 0.0), (128, 0.502), (255, 1.0)])
def test_brightness_is_the_mean_from_black_to_white(value: int, brightness: float) -> None:
    pixels = np.full((1, 1, 3), value, np.uint8)

    assert light_of(StillPicture(pixels)).brightness == pytest.approx(brightness, abs=0.002)


@pytest.mark.parametrize("shape", [(1, 1), (2, 960), (960, 2), (7, 5)])
def test_small_and_narrow_pictures_have_light_too(shape: tuple[int, int]) -> None:
    assert light_of(StillPicture(np.full((*shape, 3), 51, np.uint8))).brightness == pytest.approx(0.2, abs=0.002)


@pytest.mark.parametrize("planes", [2, 3])
@pytest.mark.parametrize("coloured", [False, True])
def test_of_a_clip_the_decoders_planes_are_enough(planes: int, coloured: bool) -> None:
    rows, columns = 120, 160
    luma = np.full((rows, columns + 32), 16 + 219 // 2, np.uint8)
    chroma = np.full((rows // 2, columns // 2, 2), 128, np.uint8)
    if coloured:
        chroma[:, : columns // 4] = (90, 170)
    rest = (chroma.reshape(rows // 2, columns),) if planes == 2 else (chroma[..., 0].copy(), chroma[..., 1].copy())

    light = light_of(Planes(Yuv420((luma, *rest), columns)))

    assert light.brightness == pytest.approx(0.5, abs=0.01)
    assert light.infrared is not coloured


def test_real_pictures_look_as_they_are(shared_media: Path) -> None:
    media = FileMedia()
    looks = {}
    for path in sorted([*(shared_media / "stills").iterdir(), *(shared_media / "video").iterdir()]):
        with media.open(path, "still" if path.suffix == ".jpg" else "clip") as clip:
            looks[path.name] = next(light_of(picture).infrared for _number, _at, picture in clip)

    assert {name for name, infrared in looks.items() if infrared} == GREY_FILES


def test_it_costs_less_than_a_millisecond() -> None:
    picture = StillPicture(scene(colours=True))
    took = []
    for _ in range(20):
        started = time.perf_counter()
        light_of(picture)
        took.append(time.perf_counter() - started)

    assert min(took) < 0.001


@pytest.mark.parametrize(
    ("at", "place", "light"),
    [
        (datetime(2026, 11, 22, 17, 0, tzinfo=UTC), BOGOTA, "day"),
        (datetime(2026, 11, 22, 22, 55, tzinfo=UTC), BOGOTA, "twilight"),
        (datetime(2026, 11, 22, 5, 0, tzinfo=UTC), BOGOTA, "night"),
        (datetime(2026, 6, 21, 23, 0, tzinfo=UTC), (70.0, 20.0), "day"),
        (None, BOGOTA, None),
        (datetime(2026, 11, 22, tzinfo=UTC), (None, None), None),
    ],
)
def test_the_sun_tells_day_from_night(at: datetime | None, place: tuple[float, float], light: str | None) -> None:
    assert light_at(at, latitude=place[0], longitude=place[1]) == light


@given(
    at=st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # because hypothesis wants them naive
    latitude=st.floats(-89.8, 89.8),  # astral goes no nearer to the poles
    longitude=st.floats(-180, 180),
)
def test_the_suns_height_is_astrals(at: datetime, latitude: float, longitude: float) -> None:
    wanted = elevation(Observer(latitude, longitude), at, with_refraction=False)

    assert sun_degrees(at, latitude=latitude, longitude=longitude) == pytest.approx(wanted, abs=0.02)
