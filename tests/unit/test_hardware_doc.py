"""docs/hardware.md holds the tables that `make gfx803` writes, and they know every kernel file."""

import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PAGE = REPO / "docs" / "hardware.md"
TABLES = re.compile(r"<!-- gfx803:start -->(.*)<!-- gfx803:end -->", re.DOTALL)


def test_the_tables_stand_between_their_marks():
    text = PAGE.read_text("utf-8")

    assert text.count("<!-- gfx803:start -->") == text.count("<!-- gfx803:end -->") == 1
    assert TABLES.search(text)


def test_the_tables_list_every_kernel_file():
    shown = TABLES.search(PAGE.read_text("utf-8"))[1]
    rows = set(re.findall(r"^\| ([\w.]+\.cl) \|", shown, re.MULTILINE))

    assert rows == {path.name for path in (REPO / "kernels").glob("*.cl")}, "run make gfx803"


def test_the_projection_says_what_it_is():
    assert "projection, not a measurement" in PAGE.read_text("utf-8").lower()
