"""Graph → smaller graph of the same meaning: fewer launches, fewer bytes.

In this order: padding and batch normalisation into convolutions, element-wise operators into Maps, neighbouring Maps
into one, also past a Split, activations and residuals into the convolution before them.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from .graph import Graph, Node, TensorType
from .launch import Array
from .ops.elementwise import MAP_OPS, Expr, Program, as_expression, literal, program_of
from .ops.quant import dequantize, is_per_tensor, quantize

MOST_INPUTS: Final = 8  # of one Map; beyond that the arguments cost more than a launch
MOST_STEPS: Final = 40


def fuse(graph: Graph) -> Graph:
    """Apply every pass; the graph is changed and returned."""
    for one_pass in PASSES:
        one_pass(graph)
        graph.drop_unused()
    return graph


def fold_pads(graph: Graph) -> None:
    """Pad with zeros before a Conv becomes the Conv's own pads."""
    producers, readers = graph.producers(), graph.consumers()
    for index, node in enumerate(graph.nodes):
        pad = producers.get(node.inputs[0]) if node.op == "Conv" else None
        if pad is None or pad.op != "Pad" or len(readers[node.inputs[0]]) > 1 or node.inputs[0] in graph.outputs:
            continue
        pads = graph.constants.get(pad.input(1))
        value = graph.constants.get(pad.input(2)) if pad.input(2) else np.zeros(1)
        plain = pad.attrs.get("mode", "constant") == "constant" and not pad.input(3)
        if pads is None or value is None or float(value.reshape(-1)[0]) or not plain:
            continue
        rank = pads.size // 2
        around, spatial = [int(each) for each in pads], rank - 2
        if any(around[:2]) or any(around[rank : rank + 2]) or min(around) < 0:
            continue
        if node.attrs.get("auto_pad", "NOTSET") not in {"NOTSET", "VALID"}:
            continue
        own = node.attrs.get("pads") or [0] * 2 * spatial
        begin = [a + b for a, b in zip(own[:spatial], around[2:rank], strict=True)]
        end = [a + b for a, b in zip(own[spatial:], around[rank + 2 :], strict=True)]
        attrs = dict(node.attrs) | {"pads": begin + end, "auto_pad": "NOTSET"}
        graph.nodes[index] = replace(node, inputs=(pad.inputs[0], *node.inputs[1:]), attrs=attrs)


def fold_norms(graph: Graph) -> None:
    """BatchNormalization with constants: into the Conv before it, else a Map with a scale and a shift per channel."""
    producers, readers = graph.producers(), graph.consumers()
    for node in list(graph.nodes):
        if node.op != "BatchNormalization" or node.attrs.get("training_mode", 0) or len(node.outputs) > 1:
            continue
        parameters = [graph.constants.get(name) for name in node.inputs[1:5]]
        if any(each is None for each in parameters):
            continue
        gamma, beta, mean, variance = (np.asarray(each, np.float64) for each in parameters)
        scale = gamma / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
        shift = beta - mean * scale
        conv = producers.get(node.inputs[0])
        alone = len(readers[node.inputs[0]]) == 1 and node.inputs[0] not in graph.outputs
        if (
            conv is not None
            and conv.op == "Conv"
            and alone
            and conv.inputs[1] in graph.constants
            and _bias(graph, conv)
        ):
            _scale_conv(graph, conv, node, scale, shift)
            continue
        rank = len(graph.types[node.inputs[0]].shape)
        wide = (-1,) + (1,) * (rank - 2)
        names = [
            add_constant(graph, f"{node.outputs[0]}/{what}", each.astype(np.float32).reshape(wide))
            for what, each in (("scale", scale), ("shift", shift))
        ]
        program: Program = (
            Expr("float", "({0} * {1})", (0, 1), vector=True),
            Expr("float", "({0} + {1})", (-1, 2), vector=True),
        )
        scaled = Node(node.name, "Map", (node.inputs[0], *names), node.outputs[:1], {"program": program})
        graph.nodes[_place(graph, node)] = scaled


