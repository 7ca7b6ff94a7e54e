"""Layers that several models of the zoo share: convolution, activation, squeeze-excitation, linear and norm layers."""

import math
from dataclasses import replace
from typing import Final, Literal

import numpy as np

from .builder import Graph, Value, he_std

Activation = Literal["relu", "relu6", "silu", "hswish", "sigmoid", "hsigmoid", "gelu"]
BIAS_STD = 0.1
SQUEEZE_GAIN = 0.1  # factors stay off 0 and 1: saturated ones let a contrasty picture grow from block to block
# Mean and variance of the activation of a standard normal variable: two digits are enough here.
AFTER = {
    "relu": (0.40, 0.34),
    "relu6": (0.40, 0.34),
    "silu": (0.21, 0.31),
    "hswish": (0.16, 0.31),
    "sigmoid": (0.50, 0.043),
    "hsigmoid": (0.50, 0.028),
    "gelu": (0.28, 0.35),
}
FIRST_HARD_SWISH_OPSET = 14
FIRST_LAYER_NORM_OPSET = 17
FIRST_REDUCE_AXES_INPUT_OPSET = 18  # ReduceMean and ReduceMax; ReduceSum has had it since 13
FIRST_GELU_OPSET = 20
BN_EPSILON = 1e-5
LN_EPSILON = 1e-5


