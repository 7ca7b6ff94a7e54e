"""Resize. Whole-number nearest upsampling is a copy over views; everything else samples per output element."""

from dataclasses import replace

from ..graph import Node, unsupported
from ..launch import Tensor
from ..plan import Planner, lowers


@lowers("Resize")
def lower_resize(planner: Planner, node: Node) -> None:
    """An (n, c, …) tensor with other sides."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    if _repeats_pixels(node, x, y):
        repeat_pixels(planner, x, y, node=node.name)
        return
    raise unsupported(node, "this form of it")


def _repeats_pixels(node: Node, x: Tensor, y: Tensor) -> bool:
    """Whether each output element is the input element at floor(place / factor)."""
    whole = all(b % a == 0 for a, b in zip(x.shape, y.shape, strict=True))
    mode = node.attrs.get("coordinate_transformation_mode", "half_pixel")
    rounding = node.attrs.get("nearest_mode", "round_prefer_floor")
    same = (mode == "asymmetric" and rounding == "floor") or (mode == "half_pixel" and "round" in rounding)
    return whole and node.attrs.get("mode", "nearest") == "nearest" and same


def repeat_pixels(planner: Planner, x: Tensor, y: Tensor, *, node: str) -> None:
    """Copy with each axis of y cut in (side of x, factor), along which x stands still."""
    shape: list[int] = []
    from_strides: list[int] = []
    to_strides: list[int] = []
    for a, b, source, target in zip(x.shape, y.shape, x.strides, y.strides, strict=True):
        shape += [a, b // a]
        from_strides += [source, 0]
        to_strides += [target * (b // a), target]
    sides = tuple(shape)
    source = replace(x, shape=sides, strides=tuple(from_strides))
    planner.copy(source, replace(y, shape=sides, strides=tuple(to_strides)), node=node)
