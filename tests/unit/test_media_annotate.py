"""Pictures for people: boxes where they belong, names one can read, a JPEG small enough to send."""

import numpy as np
import pytest
import simplejpeg

from edge.media.annotate import COLOURS, annotate, jpeg, label_of
from edge.model import Answer, Detection, Taxon

FOX = Taxon("Lycalopex culpaeus", "species", ("Animalia",), english="culpeo", spanish="zorro culpeo")
NAMED = Detection("animal", 0.8, (0.25, 0.5, 0.5, 0.25), answer=Answer(FOX, 0.93))


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=2)


def test_the_label_is_the_common_name_in_the_readers_language() -> None:
    assert label_of(NAMED, language="en") == "culpeo 93%"
    assert label_of(NAMED, language="es") == "zorro culpeo 93%"


def test_without_an_answer_the_label_is_the_category() -> None:
    assert label_of(Detection("vehicle", 0.5, (0, 0, 1, 1)), language="en") == "vehicle 50%"


@pytest.mark.parametrize(("height", "width"), [(480, 640), (3000, 4000)])
def test_the_box_is_drawn_where_the_detection_is_and_the_original_stays(height: int, width: int) -> None:
    picture = grey(height, width)

    drawn = annotate(picture, [NAMED], language="en")

    assert drawn.shape == picture.shape
    assert (picture == 90).all()
    rows, columns = np.nonzero((drawn == COLOURS["animal"]).all(axis=2))
    line = height / 200
    assert abs(columns.min() - width * 0.25) <= line
    assert abs(columns.max() - width * 0.75) <= line
    assert abs(rows.max() - height * 0.75) <= line
    inside = changed(picture, drawn)[int(height * 0.55) : int(height * 0.7), int(width * 0.3) : int(width * 0.7)]
    assert not inside.any()


@pytest.mark.parametrize(
    "place", [(0.0, 0.0, 0.2, 0.2), (0.9, 0.0, 0.1, 1.0), (0.95, 0.95, 0.2, 0.2), (-0.1, -0.1, 2.0, 2.0)]
)
@pytest.mark.parametrize(("height", "width"), [(480, 640), (60, 106), (1080, 400)])
def test_the_label_stays_whole_at_every_border(height: int, width: int, place: tuple[float, ...]) -> None:
    picture = grey(height, width)
    alone = annotate(picture, [Detection("person", 0.5, (0.3, 0.5, 0.1, 0.1))], language="en")
    cornered = annotate(picture, [Detection("person", 0.5, place)], language="en")  # type: ignore[arg-type]  # because parametrize forgets the length

    ink = [(image == 0).all(axis=2).sum() for image in (alone, cornered)]
    assert ink[0] > 50
    assert ink[1] >= 0.98 * ink[0]  # the box's own line may cross a letter


def test_a_tiny_trap_clip_is_enlarged_until_letters_fit() -> None:
    drawn = annotate(grey(60, 106), [NAMED], language="es")

    assert drawn.shape == (360, 636, 3)


def test_accents_are_drawn_as_letters_of_their_own() -> None:
    def ink_of(name: str) -> np.ndarray:
        taxon = Taxon("Rhea", "genus", ("Animalia",), spanish=name)
        detection = Detection("animal", 0.8, (0.0, 0.5, 0.5, 0.4), answer=Answer(taxon, 0.9))
        return annotate(grey(480, 640), [detection], language="es")

    pictures = [ink_of(name) for name in ("Nandu", "Ñandu", "Nandú", "?andu", "Nand?")]

    for index, one in enumerate(pictures):
        assert all(changed(one, other).any() for other in pictures[index + 1 :])


def test_jpeg_keeps_small_pictures_and_bounds_the_longer_side_of_large_ones() -> None:
    for shape, expected in (((480, 640), (480, 640)), ((3000, 4000), (600, 800)), ((4000, 1000), (800, 200))):
        body = jpeg(grey(*shape), quality=85, max_side_px=800)

        decoded = simplejpeg.decode_jpeg(body, "BGR")
        assert decoded.shape[:2] == expected
        assert np.abs(decoded.astype(int) - 90).max() <= 2


def test_jpeg_takes_views_and_lower_quality_is_smaller() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3)).astype(np.uint8)

    sizes = [len(jpeg(noise[:, ::-1], quality=quality, max_side_px=400)) for quality in (30, 90)]

    assert sizes[0] < sizes[1]
