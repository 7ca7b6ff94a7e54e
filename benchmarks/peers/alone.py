"""A peer in a process of its own: what crashes, hangs or takes a driver down there leaves our run alone.

Usage: python benchmarks/peers/alone.py PEER FOLDER SECONDS, as `measure_alone` starts it. FOLDER holds model.onnx and
inputs.npz; the figures are written to FOLDER/ms.json.
"""

import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx


def measure_alone(
    peer: str, model: onnx.ModelProto, inputs: Mapping[str, npt.NDArray[np.generic]], *, seconds: float, limit: float
) -> dict[str, float]:
    """What `measure` of PEER_peer.py gives; {} when it fails or takes more than `limit` seconds, told on one line."""
    if limit < 1:
        print(f"peer {peer}: not begun, the time is up", flush=True)
        return {}
    with tempfile.TemporaryDirectory(prefix="peer-") as text:
        folder = Path(text)
        onnx.save(model, folder / "model.onnx")
        np.savez(folder / "inputs.npz", **inputs)  # type: ignore[arg-type]  # because the stub takes them for flags
        try:
            ended = subprocess.run([sys.executable, __file__, peer, text, str(seconds)], timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            print(f"peer {peer}: not through after {limit:.0f} s, stopped", flush=True)
            return {}
        if ended.returncode:
            print(f"peer {peer}: ended with {ended.returncode}", flush=True)
        figures = folder / "ms.json"
        found: dict[str, float] = json.loads(figures.read_text("utf-8")) if figures.exists() else {}
        return found


def main() -> None:
    """Measure one peer here."""
    peer, text, seconds = sys.argv[1:]
    folder = Path(text)
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    measure = importlib.import_module(f"peers.{peer}_peer").measure
    with np.load(folder / "inputs.npz") as kept:
        inputs = dict(kept)
    found = measure(onnx.load(folder / "model.onnx"), inputs, seconds=float(seconds))
    (folder / "ms.json").write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main()
