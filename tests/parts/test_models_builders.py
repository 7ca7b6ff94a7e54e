import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edge.errors import ModelError
from edge.models.builders.efficientnet_lite import build_efficientnet_lite0
from edge.models.builders.graph import GraphBuilder
from edge.models.builders.yolox import YoloxShape, build_yolox

REPO = Path(__file__).resolve().parent.parent.parent
GOLDENS = json.loads((REPO / "tests" / "data" / "model_goldens.json").read_text(encoding="utf-8"))
# Publisher's torch against our ONNX, both float32, on synthetic and real pictures: boxes differed by at most 0.0016 px,
# scores by 1.1e-6, logits by 5.9e-6 (scripts/parity_with_torch.py). Six times that leaves room for another CPU.
BOX_TOLERANCE_PX = 0.01
SCORE_TOLERANCE = 6e-6
LOGIT_TOLERANCE = 4e-5
SIMPLE_OPS = {"Conv", "Sigmoid", "Mul", "Add", "Clip", "MaxPool", "Resize", "Concat", "Reshape", "Transpose", "Slice"}
SIMPLE_OPS |= {"Exp", "GlobalAveragePool", "Flatten", "Gemm"}


@pytest.fixture(scope="module")
def parity() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity", REPO / "scripts" / "parity_with_torch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(model: Path | onnx.ModelProto, pictures: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model))
    return np.asarray(session.run(None, {"images": pictures})[0])


def test_the_converted_detector_gives_what_its_publisher_s_torch_code_gave(
    models_dir: Path, parity: ModuleType
) -> None:
    pictures = parity.synthetic_pictures(2, 640, 640)

    found = parity.sample("megadetector-lite", run(models_dir / "megadetector-lite" / "model.onnx", pictures))

    expected = np.array(GOLDENS["megadetector-lite"], np.float64).reshape(found.shape)
    assert np.abs(found - expected)[..., :4].max() <= BOX_TOLERANCE_PX
    assert np.abs(found - expected)[..., 4:].max() <= SCORE_TOLERANCE
    assert np.ptp(expected[..., 0]) > 500, "the sample runs over the whole picture"


def test_the_converted_classifier_gives_what_its_publisher_s_torch_code_gave(
    models_dir: Path, parity: ModuleType
) -> None:
    pictures = (parity.synthetic_pictures(2, 224, 224) - 127) / 128

    found = parity.sample("efficientnet-lite0", run(models_dir / "efficientnet-lite0" / "model.onnx", pictures))

    expected = np.array(GOLDENS["efficientnet-lite0"], np.float64).reshape(found.shape)
    assert np.abs(found - expected).max() <= LOGIT_TOLERANCE
    assert np.ptp(expected) > 5, "logits that say something"


@pytest.mark.parametrize("name", ["megadetector-lite", "efficientnet-lite0"])
def test_a_converted_model_has_simple_operators_and_a_dynamic_batch_only(models_dir: Path, name: str) -> None:
    graph = onnx.load(models_dir / name / "model.onnx").graph

    assert {node.op_type for node in graph.node} <= SIMPLE_OPS
    assert [side.dim_param for side in graph.input[0].type.tensor_type.shape.dim] == ["n", "", "", ""]
    assert len({node.name for node in graph.node}) == len(graph.node)


class RandomWeights(dict[str, np.ndarray]):
    """Weights of any shape, made when they are asked for; remembers which were."""

    def __init__(self, fan_out: float = 1.0) -> None:
        super().__init__()
        self.dice = np.random.default_rng(3)
        self.fan_out = fan_out

    def ask(self, key: str, shape: tuple[int, ...]) -> np.ndarray:
        if key not in self:
            scale = self.fan_out / np.sqrt(max(np.prod(shape[1:]), 1))
            array = self.dice.normal(0, scale, shape)
            self[key] = (np.abs(array) + 0.5 if key.endswith("running_var") else array).astype(np.float32)
        return self[key]


