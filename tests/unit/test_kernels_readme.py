"""kernels/README.md lists every kernel, and every kernel names a twin that exists."""

import importlib
import re
from pathlib import Path

import pytest

KERNELS = Path(__file__).resolve().parents[2] / "kernels"
FILES = sorted(path.name for path in KERNELS.glob("*.cl"))
README = (KERNELS / "README.md").read_text(encoding="utf-8")
NAME = re.compile(r"(?:edge|plugins|numpy|onnx)\.[\w.]+")


def header(name: str) -> str:
    lines = (KERNELS / name).read_text(encoding="utf-8").splitlines()
    return " ".join(line.removeprefix("//").strip() for line in lines if line.startswith("//"))


def resolve(dotted: str) -> object:
    """The object of a dotted name; raises ImportError or AttributeError."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ImportError(dotted)


def test_readme_lists_every_kernel_and_none_that_is_gone() -> None:
    assert set(re.findall(r"^\| `([\w.]+)` \|", README, re.MULTILINE)) == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_what_launches_names_a_twin_that_exists(name: str) -> None:
    text = header(name)
    launches = "__kernel" in (KERNELS / name).read_text(encoding="utf-8")

    twins = NAME.findall(text.partition("twin:")[2])

    assert twins or not launches, f"{name} has a kernel and names no twin"
    for twin in twins:
        assert resolve(twin.rstrip(".")) is not None
