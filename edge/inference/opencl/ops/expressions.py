"""What each element-wise operator is in OpenCL C: small programs of expressions, for scalars and mostly vectors too."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ....i18n import _
from ..graph import Graph, Node, unsupported
from ..launch import C_TYPES, Array


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
# Short forms of x ** exponent
POWERS: Final = {
    1.0: "({0})",
    2.0: "({0} * {0})",
    3.0: "({0} * {0} * {0})",
    0.5: "sqrt({0})",
    -1.0: "(1.0f / {0})",
}


def literal(value: float, ctype: str) -> str:
    """A number as C writes it in this type."""
    if ctype != "float":
        return f"(({ctype}){int(value)})" if ctype != "long" else f"((long){int(value)}L)"
    text = repr(float(np.float32(value)))
    return {"inf": "INFINITY", "-inf": "(-INFINITY)", "nan": "NAN"}.get(text, f"({text}f)")


@dataclass(frozen=True, slots=True)
class Form:
    """An operator whose program depends on more than its name. ctypes: of its inputs that are there."""

    node: Node
    graph: Graph
    ctypes: Sequence[str]

    @property
    def attrs(self) -> Mapping[str, Any]:
        """The node's attributes."""
        return self.node.attrs

    def constant(self, index: int) -> float | None:
        """The number that an input always is, None when it is absent, computed, or an array."""
        array: Array | None = self.graph.constants.get(self.node.input(index))
        return None if array is None or array.size != 1 else array.reshape(-1)[0].item()


Builder = Callable[[Form], Program]


def _clip(form: Form) -> Program:
    ctype, steps, last, position = form.ctypes[0], list[Expr](), 0, 0
    for slot, function in ((1, "max"), (2, "min")):
        if not form.node.input(slot):
            continue
        position += 1
        bound = form.constant(slot)
        call = f"f{function}" if ctype == "float" else function
        if bound is not None:
            text = f"{call}({{0}}, {literal(bound, ctype)})"
            steps.append(Expr(ctype, text, (last,), vector=ctype == "float"))
        else:
            steps.append(Expr(ctype, f"{call}({{0}}, {{1}})", (last, position)))
        last = -len(steps)
    return tuple(steps) or (Expr(ctype, "({0})", (0,), vector=True),)


def _pow(form: Form) -> Program:
    ctype, exponent = form.ctypes[0], form.constant(1)
    if ctype != "float":
        # pow of floats is exact for the small results that fit
        return (Expr(ctype, f"(({ctype})rint(pow((float){{0}}, (float){{1}})))", (0, 1)),)
    if exponent in POWERS:
        return (Expr("float", POWERS[exponent], (0,), vector=True),)
    return (Expr("float", "pow({0}, (float){1})", (0, 1)),)


def _mod(form: Form) -> Program:
    """The remainder with the dividend's sign (fmod 1), else with the divisor's."""
    ctype, of_dividend = form.ctypes[0], form.attrs.get("fmod", 0)
    if ctype == "float":
        first = Expr(ctype, "fmod({0}, {1})", (0, 1))
        text = "({0} != 0 && ({0} < 0) != ({1} < 0) ? {0} + {1} : {0})"
        return (first,) if of_dividend else (first, Expr(ctype, text, (-1, 1)))
    if of_dividend or ctype.startswith("u"):
        return (Expr(ctype, "({0} % {1})", (0, 1)),)
    return (Expr(ctype, f"(({ctype})((({{0}} % {{1}}) + {{1}}) % {{1}}))", (0, 1)),)


def _numbers(text: str, **defaults: float) -> Builder:
    """A float operator of one input; <name> in its text stands for the attribute of that name."""

    def build(form: Form) -> Program:
        body = text
        for name, value in defaults.items():
            body = body.replace(f"<{name}>", literal(float(form.attrs.get(name, value)), "float"))
        return (Expr("float", body, (0,), vector="?" not in body),)

    return build


def _gelu(form: Form) -> Program:
    if form.attrs.get("approximate", "none") == "tanh":
        text = "(0.5f * {0} * (1.0f + tanh(0.7978845608f * ({0} + 0.044715f * {0} * {0} * {0}))))"
    else:
        text = "(0.5f * {0} * (1.0f + erf({0} * 0.7071067812f)))"
    return (Expr("float", text, (0,), vector=True),)


