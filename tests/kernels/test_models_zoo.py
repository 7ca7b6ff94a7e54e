import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edge.errors import ModelError
from edge.models.zoo.flops import flops, tensor_shapes
from edge.models.zoo.zoo import ZOO, build

SMALL = [name for name in ZOO if name != "yolov5x6"]  # x6 has half a gigabyte of weights
SIZE_PX = 128  # the smallest at which every level still has several cells
# Published for one picture of nominal size, billions of multiplications and additions: torchvision's tables for the
# first two, Ultralytics' for the rest; they count a little more than convolutions and matrix products, hence 5 %.
PUBLISHED_GFLOPS = {
    "mobilenetv2": 0.6,
    "resnet50": 8.2,
    "yolov5n": 4.5,
    "yolov5s": 16.5,
    "yolov8n": 8.7,
    "yolo11n": 6.5,
}
FIXED = {"height": 640, "width": 640}


def run(model: onnx.ModelProto, *, batch: int = 1, dtype: type = np.float32, size: int = SIZE_PX) -> np.ndarray:
    pictures = np.random.default_rng(1).random((batch, 3, size, size)).astype(dtype)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"images": pictures})[0])


@pytest.mark.parametrize("name", SMALL)
def test_each_model_is_valid_and_gives_values_near_one_at_any_batch(name: str) -> None:
    model = build(name, batch=None, size=SIZE_PX)

    found = run(model, batch=3)

    onnx.checker.check_model(model)
    assert found.shape[0] == 3
    assert np.isfinite(found).all()
    assert 1e-4 < found.std() < 1e4
    assert np.ptp(found, axis=0).max() > 0, "three pictures, three results"


@pytest.mark.parametrize("name", SMALL)
def test_documented_flops_are_those_counted_at_the_nominal_size(name: str) -> None:
    counted = flops(build(name), sizes=FIXED) / 1e9

    assert counted == pytest.approx(ZOO[name].gflops, rel=0.005)
    assert counted == pytest.approx(PUBLISHED_GFLOPS.get(name, counted), rel=0.05)


def test_flops_of_conv_transpose_gemm_and_matmul_follow_their_definition() -> None:
    text = """<ir_version: 8, opset_import: ["": 17]>
        g (float[1, 4, 5, 5] x, float[4, 6, 2, 2] w, float[7, 3] a, float[7, 2] b, float[2, 3, 8] p, float[8, 5] q)
        => (float[1, 6, 10, 10] y, float[3, 2] c, float[2, 3, 5] r) {
            y = ConvTranspose <strides = [2, 2]> (x, w)
            c = Gemm <transA = 1> (a, b)
            r = MatMul (p, q)
        }"""

    counted = flops(onnx.parser.parse_model(text))

    assert counted == 2 * (4 * 5 * 5 * 6 * 2 * 2 + 3 * 2 * 7 + 2 * 3 * 5 * 8)


def test_an_equal_seed_gives_the_same_bytes_and_another_one_other_weights() -> None:
    first, again, other = (build("yolov5n", size=SIZE_PX, seed=seed) for seed in (3, 3, 4))

    assert first.SerializeToString(deterministic=True) == again.SerializeToString(deterministic=True)
    assert first.SerializeToString(deterministic=True) != other.SerializeToString(deterministic=True)


@pytest.mark.parametrize("opset", [13, 21])
@pytest.mark.parametrize("name", ["mobilenetv3-large", "yolov5n-any-size", "yolov8n", "yolox-tiny"])
def test_oldest_and_newest_opset_give_what_the_default_one_gives(name: str, opset: int) -> None:
    expected = run(build(name, size=SIZE_PX))

    found = run(build(name, size=SIZE_PX, opset=opset))

    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)  # other fusions round otherwise


def test_decomposed_layer_norm_and_gelu_equal_the_single_nodes() -> None:
    models = [build("rtdetr-like", size=SIZE_PX, opset=opset) for opset in (16, 17, 20)]

    # the encoder's tokens: past TopK, rows may change places
    kinds = [{node.op_type for node in model.graph.node} for model in models]
    tokens = []
    for model in models:
        norm = [node for node in model.graph.node if node.name.startswith("/encoder/aifi/norm")][-1]
        model.graph.output.insert(0, onnx.ValueInfoProto(name=norm.output[0]))
        tokens.append(run(model))

    assert {"ReduceMean", "Erf"} <= kinds[0]
    assert {"LayerNormalization", "Erf"} <= kinds[1]
    assert {"LayerNormalization", "Gelu"} <= kinds[2]
    np.testing.assert_allclose(tokens[0], tokens[1], atol=1e-4)
    np.testing.assert_allclose(tokens[2], tokens[1], atol=1e-4)


def test_run_time_shapes_give_the_boxes_of_constant_ones() -> None:
    fixed, computed = build("yolov5n", size=192), build("yolov5n-any-size", size=SIZE_PX)

    np.testing.assert_allclose(run(computed, size=192), run(fixed, size=192), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["mobilenetv3-large", "yolov5n", "yolo11n", "rtdetr-like"])
def test_fp16_models_are_float16_throughout_and_run(name: str) -> None:
    model = build(name, size=SIZE_PX, storage="fp16")

    found = run(model, dtype=np.float16)

    scales = {node.input[2] for node in model.graph.node if node.op_type == "Resize"}  # float32 by the standard
    floats = {tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    assert floats == scales
    assert found.dtype == np.float16
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", ["mobilenetv2", "yolov5n"])
def test_int8_models_have_int8_weights_per_channel_and_stay_near_the_float_ones(name: str) -> None:
    model = build(name, size=SIZE_PX, storage="int8")

    found = run(model)

    onnx.checker.check_model(model)
    shapes = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {node.output[0]: node for node in model.graph.node}
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    dequantise = makers[conv.input[1]]
    assert shapes[dequantise.input[0]].data_type == onnx.TensorProto.INT8
    assert list(shapes[dequantise.input[1]].dims) == [shapes[dequantise.input[0]].dims[0]]
    expected = run(build(name, size=SIZE_PX))
    # 8 bits over some 60 layers: a few steps of 1/255 of the range
    assert np.abs(found - expected).mean() < 0.05 * expected.std()


def test_resnet_keeps_batch_normalisation_apart_from_its_convolutions() -> None:
    kinds = [node.op_type for node in build("resnet50", size=SIZE_PX).graph.node]

    assert kinds.count("BatchNormalization") == kinds.count("Conv") == 53


def test_shapes_of_a_dynamic_model_are_known_once_its_axes_have_sizes() -> None:
    model = build("yolov5n-any-size", batch=None)

    shapes = tensor_shapes(model, sizes={"batch": 2, "height": 256, "width": 320})

    assert shapes["/backbone.0/conv/Conv_output_0"] == (2, 16, 128, 160)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("yolov9", {}, "no model 'yolov9'"),
        ("rtdetr-like", {"opset": 13}, "opset 16 to 21, not 13"),
        ("yolov5n", {"size": 100}, "multiple of 32 px"),
        ("yolov5x6", {"size": 64}, "from 192 px"),
    ],
)
def test_what_the_zoo_cannot_build_is_said_in_one_line(name: str, options: dict[str, int], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        build(name, **options)