def _bias(graph: Graph, conv: Node) -> bool:
    return not conv.input(2) or conv.input(2) in graph.constants


def _scale_conv(graph: Graph, conv: Node, norm: Node, scale: Array, shift: Array) -> None:
    """Replace conv and norm by one conv that writes what norm wrote."""
    weights = np.asarray(graph.constants[conv.inputs[1]], np.float64)
    bias = np.asarray(graph.constants[conv.input(2)], np.float64) if conv.input(2) else np.zeros(len(weights))
    scaled = weights * scale.reshape(-1, *(1,) * (weights.ndim - 1))
    names = (
        add_constant(graph, f"{norm.outputs[0]}/weights", scaled.astype(np.float32)),
        add_constant(graph, f"{norm.outputs[0]}/bias", (bias * scale + shift).astype(np.float32)),
    )
    fused = replace(conv, inputs=(conv.inputs[0], *names), outputs=norm.outputs)
    _put(graph, at=norm, node=fused, drop=conv)


def _put(graph: Graph, *, at: Node, node: Node, drop: Node) -> None:
    """Let `node` stand where `at` stood, and take `drop` out."""
    graph.nodes[_place(graph, at)] = node
    del graph.nodes[_place(graph, drop)]


def _place(graph: Graph, node: Node) -> int:
    return next(index for index, each in enumerate(graph.nodes) if each is node)


def add_constant(graph: Graph, name: str, array: Array) -> str:
    """A new constant; returns its name."""
    graph.constants[name] = array
    graph.types[name] = TensorType(str(array.dtype), array.shape)
    return name


def fold_bias(graph: Graph) -> None:
    """Conv without a bias, then Add of a constant per channel: the constant is the bias."""
    producers, readers = graph.producers(), graph.consumers()
    for node in list(graph.nodes):
        if node.op != "Add":
            continue
        for name, other in (node.inputs, node.inputs[::-1]):
            conv, array = producers.get(name), graph.constants.get(other)
            if conv is None or conv.op != "Conv" or array is None or conv.input(2) or len(readers[name]) > 1:
                continue
            shape = graph.types[name].shape
            per_channel = array.size == shape[1] and array.shape[-len(shape) + 1 :] == (
                shape[1],
                *(1,) * len(shape[2:]),
            )
            if not per_channel or array.ndim > len(shape) or name in graph.outputs:
                continue
            bias = add_constant(graph, f"{node.outputs[0]}/bias", array.reshape(-1))
            _put(graph, at=node, node=replace(conv, inputs=(*conv.inputs[:2], bias), outputs=node.outputs), drop=conv)
            break


def make_maps(graph: Graph) -> None:
    """Every element-wise operator as a Map. Constants of one element become numbers in its text."""
    quantised = {"QuantizeLinear": quantize, "DequantizeLinear": dequantize}
    for index, node in enumerate(graph.nodes):
        if node.op in quantised and is_per_tensor(node, graph):
            program, inputs = quantised[node.op](node, graph), node.inputs[:1]
        elif node.op in MAP_OPS:
            program, inputs = program_of(node, graph)
        else:
            continue
        graph.nodes[index] = with_numbers(
            Node(node.name, "Map", inputs, node.outputs[:1], {"program": program}, node.opset), graph
        )


def with_numbers(node: Node, graph: Graph) -> Node:
    """A Map whose float inputs of one element, where constant, are literals in its text. What it never reads goes."""
    rank = len(graph.types[node.outputs[0]].shape)
    texts: dict[int, str] = {}
    for index, name in enumerate(node.inputs):
        array = graph.constants.get(name)
        if (
            array is not None
            and array.size == 1
            and array.dtype == np.float32
            and array.ndim <= rank
            and np.isfinite(array).all()
        ):
            texts[index] = literal(float(array.reshape(-1)[0]), "float")
    if len(texts) == len(node.inputs):
        texts.popitem()
    read = {arg for step in node.attrs["program"] for arg in step.args}
    kept = [index for index in range(len(node.inputs)) if index not in texts and index in read]
    program = tuple(_with_texts(step, texts, kept) for step in node.attrs["program"])
    return replace(node, inputs=tuple(node.inputs[index] for index in kept), attrs={"program": program})


