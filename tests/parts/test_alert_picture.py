"""The picture that goes out: the best one, within the channel's limits, and nobody to be recognised on it."""

from collections import Counter
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from edge.errors import DecodeError
from edge.media.alert_picture import Candidate, alert_picture, sharpness
from edge.media.annotate import COLOURS
from edge.media.blurred import hide_people, people_boxes
from edge.media.opener import FileMedia
from edge.model import Detection
from edge.notices import PictureLimits

MMS = PictureLimits(max_bytes=600_000, max_side_px=1280)
TINY = PictureLimits(max_bytes=20_000, max_side_px=640)
CENTRE = (0.35, 0.35, 0.3, 0.3)
# What MegaDetector's small model finds in the shared stills; it takes the human for an animal.
ELEPHANT = Detection("animal", 0.83, (0.7005, 0.4741, 0.1037, 0.1328))
OCELOT = Detection("animal", 0.32, (0.0459, 0.5354, 0.475, 0.2949))
FOX = Detection("animal", 0.85, (0.0791, 0.4293, 0.3103, 0.2769))
HUMAN = (0.7076, 0.4947, 0.067, 0.2456)


def animal(box=CENTRE, score=0.8) -> Detection:
    return Detection("animal", score, box)


def person(box=CENTRE, score=0.8) -> Detection:
    return Detection("person", score, box)


def still(path: Path, detection: Detection, *others: Detection) -> Candidate:
    return Candidate(path, "still", 0, detection, others)


def made(*candidates: Candidate, limits=MMS, blur_people=True, media=None) -> bytes:
    return alert_picture(media or FileMedia(), candidates, language="en", limits=limits, blur_people=blur_people)


def pixels(body: bytes) -> np.ndarray:
    return simplejpeg.decode_jpeg(body, "BGR")


def texture(height=480, width=640, seed=0, tint=(1.0, 1.0, 1.0)) -> np.ndarray:
    """Detail at every scale, of one colour so that pictures can be told apart."""
    grey = np.random.default_rng(seed).integers(0, 256, (height, width, 1))
    return (grey * np.array(tint)).astype(np.uint8)


BLUE, GREEN, RED = (1.0, 0.2, 0.2), (0.2, 1.0, 0.2), (0.2, 0.2, 1.0)


def tint_of(body: bytes) -> tuple[float, ...]:
    means = pixels(body)[-100:].mean(axis=(0, 1))
    return tuple(1.0 if each == means.max() else 0.2 for each in means)


def written(path: Path, bgr: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), bgr)
    return path


def detail(bgr: np.ndarray) -> float:
    """Mean energy of what lies above a quarter of the highest frequency."""
    grey = cv2.cvtColor(np.ascontiguousarray(bgr), cv2.COLOR_BGR2GRAY).astype(np.float64)
    window = np.outer(*map(np.hanning, grey.shape))  # else opposite borders that differ would count as detail
    spectrum = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2 / grey.size
    rows, columns = (np.abs(np.fft.fftfreq(length)) for length in grey.shape)
    return float(spectrum[np.maximum.outer(rows, columns) > 0.125].mean())


def cut(bgr: np.ndarray, box, *, inside: float = 0.0) -> np.ndarray:
    height, width = bgr.shape[:2]
    left, top, wide, high = box
    x0, x1 = (left + inside * wide) * width, (left + (1 - inside) * wide) * width
    y0, y1 = (top + inside * high) * height, (top + (1 - inside) * high) * height
    return bgr[round(y0) : round(y1), round(x0) : round(x1)]


class Counting(FileMedia):
    """Real media that count how often each file is opened, and how many pictures were asked for."""

    __slots__ = ("opened", "taken")

    def __init__(self):
        super().__init__(sample_fps=None)
        object.__setattr__(self, "opened", Counter())
        object.__setattr__(self, "taken", Counter())

    @contextmanager
    def open(self, path, kind):
        self.opened[path.name] += 1
        with FileMedia.open(self, path, kind) as clip:
            yield self._told(clip, path.name)

    def _told(self, clip, name):
        for each in clip:
            self.taken[name] += 1
            yield each


