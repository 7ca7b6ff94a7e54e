"""Clips: pictures in order with their number and time, luma without a copy, and a word on every damage."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edge.compute.frame import to_bgr
from edge.errors import DecodeError
from edge.media.opener import FileMedia

EVERY = FileMedia(sample_fps=None)
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


def scene(number: int, width: int = 160, height: int = 96) -> np.ndarray:
    """Smooth colours with a bright disc that walks right; BGR."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.dstack([40 + x * 150 // width, 60 + y * 120 // height, 200 - x * 100 // width]).astype("u1")
    return cv2.circle(picture, (20 + 2 * number, height // 2), 10, (250, 250, 250), -1)


def write_clip(
    path: Path,
    pictures: Iterable[np.ndarray],
    *,
    codec: str = "libx264",
    rate: int = 10,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    full_range: bool = False,
    times_ms: list[int] | None = None,
) -> Path:
    with av.open(str(path), "w", options=container or {}) as out:
        stream = None
        for number, picture in enumerate(pictures):
            if stream is None:
                stream = out.add_stream(codec, rate=rate, options=options or {"g": "5"})
                stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], pix_fmt
                if full_range:
                    stream.codec_context.color_range = 2
                if times_ms:
                    stream.codec_context.time_base = Fraction(1, 1000)
            frame = av.VideoFrame.from_ndarray(picture, "bgr24").reformat(
                format=pix_fmt, dst_color_range=2 if full_range else None
            )
            if times_ms:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def walk(count: int = 30) -> list[np.ndarray]:
    return [scene(number) for number in range(count)]


CONTAINERS: dict[str, Callable[[Path], Path]] = {
    "mp4": lambda folder: write_clip(folder / "a.mp4", walk()),
    "fragmented mp4": lambda folder: write_clip(folder / "a.mp4", walk(), container=FRAGMENTED),
    "mov": lambda folder: write_clip(folder / "a.mov", walk(), codec="mpeg4"),
    "mkv": lambda folder: write_clip(folder / "a.mkv", walk()),
    "mjpeg avi": lambda folder: write_clip(folder / "a.avi", walk(), codec="mjpeg", pix_fmt="yuvj420p"),
    "asf": lambda folder: write_clip(folder / "a.asf", walk(), codec="wmv2"),
}
each_container = pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS.keys())


@each_container
def test_every_picture_comes_in_order_with_its_number_and_time(make: Callable[[Path], Path], tmp_path: Path) -> None:
    with EVERY.open(make(tmp_path), "clip") as clip:
        seen = [(number, time_s, picture.bgr()) for number, time_s, picture in clip]

        assert clip.damage == ""
        assert clip.frame_rate == pytest.approx(10)
    assert [number for number, _, _ in seen] == list(range(30))
    np.testing.assert_allclose([time_s for _, time_s, _ in seen], np.arange(30) / 10, atol=0.02)
    for number, _, bgr in seen:
        misfit = {near: np.abs(bgr.astype(int) - scene(near)).mean() for near in (number - 1, number, number + 1)}
        assert min(misfit, key=misfit.__getitem__) == number
        assert misfit[number] < 6


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "full_range"),
    [
        ("yuv420p", "libx264", False),
        ("yuv420p", "libx264", True),
        ("yuv422p", "libx264", False),
        ("yuv444p", "libx264", False),
        ("yuvj422p", "mjpeg", True),
        ("yuv420p", "mpeg4", False),
        ("gray", "ffv1", True),
        ("yuv420p10le", "ffv1", False),
        ("bgr0", "ffv1", True),
    ],
)
@pytest.mark.parametrize("width", [160, 106])  # 106 makes the decoder's rows longer than the picture's
def test_luma_is_opencvs_grey(tmp_path: Path, pix_fmt: str, codec: str, full_range: bool, width: int) -> None:
    path = write_clip(
        tmp_path / "a.mkv",
        [scene(3, width)],
        codec=codec,
        pix_fmt=pix_fmt,
        full_range=full_range,
        options={"crf": "10"},
    )

    with EVERY.open(path, "clip") as clip:
        ((_, _, picture),) = clip
        luma = picture.luma().astype(float)
        bgr = picture.bgr()

    assert luma.shape == (96, width)
    if not full_range and pix_fmt != "yuv420p10le":  # which has no 8-bit plane to show as it is
        luma = (luma - 16) * 255 / 219  # ITU-R BT.601, limited range
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    assert np.abs(luma - grey).mean() < 1.5
    assert np.abs(luma - grey).max() < 16  # colours at the disc's edge are interpolated


