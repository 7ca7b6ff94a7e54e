"""A model as a list of nodes between named tensors whose types and shapes are all known."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from onnx.checker import ValidationError

from ...errors import UnsupportedOpError
from ...i18n import _
from .launch import Array


@dataclass(frozen=True, slots=True)
class TensorType:
    """dtype: NumPy name, "bool" for truth values. shape: () for a scalar."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operator. inputs: names, "" where an optional one is left out. opset: version its meaning is of.

    op: ONNX's name, or "Map" (see ops.elementwise) and "FusedConv", which fusion makes.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 13

    def input(self, index: int) -> str:
        """Name of an input, "" when it is absent."""
        return self.inputs[index] if index < len(self.inputs) else ""


@dataclass(slots=True)
class Graph:
    """nodes: in an order in which they can run. constants: name → array. types: of every tensor, constants too."""

    name: str
    nodes: list[Node]
    types: dict[str, TensorType]
    constants: dict[str, Array]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def consumers(self) -> dict[str, list[Node]]:
        """Name → nodes that read it, once for each time they do."""
        readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.inputs:
                if name:
                    readers.setdefault(name, []).append(node)
        return readers

    def producers(self) -> dict[str, Node]:
        """Name → node that writes it."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    def drop_unused(self) -> None:
        """Take out nodes, constants and types that no output depends on."""
        wanted, kept = set(self.outputs), []
        for node in reversed(self.nodes):
            if wanted.intersection(node.outputs):
                kept.append(node)
                wanted.update(name for name in node.inputs if name)
        self.nodes = kept[::-1]
        self.constants = {name: array for name, array in self.constants.items() if name in wanted}
        named = wanted.union(self.inputs, *(node.outputs for node in self.nodes))
        self.types = {name: kind for name, kind in self.types.items() if name in named}


# What NumPy, ONNX's own schemas and look-ups raise over a node that is not as ONNX wants it.
MALFORMED: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, ValidationError)


@contextmanager
def understood(node: Node) -> Iterator[None]:
    """Let a node that is not as ONNX wants it be one clear line, so that `auto` goes on on the CPU."""
    try:
        yield
    except MALFORMED as exc:
        why = _("it is not as ONNX wants it ({reason})")
        said = " ".join(f"{type(exc).__name__}: {exc}".split())[:200]
        raise unsupported(node, why.format(reason=said)) from exc


def unsupported(node: Node, why: str) -> UnsupportedOpError:
    """The one line for an operator that the OpenCL device can't run, naming node, operator and opset."""
    text = _(
        "op {op!r} (opset {opset}) at node {node!r} can't run on OpenCL: {why}: see docs/compute.md or use "
        "compute.device cpu"
    )
    return UnsupportedOpError(text.format(op=node.op.removeprefix("Fused"), opset=node.opset, node=node.name, why=why))