def _with_texts(step: Expr, texts: dict[int, str], kept: list[int]) -> Expr:
    args: list[int] = []
    places: list[str] = []
    for arg in step.args:
        if arg in texts:
            places.append(texts[arg])
            continue
        moved = arg if arg < 0 else kept.index(arg)
        if moved not in args:
            args.append(moved)
        places.append(f"{{{args.index(moved)}}}")
    return replace(step, text=step.text.format(*places), args=tuple(args))


def join_maps(graph: Graph) -> None:
    """A Map that alone reads another Map of the same shape takes it in; x · f(x) becomes one program this way too."""
    changed = True
    while changed:
        changed = False
        producers, readers = graph.producers(), graph.consumers()
        for node in graph.nodes:
            if node.op != "Map":
                continue
            for name in node.inputs:
                inner = producers.get(name)
                if inner is not None and inner.op == "Map" and _may_join(graph, node, inner, readers):
                    _put(graph, at=node, node=joined(inner, node), drop=inner)
                    changed = True
                    break
            if changed:
                break


def _may_join(graph: Graph, outer: Node, inner: Node, readers: dict[str, list[Node]]) -> bool:
    name = inner.outputs[0]
    alone = all(reader is outer for reader in readers[name]) and name not in graph.outputs
    inputs = dict.fromkeys((*inner.inputs, *(each for each in outer.inputs if each != name)))
    steps = len(inner.attrs["program"]) + len(outer.attrs["program"])
    same = graph.types[name].shape == graph.types[outer.outputs[0]].shape
    return alone and same and len(inputs) <= MOST_INPUTS and steps <= MOST_STEPS


def joined(inner: Node, outer: Node) -> Node:
    """One Map that computes outer(inner(…))."""
    name = inner.outputs[0]
    inputs = tuple(dict.fromkeys((*inner.inputs, *(each for each in outer.inputs if each != name))))
    first = [
        _renumber(step, {i: inputs.index(each) for i, each in enumerate(inner.inputs)}, 0)
        for step in inner.attrs["program"]
    ]
    count = len(first)
    places = {i: -count if each == name else inputs.index(each) for i, each in enumerate(outer.inputs)}
    second = [_renumber(step, places, count) for step in outer.attrs["program"]]
    return Node(outer.name, "Map", inputs, outer.outputs, {"program": (*first, *second)}, outer.opset)


def _renumber(step: Expr, places: dict[int, int], shift: int) -> Expr:
    return replace(step, args=tuple(places[arg] if arg >= 0 else arg - shift for arg in step.args))


def split_maps(graph: Graph) -> None:
    """A Map of one input that only a Split reads becomes one Map a part, which joins the Map or Concat behind it."""
    for split in [node for node in graph.nodes if node.op == "Split"]:
        name = split.inputs[0]
        node = graph.producers().get(name)
        alone = len(graph.consumers()[name]) == 1 and name not in graph.outputs
        if node is None or node.op != "Map" or len(node.inputs) != 1 or not alone:
            continue
        if graph.types[node.inputs[0]].shape != graph.types[name].shape:
            continue
        if not all(_joins_on(graph, part) for part in split.outputs):
            continue
        dtype = graph.types[node.inputs[0]].dtype
        raw = tuple(f"{part}/raw" for part in split.outputs)
        graph.types |= {
            each: replace(graph.types[part], dtype=dtype) for each, part in zip(raw, split.outputs, strict=True)
        }
        maps = [
            replace(node, name=f"{node.name} ({part})", inputs=(each,), outputs=(part,))
            for each, part in zip(raw, split.outputs, strict=True)
        ]
        at = _place(graph, split)
        graph.nodes[at : at + 1] = [replace(split, inputs=(node.inputs[0], *split.inputs[1:]), outputs=raw), *maps]
        graph.nodes.remove(node)


