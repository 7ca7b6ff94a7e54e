"""Write an ONNX graph node by node with random weights, in the shapes and names that torch's exporter gives.

Weights are normal, scaled by the expected variance of what they multiply (He et al. 2015, arXiv:1502.01852, with each
activation's own moments), so that values stay near 1 however deep the model is. Each filter behind an activation sums
to 0 (Qiao et al. 2019, arXiv:1903.10520): otherwise the means add up, and a deep model gives all pictures one answer.
The model is written in place: a copy of YOLOv5x6's weights is half a gigabyte.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
Dim = int | str
LEAST_VARIANCE = 1e-3  # of what is as good as constant
OLDEST_IR = 8  # what torch writes up to opset 18; newer opsets need more


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the graph. shape: without the batch axis, which comes first.

    mean, variance: of its elements, roughly, as the weights that multiply it expect them.
    """

    name: str
    shape: tuple[int, ...] = ()
    variance: float = 1.0
    mean: float = 0.0

    @property
    def channels(self) -> int:
        """Size of the first axis after the batch."""
        return self.shape[0]

    @property
    def power(self) -> float:
        """Expected mean square."""
        return self.variance + self.mean**2


@dataclass(slots=True)
class Graph:
    """Collects nodes; methods add one and return its result.

    batch: size of the first axis, None for a dynamic one. dtype: float32 or float16, of weights and results alike.
    keep_bn: write BatchNormalization nodes; otherwise they count as folded into the convolution before them.
    """

    opset: int
    seed: int
    batch: int | None = 1
    dtype: type[np.float32] | type[np.float16] = np.float32
    keep_bn: bool = True
    model: onnx.ModelProto = field(init=False)
    rng: np.random.Generator = field(init=False)
    _scopes: list[str] = field(init=False, default_factory=list)
    _taken: Counter[str] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        opset = helper.make_opsetid("", self.opset)
        ir_version = max(OLDEST_IR, helper.find_min_ir_version_for([opset]))
        self.model = onnx.ModelProto(ir_version=ir_version, producer_name="tigrillo zoo", opset_import=[opset])
        self.rng = np.random.default_rng(self.seed)

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names of everything added inside start with this."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    def input(self, hw: tuple[Dim, Dim], *, nominal_hw: tuple[int, int]) -> Value:
        """The picture, (batch, 3, height, width). hw: sizes, or names where dynamic."""
        self.model.graph.input.append(self._info("images", (3, *hw)))
        return Value("images", (3, *nominal_hw))

    def op(
        self,
        kind: str,
        inputs: Sequence[Value | str],
        shape: tuple[int, ...],
        *,
        variance: float | None = None,
        mean: float = 0.0,
        named: str | None = None,
        **attributes: Any,
    ) -> Value:
        """Any operator with one result. variance: None takes mean and variance of the first input."""
        values = [each for each in inputs if isinstance(each, Value)]
        if variance is None and values:
            variance, mean = values[0].variance, values[0].mean
        name = self._unique("/" + "/".join([*self._scopes, kind]))
        result = Value(named or f"{name}_output_0", shape, 1.0 if variance is None else variance, mean)
        names = [each.name if isinstance(each, Value) else each for each in inputs]
        self.model.graph.node.append(helper.make_node(kind, names, [result.name], name=name, **attributes))
        return result

    def split(self, x: Value, sizes: Sequence[int], *, axis: int) -> list[Value]:
        """Parts of these sizes along an axis, counted with the batch axis."""
        name = self._unique("/" + "/".join([*self._scopes, "Split"]))
        outputs = [f"{name}_output_{index}" for index in range(len(sizes))]
        inputs = [x.name, self.ints(sizes).name]
        self.model.graph.node.append(helper.make_node("Split", inputs, outputs, name=name, axis=axis))
        place = (axis if axis >= 0 else axis + len(x.shape) + 1) - 1
        shapes = [(*x.shape[:place], size, *x.shape[place + 1 :]) for size in sizes]
        return [Value(output, shape, x.variance, x.mean) for output, shape in zip(outputs, shapes, strict=True)]

    def weight(self, name: str, array: Array) -> Value:
        """An initializer, floats in the graph's type."""
        full = self._unique(".".join([*self._scopes, name]))
        array = np.ascontiguousarray(array, self.dtype if array.dtype.kind == "f" else array.dtype)
        tensor = self.model.graph.initializer.add(name=full, dims=array.shape)
        tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor.raw_data = array.tobytes()
        return Value(full, array.shape)

    def normal(self, name: str, shape: tuple[int, ...], *, std: float, centred_over: tuple[int, ...] = ()) -> Value:
        """A random initializer. centred_over: axes whose sums are made 0."""
        array = self.rng.standard_normal(shape, dtype=np.float32)
        if centred_over:
            array -= array.mean(axis=centred_over, keepdims=True)
        array *= np.float32(std)
        return self.weight(name, array)

    def constant(self, array: Array) -> Value:
        """A Constant node, as torch writes scalars, grids and anchors; floats in the graph's type."""
        array = np.asarray(array, self.dtype) if array.dtype.kind == "f" else array
        return self.op("Constant", [], array.shape, value=numpy_helper.from_array(array))

    def scalar(self, value: float) -> Value:
        """A float constant without axes."""
        return self.constant(np.array(value, np.float32))

    def ints(self, values: Sequence[int]) -> Value:
        """An int64 vector, as shapes and axes are."""
        return self.constant(np.array(values, np.int64))

    def reshape(self, x: Value, shape: tuple[int, ...], *, merged: int = 1) -> Value:
        """The same elements as (batch · merged, *shape)."""
        first = -1 if self.batch is None else self.batch * merged
        return self.op("Reshape", [x, self.ints([first, *shape])], shape)

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        """Axes in another order; perm counts the batch axis, which stays first."""
        return self.op("Transpose", [x], tuple(x.shape[each - 1] for each in perm[1:]), perm=list(perm))

    def concat(self, parts: Sequence[Value], *, axis: int = 1, named: str | None = None) -> Value:
        """Parts side by side along an axis, counted with the batch axis."""
        place = (axis if axis >= 0 else axis + len(parts[0].shape) + 1) - 1
        sides = [part.shape[place] for part in parts]
        variance = sum(side * part.variance for side, part in zip(sides, parts, strict=True)) / sum(sides)
        mean = sum(side * part.mean for side, part in zip(sides, parts, strict=True)) / sum(sides)
        first = parts[0].shape
        shape = (*first[:place], sum(sides), *first[place + 1 :])
        return self.op("Concat", parts, shape, axis=axis, variance=variance, mean=mean, named=named)

    def add(self, a: Value, b: Value) -> Value:
        """The sum, of the first one's shape."""
        return self.op("Add", [a, b], a.shape, variance=a.variance + b.variance, mean=a.mean + b.mean)

    def mul(self, a: Value, b: Value) -> Value:
        """The product, of the first one's shape."""
        mean = a.mean * b.mean
        return self.op("Mul", [a, b], a.shape, variance=a.power * b.power - mean**2, mean=mean)

    def finish(self, name: str, outputs: Sequence[Value], *, dims: Sequence[Sequence[Dim]] | None = None) -> None:
        """Name the graph and its results. dims: declared sizes after the batch axis, where they are dynamic."""
        self.model.graph.name = name
        for value, shape in zip(outputs, dims or [each.shape for each in outputs], strict=True):
            self.model.graph.output.append(self._info(value.name, shape))

    def _info(self, name: str, shape: Sequence[Dim]) -> onnx.ValueInfoProto:
        element = TensorProto.FLOAT if self.dtype is np.float32 else TensorProto.FLOAT16
        return helper.make_tensor_value_info(name, element, ["batch" if self.batch is None else self.batch, *shape])

    def _unique(self, name: str) -> str:
        self._taken[name] += 1
        return name if self._taken[name] == 1 else f"{name}_{self._taken[name] - 1}"


def he_std(fan_in: int, variance: float) -> float:
    """Standard deviation of weights that bring a sum over fan_in inputs of this variance to variance 1."""
    return 1 / math.sqrt(fan_in * max(variance, LEAST_VARIANCE))
