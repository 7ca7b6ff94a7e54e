"""Stills: right pixels, right side up, and a word on every damage."""

import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from edge.errors import DecodeError
from edge.media.opener import FileMedia
from edge.media.stills import StillPicture, read_still

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
OPTIONS = {"JPEG": {"quality": 90}, "PNG": {}, "TIFF": {"compression": "tiff_lzw"}, "WEBP": {"lossless": True}}


def scene(width: int = 97, height: int = 61) -> Image.Image:
    """Smooth colours that differ in all four corners, and grain that no decoder can make up."""
    y, x = np.mgrid[0:height, 0:width]
    grain = np.random.default_rng(1).integers(0, 24, (height, width))
    x, y = x / width, y / height
    return Image.fromarray((np.dstack([230 * x, 180 * y, 200 - 120 * x - 60 * y]) + grain[..., None]).astype("u1"))


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **{**OPTIONS[kind], **options})
    return buffer.getvalue()


def read(tmp_path: Path, data: bytes, name: str = "a.jpg", max_pixels: int = 10_000_000) -> StillPicture:
    path = tmp_path / name
    path.write_bytes(data)
    return read_still(path, max_pixels=max_pixels)


def rgb(picture: StillPicture) -> np.ndarray:
    return picture.bgr()[..., ::-1].astype(int)


def test_jpeg_pixels_equal_opencvs_full_decode(tmp_path: Path) -> None:
    data = encode(scene(640, 480), "JPEG")

    picture = read(tmp_path, data)

    assert picture.damage == ""
    assert (picture.width, picture.height) == (640, 480)
    np.testing.assert_array_equal(picture.bgr(), cv2.imdecode(np.frombuffer(data, "u1"), cv2.IMREAD_COLOR))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_lossless_formats_give_their_exact_pixels_whatever_the_name_says(tmp_path: Path, kind: str) -> None:
    picture = read(tmp_path, encode(scene(), kind), "named.jpg")

    np.testing.assert_array_equal(rgb(picture), np.asarray(scene()))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(scene(), kind, exif=exif)

    picture = read(tmp_path, data)

    expected = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(data))).convert("RGB")).astype(int)
    assert rgb(picture).shape == expected.shape
    assert np.abs(rgb(picture) - expected).mean() < 1.5  # two JPEG decoders differ by rounding; a wrong turn by 40


def test_cmyk_jpeg_has_its_colours(tmp_path: Path) -> None:
    patches = np.kron(
        np.array([[[220, 30, 30], [30, 200, 40]], [[40, 40, 210], [250, 250, 250]]], "u1"), np.ones((40, 40, 1), "u1")
    )

    picture = read(tmp_path, encode(Image.fromarray(patches).convert("CMYK"), "JPEG"))

    assert np.abs(rgb(picture) - patches).mean() < 4


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG", "TIFF"):
        pixels = read(tmp_path, encode(scene().convert("L"), kind)).bgr()

        assert pixels.shape == (61, 97, 3)
        assert np.ptp(pixels, axis=2).max() == 0


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_become_eight_and_alpha_is_dropped(tmp_path: Path, suffix: str, channels: int) -> None:
    eight = np.random.default_rng(2).integers(0, 256, (40, 50, channels)).astype(np.uint16)
    path = tmp_path / f"deep{suffix}"
    assert cv2.imwrite(str(path), eight * 257)

    pixels = read_still(path, max_pixels=10_000).bgr()

    expected = np.repeat(eight, 3, axis=2) if channels == 1 else eight[..., :3]
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_alpha_does_not_darken_what_it_hides(tmp_path: Path) -> None:
    clear = scene().copy()
    clear.putalpha(0)

    np.testing.assert_array_equal(rgb(read(tmp_path, encode(clear, "PNG"))), np.asarray(scene()))


def test_luma_is_the_brightness_of_the_pixels(tmp_path: Path) -> None:
    picture = read(tmp_path, encode(scene(), "PNG"))

    weighted = rgb(picture) @ np.array([0.299, 0.587, 0.114])
    assert np.abs(picture.luma() - weighted).max() <= 1