def test_luma_is_a_read_only_view_of_the_decoders_plane(tmp_path: Path) -> None:
    with EVERY.open(write_clip(tmp_path / "a.mp4", walk(3)), "clip") as clip:
        for _, _, picture in clip:
            assert np.shares_memory(picture.luma(), picture.luma())
            with pytest.raises(ValueError, match="read-only"):
                picture.luma()[0, 0] = 0


@pytest.mark.parametrize(("pix_fmt", "codec", "full_range"), [("yuv420p", "mpeg4", False), ("yuvj420p", "mjpeg", True)])
def test_a_device_can_make_the_colours_of_the_decoders_planes(
    tmp_path: Path, pix_fmt: str, codec: str, full_range: bool
) -> None:
    path = write_clip(tmp_path / "a.mkv", [scene(3, 106)], codec=codec, pix_fmt=pix_fmt, full_range=full_range)
    with EVERY.open(path, "clip") as clip:
        ((_, _, picture),) = clip
        planes = picture.decoded()

        np.testing.assert_array_equal(planes.planes[0][:, :106], picture.luma())
        np.testing.assert_array_equal(to_bgr(planes), picture.bgr())
        with pytest.raises(ValueError, match="read-only"):
            planes.planes[1][0, 0] = 0


def test_planes_of_another_sampling_are_nothing_for_a_device(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", [scene(3)], codec="mjpeg", pix_fmt="yuvj422p", full_range=True)
    with EVERY.open(path, "clip") as clip:
        ((_, _, picture),) = clip

        assert picture.decoded() is None


def test_pictures_stay_right_when_they_are_kept_while_decoding_goes_on(tmp_path: Path) -> None:
    with EVERY.open(write_clip(tmp_path / "a.mp4", walk()), "clip") as clip:
        kept = [picture for _, _, picture in clip]

    discs = [np.argwhere(picture.luma()[48] > 210).mean() for picture in kept]
    np.testing.assert_allclose(discs, 20 + 2 * np.arange(30), atol=1)


def test_colours_are_converted_once(tmp_path: Path) -> None:
    with EVERY.open(write_clip(tmp_path / "a.mp4", walk(1)), "clip") as clip:
        ((_, _, picture),) = clip

    assert picture.bgr() is picture.bgr()


@pytest.mark.parametrize(
    ("rate", "sample_fps", "expected"),
    [
        (10, 1.0, [0, 10, 20]),
        (10, 4.0, [0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27]),
        (1, 1.0, list(range(30))),
        (1, 5.0, list(range(30))),
        (30, 1.0, [0]),
    ],
)
def test_sampling_looks_at_so_many_pictures_a_second(
    tmp_path: Path, rate: int, sample_fps: float, expected: list[int]
) -> None:
    path = write_clip(tmp_path / "a.mp4", walk(), rate=rate)

    with FileMedia(sample_fps=sample_fps).open(path, "clip") as clip:
        assert [number for number, _, _ in clip] == expected
        assert clip.damage == ""


def test_variable_rate_keeps_the_files_own_times(tmp_path: Path) -> None:
    times_ms = [0, 40, 80, 2000, 2500, 2540, 7000]
    path = write_clip(tmp_path / "a.mkv", walk(7), times_ms=times_ms, options={"bf": "0"})

    with EVERY.open(path, "clip") as clip:
        assert [round(time_s * 1000) for _, time_s, _ in clip] == times_ms
    with FileMedia(sample_fps=1).open(path, "clip") as clip:
        assert [number for number, _, _ in clip] == [0, 3, 6]


@pytest.mark.parametrize(("matrix", "turns"), [((0, 1, -1, 0), 1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 3)])
def test_a_turned_camera_gives_upright_pictures(tmp_path: Path, matrix: tuple[int, ...], turns: int) -> None:
    path = write_clip(tmp_path / "a.mp4", walk(2))
    flat = path.read_bytes()
    a, b, c, d = (number * 0x10000 for number in matrix)
    body = b"".join(number.to_bytes(4, "big", signed=True) for number in (a, b, 0, c, d, 0, 0, 0, 0x40000000))
    at = flat.index(b"tkhd") + 44  # ISO 14496-12, track header version 0: the matrix follows 40 bytes of fields
    path.write_bytes(flat[:at] + body + flat[at + len(body) :])

    with EVERY.open(path, "clip") as clip:
        (_, _, picture), _ = clip
        bgr, luma = picture.bgr(), picture.luma()

    assert (picture.decoded() is None) == (turns != 0)
    assert bgr.shape == (picture.height, picture.width, 3)
    assert luma.shape == (picture.height, picture.width)
    clockwise = np.rot90(scene(0), -turns)
    assert np.abs(bgr.astype(int) - clockwise).mean() < 6
    assert np.abs((luma - 16.0) * 255 / 219 - cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)).mean() < 1.5


