"""MobileNetV2 and MobileNetV3-Large for ImageNet's 1000 classes.

In: images, (n, 3, 224, 224). Out: logits, (n, 1000). Sources: Sandler et al. 2018 (arXiv:1801.04381), table 2; Howard
et al. 2019 (arXiv:1905.02244), table 1; layers and squeeze widths as in torchvision.
"""

from dataclasses import dataclass
from typing import Literal

from .builder import Graph, Value
from .layers import activate, classifier, conv, flatten, global_average, squeeze_excite

# expansion, channels, repeats, stride of the first
V2_GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


@dataclass(frozen=True, slots=True)
class V3Block:
    """One row of the V3 paper's table: kernel, channels inside, channels out, squeeze-excite, activation, stride."""

    kernel: int
    inside: int
    out: int
    squeeze: bool
    act: Literal["relu", "hswish"]
    stride: int


V3_BLOCKS = (
    V3Block(3, 16, 16, squeeze=False, act="relu", stride=1),
    V3Block(3, 64, 24, squeeze=False, act="relu", stride=2),
    V3Block(3, 72, 24, squeeze=False, act="relu", stride=1),
    V3Block(5, 72, 40, squeeze=True, act="relu", stride=2),
    V3Block(5, 120, 40, squeeze=True, act="relu", stride=1),
    V3Block(5, 120, 40, squeeze=True, act="relu", stride=1),
    V3Block(3, 240, 80, squeeze=False, act="hswish", stride=2),
    V3Block(3, 200, 80, squeeze=False, act="hswish", stride=1),
    V3Block(3, 184, 80, squeeze=False, act="hswish", stride=1),
    V3Block(3, 184, 80, squeeze=False, act="hswish", stride=1),
    V3Block(3, 480, 112, squeeze=True, act="hswish", stride=1),
    V3Block(3, 672, 112, squeeze=True, act="hswish", stride=1),
    V3Block(5, 672, 160, squeeze=True, act="hswish", stride=2),
    V3Block(5, 960, 160, squeeze=True, act="hswish", stride=1),
    V3Block(5, 960, 160, squeeze=True, act="hswish", stride=1),
)


def write_mobilenetv2(g: Graph, images: Value) -> list[Value]:
    """Add MobileNetV2 to the graph; its logits."""
    with g.scope("features.0"):
        x = conv(g, images, 32, kernel=3, stride=2, act="relu6")
    number = 0
    for expansion, out, repeats, stride in V2_GROUPS:
        for repeat in range(repeats):
            number += 1
            with g.scope(f"features.{number}"):
                x = _v2_block(g, x, expansion, out, stride=stride if repeat == 0 else 1)
    with g.scope("features.18"):
        x = conv(g, x, 1280, act="relu6")
    return [classifier(g, flatten(g, global_average(g, x)), 1000, named="logits")]


def _v2_block(g: Graph, x: Value, expansion: int, out: int, *, stride: int) -> Value:
    inside = x.channels * expansion
    y = conv(g, x, inside, act="relu6") if expansion != 1 else x
    y = conv(g, y, inside, kernel=3, stride=stride, groups=inside, act="relu6")
    y = conv(g, y, out)
    return g.add(x, y) if x.shape == y.shape else y


def write_mobilenetv3_large(g: Graph, images: Value) -> list[Value]:
    """Add MobileNetV3-Large to the graph; its logits."""
    with g.scope("features.0"):
        x = conv(g, images, 16, kernel=3, stride=2, act="hswish")
    for number, block in enumerate(V3_BLOCKS, start=1):
        with g.scope(f"features.{number}"):
            x = _v3_block(g, x, block)
    with g.scope("features.16"):
        x = conv(g, x, 960, act="hswish")
    x = flatten(g, global_average(g, x))
    x = activate(g, classifier(g, x, 1280), "hswish")
    return [classifier(g, x, 1000, named="logits")]


def _v3_block(g: Graph, x: Value, block: V3Block) -> Value:
    y = conv(g, x, block.inside, act=block.act) if block.inside != x.channels else x
    y = conv(g, y, block.inside, kernel=block.kernel, stride=block.stride, groups=block.inside, act=block.act)
    if block.squeeze:
        y = squeeze_excite(g, y, divisible_by_8(block.inside // 4), act="relu", gate="hsigmoid")
    y = conv(g, y, block.out)
    return g.add(x, y) if x.shape == y.shape else y


def divisible_by_8(channels: float) -> int:
    """The nearest multiple of 8, at least 8 and never more than a tenth below (torchvision's rule)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
