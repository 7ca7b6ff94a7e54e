"""Element by element: every unary, binary and n-ary operator becomes a Map, and neighbouring Maps one kernel.

A Map holds a small program of C expressions; fusion joins programs (fuse.maps), convolutions take short ones as epilogue.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ....compute.kernel import Kernel, defines_of
from ..graph import Graph, Node, unsupported
from ..launch import C_TYPES, Step, Tensor
from ..plan import Planner, lowers
from .indexing import global_for, loop_over, parameters, strides_for


@dataclass(frozen=True, slots=True)
class Expr:
    """One step of a Map. ctype: of its result. text: C with {0}, {1} … for args. args: ≥ 0 an input, < 0 step −1 − arg.

    vector: the text means the same on float vectors, so a convolution may use it.
    """

    ctype: str
    text: str
    args: tuple[int, ...]
    vector: bool = False


Program = tuple[Expr, ...]

# text and whether it also works on vectors; {0} is used as a value, so it may appear more than once.
UNARY: Final = {
    "Neg": ("(-{0})", True),
    "Relu": ("fmax({0}, 0.0f)", True),
    "Sigmoid": ("SIGMOID({0})", True),
    "Tanh": ("tanh({0})", True),
    "Exp": ("exp({0})", True),
    "Log": ("log({0})", True),
    "Sqrt": ("sqrt({0})", True),
    "Reciprocal": ("(1.0f / {0})", True),
    "Abs": ("fabs({0})", True),
    "Floor": ("floor({0})", True),
    "Ceil": ("ceil({0})", True),
    "Round": ("rint({0})", True),
    "Erf": ("erf({0})", True),
    "Sin": ("sin({0})", True),
    "Cos": ("cos({0})", True),
    "Tan": ("tan({0})", True),
    "Asin": ("asin({0})", True),
    "Acos": ("acos({0})", True),
    "Atan": ("atan({0})", True),
    "Sinh": ("sinh({0})", True),
    "Cosh": ("cosh({0})", True),
    "Asinh": ("asinh({0})", True),
    "Acosh": ("acosh({0})", True),
    "Atanh": ("atanh({0})", True),
    "Softsign": ("({0} / (1.0f + fabs({0})))", True),
    "HardSwish": ("({0} * clamp({0} * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f))", True),
    # log(1 + e^v) without overflow
    "Softplus": ("(fmax({0}, 0.0f) + log1p(exp(-fabs({0}))))", True),
    "Mish": ("({0} * tanh(fmax({0}, 0.0f) + log1p(exp(-fabs({0})))))", True),
    "Sign": ("sign({0})", False),
}
INT_UNARY: Final = {
    "Neg": "(-{0})",
    "Relu": "max({0}, ({T})0)",
    "Abs": "({0} < 0 ? -{0} : {0})",
    "Sign": "(({0} > 0) - ({0} < 0))",
    "BitwiseNot": "(~{0})",
    "Not": "(!{0})",
}
BINARY: Final = {
    "Add": ("({0} + {1})", True),
    "Sub": ("({0} - {1})", True),
    "Mul": ("({0} * {1})", True),
    "Div": ("({0} / {1})", True),
    "And": ("({0} && {1})", False),
    "Or": ("({0} || {1})", False),
    "Xor": ("({0} != {1})", False),
    "Equal": ("({0} == {1})", False),
    "Less": ("({0} < {1})", False),
    "Greater": ("({0} > {1})", False),
    "LessOrEqual": ("({0} <= {1})", False),
    "GreaterOrEqual": ("({0} >= {1})", False),
    "BitwiseAnd": ("({0} & {1})", False),
    "BitwiseOr": ("({0} | {1})", False),
    "BitwiseXor": ("({0} ^ {1})", False),
    "PRelu": ("({0} < 0 ? {0} * {1} : {0})", False),
}
VARIADIC: Final = {
    # NaN wins, as ONNX Runtime has it
    "Max": ("({0} != {0} || {0} > {1} ? {0} : {1})", "max({0}, {1})"),
    "Min": ("({0} != {0} || {0} < {1} ? {0} : {1})", "min({0}, {1})"),
    "Sum": ("({0} + {1})", "({0} + {1})"),
    "Mean": ("({0} + {1})", "({0} + {1})"),
}
MAP_OPS: Final = frozenset(
    {
        *UNARY, *INT_UNARY, *BINARY, *VARIADIC, "Cast", "CastLike", "Clip", "Where", "Pow", "Mod", "LeakyRelu", "Elu",
        "Selu", "Celu", "HardSigmoid", "Gelu", "ThresholdedRelu", "IsNaN", "IsInf", "BitShift", "Shrink", "Swish",
    }
)  # fmt: skip


def literal(value: float, ctype: str) -> str:
    """A number as C writes it in this type."""
    if ctype != "float":
        return f"(({ctype}){int(value)})" if ctype != "long" else f"((long){int(value)}L)"
    text = repr(float(np.float32(value)))
    return {"inf": "INFINITY", "-inf": "(-INFINITY)", "nan": "NAN"}.get(text, f"({text}f)")


def program_of(node: Node, graph: Graph) -> tuple[Program, tuple[str, ...]]:
    """An operator as a Map program and the inputs that it reads. Raises UnsupportedOpError for forms not known."""
    inputs = tuple(name for name in node.inputs if name)
    ctypes = tuple(_ctype(graph, node, name) for name in inputs)
    result = _ctype(graph, node, node.outputs[0])
    op, attrs = node.op, node.attrs
    if op in {"Cast", "CastLike"}:
        return (Expr(result, _cast(ctypes[0], result, graph.types[node.outputs[0]].dtype), (0,)),), inputs[:1]
    if op in UNARY and ctypes[0] == "float":
        text, vector = UNARY[op]
        return (Expr(result, text, (0,), vector),), inputs
    if op in INT_UNARY:
        return (Expr(result, INT_UNARY[op].replace("{T}", ctypes[0]), (0,)),), inputs
    if op in VARIADIC:
        return _variadic(op, ctypes[0], len(inputs)), inputs
    if op in BINARY:
        text, vector = BINARY[op]
        return (Expr(result, text, (0, 1), vector and ctypes[0] == "float"),), inputs
    special = SPECIAL.get(op)
    if special is None:
        raise unsupported(node, f"not for element type {ctypes[0]}")
    return special(node, graph, ctypes, attrs), inputs


def _ctype(graph: Graph, node: Node, name: str) -> str:
    dtype = graph.types[name].dtype
    if dtype not in C_TYPES:
        raise unsupported(node, f"element type {dtype}")
    return C_TYPES[dtype]


def _cast(source: str, target: str, dtype: str) -> str:
    if dtype == "bool":
        return "({0} != 0)"
    if source == "float" and target != "float":
        # Out-of-range values wrap as ONNX Runtime's do: through the widest integer.
        return f"(({target})(long){{0}})"
    return f"(({target}){{0}})"


def _variadic(op: str, ctype: str, count: int) -> Program:
    text = VARIADIC[op][0 if ctype == "float" else 1]
    steps: list[Expr] = []
    previous = 0
    for index in range(1, count):
        steps.append(Expr(ctype, text, (previous, index), vector=op in {"Sum", "Mean"}))
        previous = -len(steps)
    if op == "Mean" or not steps:
        scale = literal(1 / count if op == "Mean" else 1, ctype)
        steps.append(Expr(ctype, f"({{0}} * {scale})", (previous,), vector=True))
    return tuple(steps)


def _clip(node: Node, graph: Graph, ctypes: Sequence[str], attrs: Mapping[str, object]) -> Program:
    del attrs
    ctype, steps, last = ctypes[0], [], 0
    position = 0
    for slot, function in ((1, "max"), (2, "min")):
        name = node.input(slot)
        if not name:
            continue
        position += 1
        constant = graph.constants.get(name)
        call = f"f{function}" if ctype == "float" else function
        if constant is not None and constant.size == 1:
            text = f"{call}({{0}}, {literal(constant.reshape(-1)[0], ctype)})"
            steps.append(Expr(ctype, text, (last,), vector=ctype == "float"))
        else:
            steps.append(Expr(ctype, f"{call}({{0}}, {{1}})", (last, position)))
        last = -len(steps)
    return tuple(steps) or (Expr(ctype, "({0})", (0,), vector=True),)


def _where(node: Node, graph: Graph, ctypes: Sequence[str], attrs: Mapping[str, object]) -> Program:
    del node, graph, attrs
    return (Expr(ctypes[1], "({0} ? {1} : {2})", (0, 1, 2)),)


def _pow(node: Node, graph: Graph, ctypes: Sequence[str], attrs: Mapping[str, object]) -> Program:
    del attrs
    exponent = graph.constants.get(node.inputs[1])
    if ctypes[0] == "float" and exponent is not None and exponent.size == 1:
        value = float(exponent.reshape(-1)[0])
        short = {1.0: "({0})", 2.0: "({0} * {0})", 3.0: "({0} * {0} * {0})", 0.5: "sqrt({0})", -1.0: "(1.0f / {0})"}
        if value in short:
            return (Expr("float", short[value], (0,), vector=True),)
    if ctypes[0] == "float":
        return (Expr("float", "pow({0}, (float){1})", (0, 1)),)
    # pow of floats is exact for the small results that fit
    return (Expr(ctypes[0], f"(({ctypes[0]})rint(pow((float){{0}}, (float){{1}})))", (0, 1)),)


def _mod(node: Node, graph: Graph, ctypes: Sequence[str], attrs: Mapping[str, object]) -> Program:
    del node, graph
    ctype = ctypes[0]
    if ctype == "float":
        return (Expr(ctype, "fmod({0}, {1})", (0, 1)),)
    if attrs.get("fmod", 0) or ctype.startswith("u"):
        return (Expr(ctype, "({0} % {1})", (0, 1)),)
    return (Expr(ctype, f"(({ctype})((({{0}} % {{1}}) + {{1}}) % {{1}}))", (0, 1)),)


def _with_alpha(text: str, **defaults: float):  # type: ignore[no-untyped-def]
    def build(node: Node, graph: Graph, ctypes: Sequence[str], attrs: Mapping[str, object]) -> Program:
        del node, graph, ctypes
        values = {name: literal(float(attrs.get(name, value)), "float") for name, value in defaults.items()}  # type: ignore[arg-type]
        body = text
        for name, value in values.items():
            body = body.replace(f"<{name}>", value)
        return (Expr("float", body, (0,), vector="?" not in body),)

    return build


def _gelu(node: Node, graph: Graph, ctypes: Sequence[str], attrs: Mapping[str, object]) -> Program:
    del node, graph, ctypes
    if attrs.get("approximate", "none") == "tanh":
        text = "(0.5f * {0} * (1.0f + tanh(0.7978845608f * ({0} + 0.044715f * {0} * {0} * {0}))))"
    else:
        text = "(0.5f * {0} * (1.0f + erf({0} * 0.7071067812f)))"
    return (Expr("float", text, (0,), vector=True),)


def _simple(text: str, *, result: str | None = None):  # type: ignore[no-untyped-def]
    def build(node: Node, graph: Graph, ctypes: Sequence[str], attrs: Mapping[str, object]) -> Program:
        del node, graph, attrs
        count = text.count("{1}") and 2 or 1
        return (Expr(result or ctypes[0], text, tuple(range(count))),)

    return build


def _isinf(node: Node, graph: Graph, ctypes: Sequence[str], attrs: Mapping[str, object]) -> Program:
    del node, graph, ctypes
    signs = []
    if attrs.get("detect_positive", 1):
        signs.append("{0} == INFINITY")
    if attrs.get("detect_negative", 1):
        signs.append("{0} == -INFINITY")
    return (Expr("uchar", f"({' || '.join(signs) or '0 * ({0} == 0)'})", (0,)),)


def _bitshift(node: Node, graph: Graph, ctypes: Sequence[str], attrs: Mapping[str, object]) -> Program:
    del node, graph
    sign = "<<" if attrs["direction"] == "LEFT" else ">>"
    return (Expr(ctypes[0], f"(({ctypes[0]})({{0}} {sign} {{1}}))", (0, 1)),)


def _shrink(node: Node, graph: Graph, ctypes: Sequence[str], attrs: Mapping[str, object]) -> Program:
    del node, graph
    bias, limit = (literal(float(attrs.get(k, d)), "float") for k, d in (("bias", 0.0), ("lambd", 0.5)))  # type: ignore[arg-type]
    text = f"({{0}} < -{limit} ? {{0}} + {bias} : {{0}} > {limit} ? {{0}} - {bias} : 0)"
    return (Expr(ctypes[0], text, (0,)),)


SPECIAL: Final = {
    "Clip": _clip,
    "Where": _where,
    "Pow": _pow,
    "Mod": _mod,
    "LeakyRelu": _with_alpha("(fmax({0}, 0.0f) + <alpha> * fmin({0}, 0.0f))", alpha=0.01),
    "Elu": _with_alpha("({0} > 0 ? {0} : <alpha> * expm1({0}))", alpha=1.0),
    "Selu": _with_alpha(
        "(<gamma> * ({0} > 0 ? {0} : <alpha> * expm1({0})))",
        alpha=1.67326319217681884765625,
        gamma=1.05070102214813232421875,
    ),
    "Celu": _with_alpha("(fmax({0}, 0.0f) + fmin(<alpha> * expm1({0} / <alpha>), 0.0f))", alpha=1.0),
    "HardSigmoid": _with_alpha("clamp({0} * <alpha> + <beta>, 0.0f, 1.0f)", alpha=0.2, beta=0.5),
    "ThresholdedRelu": _with_alpha("({0} > <alpha> ? {0} : 0)", alpha=1.0),
    "Swish": _with_alpha("({0} * SIGMOID(<alpha> * {0}))", alpha=1.0),
    "Gelu": _gelu,
    "IsNaN": _simple("({0} != {0})", result="uchar"),
    "IsInf": _isinf,
    "BitShift": _bitshift,
    "Shrink": _shrink,
}


def as_expression(program: Program, *, limit: int = 600) -> str | None:
    """The program as one C expression in `v`, its only input; None when it has others, is no vector text, or is long."""
    texts: list[str] = []
    for step in program:
        if not step.vector or step.ctype != "float" or any(arg > 0 for arg in step.args):
            return None
        texts.append(step.text.format(*("(v)" if arg == 0 else texts[-1 - arg] for arg in step.args)))
        if len(texts[-1]) > limit:
            return None
    return texts[-1]


def map_step(program: Program, inputs: Sequence[Tensor], y: Tensor) -> Step:
    """The launch of a Map: roles x0, x1 … and y."""
    labels = {f"x{k}": each for k, each in enumerate(inputs)}
    strides = {name: strides_for(each, y.shape) for name, each in labels.items()} | {"y": y.strides}
    loop = loop_over(y.shape, strides, order="y")
    loads = "".join(
        f"const {C_TYPES[each.dtype]} v{k} = x{k}[x{k}_off + ({loop.at[f'x{k}']})]; " for k, each in enumerate(inputs)
    )
    names = [f"v{k}" for k in range(len(inputs))]
    body = ""
    for number, step in enumerate(program):
        args = (names[arg] if arg >= 0 else f"t{-1 - arg}" for arg in step.args)
        body += f"const {step.ctype} t{number} = {step.text.format(*args)}; "
    kernel = Kernel(
        "map.cl",
        "map",
        defines_of(
            PARAMS=parameters(labels, {"y": y}),
            DECODE=loop.decode,
            LOADS=loads,
            BODY=body,
            RESULT=f"t{len(program) - 1}",
            Y_AT=loop.at["y"],
        ),
    )
    global_size, local_size = global_for(y.size)
    moved = sum(min(each.nbytes, y.size * 4) for each in inputs) + y.nbytes
    return Step(
        kernel, global_size, local_size, (*labels, "y", np.int32(y.size)), flops=len(program) * y.size, bytes=moved
    )


COPY: Final = (Expr("", "{0}", (0,)),)


def copy_step(x: Tensor, y: Tensor) -> list[Step]:
    """The launch that copies x into y, roles "x" and "y"; broadcasts where x has one element."""
    step = map_step((Expr(C_TYPES[x.dtype], "{0}", (0,)),), [x], y)
    return [Step(step.kernel, step.global_size, step.local_size, ("x", "y", step.args[-1]), bytes=step.bytes)]


@lowers("Map")
def lower_map(planner: Planner, node: Node) -> None:
    """A Map: one launch."""
    y = planner.result(node.outputs[0])
    if not y.size:
        return
    inputs = [planner.value(name) for name in node.inputs]
    step = map_step(node.attrs["program"], inputs, y)
    planner.emit(node.name, [step], y=y, **{f"x{k}": each for k, each in enumerate(inputs)})


@lowers(*sorted(MAP_OPS))
def lower_plain(planner: Planner, node: Node) -> None:
    """An operator that fusion has left alone."""
    program, inputs = program_of(node, planner.graph)
    lower_map(planner, Node(node.name, "Map", inputs, node.outputs[:1], {"program": program}, node.opset))