def _joins_on(graph: Graph, part: str) -> bool:
    """Whether a Map that writes this part costs no launch: one Map reads it, or a copy into a Concat was due anyway."""
    readers = graph.consumers().get(part, [])
    return len(readers) == 1 and readers[0].op in {"Map", "Concat"} and part not in graph.outputs


def fold_epilogues(graph: Graph) -> None:
    """Conv and the Map that alone reads it: y = post(act(conv + bias) + r), any of the three absent."""
    for node in [each for each in graph.nodes if each.op == "Conv" and _takes_epilogue(graph, each)]:
        after = graph.consumers().get(node.outputs[0], [])
        if not after or any(each is not after[0] for each in after) or after[0].op != "Map":
            continue
        if epilogue := epilogue_of(after[0], node.outputs[0]):
            act, residual, post = epilogue
            if residual and not _fits(graph, residual, node):
                continue
            inputs = (*node.inputs[:2], node.input(2), residual)
            attrs = dict(node.attrs) | {"act": act, "post": post}
            fused = replace(node, op="FusedConv", inputs=inputs, outputs=after[0].outputs, attrs=attrs)
            _put(graph, at=after[0], node=fused, drop=node)


def _takes_epilogue(graph: Graph, conv: Node) -> bool:
    """Whether the kernels that finish with an epilogue compute it: two axes at most, weights known."""
    name = conv.outputs[0]
    known = conv.inputs[1] in graph.constants and _bias(graph, conv)
    return known and len(graph.types[name].shape) <= 4 and name not in graph.outputs


def _fits(graph: Graph, residual: str, conv: Node) -> bool:
    """Whether a tensor can be added in the epilogue: of the convolution's shape. The fused node stands after both."""
    return graph.types[residual] == graph.types[conv.outputs[0]]


def epilogue_of(node: Node, conv: str) -> tuple[str, str, str] | None:
    """(act, residual's name or "", post) of a Map that reads a convolution's output; None when it is of another form.

    The steps that know the convolution alone are act; one sum brings the other tensor in; the rest is post.
    """
    program: Program = node.attrs["program"]
    own = node.inputs.index(conv)
    if len(node.inputs) == 1:
        act = as_expression(program)
        return (act, "", "(v)") if act else None
    if len(node.inputs) != 2 or node.inputs.count(conv) > 1:
        return None
    joint = next(i for i, step in enumerate(program) if (1 - own) in step.args)
    step = program[joint]
    left = own if not joint else -joint  # what act has made so far
    if step.text != "({0} + {1})" or set(step.args) != {left, 1 - own}:
        return None
    before = [replace(each, args=tuple(0 if arg == own else arg for arg in each.args)) for each in program[:joint]]
    behind = _after(program[joint + 1 :], joint)
    act = as_expression(tuple(before)) if before else "(v)"
    post = (as_expression(behind) if behind else "(v)") if behind is not None else None
    return (act, node.inputs[1 - own], post) if act and post else None


def _after(steps: Program, joint: int) -> Program | None:
    """The steps behind step `joint` with its result as their input 0; None when they read anything older."""
    moved: list[Expr] = []
    for step in steps:
        args: list[int] = []
        for arg in step.args:
            number = -1 - arg  # of the step it reads
            if arg >= 0 or number < joint:
                return None
            args.append(0 if number == joint else -1 - (number - joint - 1))
        moved.append(replace(step, args=tuple(args)))
    return tuple(moved)


PASSES: Final = (fold_pads, fold_norms, fold_bias, make_maps, split_maps, join_maps, fold_epilogues)
