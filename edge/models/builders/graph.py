"""Write an ONNX graph node by node, with batch normalisation folded into the convolution before it.

Only operators that every backend here runs: Conv, Sigmoid, Mul, Add, Clip, MaxPool, Resize, Concat, Reshape, Transpose,
Slice, Exp, GlobalAveragePool, Flatten, Gemm. Height and width are fixed, the batch axis is dynamic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ...errors import ModelError
from ...i18n import _

OPSET = 13  # the lowest that has everything used here; old runtimes and our own importer know it
IR_VERSION = 8  # goes with opset 13 to 15
Weights = Mapping[str, npt.NDArray[Any]]


@dataclass(slots=True)
class GraphBuilder:
    """Collects nodes and constants; methods add one step and return the name of its result.

    weights: name → array, as the checkpoint has them. bn_epsilon: of every batch normalisation in the model.
    """

    weights: Weights
    bn_epsilon: float = 1e-3
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def weight(self, key: str, shape: Sequence[int]) -> npt.NDArray[np.float64]:
        """One tensor of the checkpoint. Raises ModelError when it is missing or has another shape."""
        if key not in self.weights:
            raise ModelError(
                _("the checkpoint has no tensor {key!r}: it is of another model than its card says").format(key=key)
            )
        array = self.weights[key]
        if array.shape != tuple(shape):
            raise ModelError(
                _("tensor {key!r} must be {shape}, got {found}: another size of this model?").format(
                    key=key, shape=tuple(shape), found=array.shape
                )
            )
        self.used.add(key)
        return array.astype(np.float64)

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """A named constant of the graph."""
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def node(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Any operator with one result; the result is called like the node."""
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def folded(self, conv: str, bn: str, shape: Sequence[int]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Weight and bias of a convolution with its batch normalisation multiplied in, float64.

        shape: (out, in per group, kernel height, kernel width). Computed in float64 so that rounding happens once.
        """
        out = shape[0]
        gamma, beta, mean, variance = (
            self.weight(f"{bn}.{part}", (out,)) for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + self.bn_epsilon)
        return self.weight(f"{conv}.weight", shape) * scale[:, None, None, None], beta - mean * scale

    def conv(
        self,
        x: str,
        weight: npt.NDArray[Any],
        bias: npt.NDArray[Any],
        name: str,
        *,
        stride: int = 1,
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        groups: int = 1,
    ) -> str:
        """A convolution. pads: top, left, bottom, right, in pixels."""
        inputs = [
            x,
            self.constant(f"{name}.weight", weight.astype(np.float32)),
            self.constant(f"{name}.bias", bias.astype(np.float32)),
        ]
        height, width = weight.shape[2:]
        return self.node(
            "Conv", inputs, name, kernel_shape=[height, width], strides=[stride] * 2, pads=list(pads), group=groups
        )

    def silu(self, x: str) -> str:
        """The product of x and sigmoid(x)."""
        return self.node("Mul", [x, self.node("Sigmoid", [x], f"{x}.sigmoid")], f"{x}.silu")

    def relu6(self, x: str) -> str:
        """The input, cut to 0..6."""
        low, high = self.constant("zero", np.array(0, np.float32)), self.constant("six", np.array(6, np.float32))
        return self.node("Clip", [x, low, high], f"{x}.relu6")

    def model(
        self,
        *,
        name: str,
        inputs: Mapping[str, Sequence[int | str]],
        outputs: Mapping[str, Sequence[int | str]],
        notes: Mapping[str, str],
    ) -> onnx.ModelProto:
        """The finished model, checked. A str in a shape names a dynamic axis; notes become the model's metadata.

        Raises ModelError when the checkpoint has tensors that the graph did not use: it is of another model then.
        """
        unused = [key for key in self.weights if key not in self.used and not key.endswith("num_batches_tracked")]
        if unused:
            raise ModelError(
                _("the checkpoint has {count} tensors too many, as {key!r}: another model?").format(
                    count=len(unused), key=unused[0]
                )
            )
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in inputs.items()],
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in outputs.items()],
            list(self.constants.values()),
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="tigrillo", ir_version=IR_VERSION
        )
        helper.set_model_props(model, dict(notes))
        onnx.checker.check_model(model, full_check=True)
        return model
