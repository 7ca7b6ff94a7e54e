"""Letterbox and crop bring boxes back to where they were, and the batch is what the card says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.inference.preprocess import letterbox, resize, square_crop, to_batch
from edge.testing import fake_card


def grey(width, height, level=200):
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize(
    ("anchor", "picture_at"),
    [("topleft", (slice(0, 48), slice(0, 64))), ("centre", (slice(8, 56), slice(0, 64)))],
)
def test_letterbox_leaves_the_border_where_the_model_expects_it(anchor, picture_at):
    sheet, _ = letterbox(grey(640, 480), size_hw=(64, 64), fill=7, anchor=anchor)

    assert sheet.shape == (64, 64, 3)
    assert (sheet[picture_at] == 200).all()
    border = np.ones((64, 64), bool)
    border[picture_at] = False
    assert (sheet[border] == 7).all()


@settings(deadline=None)
@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    size_hw=st.tuples(st.integers(16, 96), st.integers(16, 96)),
    anchor=st.sampled_from(["topleft", "centre"]),
    data=st.data(),
)
def test_a_box_put_into_the_input_comes_back_to_its_place(width, height, size_hw, anchor, data):
    sheet, placement = letterbox(grey(width, height), size_hw=size_hw, fill=0, anchor=anchor)
    left, right = sorted(data.draw(st.tuples(*[st.floats(0, 1)] * 2)))
    top, bottom = sorted(data.draw(st.tuples(*[st.floats(0, 1)] * 2)))
    (rows,) = np.nonzero(sheet.any(axis=(1, 2)))
    (columns,) = np.nonzero(sheet.any(axis=(0, 2)))
    # Where the picture really lies on the sheet, found by looking.
    x0, y0, wide, high = columns[0], rows[0], len(columns), len(rows)
    in_input = np.array([[x0 + left * wide, y0 + top * high, x0 + right * wide, y0 + bottom * high]], np.float32)

    (back,) = placement.to_xywh_norm(in_input)

    assert back == pytest.approx((left, top, right - left, bottom - top), abs=1e-4)


def test_boxes_are_clipped_to_the_picture_and_lose_their_area_in_the_border():
    _, placement = letterbox(grey(640, 480), size_hw=(64, 64), fill=0, anchor="topleft")

    over_the_edge, in_the_border = placement.to_xywh_norm(np.array([[-9, 24, 32, 99], [10, 50, 20, 60]], np.float32))

    assert over_the_edge == pytest.approx((0, 0.5, 0.5, 0.5))
    assert in_the_border[3] == 0


def test_shrinking_averages_all_pixels_so_that_one_bright_row_is_not_lost():
    picture = np.zeros((512, 512, 3), np.uint8)
    picture[255] = 255

    small = resize(picture, size_hw=(40, 40))

    assert small.mean() == pytest.approx(255 / 512, abs=0.3)


def test_crop_is_a_square_around_the_box_with_a_margin():
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[40:60, 80:120] = 255  # 40 wide, 20 high

    crop = square_crop(picture, (0.4, 0.4, 0.2, 0.2), margin=0.5, size_px=60)  # a square of 60 px: nothing is scaled

    (rows,) = np.nonzero(crop[:, 30, 0])
    (columns,) = np.nonzero(crop[30, :, 0])
    assert (rows[0], rows[-1] + 1) == (20, 40)
    assert (columns[0], columns[-1] + 1) == (10, 50)


@pytest.mark.parametrize(
    "xywh_norm",
    [(0, 0, 1, 1), (0.9, 0.9, 0.1, 0.1), (0.999, 0, 0.001, 0.001), (1.0, 1.0, 0.0, 0.0), (0, 0.5, 0, 0)],
)
def test_crop_at_the_edge_or_without_an_area_is_still_a_picture(xywh_norm):
    crop = square_crop(grey(33, 17), xywh_norm, margin=0.15, size_px=24)

    assert crop.shape == (24, 24, 3)
    assert (crop == 200).all()


@pytest.mark.parametrize("colour", ["rgb", "bgr"])
def test_batch_has_the_cards_channel_order_and_scaling(colour):
    card = fake_card(input_hw=(3, 5), colour=colour, mean=(127.0, 10.0, 0.0), std=(128.0, 2.0, 255.0))
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (3, 5, 3), np.uint8) for _ in range(2)]

    batch = to_batch(pictures, card)

    ordered = np.stack(pictures)[..., ::-1] if colour == "rgb" else np.stack(pictures)
    expected = ((ordered - np.array(card.mean)) / np.array(card.std)).transpose(0, 3, 1, 2)
    assert batch.dtype == np.float32
    assert batch == pytest.approx(expected, rel=1e-5, abs=1e-5)
