"""The same ONNX model in ncnn, fp32: on the first graphics card that Vulkan shows, else on the processor.

ncnn has a format of its own; ncnn_files.py says where the files come from. Host to host, as ours: NumPy array in, NumPy
arrays out. Everything that would halve the precision is off.
"""

import importlib.util
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from .kit import Array, expected, measure_way
from .ncnn_files import ncnn_files

CPU_TYPE = 3  # of GpuInfo.type(): Vulkan computed by the processor
HALVES = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_packed",
    "use_bf16_storage",
)


def measure(model: onnx.ModelProto, inputs: Mapping[str, Array], *, seconds: float) -> dict[str, float]:
    """Milliseconds of one run: "vulkan" or "cpu". {} without ncnn, for batches above 1, or with wrong outputs."""
    if importlib.util.find_spec("ncnn") is None:
        print("peer ncnn: not installed", flush=True)
        return {}
    if any(len(each) != 1 for each in inputs.values()):
        print("peer ncnn: runs one picture at a time, no figure for batches", flush=True)
        return {}
    import ncnn  # noqa: PLC0415  # because it need not be there

    card = graphics_card(ncnn)
    net = ncnn.Net()
    net.opt.num_threads = len(os.sched_getaffinity(0))
    net.opt.use_vulkan_compute = card is not None
    for option in HALVES:
        setattr(net.opt, option, False)
    if card is not None:
        net.set_vulkan_device(card)
    shapes = {name: array.shape for name, array in inputs.items()}
    with tempfile.TemporaryDirectory(prefix="ncnn-") as folder:
        try:
            param, weights = ncnn_files(model, shapes, Path(folder))
        except (FileNotFoundError, ValueError) as exc:
            print(f"peer ncnn: {exc}", flush=True)
            return {}
        if net.load_param(str(param)) or net.load_model(str(weights)):
            print(f"peer ncnn: can't load {param.name}", flush=True)
            return {}
    names = list(zip(net.input_names(), inputs.values(), strict=True))

    def run() -> Sequence[Array]:
        with net.create_extractor() as extractor:
            for name, array in names:
                extractor.input(name, ncnn.Mat(array[0]))
            return [np.array(extractor.extract(name)[1]) for name in net.output_names()]

    way = "cpu" if card is None else "vulkan"
    return measure_way("ncnn", way, run, expected(model, inputs), seconds)


def graphics_card(ncnn: Any) -> int | None:
    """The number of the first Vulkan device that is no processor; None without one."""
    ncnn.create_gpu_instance()
    for index in range(ncnn.get_gpu_count()):
        info = ncnn.get_gpu_info(index)
        if info.type() != CPU_TYPE or os.environ.get("NCNN_ANY_VULKAN"):
            print(f"peer ncnn: {info.device_name()}", flush=True)
            return index
    print("peer ncnn: Vulkan shows no graphics card, so on the processor", flush=True)
    return None