@pytest.fixture
def any_weights(monkeypatch: pytest.MonkeyPatch) -> RandomWeights:
    """Lets a builder ask for random weights of whatever shape it wants, to build models without a checkpoint."""
    weights = RandomWeights()
    honest = GraphBuilder.weight

    def made_up(self: GraphBuilder, key: str, shape: Any) -> Any:
        weights.ask(key, tuple(shape))
        return honest(self, key, shape)

    monkeypatch.setattr(GraphBuilder, "weight", made_up)
    return weights


@pytest.mark.parametrize(
    ("shape", "anchors"),
    [
        (YoloxShape(classes=3, depth=0.33, width=0.125, input_hw=(64, 96)), 8 * 12 + 4 * 6 + 2 * 3),
        (YoloxShape(classes=1, depth=0.67, width=0.25, input_hw=(32, 32)), 16 + 4 + 1),
    ],
)
def test_other_sizes_of_yolox_build_and_give_boxes_on_their_grid(
    any_weights: RandomWeights, shape: YoloxShape, anchors: int
) -> None:
    model = build_yolox(any_weights, shape)

    out = run(model, np.zeros((3, 3, *shape.input_hw), np.float32))

    assert out.shape == (3, anchors, 5 + shape.classes)
    assert ((out[..., 4:] >= 0) & (out[..., 4:] <= 1)).all()
    assert (out[..., 2:4] > 0).all()


def test_a_batch_gives_the_same_as_one_picture_at_a_time(any_weights: RandomWeights) -> None:
    model = build_yolox(any_weights, YoloxShape(classes=2, width=0.125, input_hw=(64, 64)))
    pictures = np.random.default_rng(1).random((3, 3, 64, 64), np.float32)

    together = run(model, pictures)

    alone = np.concatenate([run(model, picture[None]) for picture in pictures])
    assert np.allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_the_stem_convolution_is_focus_and_a_3x3_convolution(any_weights: RandomWeights) -> None:
    build_yolox(any_weights, YoloxShape(classes=1, width=0.125, input_hw=(32, 32)))
    key = "backbone.backbone.stem.conv"
    picture = np.random.default_rng(2).random((3, 32, 32))
    groups = np.concatenate([picture[:, row::2, column::2] for column in (0, 1) for row in (0, 1)])
    padded = np.pad(groups, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    summed = np.einsum("chwij,ocij->ohw", windows, any_weights[f"{key}.conv.weight"])
    part = {each: any_weights[f"{key}.bn.{each}"][:, None, None] for each in ("weight", "bias", "running_mean")}
    scale = part["weight"] / np.sqrt(any_weights[f"{key}.bn.running_var"][:, None, None] + 1e-3)
    expected = (summed - part["running_mean"]) * scale + part["bias"]

    model = build_yolox(any_weights, YoloxShape(classes=1, width=0.125, input_hw=(32, 32)))
    model.graph.output.append(onnx.helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, None))
    session = ort.InferenceSession(model.SerializeToString())
    found = session.run([key], {"images": picture[None].astype(np.float32)})[0][0]

    assert np.allclose(found, expected, atol=1e-4)


def test_weights_of_another_model_are_refused_with_the_tensor_s_name(any_weights: RandomWeights) -> None:
    build_yolox(any_weights, YoloxShape(classes=1, width=0.125, input_hw=(32, 32)))
    weights = dict(any_weights)

    with pytest.raises(ModelError, match=r"tensor 'head.cls_preds.0.weight' must be \(2, 32, 1, 1\), got \(1, 32"):
        build_yolox(weights, YoloxShape(classes=2, width=0.125, input_hw=(32, 32)))
    with pytest.raises(ModelError, match="1 tensors too many, as 'extra'"):
        build_yolox({**weights, "extra": np.zeros(1)}, YoloxShape(1, width=0.125, input_hw=(32, 32)))


def test_efficientnet_without_its_weights_is_refused() -> None:
    with pytest.raises(ModelError, match=r"no tensor '_bn0\.weight'|no tensor '_conv_stem\.weight'"):
        build_efficientnet_lite0({})
