"""The package as strangers get it: built, installed into an empty environment elsewhere, and run there."""

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PIP = ("-m", "pip", "-qq", "--disable-pip-version-check")
# What is not code and must travel with it.
DATA = {
    "edge/_kernels/README.md",
    "edge/_configs/en/site.yaml",
    "edge/_configs/es/site.yaml",
    "edge/_systemd/tigrillo.service",
    "edge/_systemd/tigrillo-agent.service",
    "edge/locale/es.po",
    "edge/models/catalog.toml",
    "edge/models/data/imagenet.csv",
    "edge/store/migrations/env.py",
    "edge/py.typed",
}
ROOMS = {"edge", "plugins", "server", "raspberry_pi"}

pytestmark = pytest.mark.timeout(300)  # because pip unpacks half a gigabyte


def clean_environment() -> dict[str, str]:
    """Ours without what would lead an installed program back to this checkout."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "COV_"))}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel; the wheel is built from the sdist, so that is whole too."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, REPO, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [path] = built.glob("tigrillo-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that has nothing but the wheel and what it depends on."""
    home = tmp_path_factory.mktemp("elsewhere")
    venv.create(home / "venv", with_pip=False, symlinks=True)
    python = home / "venv/bin/python"
    run(sys.executable, *PIP, "--python", python, "install", "--no-compile", wheel, cwd=home)
    return python.parent


def test_the_wheel_has_the_four_rooms_and_their_data_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())

    assert names >= DATA
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == ROOMS
    assert any(name.startswith("edge/store/migrations/versions/") for name in names)
    assert not [name for name in names if name.endswith((".onnx", ".pth", ".pyc", ".sqlite"))]


def test_the_sdist_leaves_out_what_was_built_or_fetched(built):
    [path] = built.glob("tigrillo-*.tar.gz")

    with tarfile.open(path) as archive:
        folders = {name.split("/")[1] for name in archive.getnames() if "/" in name}

    assert {"edge", "tests", "docs", "kernels", "configs", "systemd", "LICENSE"} <= folders
    assert not folders & {".venv", ".cache", ".git", "shared", "dist"}
    assert path.stat().st_size < 5_000_000


def test_the_installed_command_runs_elsewhere(installed, tmp_path):
    text = run(installed / "tigrillo", "--help", cwd=tmp_path)
    where = run(installed / "python", "-c", "import edge, os; print(os.path.realpath(edge.__file__))", cwd=tmp_path)

    assert "process" in text
    assert Path(where.strip()).is_relative_to(installed.parent.resolve())


def test_every_built_in_plugin_is_found_and_can_be_imported(installed, tmp_path):
    listed = json.loads(run(installed / "tigrillo", "plugins", "--json", cwd=tmp_path))

    assert listed["failures"] == {}
    assert {"watch", "mqtt", "replay"} <= set(listed["sources"])
    assert {"motion", "detect", "classify", "rollup"} <= set(listed["stages"])
    assert {"yolov5", "yolov8", "yolox", "classifier"} <= set(listed["decoders"])
    assert {"console", "email"} <= set(listed["notifiers"])
    assert "megadetector" in listed["exporters"]


def test_a_starter_site_from_the_wheels_own_data_passes_the_check(installed, tmp_path):
    run(installed / "tigrillo", "init", "my-site", cwd=tmp_path)

    assert "my-site/site.yaml" in run(installed / "tigrillo", "check", "my-site/site.yaml", cwd=tmp_path)


def test_a_third_partys_plugin_is_there_once_it_is_installed(installed, tmp_path):
    source = REPO / "examples" / "plugin-template"
    run(sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", tmp_path, source, cwd=tmp_path)
    [plugin] = tmp_path.glob("tigrillo_lens_cap-*.whl")

    run(sys.executable, *PIP, "--python", installed / "python", "install", plugin, cwd=tmp_path)

    listed = json.loads(run(installed / "tigrillo", "plugins", "--json", cwd=tmp_path))
    assert "lens-cap" in listed["stages"]
    assert listed["failures"] == {}
