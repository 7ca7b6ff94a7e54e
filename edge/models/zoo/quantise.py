"""The static INT8 form of a float model: QuantizeLinear and DequantizeLinear around every operator that has one.

Made by ONNX Runtime's own quantiser, because its QDQ pairs are what people bring.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

CALIBRATION_PICTURES = 2


class RandomPictures(CalibrationDataReader):  # type: ignore[misc]  # because onnxruntime ships no types
    """Uniform pictures, values 0..1, for the model's one input. shape: (batch, 3, height, width)."""

    def __init__(self, name: str, *, shape: tuple[int, ...], seed: int) -> None:
        self._name = name
        self._shape = shape
        self._rng = np.random.default_rng(seed)
        self._left = CALIBRATION_PICTURES

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
        """The next picture by input name, None after the last."""
        if self._left == 0:
            return None
        self._left -= 1
        return {self._name: self._rng.random(self._shape, dtype=np.float32)}


def quantised(model: onnx.ModelProto, *, picture_shape: tuple[int, ...], seed: int) -> onnx.ModelProto:
    """The model as QDQ: uint8 activations, int8 weights per channel, int32 bias. Input and output stay float32.

    Runs the model on CALIBRATION_PICTURES random pictures: its time and memory, about three times over. The model must
    be a float32 one; batch normalisation should be folded, as it is not quantised. picture_shape: what it is fed.
    """
    # otherwise the quantiser advises through the root logger, which it sets up on the way
    model.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    with tempfile.TemporaryDirectory(prefix="tigrillo-zoo-") as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            str(path),
            RandomPictures(model.graph.input[0].name, shape=picture_shape, seed=seed),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[node.name for node in model.graph.node if _stays_float(node)],
        )
        result = onnx.load(path)
    _drop_unused(result)
    return result


def _stays_float(node: onnx.NodeProto) -> bool:
    """Whether people leave such a node out.

    Boxes in pixels beside scores of 0..1 in one tensor leave the scores no steps; TopK on 256 levels is all ties.
    """
    in_head = node.name.startswith("/detect/") and node.op_type != "Conv"
    return in_head or node.name.startswith("/decoder/") or node.op_type == "LayerNormalization"


def _drop_unused(model: onnx.ModelProto) -> None:
    """Remove the bounds of Clip nodes that became part of a QuantizeLinear; ONNX Runtime warns of each."""
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    for index in reversed(range(len(graph.node))):
        if graph.node[index].op_type == "Constant" and graph.node[index].output[0] not in used:
            del graph.node[index]
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in used:
            del graph.initializer[index]
