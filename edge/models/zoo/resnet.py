"""ResNet-50 v1.5 for ImageNet's 1000 classes, batch normalisation as nodes of its own.

In: images, (n, 3, 224, 224). Out: logits, (n, 1000). Source: He et al. 2015 (arXiv:1512.03385), table 1; the stride
lies in the 3×3 convolution as in torchvision. Written as torch exports it without folding.
"""

from .builder import Graph, Value
from .layers import classifier, conv, flatten, global_average, max_pool, residual_relu

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # channels inside, blocks, stride of the first
EXPANSION = 4


def write_resnet50(g: Graph, images: Value) -> list[Value]:
    """Add ResNet-50 to the graph; its logits."""
    x = max_pool(g, conv(g, images, 64, kernel=7, stride=2, act="relu", bn=True), 3, stride=2)
    for stage, (inside, blocks, stride) in enumerate(STAGES, start=1):
        for block in range(blocks):
            with g.scope(f"layer{stage}.{block}"):
                x = _bottleneck(g, x, inside, stride=stride if block == 0 else 1)
    return [classifier(g, flatten(g, global_average(g, x)), 1000, named="logits")]


def _bottleneck(g: Graph, x: Value, inside: int, *, stride: int) -> Value:
    """Narrow, filter, widen; added to the input, or to its projection where the shape changes."""
    y = conv(g, x, inside, act="relu", bn=True)
    y = conv(g, y, inside, kernel=3, stride=stride, act="relu", bn=True)
    y = conv(g, y, inside * EXPANSION, bn=True)
    around = x
    if x.shape != y.shape:
        with g.scope("downsample"):
            around = conv(g, x, inside * EXPANSION, stride=stride, bn=True)
    return residual_relu(g, y, around)
