"""Footage for the demo: a cat walks over grass, by day and in infrared light, with blank frames between.

The two pictures come out of scikit-image's wheel; scikit-image lists both as CC0 (chelsea: Stefan van der Walt;
grass: Linolafett). Nothing of scikit-image is installed or run.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np

from ..model import U8
from ..models.wheels import fetch_wheel_member

WHEEL = "scikit-image==0.26.0"
PICTURES = {
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
}
SIZE = (1280, 720)  # width, height: what many trail cameras store
CAT = (450, 300)
PATH_Y = 300
STEPS = 9  # frames in which the cat is in the picture
BLANKS = 3  # before and after
SEED = 2


def fetch_pictures(folder: Path) -> None:
    """Get the two pictures into `folder`, unless they are there. Raises ModelError when the index can't be reached."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sha256 in PICTURES.items():
        if not (folder / name).is_file():
            fetch_wheel_member(WHEEL, f"skimage/data/{name}", sha256=sha256, target=folder / name)


def make_footage(pictures: Path, folder: Path) -> list[Path]:
    """Write the stills `day_00.jpg` … `night_14.jpg` into `folder` and return them in order."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for light in ("day", "night"):
        for number, frame in enumerate(walk(pictures, light=light)):
            path = folder / f"{light}_{number:02d}.jpg"
            path.write_bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
            written.append(path)
    return written


def walk(pictures: Path, *, light: str) -> Iterator[U8]:
    """The frames of one walk, uint8 (720, 1280, 3) BGR. light: "day" or "night" (infrared, grey and noisy)."""
    rng = np.random.default_rng(SEED)
    cat = cv2.resize(_read(pictures / "chelsea.png"), CAT, interpolation=cv2.INTER_AREA)
    grass = cv2.resize(_read(pictures / "grass.png"), SIZE, interpolation=cv2.INTER_AREA)
    reach = SIZE[0] - CAT[0]
    for step in range(-BLANKS, STEPS + BLANKS):
        frame: U8 = grass.astype(np.uint8)
        if 0 <= step < STEPS:
            x = round(reach * step / (STEPS - 1))
            bob = round(12 * np.sin(step * 1.7))
            frame[PATH_Y + bob : PATH_Y + bob + CAT[1], x : x + CAT[0]] = cv2.resize(
                cat, CAT, interpolation=cv2.INTER_AREA
            )
        yield _in_light(frame, light, rng)


def _in_light(frame: U8, light: str, rng: np.random.Generator) -> U8:
    noise = rng.normal(0, 2 if light == "day" else 5, frame.shape[:2])[..., None]
    if light == "night":
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[..., None].repeat(3, axis=2)
        frame = (grey * 0.8).astype(np.uint8)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def _read(path: Path) -> U8:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path}: is no picture")
    return picture.astype(np.uint8, copy=False)


def make_clip(stills: Sequence[Path], target: Path, *, frames_per_s: int = 4) -> None:
    """Write the stills as a clip (MPEG-4 in MP4), as a trail camera would."""
    first = _read(stills[0])
    with av.open(str(target), "w") as container:
        stream = container.add_stream("mpeg4", rate=frames_per_s)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for path in stills:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(_read(path), format="bgr24")))
        container.mux(stream.encode())
