"""A plugin that breaks anywhere is named with its place, and stops nobody else."""

from contextlib import contextmanager
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from edge.errors import ConfigError
from edge.pipeline.built import built
from edge.pipeline.runner import Failed, Runner, attempt
from edge.registry import load_registry
from edge.testing import grey_picture


def registry_with(tmp_path, monkeypatch, name: str, code: str):
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    return load_registry([EntryPoint(name, name, "tigrillo.plugins")])


def test_a_hook_that_raises_is_a_failure_of_its_plugin(tmp_path, monkeypatch):
    code = "from edge.api import hookimpl\n@hookimpl\ndef tigrillo_stages():\n    return 1 / 0\n"

    registry = registry_with(tmp_path, monkeypatch, "broken_hook", code)

    assert registry.stages == {}
    assert registry.failures == {"broken_hook": "tigrillo_stages: ZeroDivisionError: division by zero"}


def test_a_plugin_that_leaves_the_program_at_import_is_a_failure(tmp_path, monkeypatch):
    registry = registry_with(tmp_path, monkeypatch, "broken_quits", "raise SystemExit(5)\n")

    assert registry.failures == {"broken_quits": "broken_quits: SystemExit: 5"}


def test_a_bug_is_told_with_its_place():
    result = attempt(lambda: 1 / 0)

    assert isinstance(result, Failed)
    assert result.reaction == "bug"
    assert result.reason.startswith("ZeroDivisionError: division by zero (test_broken_plugins.py:")


def test_a_stage_that_leaves_the_program_is_a_bug_of_that_frame():
    def leave() -> None:
        raise SystemExit(3)

    assert isinstance(attempt(leave), Failed)


def test_a_stage_that_returns_nothing_is_named(tmp_path):
    class Still:
        frame_rate, damage = None, ""

        def __iter__(self):
            yield 0, 0.0, grey_picture()

    @contextmanager
    def open_still(_path, _kind):
        yield Still()

    runner = Runner(SimpleNamespace(open=open_still), [("forgetful", lambda _frame: None)])

    result = attempt(lambda: runner.look_at(SimpleNamespace(path=tmp_path, kind="still", name="a.jpg")))

    assert isinstance(result, Failed)
    assert "stage 'forgetful' returned NoneType" in result.reason


def test_a_plugin_that_cannot_be_built_is_named():
    @contextmanager
    def build(_config, _services):
        raise KeyError("nope")
        yield

    with pytest.raises(ConfigError, match="'bad' can't be built: KeyError: 'nope'"), built("bad", build, None, None):
        pass


def test_a_plugin_that_fails_at_its_end_is_logged_only():
    said = []
    services = SimpleNamespace(
        log=SimpleNamespace(error=lambda event, **fields: said.append((event, fields["plugin"])))
    )

    @contextmanager
    def build(_config, _services):
        yield "part"
        raise ValueError("at close")

    with built("bad", build, None, services) as part:
        assert part == "part"

    assert said == [("plugin.close_failed", "bad")]
