"""Pictures of our own making, as a camera trap might take them: a forest at day or night with a silhouette in it.

For screenshots in the documentation, where nobody else's photographs may stand, and for tests that need many pictures.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = (960, 640)
# What a silhouette is drawn from: length and height of the body, legs, neck, tail, spots, ears (shares of its width).
SHAPES = {
    "Panthera onca": {"legs": 0.20, "neck": 0.02, "tail": 0.35, "spots": True, "coat": (196, 148, 78)},
    "Leopardus pardalis": {"legs": 0.20, "neck": 0.02, "tail": 0.30, "spots": True, "coat": (186, 160, 110)},
    "Puma concolor": {"legs": 0.22, "neck": 0.03, "tail": 0.38, "spots": False, "coat": (168, 128, 92)},
    "Cuniculus paca": {"legs": 0.12, "neck": 0.0, "tail": 0.0, "spots": True, "coat": (120, 84, 60)},
    "Mazama americana": {"legs": 0.34, "neck": 0.05, "tail": 0.05, "spots": False, "coat": (150, 96, 66)},
    "Dicotyles tajacu": {"legs": 0.18, "neck": 0.0, "tail": 0.0, "spots": False, "coat": (84, 80, 78)},
    "Dasyprocta punctata": {"legs": 0.16, "neck": 0.02, "tail": 0.0, "spots": False, "coat": (142, 104, 60)},
}
Box = tuple[float, float, float, float]


def scene(what: str, *, night: bool, seed: int) -> tuple[Image.Image, Box | None]:
    """A picture, RGB 960 × 640, and where the animal or person is in it (x, y, w, h, shares); what: "" for nobody."""
    rng = np.random.default_rng(seed)
    picture = _forest(rng, night=night)
    if not what:
        return _in_light(picture, rng, night=night), None
    width = float(rng.uniform(0.24, 0.42))
    x, floor = float(rng.uniform(0.08, 0.9 - width)), float(rng.uniform(0.78, 0.9))
    draw = ImageDraw.Draw(picture)
    box = _person(draw, x, floor) if what == "person" else _animal(draw, rng, SHAPES[what], x, floor, width)
    return _in_light(picture, rng, night=night), box


def _forest(rng: np.random.Generator, *, night: bool) -> Image.Image:
    wide, high = SIZE
    top, bottom = ((26, 40, 34), (52, 60, 46)) if night else ((120, 150, 110), (88, 96, 58))
    rows = np.linspace(0, 1, high)[:, None, None]
    base = (np.array(top) * (1 - rows) + np.array(bottom) * rows).repeat(wide, axis=1).astype(np.uint8)
    picture = Image.fromarray(base)
    draw = ImageDraw.Draw(picture)
    for _tree in range(14):
        x, thick = int(rng.integers(0, wide)), int(rng.integers(10, 46))
        shade = int(rng.integers(20, 60))
        draw.rectangle((x, 0, x + thick, int(high * rng.uniform(0.55, 0.8))), fill=(shade + 12, shade + 4, shade))
    for _leaf in range(220):
        x, y, size = int(rng.integers(0, wide)), int(rng.integers(0, int(high * 0.6))), int(rng.integers(8, 36))
        green = int(rng.integers(40, 110))
        draw.ellipse((x, y, x + size * 2, y + size), fill=(green // 2, green, green // 3))
    picture = picture.filter(ImageFilter.GaussianBlur(4))
    draw = ImageDraw.Draw(picture)
    for _blade in range(700):
        x, y = int(rng.integers(0, wide)), int(high * rng.uniform(0.68, 1.0))
        green = int(rng.integers(50, 120))
        draw.line(
            (x, y, x + int(rng.integers(-8, 9)), y - int(rng.integers(8, 34))), fill=(green // 2, green, 30), width=2
        )
    return picture


def _animal(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, shape: dict, x: float, floor: float, width: float
) -> Box:
    wide, high = SIZE
    body, leg = width * 0.66, shape["legs"] * width * 1.5
    thick = body * 0.5 * wide / high
    left, top = x + width * 0.16, floor - leg - thick
    coat = shape["coat"]

    def px(*points: float) -> list[float]:
        return [value * (wide if index % 2 == 0 else high) for index, value in enumerate(points)]

    for share in (0.12, 0.24, 0.74, 0.88):
        at = left + body * share
        draw.rounded_rectangle(px(at, floor - leg - thick * 0.4, at + width * 0.05, floor), radius=6, fill=coat)
    draw.ellipse(px(left, top, left + body, top + thick), fill=coat)
    if shape["tail"]:
        tail = px(
            left + 0.01, top + thick * 0.4, left - shape["tail"] * width * 0.3, top + thick * 0.9, x, top + thick * 0.2
        )
        draw.line(tail, fill=coat, width=max(6, int(width * 22)), joint="curve")
    head, neck = width * 0.2, shape["neck"] * wide / high
    head_top = top - neck + thick * 0.02
    draw.line(
        px(left + body * 0.9, top + thick * 0.4, left + body + head * 0.3, head_top + head * 0.6),
        fill=coat,
        width=int(width * 90),
    )
    draw.ellipse(px(left + body * 0.92, head_top, left + body * 0.92 + head, head_top + head * 1.15), fill=coat)
    draw.ellipse(
        px(left + body * 0.95, head_top - head * 0.25, left + body * 0.95 + head * 0.3, head_top + head * 0.3),
        fill=coat,
    )
    draw.ellipse(
        px(
            left + body * 0.92 + head * 0.62,
            head_top + head * 0.35,
            left + body * 0.92 + head * 0.74,
            head_top + head * 0.52,
        ),
        fill=(20, 20, 16),
    )
    if shape["spots"]:
        for _spot in range(46):
            sx, sy = left + body * rng.uniform(0.08, 0.9), top + thick * rng.uniform(0.18, 0.75)
            draw.ellipse(px(sx, sy, sx + width * 0.025, sy + width * 0.03), fill=(58, 40, 26))
    y = min(head_top - head * 0.25, top)
    return x, y, left + body * 0.92 + head - x, floor - y


def _person(draw: ImageDraw.ImageDraw, x: float, floor: float) -> Box:
    wide, high = SIZE
    top = floor - 0.66
    for color, box in (
        ((60, 70, 96), (x + 0.02, floor - 0.3, x + 0.06, floor)),
        ((60, 70, 96), (x + 0.08, floor - 0.3, x + 0.12, floor)),
        ((150, 70, 50), (x, top + 0.13, x + 0.14, floor - 0.27)),
    ):
        draw.rounded_rectangle([box[0] * wide, box[1] * high, box[2] * wide, box[3] * high], radius=10, fill=color)
    draw.ellipse([(x + 0.035) * wide, top * high, (x + 0.105) * wide, (top + 0.13) * high], fill=(190, 150, 120))
    return x, top, 0.14, 0.66


def _in_light(picture: Image.Image, rng: np.random.Generator, *, night: bool) -> Image.Image:
    pixels = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.8))).astype(np.float32)
    if night:
        grey = pixels.mean(axis=2, keepdims=True)
        high, wide = grey.shape[:2]
        y, x = np.mgrid[0:high, 0:wide]
        far = ((x / wide - 0.5) ** 2 + (y / high - 0.6) ** 2)[..., None]
        pixels = (grey * (1.25 - 1.6 * far)).repeat(3, axis=2)
    pixels += rng.normal(0, 6 if night else 3, pixels.shape[:2])[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
