"""EfficientNet-B0 and EfficientNet-Lite0 for ImageNet's 1000 classes.

In: images, (n, 3, 224, 224). Out: logits, (n, 1000). Source: Tan & Le 2019 (arXiv:1905.11946), table 1. B0 has SiLU,
squeeze-excite and torch's symmetric padding; Lite0 has ReLU6, none of the second and TensorFlow's padding, as the
converted checkpoint of builders/efficientnet_lite.py has it.
"""

from dataclasses import dataclass

from .builder import Graph, Value
from .layers import Activation, classifier, conv, flatten, global_average, squeeze_excite

# expansion, channels, repeats, stride of the first, kernel
GROUPS = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


@dataclass(frozen=True, slots=True)
class _Style:
    """What tells B0 from Lite0."""

    act: Activation
    squeeze: bool
    tf_same: bool


def write_efficientnet_b0(g: Graph, images: Value) -> list[Value]:
    """Add EfficientNet-B0 to the graph; its logits."""
    return _write(g, images, _Style(act="silu", squeeze=True, tf_same=False))


def write_efficientnet_lite0(g: Graph, images: Value) -> list[Value]:
    """Add EfficientNet-Lite0 to the graph; its logits."""
    return _write(g, images, _Style(act="relu6", squeeze=False, tf_same=True))


def _write(g: Graph, images: Value, style: _Style) -> list[Value]:
    with g.scope("stem"):
        x = conv(g, images, 32, kernel=3, stride=2, act=style.act, tf_same=style.tf_same)
    number = 0
    for expansion, out, repeats, stride, kernel in GROUPS:
        for repeat in range(repeats):
            with g.scope(f"blocks.{number}"):
                x = _block(g, x, style, (expansion, out, stride if repeat == 0 else 1, kernel))
            number += 1
    with g.scope("head"):
        x = conv(g, x, 1280, act=style.act)
    return [classifier(g, flatten(g, global_average(g, x)), 1000, named="logits")]


def _block(g: Graph, x: Value, style: _Style, sizes: tuple[int, int, int, int]) -> Value:
    """Inverted residual. sizes: expansion, channels out, stride, kernel."""
    expansion, out, stride, kernel = sizes
    inside = x.channels * expansion
    y = conv(g, x, inside, act=style.act) if expansion != 1 else x
    y = conv(g, y, inside, kernel=kernel, stride=stride, groups=inside, act=style.act, tf_same=style.tf_same)
    if style.squeeze:
        # a quarter of the block's input, not of its inside
        y = squeeze_excite(g, y, max(1, x.channels // 4), act=style.act, gate="sigmoid")
    y = conv(g, y, out)
    return g.add(x, y) if x.shape == y.shape else y