def conv(
    g: Graph,
    x: Value,
    out: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    act: Activation | None = None,
    tf_same: bool = False,
    bn: bool = False,
    gain: float = 1.0,
) -> Value:
    """Convolution, batch normalisation folded or (bn) apart, activation. x: (channels, height, width).

    Padding is (kernel − 1) // 2 on all sides, or TensorFlow's "same" with the odd pixel at the bottom right.
    gain: standard deviation of the result before the activation.
    """
    channels, height, width = x.shape
    before, after = _tf_pads(height, kernel, stride) if tf_same else ((kernel - 1) // 2,) * 2
    fan_in = channels // groups * kernel * kernel
    apart = bn and g.keep_bn
    dense = groups == 1
    std = gain * he_std(fan_in, x.variance if dense else x.power)
    with g.scope("conv"):
        shape, centred_over = (out, channels // groups, kernel, kernel), (1, 2, 3) if dense and x.mean else ()
        inputs = [x, g.normal("weight", shape, std=std, centred_over=centred_over)]
        if not apart:
            inputs.append(g.normal("bias", (out,), std=BIAS_STD * gain))
        y = g.op(
            "Conv",
            inputs,
            (out, *((side + before + after - kernel) // stride + 1 for side in (height, width))),
            variance=gain * gain,
            dilations=[1, 1],
            group=groups,
            kernel_shape=[kernel, kernel],
            pads=[before, before, after, after],
            strides=[stride, stride],
        )
    return activate(g, batch_norm(g, y) if apart else y, act)


def _tf_pads(size: int, kernel: int, stride: int) -> tuple[int, int]:
    padding = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return padding // 2, padding - padding // 2


def batch_norm(g: Graph, x: Value) -> Value:
    """BatchNormalization as it is exported for inference, with statistics that leave the power near 1."""
    out = x.channels
    with g.scope("bn"):
        parts = {
            "weight": g.rng.uniform(0.8, 1.2, out),
            "bias": g.rng.normal(0, BIAS_STD, out),
            "running_mean": g.rng.normal(0, BIAS_STD, out),
            "running_var": g.rng.uniform(0.7, 1.3, out) * x.variance,
        }
        inputs = [x, *(g.weight(name, array) for name, array in parts.items())]
        return g.op("BatchNormalization", inputs, x.shape, variance=1.0, epsilon=BN_EPSILON, momentum=0.9)


def activate(g: Graph, x: Value, kind: Activation | None) -> Value:
    """The activation in the nodes that torch exports it to."""
    if kind is None:
        return x
    scale = 1 if kind in {"sigmoid", "hsigmoid"} else x.power
    mean, variance = AFTER[kind]
    with g.scope("act"):
        return replace(_WRITERS[kind](g, x), mean=mean * math.sqrt(scale), variance=variance * scale)


def _relu(g: Graph, x: Value) -> Value:
    return g.op("Relu", [x], x.shape)


def _relu6(g: Graph, x: Value) -> Value:
    return g.op("Clip", [x, g.scalar(0), g.scalar(6)], x.shape)


def _silu(g: Graph, x: Value) -> Value:
    return g.op("Mul", [x, g.op("Sigmoid", [x], x.shape)], x.shape)


def _sigmoid(g: Graph, x: Value) -> Value:
    return g.op("Sigmoid", [x], x.shape)


def _hard_sigmoid(g: Graph, x: Value) -> Value:
    return g.op("HardSigmoid", [x], x.shape, alpha=1 / 6, beta=0.5)


def _hard_swish(g: Graph, x: Value) -> Value:
    """One node from opset 14, two before."""
    if g.opset >= FIRST_HARD_SWISH_OPSET:
        return g.op("HardSwish", [x], x.shape)
    return g.op("Mul", [x, _hard_sigmoid(g, x)], x.shape)


def _gelu(g: Graph, x: Value) -> Value:
    """The product of x and the normal distribution function of x: one node from opset 20, five before."""
    if g.opset >= FIRST_GELU_OPSET:
        return g.op("Gelu", [x], x.shape)
    erf = g.op("Erf", [g.op("Div", [x, g.scalar(math.sqrt(2))], x.shape)], x.shape)
    whole = g.op("Mul", [x, g.op("Add", [erf, g.scalar(1)], x.shape)], x.shape)
    return g.op("Mul", [whole, g.scalar(0.5)], x.shape)


_WRITERS: Final = {
    "relu": _relu,
    "relu6": _relu6,
    "silu": _silu,
    "hswish": _hard_swish,
    "sigmoid": _sigmoid,
    "hsigmoid": _hard_sigmoid,
    "gelu": _gelu,
}


def residual_relu(g: Graph, y: Value, around: Value) -> Value:
    """ReLU of the sum. What went around a block is a ReLU's result, so it is hardly cut a second time."""
    x = activate(g, g.add(y, around), "relu")
    return replace(x, mean=around.mean + 0.25, variance=around.variance + 0.6 * y.variance)


def global_average(g: Graph, x: Value) -> Value:
    """Mean of every channel, (channels, 1, 1)."""
    return g.op("GlobalAveragePool", [x], (x.channels, 1, 1), variance=x.variance / 2, mean=x.mean)


def squeeze_excite(g: Graph, x: Value, squeezed: int, *, act: Activation, gate: Activation) -> Value:
    """Each channel times a factor 0..1 that is computed from all channels' means (Hu et al. 2018)."""
    with g.scope("se"):
        mean = global_average(g, x)
        with g.scope("fc1"):
            hidden = conv(g, mean, squeezed, act=act)
        with g.scope("fc2"):
            factor = conv(g, hidden, x.channels, act=gate, gain=SQUEEZE_GAIN)
        return g.mul(x, factor)


def max_pool(g: Graph, x: Value, kernel: int, *, stride: int = 1) -> Value:
    """Largest value of each window, padded by kernel // 2."""
    pad = kernel // 2
    sides = ((side + 2 * pad - kernel) // stride + 1 for side in x.shape[1:])
    return g.op(
        "MaxPool",
        [x],
        (x.channels, *sides),
        variance=x.variance,
        mean=x.mean + math.sqrt(x.variance),  # the largest of correlated neighbours: a rough middle
        ceil_mode=0,
        kernel_shape=[kernel, kernel],
        pads=[pad] * 4,
        strides=[stride, stride],
    )


def double(g: Graph, x: Value) -> Value:
    """Twice the height and width, each pixel repeated. The scales stay float32 in float16 models, as torch has it."""
    channels, height, width = x.shape
    scales = g.model.graph.initializer.add(name=f"{x.name}.scales", dims=[4], data_type=1)
    scales.raw_data = np.array([1, 1, 2, 2], np.float32).tobytes()
    return g.op(
        "Resize",
        [x, "", scales.name],
        (channels, 2 * height, 2 * width),
        coordinate_transformation_mode="asymmetric",
        cubic_coeff_a=-0.75,
        mode="nearest",
        nearest_mode="floor",
    )


def classifier(g: Graph, x: Value, classes: int, *, named: str | None = None) -> Value:
    """Fully connected layer on flat features, as Gemm. x: (features,)."""
    with g.scope("fc"):
        over = (1,) if x.mean else ()
        weight = g.normal("weight", (classes, x.channels), std=he_std(x.channels, x.variance), centred_over=over)
        bias = g.normal("bias", (classes,), std=BIAS_STD)
        attributes = {"alpha": 1.0, "beta": 1.0, "transB": 1}
        return g.op("Gemm", [x, weight, bias], (classes,), variance=1.0, named=named, **attributes)


def flatten(g: Graph, x: Value) -> Value:
    """All but the batch axis as one."""
    return g.op("Flatten", [x], (math.prod(x.shape),), axis=1)


def linear(g: Graph, x: Value, out: int, *, act: Activation | None = None, gain: float = 1.0) -> Value:
    """Fully connected layer on the last axis, as MatMul and Add. x: (tokens, features)."""
    features = x.shape[-1]
    shape = (*x.shape[:-1], out)
    over = (0,) if x.mean else ()
    weight = g.normal("weight", (features, out), std=gain * he_std(features, x.variance), centred_over=over)
    y = g.op("MatMul", [x, weight], shape, variance=gain * gain)
    y = g.op("Add", [g.normal("bias", (out,), std=BIAS_STD * gain), y], shape, variance=gain * gain)
    return activate(g, y, act)


def layer_norm(g: Graph, x: Value) -> Value:
    """Layer normalisation over the last axis: one node from opset 17, nine before."""
    features = x.shape[-1]
    with g.scope("norm"):
        weight = g.weight("weight", g.rng.uniform(0.8, 1.2, features))
        bias = g.weight("bias", g.rng.normal(0, BIAS_STD, features))
        if g.opset >= FIRST_LAYER_NORM_OPSET:
            inputs = [x, weight, bias]
            return g.op("LayerNormalization", inputs, x.shape, variance=1.0, axis=-1, epsilon=LN_EPSILON)
        mean_shape = (*x.shape[:-1], 1)
        centred = g.op("Sub", [x, g.op("ReduceMean", [x], mean_shape, axes=[-1])], x.shape)
        squares = g.op("Pow", [centred, g.scalar(2)], x.shape)
        variance = g.op("ReduceMean", [squares], mean_shape, axes=[-1])
        deviation = g.op("Sqrt", [g.op("Add", [variance, g.scalar(LN_EPSILON)], mean_shape)], mean_shape)
        scaled = g.op("Mul", [g.op("Div", [centred, deviation], x.shape), weight], x.shape)
        return g.op("Add", [scaled, bias], x.shape, variance=1.0)
