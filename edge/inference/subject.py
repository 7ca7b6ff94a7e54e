"""What a bench measures: an installed model, one of the zoo with random weights, or an ONNX file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from ..errors import ModelError
from ..i18n import _
from ..model import Card
from ..models.zoo.zoo import ZOO, Storage, build
from .model_file import load_onnx

Array = npt.NDArray[Any]
SEED: Final = 2026


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to measure. make: batch → the model; raises ModelError when its file is none.

    card: of an installed model. path: of its file, None when it is made here. size_hw: fills open heights and widths.
    """

    name: str
    make: Callable[[int], onnx.ModelProto]
    card: Card | None = None
    path: Path | None = None
    size_hw: tuple[int, int] | None = None

    def fixed_batch(self) -> int | None:
        """The only batch that its file can be run with; None when any will do. Raises ModelError as `make` does."""
        if self.path is None:
            return None
        dims = [value.type.tensor_type.shape.dim for value in inputs_of(self.make(1))]
        return next((each[0].dim_value for each in dims if each and each[0].dim_value > 0), None)

    def content(self, model: onnx.ModelProto) -> bytes | str:
        """What ONNX Runtime is given: the file itself, which may keep its weights in others beside it."""
        return str(self.path) if self.path else model.SerializeToString()

    def shape(self, value: onnx.ValueInfoProto, batch: int) -> tuple[int, ...]:
        """The shape of an input. Raises ModelError when a side is open and nothing says how long it is."""
        if not value.type.tensor_type.elem_type:
            raise ModelError(_("input {name!r} is no tensor: export the model without it").format(name=value.name))
        sides = [max(dim.dim_value, 0) for dim in value.type.tensor_type.shape.dim]  # some exporters write -1
        filled = [batch, *sides[1:]] if sides else []
        if self.size_hw and len(filled) == 4:
            filled[2:] = [side or size for side, size in zip(filled[2:], self.size_hw, strict=True)]
        if not all(filled):
            text = _("model {name!r}: input {input!r} has the open shape {shape}: export it with fixed sizes")
            raise ModelError(text.format(name=self.name, input=value.name, shape=[side or "?" for side in sides]))
        return tuple(filled)

    def inputs(self, model: onnx.ModelProto, batch: int) -> Mapping[str, Array]:
        """Random inputs, 0 to 1, in the model's own types; whole numbers are 0."""
        random = np.random.default_rng(SEED)
        found: dict[str, Array] = {}
        for value in inputs_of(model):
            shape = self.shape(value, batch)
            dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            array = random.random(shape, np.float32)
            found[value.name] = array.astype(dtype) if dtype.kind == "f" else np.zeros(array.shape, dtype)
        return found

    def sizes(self, model: onnx.ModelProto, batch: int) -> Mapping[str, int]:
        """Length of the open sides by their names."""
        found: dict[str, int] = {}
        for value in inputs_of(model):
            dims = value.type.tensor_type.shape.dim
            found |= {
                dim.dim_param: side
                for dim, side in zip(dims, self.shape(value, batch), strict=True)
                if dim.dim_param and not dim.dim_value
            }
        return found


def inputs_of(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that a caller gives."""
    constants = {each.name for each in model.graph.initializer}
    return [each for each in model.graph.input if each.name not in constants]


def from_zoo(name: str, *, storage: Storage = "fp32", size: int | None = None) -> Subject:
    """A model of the zoo, made anew for each batch. Raises ModelError, at the first use, when the zoo has none."""
    label = name if storage == "fp32" else f"{name}-{storage}"
    hw = ZOO[name].input_hw if name in ZOO and size is None else (size or 0, size or 0)
    return Subject(label, lambda batch: build(name, batch=batch, size=size, storage=storage), size_hw=hw)


def from_file(path: Path) -> Subject:
    """An ONNX file."""
    return Subject(path.stem, lambda _batch: load_onnx(path), path=path)


def from_card(card: Card) -> Subject:
    """An installed model."""
    path = card.onnx_path
    return Subject(card.name, lambda _batch: load_onnx(path), card=card, path=path, size_hw=card.input_hw)