def test_truncated_jpeg_gives_its_upper_part_and_says_how_much_is_missing(tmp_path: Path) -> None:
    data = encode(scene(640, 480), "JPEG")
    whole = read(tmp_path, data).bgr()

    picture = read(tmp_path, data[: len(data) // 2])

    assert picture.damage.startswith("truncated: the JPEG ends early, the lower ")
    missing = int(picture.damage.split("lower ")[1].split("%")[0])
    assert 40 <= missing <= 60
    np.testing.assert_array_equal(picture.bgr()[:180], whole[:180])


def test_flipped_bytes_that_opencv_swallows_are_told(tmp_path: Path) -> None:
    data = bytearray(encode(scene(640, 480), "JPEG"))
    for at in range(len(data) // 2, len(data) - 100, 997):
        data[at] ^= 0x15

    assert read(tmp_path, bytes(data)).damage.startswith("corrupt data: ")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_no_cut_file_passes_for_a_whole_one(tmp_path: Path, kind: str, share: float) -> None:
    data = encode(scene(), kind)

    try:
        picture = read(tmp_path, data[: int(len(data) * share)])
    except DecodeError:
        return
    assert picture.damage
    assert np.ptp(picture.bgr()) > 0


WHOLE = encode(scene(320, 240), "JPEG")
HEADER_ONLY = WHOLE[: WHOLE.index(b"\xff\xda") + 15]  # the scan's header has 14 bytes


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty file (0 bytes)"),
        (b"Dear diary, this is no picture.", "not a JPEG, PNG, TIFF or WEBP picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a JPEG, PNG, TIFF or WEBP picture"),
        (b"\xff\xd8\xff\xe0" + bytes(40), "JPEG whose header can't be read"),
        (encode(scene(), "PNG")[:40], "PNG"),
        (HEADER_ONLY, "nothing of the picture can be read"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line_with_a_next_step(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(tmp_path, data, "IMG_0001.JPG")

    text = str(caught.value)
    assert text.startswith("IMG_0001.JPG: ")
    assert says in text
    assert "\n" not in text
    assert "delete it" in text


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.jpg", tmp_path):
        with pytest.raises(DecodeError, match="can't be read"):
            read_still(path, max_pixels=100)


def png_bomb(side: int) -> bytes:
    """A PNG of side² grey pixels in a few kilobytes, without a picture of that size in memory."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_too_many_pixels_are_refused_by_the_header_alone(tmp_path: Path, kind: str) -> None:
    data = encode(scene(), kind)

    with pytest.raises(DecodeError, match="97x61 pixels, allowed are 5000: raise max_pixels"):
        read(tmp_path, data, max_pixels=5000)


def test_a_30000x30000_png_is_refused_without_a_warning(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="30000x30000 pixels"):
        read(tmp_path, png_bomb(30_000), max_pixels=FileMedia().max_pixels)


def test_a_jpeg_of_endless_scans_is_refused(tmp_path: Path) -> None:
    data = encode(scene(), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]

    with pytest.raises(DecodeError, match="scans"):
        read(tmp_path, data[:-2] + scan * 300 + data[-2:])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(FORMATS),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=12),
    keep=st.floats(0.05, 1),
)
def test_any_damage_gives_a_picture_or_a_decode_error(
    tmp_path_factory: pytest.TempPathFactory, kind: str, flips: list[tuple[float, int]], keep: float
) -> None:
    data = bytearray(encode(scene(40, 30), kind))
    for place, bits in flips:
        data[int(place * len(data))] ^= bits
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(data[: max(1, int(len(data) * keep))])

    try:
        picture = read_still(path, max_pixels=1_000_000)
    except DecodeError:
        return
    assert picture.bgr().shape == (picture.height, picture.width, 3)
    assert picture.bgr().dtype == np.uint8


def test_damaged_files_leave_stderr_silent(tmp_path: Path) -> None:
    for kind in FORMATS:
        data = bytearray(encode(scene(), kind))
        (tmp_path / f"cut.{kind}").write_bytes(data[: len(data) * 2 // 3])
        for at in range(60, len(data), 97):
            data[at] ^= 0x5A
        (tmp_path / f"flipped.{kind}").write_bytes(data)
        (tmp_path / f"cut.{kind}.mp4").write_bytes(data)
    program = (
        "import sys; from pathlib import Path\n"
        "from edge.errors import DecodeError; from edge.media.opener import FileMedia\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try:\n"
        "        with FileMedia().open(path, 'clip' if path.suffix == '.mp4' else 'still') as clip:\n"
        "            print(path.name, [p.bgr().shape for _, _, p in clip], clip.damage)\n"
        "    except DecodeError as exc:\n"
        "        print(exc)\n"
    )

    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)

    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 12
