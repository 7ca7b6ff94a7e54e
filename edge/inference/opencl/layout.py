"""Where tensors lie: which are channels-last, and which are written straight into a concatenation."""

from dataclasses import dataclass, replace
from typing import Final

from .graph import Graph, Node
from .launch import Tensor, reshape_view, row_major

# These write pixels with their channels side by side.
PIXEL_OPS: Final = {
    "Conv",
    "FusedConv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "LpPool",
}
# These write as they read.
FOLLOWERS: Final = {"Map", "Concat", "Resize", "Split", "Slice", "Pad"}
# These give all elements of their input another shape.
RESHAPES: Final = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"}
# Results of these are views of other memory, so they can't be written into a concatenation.
VIEW_OPS: Final = RESHAPES | {"Transpose", "Split", "Slice", "Expand"}


@dataclass(frozen=True, slots=True)
class Slice:
    """A tensor that lies inside another: from `start` along `axis` of `whole`, where its shape is `shape`."""

    whole: str
    axis: int
    start: int
    shape: tuple[int, ...]

    def within(self, whole: Tensor, shape: tuple[int, ...]) -> Tensor | None:
        """The tensor, seen with `shape`, inside `whole`; None when that layout can't be given such a shape."""
        offset = whole.offset + self.start * whole.strides[self.axis]
        here = replace(whole, shape=self.shape, offset=offset)
        return here if shape == self.shape else reshape_view(here, shape)


def find_channels_last(graph: Graph) -> set[str]:
    """Names of the tensors (n, c, h, w) that lie with their channels fastest."""
    found: set[str] = set()
    for node in graph.nodes:
        follows = node.op in FOLLOWERS and any(name in found for name in node.inputs)
        if node.op in PIXEL_OPS or follows:
            found.update(name for name in node.outputs if name and len(graph.types[name].shape) == 4)
    return found


def find_slices(graph: Graph, nhwc: set[str]) -> dict[str, Slice]:
    """Tensors that their producers can write straight into the concatenation that wants them.

    A tensor is taken once; whatever is an input, a constant, an output, a view, or of another layout is copied instead.
    """
    producers = graph.producers()
    slices: dict[str, Slice] = {}
    for node in graph.nodes:
        if node.op == "Concat":
            slices.update(_slices_of(graph, node, producers, nhwc, taken=set(slices)))
    return slices


def _slices_of(
    graph: Graph, node: Node, producers: dict[str, Node], nhwc: set[str], *, taken: set[str]
) -> dict[str, Slice]:
    whole = node.outputs[0]
    axis = node.attrs["axis"] % len(graph.types[whole].shape)
    found: dict[str, Slice] = {}
    starts, start = [], 0
    for name in node.inputs:
        starts.append(start)
        start += graph.types[name].shape[axis]
    for position, name in enumerate(node.inputs):
        maker = producers.get(name)
        if maker is None or name in taken or name in graph.outputs:
            continue
        part, taken = Slice(whole, axis, starts[position], graph.types[name].shape), taken | found.keys()
        if maker.op == "Split":
            found.update(_split_source(graph, node, maker, position, part, taken, producers, nhwc))
        elif maker.op in RESHAPES and whole not in nhwc and maker.inputs[0] not in node.inputs:
            found.update(_reshape_source(graph, maker, part, taken, producers, nhwc))
        elif maker.op not in VIEW_OPS and (name in nhwc) == (whole in nhwc) and node.inputs.count(name) == 1:
            found[name] = part
    return found


def _reshape_source(
    graph: Graph, reshape: Node, part: Slice, taken: set[str], producers: dict[str, Node], nhwc: set[str]
) -> dict[str, Slice]:
    """What a Reshape before the concatenation reads lies there itself, when that place can be given its shape."""
    source = reshape.inputs[0]
    maker = producers.get(source)
    if maker is None or maker.op in VIEW_OPS or source in taken or source in nhwc or source in graph.outputs:
        return {}
    shape = graph.types[part.whole].shape
    whole = Tensor(0, shape, row_major(shape))
    return {source: part} if part.within(whole, graph.types[source].shape) else {}


def _split_source(
    graph: Graph,
    node: Node,
    split: Node,
    position: int,
    part: Slice,
    taken: set[str],
    producers: dict[str, Node],
    nhwc: set[str],
) -> dict[str, Slice]:
    """When all parts of a Split follow each other in the concatenation, what was split lies there whole."""
    source = split.inputs[0]
    split_axis = split.attrs.get("axis", 0) % len(graph.types[source].shape)
    follows = node.inputs[position : position + len(split.outputs)] == split.outputs
    maker = producers.get(source)
    if not follows or split_axis != part.axis or maker is None or maker.op in VIEW_OPS:
        return {}
    if source in taken or source in graph.outputs or source in node.inputs:
        return {}
    if (source in nhwc) != (node.outputs[0] in nhwc):
        return {}
    return {source: replace(part, shape=graph.types[source].shape)}