def test_mjpeg_may_change_its_chroma_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=10)
        stream.height, stream.width, stream.pix_fmt = 96, 160, "yuvj422p"
        for number in range(6):
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.height, encoder.width, encoder.time_base = 96, 160, Fraction(1, 10)
            encoder.pix_fmt = "yuvj422p" if number < 3 else "yuvj420p"
            frame = av.VideoFrame.from_ndarray(scene(number), "bgr24").reformat(format=encoder.pix_fmt)
            frame.pts = 0
            for packet in (*encoder.encode(frame), *encoder.encode()):
                packet.stream, packet.pts, packet.dts = stream, number, number
                out.mux(packet)

    with EVERY.open(path, "clip") as clip:
        shapes = [(picture.bgr().shape, picture.luma().shape) for _, _, picture in clip]

        assert shapes == [((96, 160, 3), (96, 160))] * 6
        assert clip.damage == ""


@pytest.mark.parametrize("name", ["fragmented mp4", "mkv", "mjpeg avi", "asf"])
def test_a_clip_cut_in_two_gives_its_pictures_up_to_the_cut_and_says_so(tmp_path: Path, name: str) -> None:
    path = CONTAINERS[name](tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    with EVERY.open(path, "clip") as clip:
        count = sum(1 for _ in clip)

        assert 0 < count < 30
        assert clip.damage


def test_a_plain_mp4_cut_in_two_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", walk())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with (
        pytest.raises(DecodeError, match=r"a\.mp4: MP4 that was cut before its index was written"),
        EVERY.open(path, "clip"),
    ):
        pass


@each_container
def test_flipped_bytes_are_told_and_what_can_be_read_is(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path)
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 3, len(data) * 2 // 3, 61):
        data[at] ^= 0x5A
    path.write_bytes(data)

    with EVERY.open(path, "clip") as clip:
        times = [time_s for _, time_s, _ in clip]

        assert clip.damage
    assert len(times) >= 2  # those before the damage; how many come behind it varies with FFmpeg's threads
    assert times == sorted(set(times))


def sound_only(folder: Path) -> Path:
    path = folder / "sound.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def written(data: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "a.mp4"
        path.write_bytes(data)
        return path

    return write


def without_pictures(folder: Path) -> Path:
    """An AVI whose header promises pictures that do not come."""
    path = write_clip(folder / "a.avi", walk(3), codec="mjpeg", pix_fmt="yuvj420p")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"movi") + 4])
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (written(b""), "empty file (0 bytes)"),
        (written(b"this is text, not a film" * 50), "no clip that can be opened"),
        (written(b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n"), "no clip"),
        (written(cv2.imencode(".jpg", scene(0))[1].tobytes()), "no clip that can be opened"),
        (sound_only, "has no video"),
        (without_pictures, "no picture in it can be decoded"),
        (lambda folder: folder / "gone.mp4", "can't be read: No such file"),
    ],
)
def test_what_is_no_clip_is_refused_in_one_line(tmp_path: Path, make: Callable[[Path], Path], says: str) -> None:
    path = make(tmp_path)

    with pytest.raises(DecodeError) as caught, EVERY.open(path, "clip"):
        pass

    assert str(caught.value).startswith(f"{path.name}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pictures_above_the_bound_are_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", walk(2))

    with (
        pytest.raises(DecodeError, match="160x96 pixels, allowed are 10000"),
        FileMedia(max_pixels=10_000).open(path, "clip"),
    ):
        pass


def test_pictures_can_be_taken_once_and_the_second_try_says_so(tmp_path: Path) -> None:
    with EVERY.open(write_clip(tmp_path / "a.mp4", walk(3)), "clip") as clip:
        assert len(list(clip)) == 3
        with pytest.raises(RuntimeError, match="open it again"):
            next(iter(clip))


def test_leaving_the_with_closes_the_file_also_in_the_middle(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", walk())
    before = len(list(Path("/proc/self/fd").iterdir()))

    with EVERY.open(path, "clip") as clip:
        next(iter(clip))

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_still_is_a_clip_of_one_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), scene(0))

    with EVERY.open(path, "still") as clip:
        ((number, time_s, picture),) = clip

        assert (number, time_s, clip.frame_rate, clip.damage) == (0, 0.0, None, "")
    np.testing.assert_array_equal(picture.bgr(), scene(0))
