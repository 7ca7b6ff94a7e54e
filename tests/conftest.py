"""What all tests share: where the models and the real media lie, and that CI never skips."""

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.postgres_instead import OF_SQLITE, Instead, instead_of_sqlite
from tests.postgres_rig import Postgres, programs, serving

REPO = Path(__file__).resolve().parent.parent
SHARED = REPO.parent / "shared"
ON_POSTGRESQL = os.environ.get("TIGRILLO_TEST_DATABASE") == "postgresql"  # tests/postgres_instead.py
IN_CI = os.environ.get("CI") == "true"

os.environ.setdefault("TIGRILLO_MODELS", str(REPO / ".cache" / "models"))
os.environ["TIGRILLO_LANG"] = "en"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the place of SQLite, PostgreSQL is not asked what only SQLite can answer."""
    if not ON_POSTGRESQL:
        return
    left_out = [each for each in items if getattr(each, "originalname", "") in OF_SQLITE.get(each.path.stem, ())]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [each for each in items if each not in left_out]


def need(present: bool, what: str) -> None:
    """Fail in CI, skip elsewhere, when something a test needs is not there."""
    if present:
        return
    if IN_CI:
        pytest.fail(f"{what} is missing, and CI never skips")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """The real camera-trap media beside the project."""
    folder = SHARED / "media"
    need(folder.is_dir(), "../shared/media")
    return folder


@pytest.fixture(scope="session")
def camtrap_specs() -> Path:
    """The published schemas of Camtrap DP 1.0.2."""
    folder = SHARED / "specs" / "camtrap-dp-1.0.2"
    need(folder.is_dir(), "../shared/specs/camtrap-dp-1.0.2")
    return folder


@pytest.fixture(scope="session")
def yolov5n_onnx() -> Path:
    """A real YOLOv5n export, float16 in and out."""
    path = SHARED / "models" / "yolov5n.onnx"
    need(path.is_file(), "../shared/models/yolov5n.onnx")
    return path


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder with the two default models installed."""
    folder = Path(os.environ["TIGRILLO_MODELS"])
    need((folder / "megadetector-lite" / "model.onnx").is_file(), "model megadetector-lite (run: make models)")
    need((folder / "efficientnet-lite0" / "model.onnx").is_file(), "model efficientnet-lite0 (run: make models)")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL; it starts with the first test that asks for it, in 1 s."""
    folder = programs()
    need(folder is not None, "PostgreSQL (Debian package postgresql-15)")
    with serving(folder) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The SQLAlchemy address of a new database of the one kind and of the other; SQLite's file is not made yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'site.sqlite'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.emptied()


@pytest.fixture(scope="session", autouse=True)
def _instead(request: pytest.FixtureRequest) -> Iterator[Instead | None]:
    if not ON_POSTGRESQL:
        yield None
        return
    with instead_of_sqlite(request.getfixturevalue("postgres")) as instead:
        yield instead


@pytest.fixture(autouse=True)
def _instead_for_a_test(_instead: Instead | None) -> Iterator[None]:
    with _instead.for_a_test() if _instead else nullcontext():
        yield


@pytest.fixture(scope="session", name="need")
def need_fixture() -> Callable[[bool, str], None]:
    """`need` for test files, which can't import this one."""
    return need
