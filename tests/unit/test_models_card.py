import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from edge.errors import ModelError
from edge.model import Card
from edge.models.card import KEYS, check_card, read_card, write_card
from edge.models.catalog import find_entry, read_catalogue
from edge.models.installed import InstalledModels, sha256_of

REPO = Path(__file__).resolve().parents[2]
VALUES = {
    "name": "ocelot",
    "task": "detect",
    "decoder": "yolov5",
    "licence": "MIT",
    "source": "here",
    "sha256": "0" * 64,
    "input_hw": [64, 96],
    "classes": ["animal", "person"],
    "categories": {"animal": "animal"},
}


def test_a_card_that_was_written_reads_back_equal(tmp_path: Path) -> None:
    card = Card(
        name="ocelot",
        task="detect",
        decoder="yolox",
        licence="MIT",
        source="here",
        sha256="ab" * 32,
        input_hw=(480, 640),
        colour="bgr",
        mean=(1.0, 2.0, 3.0),
        std=(4.0, 5.0, 6.0),
        resize="letterbox-topleft",
        fill=0,
        classes=("animal", "señal [x]"),
        categories={"animal": "animal"},
        note="Sin personas.",
        options={"decoded": True, "scale": 0.5},
        folder=tmp_path,
    )

    write_card(card)

    assert read_card(tmp_path) == card


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"min_scor": 0.3}, "unknown key 'min_scor'; did you mean 'min_score'?"),
        ({"sha256": "abc"}, "sha256: 64 hexadecimal digits"),
        ({"task": "segment"}, "task: Input should be 'detect' or 'classify', got 'segment'"),
        ({"input_hw": [640]}, "input_hw"),
        ({"input_hw": [0, 640]}, "input_hw: height and width in pixels, at least 1"),
        ({"min_score": 1.5}, "min_score: 0..1, got 1.5"),
        ({"min_score": float("nan")}, "min_score: 0..1, got nan"),
        ({"std": [1.0, 0.0, 1.0]}, "std: greater than 0"),
        ({"fill": 256}, "fill: a grey value 0..255"),
        ({"classes": ["a", "a"], "categories": {"a": "animal"}}, "classes: each name once, 'a' is there twice"),
        ({"categories": {"tapir": "animal"}}, "categories: 'tapir' is none of the classes"),
        ({"categories": {"animal": "bird"}}, "categories.animal"),
        ({"categories": {}}, "categories: a detector needs at least one class"),
        ({"name": "../etc"}, "name: letters, digits"),
    ],
)
def test_a_wrong_card_is_refused_with_file_key_and_what_is_right(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    (tmp_path / "card.toml").write_text(tomli_w.dumps({**VALUES, **change}), encoding="utf-8")

    with pytest.raises(ModelError) as refused:
        read_card(tmp_path)

    assert str(tmp_path / "card.toml") in str(refused.value)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_card_without_a_needed_key_names_it(tmp_path: Path) -> None:
    values = {key: value for key, value in VALUES.items() if key != "decoder"}
    (tmp_path / "card.toml").write_text(tomli_w.dumps(values), encoding="utf-8")

    with pytest.raises(ModelError, match="key 'decoder' is missing"):
        read_card(tmp_path)


def test_a_card_that_is_no_toml_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_bytes(b"\xff\xfename = 3")

    with pytest.raises(ModelError, match=r"card\.toml: can't be read as TOML"):
        read_card(tmp_path)


def test_a_wrong_card_is_not_written(tmp_path: Path) -> None:
    card = replace(check_card(VALUES, where="here"), folder=tmp_path, min_score=2.0)

    with pytest.raises(ModelError):
        write_card(card)

    assert list(tmp_path.iterdir()) == []


def install(folder: Path, name: str, body: bytes = b"model") -> Path:
    model = folder / name
    model.mkdir(parents=True)
    (model / "model.onnx").write_bytes(body)
    card = check_card({**VALUES, "name": name, "sha256": sha256_of(model / "model.onnx")}, where="here")
    write_card(replace(card, folder=model))
    return model


def test_an_absent_model_names_the_command_that_brings_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="tigrillo models pull megadetector-lite"):
        InstalledModels(tmp_path / "nowhere").card("megadetector-lite")


def test_a_model_name_can_not_leave_the_folder(tmp_path: Path) -> None:
    install(tmp_path, "secret")

    with pytest.raises(ModelError, match="letters, digits"):
        InstalledModels(tmp_path / "models").card("../secret")


def test_installed_models_are_listed_and_verified(tmp_path: Path) -> None:
    install(tmp_path, "b")
    install(tmp_path, "a")
    (tmp_path / ".work-x").mkdir()
    models = InstalledModels(tmp_path)

    assert models.names() == ["a", "b"]
    assert models.verify("a").folder == tmp_path / "a"


def test_a_changed_model_file_fails_its_verification(tmp_path: Path) -> None:
    (install(tmp_path, "a") / "model.onnx").write_bytes(b"other")

    with pytest.raises(ModelError, match=r"sha256 is .* its card says"):
        InstalledModels(tmp_path).verify("a")


def test_a_card_in_the_folder_of_another_name_is_refused(tmp_path: Path) -> None:
    install(tmp_path, "a").rename(tmp_path / "b")

    with pytest.raises(ModelError, match="must be 'b' like its folder"):
        InstalledModels(tmp_path).card("b")


def test_every_catalogue_entry_names_licence_page_and_origin() -> None:
    catalogue = read_catalogue()

    assert [name for name, entry in catalogue.items() if entry.default] == ["megadetector-lite", "efficientnet-lite0"]
    assert {"yolov5n", "yolov5s", "megadetector-v5a", "megadetector-v5b", "mobilenetv2", "resnet50"} <= set(catalogue)
    for entry in catalogue.values():
        assert entry.licence
        assert entry.page.startswith("https://")
        assert entry.origin.sha256 or entry.name in {"yolov5s", "speciesnet", "deepfaune"}  # nobody published one
        assert bool(entry.origin.bytes) == bool(entry.origin.sha256)


def test_the_default_models_have_cards_that_say_what_they_can_not_see(models_dir: Path) -> None:
    detector = InstalledModels(models_dir).verify("megadetector-lite")
    classifier = InstalledModels(models_dir).verify("efficientnet-lite0")

    assert detector.categories == {"animal": "animal"}
    assert "no person or vehicle" in detector.note
    assert (detector.mean, detector.std, detector.fill) == ((0, 0, 0), (1, 1, 1), 0)
    assert detector.options == {"decoded": True}
    assert len(set(classifier.classes)) == 1000
    assert (classifier.mean, classifier.std) == ((127, 127, 127), (128, 128, 128))
    assert tomllib.loads((models_dir / "megadetector-lite" / "card.toml").read_text())["licence"] == "MIT"


def test_a_misspelt_model_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ModelError, match="did you mean 'megadetector-lite'"):
        find_entry("megadetector-light", read_catalogue())


def test_the_card_in_the_docs_is_a_valid_card_with_every_key() -> None:
    page = (REPO / "docs" / "models.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)

    card = check_card(tomllib.loads(block), where="docs/models.md")

    assert card.name == "megadetector-lite"
    assert set(tomllib.loads(block)) == set(KEYS)


def test_the_docs_list_the_catalogue_with_its_licences() -> None:
    page = (REPO / "docs" / "models.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([\w-]+) \|.*?\| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE))

    for name, entry in read_catalogue().items():
        assert rows[name].strip() == ("see its page" if entry.licence.startswith("none") else entry.licence)
