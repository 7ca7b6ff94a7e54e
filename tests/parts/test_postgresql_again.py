"""Tests that were written for SQLite, once more with PostgreSQL in its place (tests/postgres_instead.py)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
# What reads and writes most of the tables in few seconds; docs/database.md tells how to run more.
AGAIN = (
    "tests/parts/test_camtrap_export.py",
    "tests/parts/test_camtrap_import.py",
    "tests/parts/test_roster.py",
)
LONG = "not any_database"  # what Hypothesis tries a hundred times


@pytest.mark.timeout(120)
def test_what_holds_on_sqlite_holds_on_postgresql(postgres):
    options = ("-q", "--tb=short", "-p", "no:cacheprovider", "-k", LONG)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *AGAIN],
        cwd=REPO,
        env=os.environ | {"TIGRILLO_TEST_DATABASE": "postgresql"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-8_000:]
    assert " passed" in done.stdout