def _isinf(form: Form) -> Program:
    signs = [("detect_positive", "{0} == INFINITY"), ("detect_negative", "{0} == -INFINITY")]
    wanted = [text for name, text in signs if form.attrs.get(name, 1)]
    return (Expr("uchar", f"({' || '.join(wanted) or '0 * ({0} == 0)'})", (0,)),)


def _bitshift(form: Form) -> Program:
    """A shift by as many bits as there are, or more, leaves nothing but the sign; C leaves that open."""
    ctype = form.ctypes[0]
    bits = np.dtype(form.graph.types[form.node.inputs[0]].dtype).itemsize * 8
    shift, rest = ("<<", "0") if form.attrs["direction"] == "LEFT" else (">>", "({0} < 0 ? -1 : 0)")
    text = f"(({ctype})((ulong){{1}} >= {bits} ? {rest} : {{0}} {shift} {{1}}))"
    return (Expr(ctype, text, (0, 1)),)


def _shrink(form: Form) -> Program:
    bias, limit = (
        literal(float(form.attrs.get(name, value)), "float") for name, value in (("bias", 0), ("lambd", 0.5))
    )
    text = f"({{0}} < -{limit} ? {{0}} + {bias} : {{0}} > {limit} ? {{0}} - {bias} : 0)"
    return (Expr(form.ctypes[0], text, (0,)),)


SPECIAL: Final[Mapping[str, Builder]] = {
    "Clip": _clip,
    "Where": lambda form: (Expr(form.ctypes[1], "({0} ? {1} : {2})", (0, 1, 2)),),
    "Pow": _pow,
    "Mod": _mod,
    "LeakyRelu": _numbers("(fmax({0}, 0.0f) + <alpha> * fmin({0}, 0.0f))", alpha=0.01),
    "Elu": _numbers("({0} > 0 ? {0} : <alpha> * expm1({0}))", alpha=1.0),
    "Selu": _numbers(
        "(<gamma> * ({0} > 0 ? {0} : <alpha> * expm1({0})))",
        alpha=1.67326319217681884765625,
        gamma=1.05070102214813232421875,
    ),
    "Celu": _numbers("(fmax({0}, 0.0f) + fmin(<alpha> * expm1({0} / <alpha>), 0.0f))", alpha=1.0),
    "HardSigmoid": _numbers("clamp({0} * <alpha> + <beta>, 0.0f, 1.0f)", alpha=0.2, beta=0.5),
    "ThresholdedRelu": _numbers("({0} > <alpha> ? {0} : 0)", alpha=1.0),
    "Swish": _numbers("({0} * SIGMOID(<alpha> * {0}))", alpha=1.0),
    "Gelu": _gelu,
    "IsNaN": lambda _form: (Expr("uchar", "({0} != {0})", (0,)),),
    "IsInf": _isinf,
    "BitShift": _bitshift,
    "Shrink": _shrink,
}
MAP_OPS: Final = frozenset({*UNARY, *INT_UNARY, *BINARY, *VARIADIC, *SPECIAL, "Cast", "CastLike"})


def program_of(node: Node, graph: Graph) -> tuple[Program, tuple[str, ...]]:
    """An operator as a Map program and the inputs that it reads. Raises UnsupportedOpError for forms not known."""
    inputs = tuple(name for name in node.inputs if name)
    ctypes = tuple(_ctype(graph, node, name) for name in inputs)
    result = _ctype(graph, node, node.outputs[0])
    op = node.op
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
    if op not in SPECIAL:
        raise unsupported(node, _("not for element type {dtype}").format(dtype=ctypes[0]))
    return SPECIAL[op](Form(node, graph, ctypes)), inputs


def _ctype(graph: Graph, node: Node, name: str) -> str:
    dtype = graph.types[name].dtype
    if dtype not in C_TYPES:
        raise unsupported(node, _("element type {dtype}").format(dtype=dtype))
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


def as_expression(program: Program, *, limit: int = 600) -> str | None:
    """The program as one C expression in `v`, its only input.

    None when it has other inputs, does not work on vectors, or is longer than `limit` characters.
    """
    texts: list[str] = []
    for step in program:
        if not step.vector or step.ctype != "float" or any(arg > 0 for arg in step.args):
            return None
        texts.append(step.text.format(*("(v)" if arg == 0 else texts[-1 - arg] for arg in step.args)))
        if len(texts[-1]) > limit:
            return None
    return texts[-1]
