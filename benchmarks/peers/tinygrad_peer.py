"""The same ONNX model in tinygrad on OpenCL, fp32: its own importer, captured by TinyJit.

Host to host, as ours: NumPy array in, NumPy arrays out. BEAM and DEV of the environment are tinygrad's own: BEAM=2
searches for faster kernels, for minutes; DEV=CUDA takes another backend. The way's name tells both.
"""

import importlib.util
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from .kit import Array, expected, measure_way


def measure(model: onnx.ModelProto, inputs: Mapping[str, Array], *, seconds: float) -> dict[str, float]:
    """Milliseconds of one run: "cl", or "cl_beam2" after a search. {} without tinygrad or with wrong outputs."""
    if importlib.util.find_spec("tinygrad") is None:
        print("peer tinygrad: not installed", flush=True)
        return {}
    os.environ.setdefault("DEV", "CL")
    use_loader()
    from tinygrad import Device, Tensor, TinyJit  # noqa: PLC0415  # because it reads its environment when imported
    from tinygrad.nn.onnx import OnnxRunner  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        runner = OnnxRunner(path)
        captured: Any = TinyJit(lambda **values: [each.realize() for each in runner(values).values()])

        def run() -> Sequence[Array]:
            outputs = captured(**{name: Tensor(array).realize() for name, array in inputs.items()})
            return [each.numpy() for each in outputs]

        backend = str(Device.DEFAULT)
        print(f"peer tinygrad: {getattr(Device[backend], 'device_name', backend)}", flush=True)
        beam = os.environ.get("BEAM", "0")
        way = backend.lower() + (f"_beam{beam}" if beam != "0" else "")
        return measure_way("tinygrad", way, run, expected(model, inputs), seconds)


def use_loader() -> None:
    """Names the OpenCL loader that pyopencl brings, where the environment names none: machines may have no other."""
    spec = importlib.util.find_spec("pyopencl")
    if spec and spec.origin:
        package = Path(spec.origin).parent
        for loader in (package / ".libs").glob("libOpenCL*"):
            os.environ.setdefault("OPENCL_PATH", str(loader))
            os.environ.setdefault("PYOPENCL_HOME", str(package))  # without it that loader crashes
