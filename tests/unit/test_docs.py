"""The pages for people are true: what they name exists, what they show runs, and links lead somewhere."""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge import hookspecs
from edge.config import plan_from
from edge.registry import load_registry

REPO = Path(__file__).resolve().parents[2]
MUST = (
    "README.md",
    "CHANGELOG.md",
    "docs/onboarding.md",
    "docs/architecture.md",
    "docs/guarantees.md",
    "docs/plugins.md",
)
PAGES = sorted({*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md"), *(REPO / "examples").rglob("*.md")})
FENCE = re.compile(
    r"(?:<!-- (?P<mark>[^>]*?) -->\n)?^```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
# Paths of the machine this was written on.
MACHINE_PATH = re.compile(r"(?<![\w.-])/(?:work|root|home/(?!ranger\b)\w+)/")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. mark: the comment on the line above it, such as `cli-help` or `not run: why`."""

    page: Path
    line: int
    language: str
    mark: str
    body: str


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block of a page, in order."""
    text = page.read_text("utf-8")
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("body")) + 1
        yield Block(page, line, match["language"], (match["mark"] or "").strip(), match["body"])


def all_blocks(language: str) -> list[Block]:
    """Every block of this language in all pages."""
    return [block for page in PAGES for block in blocks(page) if block.language == language]


def without_code(text: str) -> str:
    """The text of a page without its fenced blocks, where a `#` is a comment and no heading."""
    return FENCE.sub("", text)


def anchor(heading: str) -> str:
    """The anchor that a Markdown reader gives a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.strip().replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor(each) for each in HEADING.findall(without_code(page.read_text("utf-8")))}


def relative(page: Path) -> str:
    return str(page.relative_to(REPO))


def hook_names() -> set[str]:
    return {name for name, value in inspect.getmembers(hookspecs, inspect.isfunction) if name.startswith("tigrillo_")}


def test_every_hook_has_a_heading_and_every_such_heading_a_hook():
    headings = HEADING.findall(without_code((REPO / "docs" / "plugins.md").read_text("utf-8")))

    named = {word for heading in headings for word in re.findall(r"tigrillo_\w+", heading)}

    assert len(hook_names()) == 7
    assert named == hook_names()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_python_blocks_run(page, tmp_path):
    runnable = [
        block for block in blocks(page) if block.language == "python" and not block.mark.startswith("not run: ")
    ]
    # Blank lines in front keep the page's own line numbers in a traceback.
    script = ""
    for block in runnable:
        script += "\n" * (block.line - 1 - script.count("\n")) + block.body
    file = tmp_path / page.with_suffix(".py").name
    file.write_text(script, "utf-8")

    done = subprocess.run(
        [sys.executable, "-W", "error", "-P", file.name], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, f"{relative(page)}: {done.stderr}"


def test_some_python_blocks_were_run():
    assert any(not block.mark.startswith("not run: ") for block in all_blocks("python"))


def test_a_block_that_is_not_run_says_why():
    marks = [block.mark for block in all_blocks("python") if block.mark]

    assert all(re.fullmatch(r"not run: .{10,}", mark) for mark in marks), marks


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page):
    broken = []
    for target in LINK.findall(without_code(page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        inside = place.exists() and place.is_relative_to(REPO)
        if not inside or (fragment and fragment not in anchors(place)):
            broken.append(target)

    assert not broken, broken


def test_pages_that_the_code_sends_its_reader_to_are_there():
    named = {
        (name, relative(path))
        for path in text_files()
        if path.suffix in {".py", ".yaml", ".toml", ".service", ".sh"}
        for name in re.findall(r"\bdocs/[\w/.-]+\.md\b", path.read_text("utf-8"))
    }

    assert named
    assert not [f"{name} (in {where})" for name, where in sorted(named) if not (REPO / name).is_file()]


def test_the_pages_that_must_be_there_are():
    missing = [name for name in MUST if not (REPO / name).is_file()]

    assert not missing, missing


def test_help_in_the_readme_is_what_the_command_prints():
    [shown] = [block.body for block in blocks(REPO / "README.md") if block.mark == "cli-help"]
    plain = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1", "TIGRILLO_LANG": "en"}
    without = {key: value for key, value in os.environ.items() if key not in {"FORCE_COLOR", "LANG", "LC_ALL"}}

    done = subprocess.run(
        [Path(sys.executable).with_name("tigrillo"), "--help"],
        env=without | plain | {"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert tidy(shown) == tidy(done.stdout)


def tidy(text: str) -> list[str]:
    """Lines without trailing blanks and without empty ones, which an editor may drop."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("block", [b for b in all_blocks("yaml") if b.mark == "site"], ids=lambda b: relative(b.page))
def test_sites_in_the_pages_pass_the_check(block):
    plan = plan_from(block.body, block.page.with_suffix(".yaml"), load_registry())

    assert plan.sources


def text_files() -> Iterator[Path]:
    """Every file a reader gets, as text: no build products, no pictures."""
    for name in (".ci", "configs", "docs", "edge", "examples", "kernels", "plugins", "raspberry_pi", "scripts"):
        yield from (REPO / name).rglob("*")
    for name in ("server", "systemd", "benchmarks", "tests"):
        yield from (REPO / name).rglob("*")
    yield from (REPO / name for name in ("README.md", "CHANGELOG.md", "Makefile", "pyproject.toml"))


def test_no_file_knows_the_machine_it_was_written_on():
    kinds = {".py", ".md", ".sh", ".toml", ".yaml", ".service", ".sysusers", ".tmpfiles", ".cl", ".po", ""}
    registries = ("pypi" + ".org", "files.python" + "hosted", "deb." + "debian.org", "registry." + "npmjs")
    found = []
    for path in text_files():
        if not path.is_file() or path.suffix not in kinds or "__pycache__" in path.parts:
            continue
        text = path.read_text("utf-8", errors="replace")
        found += [f"{relative(path)}: {match.group()}" for match in MACHINE_PATH.finditer(text)]
        found += [f"{relative(path)}: {host}" for host in registries if host in text]

    assert not found, found
