"""docs/dependencies.md gives a reason for every dependency, with the range that pyproject.toml really asks for."""

import ast
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `(?P<name>[\w.-]+)` \| `(?P<range>[^`]*)` \| (?P<reason>.+?) \|$", re.MULTILINE)
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,]+\])?(?P<range>.*)")


def asked() -> dict[str, set[str]]:
    """Every requirement in pyproject.toml: name → ranges, extras of ourselves left out."""
    file = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))
    project = file["project"]
    lines = [*project["dependencies"], *file["build-system"]["requires"]]
    lines += [line for extra in project["optional-dependencies"].values() for line in extra]
    found: dict[str, set[str]] = {}
    for line in lines:
        match = REQUIREMENT.fullmatch(line)
        assert match, line
        if match["name"] != project["name"]:
            found.setdefault(match["name"], set()).add(match["range"])
    return found


def told() -> dict[str, tuple[str, str]]:
    """Every row of the page: name → (range, reason)."""
    text = (REPO / "docs" / "dependencies.md").read_text("utf-8")
    return {row["name"]: (row["range"], row["reason"]) for row in ROW.finditer(text)}


def test_every_dependency_has_a_row_and_every_row_a_dependency():
    assert set(told()) == set(asked())


def test_what_the_code_imports_is_asked_for_by_name():
    """Not only because another package brings it, for that one may drop it."""
    files = [path for room in ("edge", "plugins", "raspberry_pi", "server") for path in (REPO / room).rglob("*.py")]
    imported = {name for path in files for name in packages_of(ast.parse(path.read_text("utf-8")))}
    makers = packages_distributions()

    names = {plain(name) for name in asked()} | {"tigrillo"}
    unasked = {name for name in imported if name in makers and not names.intersection(map(plain, makers[name]))}

    assert not unasked


def packages_of(tree: ast.AST) -> set[str]:
    """The top names of the absolute imports."""
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    return {module.split(".")[0] for module in modules}


def plain(name: str) -> str:
    """A distribution's name as the indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_rows_name_the_range_that_pip_gets():
    rows = told()

    wrong = {name: ranges for name, ranges in asked().items() if {rows[name][0]} != ranges}

    assert not wrong, wrong


def test_every_row_gives_a_reason():
    short = [name for name, (_range, reason) in told().items() if len(reason.split()) < 4]

    assert not short, short
