"""ONNX's own backend test suite, run by the OpenCL executor: which cases concern us, and how one is run and compared.

Used by test_onnx_backend.py and by scripts/onnx_conformance.py, so it needs neither pytest nor a particular device.
"""

import fnmatch
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyopencl as cl
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx_exclusions import EXCLUDED, STILL_PASS, reason_for

from edge.compute.device import Device
from edge.errors import EdgeError, UnsupportedOpError
from edge.inference.opencl.execute import bind
from edge.inference.opencl.fuse import fuse
from edge.inference.opencl.importer import import_model
from edge.inference.opencl.launch import Array
from edge.inference.opencl.plan import Plan, plan_graph

# What a fault in the executor may raise: one case is lost then, not the run.
BROKEN = (EdgeError, cl.Error, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
KINDS = ("node", "simple", "pytorch-operator", "pytorch-converted")

# The operator families of the models that run here: YOLOv5/8/11, YOLOX, MegaDetector, MobileNet, EfficientNet, ResNet,
# RT-DETR, and what exporters write around them.
FAMILY_OPS = {
    "convolution": "Conv ConvTranspose",
    "pooling": "AveragePool MaxPool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool",
    "normalisation": (
        "BatchNormalization InstanceNormalization LayerNormalization GroupNormalization RMSNormalization "
        "LpNormalization"
    ),
    "matrix product": "Gemm MatMul Einsum",
    "activation": (
        "Relu LeakyRelu PRelu Elu Selu Celu Sigmoid HardSigmoid HardSwish Tanh Softplus Softsign Gelu Mish Swish "
        "ThresholdedRelu Shrink Clip"
    ),
    "arithmetic": (
        "Abs Neg Sign Add Sub Mul Div Mod Pow Sqrt Reciprocal Exp Log Erf Floor Ceil Round Sin Cos Tan Asin Acos Atan "
        "Sinh Cosh Asinh Acosh Atanh Max Min Sum Mean"
    ),
    "comparison and logic": (
        "And Or Xor Not Equal Less LessOrEqual Greater GreaterOrEqual Where IsNaN IsInf BitShift BitwiseAnd BitwiseOr "
        "BitwiseXor BitwiseNot"
    ),
    "type": "Cast CastLike",
    "reduction": (
        "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum "
        "ReduceLogSumExp ArgMax ArgMin CumSum"
    ),
    "softmax": "Softmax LogSoftmax",
    "shape": (
        "Reshape Flatten Squeeze Unsqueeze Transpose Expand Tile Concat Split Slice Pad DepthToSpace SpaceToDepth "
        "Shape Size Identity Dropout Constant ConstantOfShape Range Trilu"
    ),
    "resize": "Resize Upsample GridSample",
    "indexing": "Gather GatherElements GatherND ScatterElements ScatterND OneHot TopK NonMaxSuppression",
    "quantisation": "QuantizeLinear DequantizeLinear",
}
OPS = frozenset(op for ops in FAMILY_OPS.values() for op in ops.split())

# Inputs that say how large a result is or which way a kernel goes: models hold them as constants, the suite passes some
# of them in. They are fixed before planning, to the values of the case.
PLAN_TIME = {
    **dict.fromkeys(("Reshape", "Expand", "Tile", "Split", "Squeeze", "Unsqueeze", "TopK", "OneHot", "CumSum"), (1,)),
    **dict.fromkeys((op for op in OPS if op.startswith("Reduce")), (1,)),
    "Trilu": (1,),
    "Dropout": (1, 2),
    "Slice": (1, 2, 3, 4),
    "Pad": (1, 3),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
    "ConstantOfShape": (0,),
    "Range": (0, 1, 2),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One model of the suite with its stored inputs and outputs (in the model's order), one pair a data set."""

    name: str
    kind: str
    model: onnx.ModelProto
    data: tuple[tuple[list[Array], list[Array]], ...]
    rtol: float
    atol: float


@cache
def family_cases() -> Mapping[str, Case]:
    """Every case whose operators all belong to FAMILY_OPS, by name."""
    return {case.name: case for kind in KINDS for case in _cases(kind)}


def _cases(kind: str) -> Iterator[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite divides by zero and overflows while it makes its data
        found = load_model_tests(kind=kind)
    for each in found:
        folder = Path(each.model_dir) if each.model_dir else None
        model = each.model or onnx.load(folder / "model.onnx")
        if all(node.op_type in OPS and node.domain in {"", "ai.onnx"} for node in model.graph.node):
            data = tuple(_stored(folder, model)) if folder else tuple(_unpacked(each.data_sets))
            yield Case(each.name, kind, model, data, each.rtol, each.atol)


def _stored(folder: Path, model: onnx.ModelProto) -> Iterator[tuple[list[Array], list[Array]]]:
    for data_set in sorted(folder.glob("test_data_set_*")):
        yield (
            [_array(data_set / f"input_{i}.pb") for i in range(len(list(data_set.glob("input_*.pb"))))],
            [_array(data_set / f"output_{i}.pb") for i in range(len(model.graph.output))],
        )


def _unpacked(data_sets: Iterable[tuple[list[Any], list[Any]]]) -> Iterator[tuple[list[Any], list[Any]]]:
    for inputs, outputs in data_sets:
        yield [_plain(each) for each in inputs], [_plain(each) for each in outputs]


def _plain(value: Any) -> Any:
    """A tensor of the suite as an array; sequences and absent optional values as they are."""
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, (np.generic, int, float, str)) else value


def _array(path: Path) -> Array:
    return numpy_helper.to_array(onnx.load_tensor(path))


def fixed_inputs(model: onnx.ModelProto) -> set[str]:
    """Names of graph inputs that a PLAN_TIME input depends on, by value."""
    producers = {name: node for node in model.graph.node for name in node.output}
    waiting = [
        node.input[slot]
        for node in model.graph.node
        for slot in PLAN_TIME.get(node.op_type, ())
        if slot < len(node.input)
    ]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        maker = producers.get(name)
        if maker is not None and maker.op_type not in {"Shape", "Size"}:
            waiting += maker.input
    return seen & {each.name for each in model.graph.input}


def run_case(case: Case, device: Device, *, plain: bool) -> int:
    """Run every data set of a case; returns how many launches compute (0: all was folded while importing).

    plain: once more without fusion, where that gives another plan. Raises UnsupportedOpError when the executor refuses
    the case, AssertionError when a result differs.
    """
    launches = 0
    for arrays, expected in case.data:
        names = [each.name for each in case.model.graph.input][: len(arrays)]
        inputs = dict(zip(names, arrays, strict=True))
        fixed = {name: inputs.pop(name) for name in fixed_inputs(case.model) & inputs.keys()}
        shapes = {name: array.shape for name, array in inputs.items() if isinstance(array, np.ndarray)}
        plans = [plan_graph(fuse(import_model(case.model, shapes=shapes, fixed=fixed)), device.capability)]
        if plain:
            plans.append(plan_graph(import_model(case.model, shapes=shapes, fixed=fixed), device.capability))
        if plain and _signature(plans[0]) == _signature(plans[1]):
            plans.pop()
        for plan in plans:
            with bind(plan, device) as bound:
                found = bound.run({name: inputs[name] for name in plan.inputs})
            assert_similar(expected, found, rtol=case.rtol, atol=case.atol)
        launches += sum(not launch.node.endswith("(output)") for launch in plans[0].launches)
    return launches


def _signature(plan: Plan) -> list[object]:
    """What two plans have in common when they do the same."""
    constants = [each.array.tobytes() for each in plan.storages if each.array is not None]
    launches = [(each.kernel, each.global_size, each.local_size, each.args) for each in plan.launches]
    return [constants, launches, list(plan.outputs.values())]


def assert_similar(expected: list[Any], found: list[Array], *, rtol: float, atol: float) -> None:
    """As onnx.backend.test.runner compares: shapes and element types equal, values within the case's own bounds."""
    assert len(expected) == len(found), f"{len(found)} outputs, not {len(expected)}"
    for index, (value, got) in enumerate(zip(expected, found, strict=True)):
        wanted = np.asarray(value)
        assert wanted.shape == got.shape, f"output {index} has shape {got.shape}, not {wanted.shape}"
        assert wanted.dtype == got.dtype, f"output {index} is {got.dtype}, not {wanted.dtype}"
        np.testing.assert_allclose(got, wanted, rtol=rtol, atol=atol, err_msg=f"output {index}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a case. outcome: passed, folded (passed, and nothing was left to compute), excluded, failed.

    detail: the reason of an exclusion, or what went wrong.
    """

    outcome: str
    detail: str = ""


def judge(case: Case, device: Device, *, plain: bool) -> Verdict:
    """Run a case and hold the result against the list of exclusions."""
    reason, wrong = reason_for(case.name), ""
    refused = False
    try:
        launches = run_case(case, device, plain=plain)
    except UnsupportedOpError as exc:
        wrong, refused = str(exc), True
    except AssertionError as exc:
        wrong = " ".join(str(exc).split())[:300]
        refused = " is float32, not " in wrong
    except BROKEN as exc:
        wrong = f"{type(exc).__name__}: {exc}"[:300]
    if reason is None:
        if wrong:
            return Verdict("failed", wrong)
        return Verdict("passed" if launches else "folded")
    if refused:
        return Verdict("excluded", reason)
    return Verdict("failed", wrong or f"it passes, but is excluded: {reason}")


def idle_patterns() -> list[str]:
    """Patterns of the exclusion list that no case matches."""
    patterns = [*STILL_PASS, *(each for group in EXCLUDED.values() for each in group)]
    return [each for each in patterns if not fnmatch.filter(family_cases(), each)]
