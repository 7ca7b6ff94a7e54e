"""From strided views to the index arithmetic of a kernel, as macros with every size a constant."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..launch import C_TYPES, Tensor


@dataclass(frozen=True, slots=True)
class Loop:
    """One work-item an element, running along the memory of the tensor that is written.

    decode: C statements that turn `i` into coordinates. at: label → C expression of the element's place, the tensor's
    offset left out. size: how many values of `i`. row: elements of the fastest axis where that one is not part of `i`
    but a coordinate `k` of its own, else 0.
    """

    decode: str
    at: Mapping[str, str]
    size: int
    row: int = 0


def strides_for(tensor: Tensor, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a tensor broadcast to `shape` as NumPy does: axes of one element stand still."""
    missing = len(shape) - len(tensor.shape)
    own = tuple(0 if side == 1 else step for side, step in zip(tensor.shape, tensor.strides, strict=True))
    return (0,) * missing + own


def loop_over(
    shape: tuple[int, ...],
    strides: Mapping[str, tuple[int, ...]],
    *,
    order: str,
    index: str = "i",
    least_row: int = 0,
) -> Loop:
    """The loop over all elements of `shape`. strides: label → strides of one operand. order: the label that is written.

    Axes are sorted by the written operand's strides, so that neighbours in work are neighbours in memory, and axes that
    every operand steps through alike become one. least_row: from this length on, the fastest of several axes gets a
    coordinate of its own; a CPU's compiler then sees neighbours beside each other and makes vectors of them.
    """
    axes = [axis for axis in range(len(shape)) if shape[axis] != 1]
    axes.sort(key=lambda axis: -abs(strides[order][axis]))
    merged: list[tuple[int, dict[str, int]]] = []
    for axis in axes:
        steps = {label: each[axis] for label, each in strides.items()}
        if merged and all(merged[-1][1][label] == steps[label] * shape[axis] for label in strides):
            merged[-1] = (merged[-1][0] * shape[axis], steps)
        else:
            merged.append((shape[axis], steps))
    row = merged[-1][0] if least_row and len(merged) > 1 and merged[-1][0] >= least_row else 0
    return _write(merged, labels=tuple(strides), index=index, row=row)


def _write(axes: Sequence[tuple[int, dict[str, int]]], *, labels: Sequence[str], index: str, row: int) -> Loop:
    decode, inner, names = [], 1, [("k", axes[-1][1])] if row else []
    for position in range(len(axes) - (2 if row else 1), -1, -1):
        side = axes[position][0]
        name = f"{index}_{position}"
        whole = f"{index} / {inner}" if inner > 1 else index
        decode.append(f"const int {name} = {whole if position == 0 else f'({whole}) % {side}'};")
        names.append((name, axes[position][1]))
        inner *= side
    at = {label: sum_of((step[label], name) for name, step in reversed(names)) for label in labels}
    return Loop(" ".join(decode), at, inner, row)


def sum_of(terms: Iterable[tuple[int, str]]) -> str:
    """`3*a + b` from (3, "a"), (1, "b"), (0, "c")."""
    parts = [name if step == 1 else f"{name} * ({step})" for step, name in terms if step]
    return " + ".join(parts) or "0"


def parameters(inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> str:
    """Parameters of a kernel: each tensor's pointer and offset, inputs first."""
    read = [f"__global const {C_TYPES[each.dtype]}* {name}, int {name}_off" for name, each in inputs.items()]
    written = [f"__global {C_TYPES[each.dtype]}* {name}, int {name}_off" for name, each in outputs.items()]
    return ", ".join(read + written)


def round_up(count: int, multiple: int) -> int:
    """The next multiple."""
    return -(-count // multiple) * multiple


GROUP = 128  # work-items of a group for kernels without cooperation: two waves of GCN, four of NVIDIA


def global_for(size: int) -> tuple[tuple[int], tuple[int]]:
    """Global and local size for `size` work-items in one dimension; the kernel leaves those beyond out."""
    return (max(round_up(size, GROUP), GROUP),), (GROUP,)
