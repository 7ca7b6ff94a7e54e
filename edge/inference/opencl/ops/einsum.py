"""Einsum: a product of two matrices where it is one, else a sum over all that is not in the result."""

from collections.abc import Sequence
from dataclasses import replace

from ....i18n import _
from ..graph import Node, unsupported
from ..launch import C_TYPES, Tensor
from ..plan import Planner, lowers
from .indexing import loop_over
from .matmul import product
from .places import emit_each

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def terms_of(node: Node, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Labels of each input and of the result; an ellipsis becomes labels that the equation does not use."""
    equation = node.attrs["equation"].replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise unsupported(
            node, _("equation {equation!r} with {count} inputs").format(equation=equation, count=len(ranks))
        )
    free = [letter for letter in LETTERS if letter not in equation]
    most = max(rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True))
    spread = "".join(free[: max(most, 0)])
    if not arrow:
        plain = left.replace(",", "").replace("...", "")
        once = "".join(sorted(each for each in set(plain) if plain.count(each) == 1))
        right = ("..." if "..." in left else "") + once
    full = [
        term.replace("...", spread[len(spread) - (rank - len(term.replace("...", ""))) :])
        if rank > len(term.replace("...", ""))
        else term.replace("...", "")
        for term, rank in zip(terms, ranks, strict=True)
    ]
    return full, right.replace("...", spread)


@lowers("Einsum")
def lower_einsum(planner: Planner, node: Node) -> None:
    """Any equation; repeated labels walk a diagonal."""
    inputs, y = [planner.value(name) for name in node.inputs], planner.result(node.outputs[0])
    if y.dtype != "float32" and len(inputs) > 1:
        raise unsupported(node, _("element type {dtype}").format(dtype=y.dtype))
    terms, result = terms_of(node, [len(each.shape) for each in inputs])
    if any(label not in "".join(terms) for label in result):
        raise unsupported(node, _("equation {equation!r}").format(equation=node.attrs["equation"]))
    if not y.size:
        return
    if matrices := _as_matrices(inputs, terms, result, y):
        product(planner, node, *matrices)
        return
    _sum_all(planner, node, inputs, terms, result, y)


def _walk(tensor: Tensor, term: str, labels: Sequence[str]) -> tuple[int, ...]:
    """Strides of a tensor along labels; 0 where it has none or one element, summed where it has a label twice."""
    steps = dict.fromkeys(labels, 0)
    for label, side, stride in zip(term, tensor.shape, tensor.strides, strict=True):
        if label in steps and side > 1:
            steps[label] += stride
    return tuple(steps.values())


def _sides(inputs: Sequence[Tensor], terms: Sequence[str]) -> dict[str, int]:
    sides: dict[str, int] = {}
    for term, tensor in zip(terms, inputs, strict=True):
        for label, side in zip(term, tensor.shape, strict=True):
            sides[label] = max(side, sides.get(label, 1))
    return sides


def _as_matrices(
    inputs: Sequence[Tensor], terms: Sequence[str], result: str, y: Tensor
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Rows, columns and result as (…batch, m, k), (…batch, k, n), (…batch, m, n), when that is what it computes."""
    if len(inputs) != 2 or any(len(set(term)) < len(term) for term in (*terms, result)):
        return None
    first, second = (set(term) for term in terms)
    batch = [label for label in result if label in first & second]
    rows, columns = ([label for label in result if label in own] for own in (first - second, second - first))
    summed = [label for label in terms[0] if label in second and label not in result]
    if len(rows) > 1 or len(columns) > 1 or len(summed) != 1 or first | second != {*result, *summed}:
        return None
    sides = _sides(inputs, terms)

    def matrix(tensor: Tensor, term: str, down: Sequence[str], across: Sequence[str]) -> Tensor:
        labels = [*batch, *(down or [""]), *(across or ["_"])]
        shape = tuple(sides.get(label, 1) for label in labels)
        return replace(tensor, shape=shape, strides=_walk(tensor, term, labels))

    a, b = matrix(inputs[0], terms[0], rows, summed), matrix(inputs[1], terms[1], summed, columns)
    return a, b, matrix(y, result, rows, columns)


def _sum_all(
    planner: Planner, node: Node, inputs: Sequence[Tensor], terms: Sequence[str], result: str, y: Tensor
) -> None:
    sides = _sides(inputs, terms)
    kept, summed = list(dict.fromkeys(result)), [label for label in sides if label not in result]
    operands = {f"x{k}": each for k, each in enumerate(inputs)}
    walks = {
        name: (_walk(each, term, kept), _walk(each, term, summed))
        for (name, each), term in zip(operands.items(), terms, strict=True)
    }
    outer = loop_over(
        tuple(sides[label] for label in kept),
        {name: each[0] for name, each in walks.items()} | {"y": _walk(y, result, kept)},
        order="y",
    )
    inner = loop_over(
        tuple(sides[label] for label in summed), {name: each[1] for name, each in walks.items()}, order="x0", index="s"
    )
    parts = (f"{name}[{name}_off + ({outer.at[name]}) + ({inner.at[name]})]" for name in operands)
    defines = {
        "DECODE": outer.decode,
        "DECODE_S": inner.decode,
        "SUMMED": inner.size,
        "PRODUCT": " * ".join(parts),
        "TYPE": C_TYPES[y.dtype],
        "Y_AT": outer.at["y"],
    }
    flops = len(inputs) * outer.size * inner.size
    emit_each(planner, node, ("einsum.cl", "einsum"), operands, y, size=outer.size, defines=defines, flops=flops)