def test_a_sharp_picture_is_chosen_over_a_blurred_one(shared_media, tmp_path):
    real = cv2.imread(str(shared_media / "stills" / "ocelot.jpg"))
    blurred = written(tmp_path / "blurred.png", cv2.GaussianBlur(real, (0, 0), 6))
    sharp = written(tmp_path / "sharp.png", real)

    pictures = {name: made(still(path, OCELOT)) for name, path in (("blurred", blurred), ("sharp", sharp))}

    assert made(still(blurred, OCELOT), still(sharp, OCELOT)) == pictures["sharp"]
    assert made(still(sharp, OCELOT), still(blurred, OCELOT)) == pictures["sharp"]
    assert sharpness(real, OCELOT.xywh_norm) > 2 * sharpness(cv2.GaussianBlur(real, (0, 0), 6), OCELOT.xywh_norm)


def test_sharpness_is_that_of_the_box_and_not_of_the_bushes_around_it():
    picture = texture()
    smooth = picture.copy()
    smooth[168:312, 224:416] = 128

    assert sharpness(smooth, CENTRE) < 0.05
    assert sharpness(picture, CENTRE) > 0.5
    assert sharpness(picture, (1.2, 0.0, 0.1, 0.1)) == 0.0


def test_a_larger_animal_is_chosen_over_a_smaller_and_a_surer_one_over_a_less_sure(tmp_path):
    one, two = written(tmp_path / "1.png", texture(tint=BLUE)), written(tmp_path / "2.png", texture(tint=RED))
    small = (0.4, 0.4, 0.2, 0.2)

    assert tint_of(made(still(one, animal(small)), still(two, animal()))) == RED
    assert tint_of(made(still(one, animal()), still(two, animal(small)))) == BLUE
    assert tint_of(made(still(one, animal(score=0.4)), still(two, animal(score=0.9)))) == RED


def test_three_pictures_are_decoded_and_no_more(tmp_path):
    media = Counting()
    files = [written(tmp_path / f"{number}.png", texture(seed=number)) for number in range(6)]

    made(*(still(path, animal(score=0.3 + 0.1 * number)) for number, path in enumerate(files)), media=media)

    assert media.opened == {"5.png": 1, "4.png": 1, "3.png": 1}


def test_what_can_not_be_read_is_skipped_however_many_there_are(tmp_path):
    bad = [tmp_path / f"bad{number}.jpg" for number in range(5)]
    for path in bad[1:]:
        path.write_bytes(b"\xff\xd8\xff\xe0 nothing")  # and bad[0] is not there at all
    good = written(tmp_path / "good.png", texture(tint=GREEN))

    body = made(*(still(path, animal(score=0.9)) for path in bad), still(good, animal(score=0.2)))

    assert tint_of(body) == GREEN


