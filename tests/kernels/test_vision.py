"""A frame on the device becomes what the host makes of it: letterbox, crops and colours, on a real OpenCL device."""

from dataclasses import replace

import av
import cv2
import numpy as np
import pytest

from edge.compute.device import Device
from edge.compute.frame import to_bgr
from edge.compute.vision import Vision
from edge.inference.preprocess import letterbox, square_crop, to_batch
from edge.model import Yuv420
from edge.testing import fake_card

# (height, width) of pictures and of the model's input, the card's resize
SIZES = [
    ((1080, 1920), (640, 640), "letterbox-centre"),  # halved once, then 1.5
    ((1999, 641), (640, 640), "letterbox-topleft"),  # odd, across to 205.2
    ((1500, 2000), (320, 320), "letterbox-centre"),  # halved twice
    ((480, 640), (640, 640), "letterbox-topleft"),  # neither way
    ((90, 106), (320, 416), "letterbox-centre"),  # grows
    ((37, 900), (64, 96), "letterbox-centre"),  # the border is most of it
]
BOXES = [
    (0.2, 0.3, 0.4, 0.2),  # averaged
    (0.5, 0.5, 0.01, 0.02),  # interpolated
    (0.0, 0.0, 0.05, 0.9),  # cut at the left: grows one way, shrinks the other
    (0.95, 0.97, 0.05, 0.03),  # cut in the corner
    (0.0, 0.0, 1.0, 1.0),  # everything
    (0.7, 0.1, 0.0, 0.0),  # one pixel
]


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    with Device.open("opencl", cache_dir=tmp_path_factory.mktemp("cache")) as opened:
        yield opened


@pytest.fixture(scope="module")
def vision(device):
    with Vision(device) as opened:
        yield opened


def card_of(size_hw, resize="letterbox-centre", **more):
    mean, std = (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)
    return replace(fake_card(), input_hw=size_hw, resize=resize, mean=mean, std=std, **more)


def picture(height, width, seed=0):
    """Structure of all scales, and pixels of noise."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(
        rng.integers(0, 256, (9, 16, 3)).astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(coarse.astype(int) + rng.integers(-40, 40, coarse.shape), 0, 255).astype(np.uint8)


def levels_apart(got, want, card):
    """How far each value is from what it should be, in grey levels of 0..255."""
    return np.abs(got - want) * np.float32(card.std)[:, None, None]


def on_host(bgr, card):
    anchor = "topleft" if card.resize == "letterbox-topleft" else "centre"
    sheet, placement = letterbox(bgr, size_hw=card.input_hw, fill=card.fill, anchor=anchor)
    return to_batch([sheet], card)[0], placement


def on_device(vision, frame_of, card, *, slot=1):
    """What `letterbox` writes into one slot of a batch of two, and the other slot, which is nobody's business."""
    device, shape = vision.device, (2, 3, *card.input_hw)
    into = device.upload(np.full((5 + np.prod(shape),), 7.0, np.float32))
    frame = vision.upload_frame(frame_of)
    placement = vision.letterbox(frame, into=into, card=card, slot=slot, offset=5)
    batch = device.read(into, np.empty(shape, np.float32), 20)
    vision.release(frame)
    assert (batch[1 - slot] == 7.0).all()
    return batch[slot], placement


@pytest.mark.parametrize(("picture_hw", "size_hw", "resize"), SIZES)
@pytest.mark.parametrize("colour", ["rgb", "bgr"])
def test_letterbox_equals_the_hosts(vision, picture_hw, size_hw, resize, colour):
    card, bgr = card_of(size_hw, resize, colour=colour), picture(*picture_hw)

    got, placement = on_device(vision, bgr, card)

    want, placed = on_host(bgr, card)
    apart = levels_apart(got, want, card)
    assert placement == placed
    # One level where OpenCV's fixed point (or the order of a sum) rounds the other way: seen in 1 of 10,000 values.
    assert apart.max() < 1.01
    assert (apart > 0.01).mean() < 0.001


def test_a_letterbox_of_one_colour_is_exact(vision):
    card = replace(card_of((64, 96)), mean=(0.0,) * 3, std=(1.0,) * 3, fill=114)

    got, placement = on_device(vision, np.full((50, 50, 3), (10, 20, 30), np.uint8), card)

    inside = got[:, :, placement.left : placement.left + 64]
    assert [np.unique(plane).tolist() for plane in inside] == [[30], [20], [10]]
    assert np.unique(got[:, :, : placement.left]).tolist() == [114]


def planes_of(yuv, kind, width, pitch=0):
    """A yuv420p frame's planes as NV12 or I420, rows `pitch` bytes longer than they need to be."""
    luma, u, v = yuv
    colour = (np.stack([u, v], axis=2).reshape(len(u), -1),) if kind == "nv12" else (u, v)
    return Yuv420(tuple(np.pad(each, ((0, 0), (0, pitch))) for each in (luma, *colour)), width)


