"""What the peers share: warm up, median of the runs, and whether a peer computes the same as ONNX Runtime."""

import importlib.util
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

Array = npt.NDArray[Any]
Run = Callable[[], Sequence[Array]]
WARM_RUNS = 10
FIRST_RUNS = 3  # tinygrad records its second run and replays from the third
WORST = 1e-4  # of the largest value: seen in fp32 up to 1e-6, with ncnn's half precision on 2e-3 and 4e-3


def measure_way(who: str, way: str, run: Run, reference: Sequence[Array] | None, seconds: float) -> dict[str, float]:
    """{way: median ms}; {} when its outputs aren't the reference's, so that no figure stands for other work."""
    begun, runs = time.perf_counter(), 0
    outputs: Sequence[Array] = []
    while runs < FIRST_RUNS or (runs < WARM_RUNS and time.perf_counter() - begun < seconds):
        outputs = run()
        runs += 1
    if reference is not None and not same(f"peer {who} {way}", outputs, reference):
        return {}
    times: list[float] = []
    while len(times) < 5 or sum(times) < seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return {way: statistics.median(times) * 1e3}


def same(who: str, outputs: Sequence[Array], reference: Sequence[Array]) -> bool:
    """True when every output has the reference's values, whatever its shape; tells the largest difference."""
    if [each.size for each in outputs] != [each.size for each in reference]:
        print(f"{who}: outputs {[each.shape for each in outputs]} are not those of the model, no figure", flush=True)
        return False
    pairs = list(zip(outputs, reference, strict=True))
    difference = max(float(np.abs(ours.ravel() - theirs.ravel()).max()) for ours, theirs in pairs)
    largest = max(float(np.abs(theirs).max()) for theirs in reference)
    good = difference <= WORST * largest  # False for NaN too
    told = "" if good else f", more than {WORST:g} of it: no figure"
    print(f"{who}: largest difference to ONNX Runtime {difference:.1e}, largest value {largest:.3g}{told}", flush=True)
    return good


def expected(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array] | None:
    """ONNX Runtime's outputs on the CPU; None where it isn't installed."""
    if importlib.util.find_spec("onnxruntime") is None:
        print("peers: no onnxruntime here, outputs are not compared", flush=True)
        return None
    import onnxruntime  # noqa: PLC0415  # because it need not be there

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(each) for each in session.run(None, dict(inputs))]
