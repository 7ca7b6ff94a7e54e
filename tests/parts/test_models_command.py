import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from edge.commands.models import app
from edge.errors import ModelError
from edge.models.taxa import taxon_named
from edge.models.taxonomy import load_taxonomy
from tests.unit.test_models_import import model_with_outputs

runner = CliRunner()


def tigrillo_models(*arguments: str, folder: Path) -> Any:
    return runner.invoke(app, [*arguments, "--folder", str(folder)])


@pytest.mark.parametrize("command", ["list", "show", "pull", "verify", "import"])
def test_every_subcommand_explains_itself(command: str) -> None:
    answer = runner.invoke(app, [command, "--help"], terminal_width=100)

    assert answer.exit_code == 0
    assert "--json" in answer.output


def test_list_shows_what_is_installed_and_what_can_be_pulled(models_dir: Path, tmp_path: Path) -> None:
    listed = json.loads(tigrillo_models("list", "--json", folder=models_dir).output)["models"]
    empty = tigrillo_models("list", folder=tmp_path)

    rows = {row["name"]: row for row in listed}
    assert rows["megadetector-lite"]["installed"]
    assert rows["megadetector-lite"]["licence"] == "MIT"
    assert rows["megadetector-v5a"]["in_catalogue"]
    assert not rows["resnet50"]["installed"]
    assert "megadetector-lite" in empty.output


def test_list_shows_a_broken_card_and_the_other_models(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "card.toml").write_text("nonsense", encoding="utf-8")

    answer = tigrillo_models("list", "--json", folder=tmp_path)

    rows = {row["name"]: row for row in json.loads(answer.output)["models"]}
    assert "can't be read as TOML" in rows["mine"]["summary"]
    assert "efficientnet-lite0" in rows


def test_show_gives_the_card_or_the_catalogue_s_entry(models_dir: Path, tmp_path: Path) -> None:
    card = json.loads(tigrillo_models("show", "efficientnet-lite0", "--json", folder=models_dir).output)
    entry = json.loads(tigrillo_models("show", "yolov5s", "--json", folder=tmp_path).output)
    page = tigrillo_models("show", "efficientnet-lite0", folder=models_dir).output

    assert card["installed"]
    assert len(card["classes"]) == 1000
    assert not entry["installed"]
    assert entry["licence"] == "AGPL-3.0"
    assert "(1000)" in page


def test_import_then_verify_then_a_changed_file_exits_78(yolov5n_onnx: Path, tmp_path: Path) -> None:
    imported = tigrillo_models("import", str(yolov5n_onnx), "--name", "mine", "--json", folder=tmp_path)
    right = tigrillo_models("verify", folder=tmp_path)
    with (tmp_path / "mine" / "model.onnx").open("ab") as file:
        file.write(b"!")
    wrong = tigrillo_models("verify", "--json", folder=tmp_path)

    assert json.loads(imported.output)["decoder"] == "yolov5"
    assert (right.exit_code, right.output) == (0, "mine: right\n")
    assert wrong.exit_code == 78
    assert json.loads(wrong.stdout)[0]["ok"] is False


def test_import_says_what_it_found_and_where_to_correct_it(yolov5n_onnx: Path, tmp_path: Path) -> None:
    answer = tigrillo_models("import", str(yolov5n_onnx), "--category", "bench=vehicle", folder=tmp_path)

    assert "yolov5 head, input 640×640, 80 classes" in answer.output
    assert str(tmp_path / "yolov5n" / "card.toml") in answer.output
    card = json.loads(tigrillo_models("show", "yolov5n", "--json", folder=tmp_path).output)
    assert card["categories"]["bench"] == "vehicle"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--category", "tapir"), "CLASS=animal"),
        (("--category", "tapir=bird"), "CLASS=animal"),
        (("--size", "big"), "write pixels as 640"),
        (("--size", "1x2x3"), "write pixels as 640"),
        (("--size", "320"), "it takes 640×640 only"),
        (("--classes", "imagenet"), "there are 1000 names"),
        (("--name", "../x"), "can't name a model"),
    ],
)
def test_wrong_options_of_import_are_one_clear_line(
    yolov5n_onnx: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    answer = tigrillo_models("import", str(yolov5n_onnx), *arguments, folder=tmp_path / "models")

    assert isinstance(answer.exception, ModelError)
    assert says in str(answer.exception)
    assert not any((tmp_path / "models").glob("*"))


def test_pull_of_what_is_there_says_so(models_dir: Path) -> None:
    said = tigrillo_models("pull", folder=models_dir)
    as_json = tigrillo_models("pull", "megadetector-lite", "--json", folder=models_dir)

    assert said.stdout.count("is there already, hash right") == 2
    assert json.loads(as_json.stdout)[0]["fresh"] is False


def test_the_real_command_ends_with_one_line_and_exit_code_78(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"garbage")

    done = subprocess.run(
        [sys.executable, "-m", "edge.cli", "models", "import", "a.onnx", "--folder", "models"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.startswith("a.onnx: no ONNX model")
    assert done.stderr.count("\n") == 1
    assert list((tmp_path / "models").iterdir()) == []


def test_an_export_of_a_model_that_the_catalogue_knows_gets_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tmp_path / "labels.txt"
    lines = ["a;mammalia;carnivora;felidae;leopardus;pardalis;ocelot", "b;;;;;;blank", "c;mammalia;rodentia;;;;rodent"]
    labels.write_text("\n".join(lines), "utf-8")
    path = model_with_outputs(tmp_path / "export.onnx", np.array([2.0, -1.0, 0.5]))

    answer = tigrillo_models(
        "import", str(path), "--name", "speciesnet", "--classes", str(labels), "--json", folder=tmp_path / "models"
    )

    card = json.loads(answer.output)
    assert (card["licence"], card["taxonomy"], card["crop_margin"]) == ("Apache-2.0", "speciesnet", 0.0)
    assert (card["std"], card["classes"]) == ([255.0] * 3, lines)
    monkeypatch.setenv("TIGRILLO_MODELS", str(tmp_path / "models"))
    load_taxonomy.cache_clear()
    assert load_taxonomy("speciesnet").taxon_of(lines[0]) == taxon_named("ocelot")
    load_taxonomy.cache_clear()