def to_yuv(bgr):
    """Planes of a picture whose sides are even."""
    height, width = bgr.shape[:2]
    flat = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).ravel()
    luma, rest = flat[: height * width].reshape(height, width), flat[height * width :]
    return luma, *rest.reshape(2, height // 2, width // 2)


@pytest.mark.parametrize("kind", ["nv12", "i420"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full_range", [False, True])
def test_a_decoders_planes_give_what_their_colours_give(vision, kind, matrix, full_range):
    card = card_of((320, 320))
    yuv = replace(planes_of(to_yuv(picture(360, 642)), kind, 642, pitch=22), matrix=matrix, full_range=full_range)

    got, _ = on_device(vision, yuv, card)

    want, _ = on_host(to_bgr(yuv), card)
    assert levels_apart(got, want, card).max() < 1.01  # one level where a sum is rounded the other way


@pytest.mark.parametrize(("matrix", "colorspace"), [("bt601", 5), ("bt709", 1)])
@pytest.mark.parametrize(("full_range", "color_range"), [(False, 1), (True, 2)])
def test_colours_are_those_that_pyav_gives_the_host(matrix, colorspace, full_range, color_range):
    yuv = to_yuv(picture(64, 96))
    frame = av.VideoFrame.from_ndarray(np.concatenate([each.ravel() for each in yuv]).reshape(96, 96), "yuv420p")
    frame.colorspace, frame.color_range = colorspace, color_range

    got = to_bgr(replace(planes_of(yuv, "i420", 96), matrix=matrix, full_range=full_range))

    np.testing.assert_array_equal(got, frame.to_ndarray(format="bgr24"))


def test_a_frame_of_odd_sides_has_colours_at_its_edge():
    yuv = Yuv420((np.full((5, 7), 81, np.uint8), np.tile(np.uint8([90, 240]), (3, 4))), 7)

    assert np.abs(to_bgr(yuv).astype(int) - (0, 0, 255)).max() <= 2  # BT.601's red; swscale cuts off


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (lambda: Yuv420((np.zeros((4, 6), np.uint8),), 6), "two or three planes"),
        (lambda: Yuv420((np.zeros((4, 6), np.uint8), np.zeros((2, 5), np.uint8)), 6), "must be at least"),
        (lambda: Yuv420((np.zeros((4, 6), np.uint8), np.zeros((1, 6), np.uint8)), 6), "must be at least"),
    ],
)
def test_planes_that_do_not_fit_are_refused_with_their_shapes(bad, complaint):
    with pytest.raises(ValueError, match=complaint):
        bad()


def test_what_is_no_picture_is_refused(vision):
    with pytest.raises(ValueError, match=r"must be uint8 \(height, width, 3\), got float32 \(4, 4, 3\)"):
        vision.upload_frame(np.zeros((4, 4, 3), np.float32))


@pytest.mark.parametrize("picture_hw", [(480, 640), (1500, 2000)])
def test_crops_equal_the_hosts(vision, picture_hw):
    card, bgr, device = card_of((224, 224), "square-crop"), picture(*picture_hw), vision.device
    into = device.upload(np.full((1 + len(BOXES), 3, 224, 224), 7.0, np.float32))
    frame = vision.upload_frame(bgr)

    before = vision.launcher.count
    vision.crops(frame, BOXES, into=into, card=card, slot=1)
    launches = vision.launcher.count - before

    got = device.read(into, np.empty((1 + len(BOXES), 3, 224, 224), np.float32))
    crops = [square_crop(bgr, box, margin=card.crop_margin, size_px=224) for box in BOXES]
    for index, (have, want) in enumerate(zip(got[1:], to_batch(crops, card), strict=True)):
        apart = levels_apart(have, want, card)
        assert apart.max() < 1.01, BOXES[index]
        assert (apart > 0.01).mean() < 0.01, BOXES[index]
    assert (got[0] == 7.0).all()
    assert launches == 1


def test_crops_of_a_decoders_planes_share_colours_as_the_whole_picture_does(vision):
    yuv, card = planes_of(to_yuv(picture(720, 1280)), "nv12", 1280), card_of((96, 96), "square-crop")
    boxes = [(x / 1280, y / 720, 0.4, 0.4) for x in (300, 301) for y in (200, 201)]  # halved, from odd pixels on, too
    into = vision.device.alloc(len(boxes) * 3 * 96 * 96 * 4)
    frame = vision.upload_frame(yuv)

    vision.crops(frame, boxes, into=into, card=card)

    got = vision.device.read(into, np.empty((len(boxes), 3, 96, 96), np.float32))
    crops = [square_crop(to_bgr(yuv), box, margin=card.crop_margin, size_px=96) for box in boxes]
    for have, want in zip(got, to_batch(crops, card), strict=True):
        assert levels_apart(have, want, card).max() < 1.01
