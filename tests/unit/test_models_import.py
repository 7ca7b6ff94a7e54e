from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.errors import EdgeError, ModelError
from edge.models.class_names import categories_of, names_in_metadata, read_class_names
from edge.models.importing import Wishes, import_model
from edge.models.installed import InstalledModels, sha256_of

HW = (64, 96)
CELLS = 8 * 12 + 4 * 6 + 2 * 3
TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}


def model_with_outputs(
    path: Path,
    *outputs: np.ndarray,
    batch: int | str = "n",
    dtype: str = "float32",
    hw: tuple[int | str, int | str] = HW,
    names: object = None,
    **metadata: str,
) -> Path:
    """A small ONNX that gives these arrays for every picture of a batch, whatever the picture shows."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Sub", ["mean", "mean"], ["nothing"]),
    ]
    constants, infos = [], []
    for index, output in enumerate(outputs):
        constants += [
            numpy_helper.from_array(output[None].astype(dtype), f"constant{index}"),
            numpy_helper.from_array(np.array([-1] + [1] * output.ndim, np.int64), f"shape{index}"),
        ]
        nodes += [
            helper.make_node("Reshape", ["nothing", f"shape{index}"], [f"zero{index}"]),
            helper.make_node("Add", [f"zero{index}", f"constant{index}"], [f"out{index}"]),
        ]
        infos.append(helper.make_tensor_value_info(f"out{index}", TYPES[dtype], [batch, *output.shape]))
    graph = helper.make_graph(
        nodes,
        "fixed",
        [helper.make_tensor_value_info("images", TYPES[dtype], [batch, 3, *hw])],
        infos,
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {**metadata, **({"names": str(names)} if names else {})})
    onnx.save(model, path)
    return path


def rows(count: int, columns: int) -> np.ndarray:
    return np.zeros((count, columns))


NAMES = {0: "animal", 1: "person"}


def test_the_real_yolov5n_is_imported_as_it_is(yolov5n_onnx: Path, tmp_path: Path) -> None:
    card = import_model(yolov5n_onnx, tmp_path)

    assert (card.name, card.task, card.decoder, card.input_hw) == ("yolov5n", "detect", "yolov5", (640, 640))
    assert (card.colour, card.mean, card.std) == ("rgb", (0, 0, 0), (255, 255, 255))
    assert (card.resize, card.fill) == ("letterbox-centre", 114)
    assert len(card.classes) == 80
    assert card.classes[0] == "person"
    assert {card.categories[name] for name in ("bird", "elephant", "bear")} == {"animal"}
    assert card.categories["person"] == "person"
    assert card.categories["truck"] == "vehicle"
    assert "bench" not in card.categories
    assert card.sha256 == sha256_of(yolov5n_onnx)
    assert InstalledModels(tmp_path).verify("yolov5n") == card


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("batch", ["n", 1, 4])
@pytest.mark.parametrize(
    ("output", "decoder"),
    [
        (rows(3 * CELLS, 7), "yolov5"),
        (rows(CELLS, 7), "yolox"),
        (rows(6, CELLS), "yolov8"),
    ],
)
def test_the_head_is_told_from_the_output_whatever_type_and_batch(
    tmp_path: Path, output: np.ndarray, decoder: str, batch: int | str, dtype: str
) -> None:
    path = model_with_outputs(tmp_path / "a.onnx", output, batch=batch, dtype=dtype, names=NAMES)

    card = import_model(path, tmp_path / "models")

    assert (card.decoder, card.input_hw, card.classes) == (decoder, HW, ("animal", "person"))
    assert card.note == "Has no vehicle class, so none are reported."


def test_the_four_grids_of_megadetector_are_known(tmp_path: Path) -> None:
    hw, cells = (128, 64), 16 * 8 + 8 * 4 + 4 * 2 + 2 * 1
    names = {0: "animal", 1: "person", 2: "vehicle"}
    path = model_with_outputs(tmp_path / "md.onnx", rows(3 * cells, 8), hw=hw, names=names)

    card = import_model(path, tmp_path / "models", name="megadetector-v5a")

    assert card.decoder == "yolov5"
    assert card.note == ""
    assert dict(card.categories) == {each: each for each in ("animal", "person", "vehicle")}


@pytest.mark.parametrize("decoded", [True, False])
def test_a_yolox_export_is_seen_to_be_raw_or_decoded(tmp_path: Path, decoded: bool) -> None:
    output = rows(CELLS, 6)
    output[:, 0] = np.linspace(0, HW[1] if decoded else 2, CELLS)
    path = model_with_outputs(tmp_path / "a.onnx", output, names=["animal"])

    card = import_model(path, tmp_path / "models")

    assert card.options == {"decoded": decoded}
    assert (card.colour, card.std, card.resize, card.fill) == ("bgr", (1, 1, 1), "letterbox-topleft", 114)


@pytest.mark.parametrize(
    ("scores", "activation"), [([0.5, 0.25, 0.25], "none"), ([2.0, -1.0, 0.5], "softmax"), ([0.0, 0.0, 0.0], "softmax")]
)
def test_a_classifier_is_seen_to_give_probabilities_or_logits(
    tmp_path: Path, scores: list[float], activation: str
) -> None:
    path = model_with_outputs(tmp_path / "a.onnx", np.array(scores), names=["fox", "bear", "stone"])

    card = import_model(path, tmp_path / "models")

    assert (card.task, card.decoder, card.resize) == ("classify", "classifier", "square-crop")
    assert card.options == {"activation": activation}
    assert card.mean == (123.675, 116.28, 103.53)


def test_wishes_go_before_what_the_file_says(tmp_path: Path) -> None:
    path = model_with_outputs(tmp_path / "a.onnx", rows(3 * CELLS, 7), names=NAMES, license="x")
    wishes = Wishes(
        classes=("tapir", "peccary"), categories={"*": "animal"}, licence="CC0-1.0", settings={"min_score": 0.4}
    )

    card = import_model(path, tmp_path / "models", name="mine", wishes=wishes)

    assert (card.classes, card.licence, card.min_score) == (("tapir", "peccary"), "CC0-1.0", 0.4)
    assert set(card.categories.values()) == {"animal"}


def test_a_model_of_any_size_takes_the_size_it_is_told(tmp_path: Path) -> None:
    path = model_with_outputs(tmp_path / "a.onnx", rows(3 * CELLS, 7), hw=("h", "w"), names=NAMES)

    with pytest.raises(ModelError, match="say which with --size"):
        import_model(path, tmp_path / "models")
    card = import_model(path, tmp_path / "models", wishes=Wishes(input_hw=HW))

    assert card.input_hw == HW


def test_the_size_that_ultralytics_notes_is_taken(tmp_path: Path) -> None:
    path = model_with_outputs(tmp_path / "a.onnx", rows(3 * CELLS, 7), hw=("h", "w"), names=NAMES, imgsz=str(list(HW)))

    assert import_model(path, tmp_path / "models").input_hw == HW


REFUSED = {
    "boxes after NMS": ([rows(300, 6)], {"names": NAMES}, "of no supported head"),
    "masks beside boxes": ([rows(36 + 2, CELLS)], {"names": NAMES}, "there are 2 names"),
    "another task": ([rows(6, CELLS)], {"names": NAMES, "task": "pose"}, "made for 'pose'"),
    "a picture": ([np.zeros((3, 64, 96))], {}, "of no supported head"),
    "two scores": ([np.zeros(3), np.zeros(4)], {}, "of no supported head"),
    "one score": ([np.zeros(1)], {}, "of no supported head"),
    "no names": ([rows(3 * CELLS, 7)], {}, "pass --classes FILE"),
    "too many names": ([rows(3 * CELLS, 7)], {"names": ["a", "b", "c"]}, "there are 3 names"),
    "names twice": ([rows(3 * CELLS, 7)], {"names": ["a", "a"]}, "class 'a' is there twice"),
    "names that are code": ([rows(3 * CELLS, 7)], {"names": "__import__('os').mkdir('owned')"}, "no list of classes"),
    "names nested too deep": ([rows(3 * CELLS, 7)], {"names": "[" * 5000}, "no list of classes"),
    "unknown classes": ([rows(3 * CELLS, 7)], {"names": ["rock", "tree"]}, "--category 'rock'=animal"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_is_not_supported_is_refused_in_one_line_and_leaves_nothing(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outputs, options, says = REFUSED[case]
    path = model_with_outputs(tmp_path / "a.onnx", *outputs, **options)

    with pytest.raises(ModelError) as refused:
        import_model(path, tmp_path / "models")

    assert says in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 78
    assert list((tmp_path / "models").iterdir()) == []
    assert not (tmp_path / "owned").exists()


def test_a_wished_decoder_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = model_with_outputs(tmp_path / "a.onnx", rows(3 * CELLS, 7), names=NAMES)

    with pytest.raises(ModelError, match="of no head 'yolov8'"):
        import_model(path, tmp_path / "models", wishes=Wishes(decoder="yolov8"))
    with pytest.raises(ModelError, match="decoder 'yolo99' is unknown"):
        import_model(path, tmp_path / "models", wishes=Wishes(decoder="yolo99"))
    with pytest.raises(ModelError, match="of no head 'classify'"):
        import_model(path, tmp_path / "models", wishes=Wishes(task="classify"))


@pytest.mark.parametrize("body", [b"", b"garbage", bytes(1000), b"<html>not found</html>"], ids=repr)
def test_a_file_that_is_no_onnx_is_refused_and_leaves_nothing(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(body)

    with pytest.raises(ModelError, match=r"a\.onnx: (no ONNX model|it takes nothing)"):
        import_model(path, tmp_path / "models")

    assert list((tmp_path / "models").iterdir()) == []


def test_a_truncated_onnx_is_refused(yolov5n_onnx: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(yolov5n_onnx.read_bytes()[:2_000_000])

    with pytest.raises(EdgeError, match=r"cut\.onnx"):
        import_model(path, tmp_path / "models")

    assert list((tmp_path / "models").iterdir()) == []


def test_a_pictures_last_axis_layout_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2], keepdims=0)],
        "nhwc",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 224, 224, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "a.onnx")

    with pytest.raises(ModelError, match="export it as NCHW"):
        import_model(tmp_path / "a.onnx", tmp_path / "models")


def test_a_torch_file_is_told_how_to_become_onnx(tmp_path: Path) -> None:
    (tmp_path / "md_v5a.0.0.pt").write_bytes(b"PK")

    with pytest.raises(ModelError, match=r"not an \.onnx file; export it to ONNX first"):
        import_model(tmp_path / "md_v5a.0.0.pt", tmp_path / "models")


@pytest.mark.parametrize("name", ["../evil", ".hidden", "a/b", "x" * 65])
def test_a_name_can_not_leave_the_models_folder(tmp_path: Path, name: str) -> None:
    path = model_with_outputs(tmp_path / "a.onnx", rows(3 * CELLS, 7), names=NAMES)

    with pytest.raises(ModelError, match="can't name a model"):
        import_model(path, tmp_path / "models", name=name)


def test_an_installed_model_is_not_overwritten(tmp_path: Path) -> None:
    path = model_with_outputs(tmp_path / "a.onnx", rows(3 * CELLS, 7), names=NAMES)
    first = import_model(path, tmp_path / "models")

    with pytest.raises(ModelError, match="installed already"):
        import_model(model_with_outputs(tmp_path / "a.onnx", rows(6, CELLS), names=NAMES), tmp_path / "models")

    assert InstalledModels(tmp_path / "models").verify("a") == first


def test_class_names_come_from_a_file_or_a_known_table(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("tapir\n\n  jaguar \n", encoding="utf-8")

    assert read_class_names(str(tmp_path / "names.txt")) == ("tapir", "jaguar")
    assert len(set(read_class_names("coco"))) == 80
    assert len(read_class_names("imagenet")) == 1000
    with pytest.raises(ModelError, match="neither a file of class names nor a table"):
        read_class_names("nothing")
    with pytest.raises(ModelError, match="can't be read as class names"):
        read_class_names(str(tmp_path / "absent.txt"))


@pytest.mark.parametrize(
    "text", ["{0: 'a', 2: 'b'}", "{'x': 'a'}", "{0: 1}", "['']", "3", "{1: 'a', 0: 'b'", "{[]: 1}", "'" * 3], ids=repr
)
def test_strange_names_in_metadata_are_refused(text: str) -> None:
    with pytest.raises(ModelError, match="no list of classes"):
        names_in_metadata({"names": text}, where="a.onnx")


def test_a_category_for_a_class_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelError, match="there is no such class"):
        categories_of(["tapir"], {"taipr": "animal"}, where="a.onnx")
