"""The plugin in examples/plugin-template keeps the contract, and the registry takes it by its own entry point."""

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

from edge.registry import GROUP, load_registry

TEMPLATE = Path(__file__).resolve().parents[2] / "examples" / "plugin-template"


def test_its_own_tests_pass():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", "."]

    done = subprocess.run([*command, "."], cwd=TEMPLATE, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_registry_takes_it_by_the_entry_point_in_its_pyproject(monkeypatch):
    monkeypatch.syspath_prepend(TEMPLATE)
    declared = tomllib.loads((TEMPLATE / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"][GROUP]

    registry = load_registry([EntryPoint(name, module, GROUP) for name, module in declared.items()])

    assert registry.failures == {}
    assert list(registry.stages) == ["lens-cap"]
