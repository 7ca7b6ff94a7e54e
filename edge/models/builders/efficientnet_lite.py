"""EfficientNet-Lite0 as an ONNX graph.

In: images, float32 (n, 3, 224, 224), (v − 127) / 128, RGB. Out: logits, float32 (n, classes).
The weights were trained in TensorFlow: "same" padding puts the odd pixel at the bottom right.
Source: Tan & Le 2019 (arXiv:1905.11946) and the Lite variant's README (tensorflow/tpu): no squeeze-and-excitation,
ReLU6, stem and head of fixed width. Tensor names as in the PyTorch port's checkpoint.
"""

import math
from dataclasses import dataclass

import onnx

from .graph import GraphBuilder, Weights

STEM_CHANNELS = 32
HEAD_CHANNELS = 1280


@dataclass(frozen=True, slots=True)
class BlockGroup:
    """Blocks that differ only in their first one's stride and input."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    out: int


GROUPS = (
    BlockGroup(repeats=1, kernel=3, stride=1, expand=1, out=16),
    BlockGroup(repeats=2, kernel=3, stride=2, expand=6, out=24),
    BlockGroup(repeats=2, kernel=5, stride=2, expand=6, out=40),
    BlockGroup(repeats=3, kernel=3, stride=2, expand=6, out=80),
    BlockGroup(repeats=3, kernel=5, stride=1, expand=6, out=112),
    BlockGroup(repeats=4, kernel=5, stride=2, expand=6, out=192),
    BlockGroup(repeats=1, kernel=3, stride=1, expand=6, out=320),
)


@dataclass(slots=True)
class _Layer:
    """Where the builder stands: the last result, its channels and its height (= width)."""

    graph: GraphBuilder
    x: str
    channels: int
    size_px: int

    def conv(self, key: str, bn: str, out: int, *, kernel: int = 1, stride: int = 1, depthwise: bool = False) -> None:
        """Convolution with TensorFlow's "same" padding and batch normalisation."""
        groups = self.channels if depthwise else 1
        weight, bias = self.graph.folded(key, bn, (out, self.channels // groups, kernel, kernel))
        result_px = math.ceil(self.size_px / stride)
        padding = max((result_px - 1) * stride + kernel - self.size_px, 0)
        before, after = padding // 2, padding - padding // 2
        pads = (before, before, after, after)
        self.x = self.graph.conv(self.x, weight, bias, key, stride=stride, pads=pads, groups=groups)
        self.channels, self.size_px = out, result_px

    def relu6(self) -> None:
        """The last result, cut to 0..6."""
        self.x = self.graph.relu6(self.x)


def build_efficientnet_lite0(weights: Weights, *, classes: int = 1000, size_px: int = 224) -> onnx.ModelProto:
    """The model with these weights. Raises ModelError when the weights are not of this model."""
    graph = GraphBuilder(weights)
    layer = _Layer(graph, "images", 3, size_px)
    layer.conv("_conv_stem", "_bn0", STEM_CHANNELS, kernel=3, stride=2)
    layer.relu6()
    number = 0
    for group in GROUPS:
        for repeat in range(group.repeats):
            _block(layer, f"_blocks.{number}", group, stride=group.stride if repeat == 0 else 1)
            number += 1
    layer.conv("_conv_head", "_bn1", HEAD_CHANNELS)
    layer.relu6()
    pooled = graph.node("Flatten", [graph.node("GlobalAveragePool", [layer.x], "pooled")], "features", axis=1)
    weight = graph.constant("_fc.weight", graph.weight("_fc.weight", (classes, HEAD_CHANNELS)).astype("float32"))
    bias = graph.constant("_fc.bias", graph.weight("_fc.bias", (classes,)).astype("float32"))
    graph.node("Gemm", [pooled, weight, bias], "logits", transB=1)
    return graph.model(
        name="efficientnet-lite0",
        inputs={"images": ("n", 3, size_px, size_px)},
        outputs={"logits": ("n", classes)},
        notes={"architecture": "EfficientNet-Lite0"},
    )


def _block(layer: _Layer, key: str, group: BlockGroup, *, stride: int) -> None:
    """Inverted residual: widen, filter each channel, narrow; added to its input where the shapes allow."""
    entered, entered_channels = layer.x, layer.channels
    hidden = entered_channels * group.expand
    if group.expand != 1:
        layer.conv(f"{key}._expand_conv", f"{key}._bn0", hidden)
        layer.relu6()
    layer.conv(f"{key}._depthwise_conv", f"{key}._bn1", hidden, kernel=group.kernel, stride=stride, depthwise=True)
    layer.relu6()
    layer.conv(f"{key}._project_conv", f"{key}._bn2", group.out)
    if stride == 1 and entered_channels == group.out:
        layer.x = layer.graph.node("Add", [entered, layer.x], f"{key}.add")