def test_when_nothing_can_be_read_the_reason_is_told(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")

    with pytest.raises(DecodeError, match=r"empty.jpg: empty file"):
        made(still(tmp_path / "empty.jpg", animal()))
    with pytest.raises(DecodeError, match="no picture to choose from"):
        made()


def test_a_truncated_file_gives_way_to_a_whole_one_and_is_better_than_none(shared_media, tmp_path):
    truncated = shared_media / "stills" / "african_elephants_truncated_file.jpg"
    whole = written(tmp_path / "whole.png", texture(tint=RED))

    assert tint_of(made(still(truncated, ELEPHANT), still(whole, animal((0.4, 0.4, 0.1, 0.1), score=0.2)))) == RED
    assert pixels(made(still(truncated, ELEPHANT))).shape == (960, 1280, 3)


@pytest.fixture
def clip(tmp_path) -> Path:
    """30 pictures, each of one grey: picture n has about level 5 n + 40."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for number in range(30):
            grey = np.full((480, 640, 3), 40 + 5 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="bgr24")))
        container.mux(stream.encode())
    return path


def test_a_clip_is_opened_once_and_read_no_further_than_needed(clip):
    media = Counting()
    found = [Candidate(clip, "clip", number, animal(score=score)) for number, score in ((3, 0.5), (12, 0.9), (7, 0.6))]

    body = made(*found, media=media)

    assert media.opened == {"clip.mp4": 1}
    assert media.taken == {"clip.mp4": 13}
    assert abs(float(pixels(body)[-50:].mean()) - (40 + 5 * 12)) < 4


def test_a_number_that_the_clip_has_not_is_skipped(clip):
    found = [Candidate(clip, "clip", number, animal(score=score)) for number, score in ((99, 0.9), (2, 0.2))]

    body = made(*found, media=FileMedia(sample_fps=None))

    assert abs(float(pixels(body)[-50:].mean()) - 50) < 4
    with pytest.raises(DecodeError, match="picture 99 is not in it"):
        made(Candidate(clip, "clip", 99, animal()))


def test_the_box_is_drawn_and_a_large_animal_gets_no_inset(shared_media):
    drawn = pixels(made(still(shared_media / "stills" / "ena24_4383.jpg", FOX)))

    assert drawn.shape == (960, 1280, 3)
    orange = np.abs(drawn.astype(int) - COLOURS["animal"]).max(axis=2) < 40
    columns = np.nonzero(orange)[1]
    assert abs(columns.min() - 0.0791 * 1280) < 6
    assert abs(columns.max() - (0.0791 + 0.3103) * 1280) < 6


@pytest.mark.parametrize("centre", [(0.1, 0.1), (0.9, 0.1), (0.5, 0.5), (0.49, 0.51), (0.1, 0.9)])
@pytest.mark.parametrize("size", [(768, 1024), (640, 360)])
def test_a_small_animal_is_shown_larger_across_from_where_it_is(tmp_path, centre, size):
    height, width = size
    share = 0.08 * min(size)
    box = (centre[0] - share / width / 2, centre[1] - share / height / 2, share / width, share / height)
    picture = np.full((height, width, 3), 60, np.uint8)
    x0, y0, side = round(box[0] * width), round(box[1] * height), round(share)
    picture[y0 : y0 + side, x0 : x0 + side] = (40, 220, 40)  # the animal is a green square

    drawn = pixels(made(still(written(tmp_path / "small.png", picture), animal(box))))

    scale = drawn.shape[0] / height
    green = (drawn[..., 1].astype(int) > 150) & (drawn[..., 2] < 110)
    count, _labels, stats, middles = cv2.connectedComponentsWithStats(green.astype(np.uint8))
    parts = sorted(
        (int(stats[each, cv2.CC_STAT_AREA]), tuple(middles[each])) for each in range(1, count) if stats[each, 4] > 50
    )
    assert len(parts) == 2, "the animal itself, not covered, and its inset"
    (_area, itself), (inset_area, inset) = parts
    assert inset_area > 4 * (side * scale) ** 2
    assert abs(itself[0] - centre[0] * drawn.shape[1]) < 8
    assert (inset[0] < drawn.shape[1] / 2) == (centre[0] >= 0.5)
    assert (inset[1] < drawn.shape[0] / 2) == (centre[1] >= 0.5)


def test_within_tiny_limits_the_surroundings_of_the_animal_are_sent(shared_media):
    elephants = shared_media / "stills" / "african_elephants.jpg"

    body = made(still(elephants, ELEPHANT), limits=PictureLimits(max_bytes=30_000, max_side_px=480))

    drawn = pixels(body)
    assert len(body) <= 30_000
    assert drawn.shape[0] == drawn.shape[1]
    orange = np.abs(drawn.astype(int) - COLOURS["animal"]).max(axis=2) < 60
    assert 0.3 < np.ptp(np.nonzero(orange)[1]) / drawn.shape[1] < 0.6  # a tenth of the whole picture


@pytest.mark.parametrize(
    "limits", [MMS, TINY, PictureLimits(3_000, 1280), PictureLimits(2_000_000, 100), PictureLimits(70_000, 1600)]
)
@pytest.mark.parametrize("size", [(720, 960), (60, 106), (1000, 150)])
def test_limits_are_kept_even_for_noise(tmp_path, limits, size):
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)

    body = made(still(written(tmp_path / "noise.png", noise), animal()), limits=limits)

    assert len(body) <= limits.max_bytes
    assert max(pixels(body).shape) <= limits.max_side_px


def test_a_limit_that_no_picture_keeps_is_an_error(tmp_path):
    noise = written(tmp_path / "noise.png", texture())

    with pytest.raises(DecodeError, match="fits into 300 bytes"):
        made(still(noise, animal()), limits=PictureLimits(300, 640))


def test_a_tiny_trap_clip_is_enlarged_until_letters_fit(tmp_path):
    body = made(still(written(tmp_path / "tiny.png", texture(60, 106)), animal()))

    assert pixels(body).shape == (360, 636, 3)


def test_nothing_of_the_cameras_metadata_goes_out(shared_media):
    source = shared_media / "stills" / "african_elephants_with_exif_orientation.jpg"
    with Image.open(source) as image:
        assert image.getexif()

    body = made(still(source, animal()))

    image = Image.open(BytesIO(body))
    assert not image.getexif()
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert b"Exif" not in body


def test_a_person_is_a_few_smooth_patches_and_the_rest_is_untouched(shared_media):
    real = cv2.imread(str(shared_media / "stills" / "human.jpg"))

    shown = hide_people(real, [person(HUMAN, score=0.05), ELEPHANT])

    assert detail(cut(shown, HUMAN)) < 0.001 * detail(cut(real, HUMAN))
    height, width = real.shape[:2]
    left, top, wide, high = people_boxes([person(HUMAN)])[0]
    x0, y0, x1, y1 = left * width, top * height, (left + wide) * width + 1, (top + high) * height + 1
    outside = np.ones(real.shape[:2], bool)
    outside[int(y0) : int(y1), int(x0) : int(x1)] = False
    assert (shown == real)[outside].all()
    assert (shown != real)[~outside].any(axis=1).mean() > 0.9


def test_what_a_blur_keeps_is_the_same_for_all_who_look_alike_from_afar():
    """Only the averages of cells are kept, so of many pictures with these averages none can be told from another."""
    one = np.full((400, 200, 3), 128, np.uint8)
    other = one.copy()
    other[::2], other[1::2] = 108, 148  # stripes of the same average

    boxes = [person((0.0, 0.0, 1.0, 1.0))]

    assert np.array_equal(hide_people(one, boxes), hide_people(other, boxes))


@pytest.mark.parametrize(
    "box", [(-0.2, -0.2, 0.5, 0.5), (0.9, 0.9, 0.5, 0.5), (0.5, 0.5, 1e-4, 1e-4), (2, 2, 0.1, 0.1), (0.5, 0.5, 0, 0)]
)
def test_boxes_at_and_beyond_the_border_are_no_trouble(box):
    shown = hide_people(texture(), [person(box)])

    assert shown.shape == (480, 640, 3)


def test_people_beside_an_animal_are_blurred_also_in_the_inset(tmp_path):
    picture = texture(720, 960)
    beside = animal((0.70, 0.70, 0.05, 0.05))
    child = person((0.74, 0.62, 0.04, 0.14), score=0.06)
    path = written(tmp_path / "both.png", picture)

    blurred, plain = (pixels(made(still(path, beside, child), blur_people=blur)) for blur in (True, False))

    # right half of the inset, which lies in the upper left corner: it shows the child
    inset = 0.35 * 720
    right = (slice(round(0.1 * inset), round(0.9 * inset)), slice(round(0.7 * inset), round(0.95 * inset)))
    assert detail(blurred[right]) < 0.02 * detail(plain[right])
    lower = (0.755, 0.72, 0.024, 0.035)
    assert detail(cut(blurred, lower)) < 0.02 * detail(cut(plain, lower))


@pytest.mark.parametrize(("limits", "inner"), [(MMS, (0.7156, 0.5147, 0.05, 0.2)), (TINY, (0.46, 0.36, 0.08, 0.3))])
def test_a_person_whom_the_notice_is_about_is_blurred_too(shared_media, limits, inner):
    human = still(shared_media / "stills" / "human.jpg", person(HUMAN))

    blurred, plain = (pixels(made(human, limits=limits, blur_people=blur)) for blur in (True, False))

    blurred, plain = (cv2.resize(each, (1280, 720)) for each in (blurred, plain))
    assert detail(cut(blurred, inner)) < 0.1 * detail(cut(plain, inner))


def test_a_blurred_person_is_not_shown_larger(tmp_path):
    path = written(tmp_path / "far.png", texture())
    far = still(path, person((0.7, 0.7, 0.05, 0.1)))

    blurred, plain = (pixels(made(far, blur_people=blur)) for blur in (True, False))

    corner = (0.0, 0.0, 0.2, 0.3)
    assert np.abs(cut(blurred, corner).astype(int) - cut(texture(), corner)).mean() < 20
    assert np.abs(cut(plain, corner).astype(int) - cut(texture(), corner)).mean() > 40


def test_of_two_pictures_the_one_where_nobody_hides_the_animal_is_chosen(tmp_path):
    hidden = still(written(tmp_path / "1.png", texture(tint=BLUE)), animal(score=0.9), person((0.3, 0.3, 0.4, 0.4)))
    free = still(written(tmp_path / "2.png", texture(tint=RED)), animal(score=0.8))

    assert tint_of(made(hidden, free)) == RED
    assert tint_of(made(hidden, free, blur_people=False)) == BLUE
