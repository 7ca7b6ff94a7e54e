"""A model in ncnn's own format, by `pnnx` (a wheel of that name, which wants torch beside it).

Usage: python benchmarks/peers/ncnn_files.py FOLDER NAME… converts models of the zoo beforehand, for a machine without
pnnx; there NCNN_FILES names the folder. It keeps NAME-SHAPE.param, ncnn's graph as pnnx wrote it, and NAME-SHAPE.json,
which says which of the model's own arrays stand in ncnn's file of weights one after the other: kilobytes instead of the
weights themselves, and proof that both sides have the same ones.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

Shapes = Mapping[str, Sequence[int]]
KEY = 16  # bytes of an array by which it is looked up


def ncnn_files(model: onnx.ModelProto, shapes: Shapes, into: Path) -> tuple[Path, Path]:
    """The graph and weights that ncnn reads; what is made now lies in the folder `into`.

    Raises FileNotFoundError when the model was neither converted beforehand nor can be here, ValueError when the
    model's weights are not those that were converted.
    """
    name = label(model, shapes)
    folder = os.environ.get("NCNN_FILES")
    if folder and (Path(folder) / f"{name}.json").exists():
        return filled(model, Path(folder) / f"{name}.param", into)
    return converted(model, shapes, into)


def label(model: onnx.ModelProto, shapes: Shapes) -> str:
    """Name and input shapes."""
    return "-".join([model.graph.name, *("x".join(map(str, shape)) for shape in shapes.values())])


def converted(model: onnx.ModelProto, shapes: Shapes, into: Path) -> tuple[Path, Path]:
    """What pnnx makes of a model. Raises FileNotFoundError without it, or when it makes nothing."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    tool = shutil.which("pnnx", path=places)
    if tool is None:
        raise FileNotFoundError(f"no {label(model, shapes)}.json in NCNN_FILES, and no pnnx to convert it")
    onnx.save(model, into / "model.onnx")
    sizes = ",".join(f"[{','.join(map(str, shape))}]" for shape in shapes.values())
    command = [tool, "model.onnx", f"inputshape={sizes}", "fp16=0"]
    ended = subprocess.run(command, cwd=into, capture_output=True, text=True, check=False)
    files = into / "model.ncnn.param", into / "model.ncnn.bin"
    if not all(each.exists() for each in files):
        raise FileNotFoundError(f"pnnx made nothing of {label(model, shapes)}: {ended.stderr[-300:]}")
    return files


def filled(model: onnx.ModelProto, param: Path, into: Path) -> tuple[Path, Path]:
    """The files of a model converted beforehand, with this model's weights. Raises ValueError when they differ."""
    told = json.loads(param.with_suffix(".json").read_text("utf-8"))
    arrays = dict(every_array(model))
    missing = {part for part in told["parts"] if not part.startswith("=")} - arrays.keys()
    if missing:
        raise ValueError(f"{param.name} was converted from another model: this one has no {min(missing)!r}")
    content = b"".join(bytes.fromhex(part[1:]) if part.startswith("=") else arrays[part] for part in told["parts"])
    if hashlib.sha256(content).hexdigest() != told["sha256"]:
        raise ValueError(f"{param.name} was converted from a model with other weights")
    weights = into / "model.ncnn.bin"
    weights.write_bytes(content)
    return param, weights


def parts_of(model: onnx.ModelProto, content: bytes) -> list[str]:
    """The weights file as names of the model's arrays, and "=HEX" for what is none (ncnn's marks between them)."""
    known: dict[bytes, list[tuple[str, bytes]]] = {}
    for name, raw in every_array(model):
        known.setdefault(raw[:KEY], []).append((name, raw))
    parts: list[str] = []
    at = 0
    while at < len(content):
        fitting = [
            (len(raw), name) for name, raw in known.get(content[at : at + KEY], []) if content.startswith(raw, at)
        ]
        if fitting:
            size, name = max(fitting)
            parts.append(name)
        else:
            size = 4
            parts.append("=" + content[at : at + size].hex())
        at += size
    return parts


def every_array(model: onnx.ModelProto) -> Iterator[tuple[str, bytes]]:
    """The bytes of each fp32 array of at least KEY bytes by its name, and turned round as "NAME:T"."""
    tensors = [(each.name, each) for each in model.graph.initializer]
    tensors += [
        (node.output[0], each.t) for node in model.graph.node for each in node.attribute if node.op_type == "Constant"
    ]
    for name, tensor in tensors:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.nbytes >= KEY:
            yield name, array.tobytes()
            if array.ndim == 2:
                yield f"{name}:T", array.T.tobytes()


def keep(model: onnx.ModelProto, shapes: Shapes, folder: Path) -> int:
    """Convert into a folder; the bytes that had to be written out. Raises FileNotFoundError, ValueError."""
    with tempfile.TemporaryDirectory() as text:
        graph, weights = converted(model, shapes, Path(text))
        content = weights.read_bytes()
        param = folder / f"{label(model, shapes)}.param"
        shutil.copy(graph, param)
        told = {"sha256": hashlib.sha256(content).hexdigest(), "parts": parts_of(model, content)}
        param.with_suffix(".json").write_text(json.dumps(told, indent=0) + "\n", "utf-8")
        filled(model, param, Path(text))
    return param.with_suffix(".json").stat().st_size


def main() -> None:
    """Convert models of the zoo."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
    from edge.inference.subject import from_zoo  # noqa: PLC0415  # because the path is only known now

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:]:
        subject = from_zoo(name)
        model = subject.make(1)
        shapes = {key: array.shape for key, array in subject.inputs(model, 1).items()}
        print(f"{label(model, shapes)}: {keep(model, shapes, folder)} bytes beside the graph")


if __name__ == "__main__":
    main()
