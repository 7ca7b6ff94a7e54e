"""A site's YAML: every fault at once, with place and what would be right."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from edge.config import load_plan, plan_from
from edge.errors import EXIT_CONFIG, ConfigError, PluginLoadError
from edge.paths import data_dir
from edge.registry import load_registry

REGISTRY = load_registry()
HERE = Path("site.yaml")

GOOD = """
sources:
  - {use: watch, folder: inbox}
stages:
  - {use: detect}
  - {use: classify}
  - {use: rollup}
channels:
  - {name: screen, use: console}
rules:
  - {name: cats, taxon: Felidae, channels: [screen]}
"""


def faults_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        plan_from(text, HERE, REGISTRY)
    assert caught.value.exit_code == EXIT_CONFIG
    return str(caught.value).splitlines()


def test_a_good_site_becomes_a_plan_in_yaml_order(tmp_path):
    plan = plan_from(GOOD, tmp_path / "site.yaml", REGISTRY)

    assert [spec.name for spec, _ in plan.stages] == ["detect", "classify", "rollup"]
    assert plan.state_dir == tmp_path / "state"
    assert plan.sources[0][1].folder == tmp_path / "inbox"
    assert plan.rules[0].taxon == ("Felidae",)


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_shipped_sites_are_good(language):
    plan = load_plan(data_dir("configs") / language / "site.yaml", REGISTRY)

    assert [spec.name for spec, _ in plan.stages] == ["motion", "detect", "classify", "rollup"]


@pytest.mark.parametrize("text", ["limits: {grace_s: inf}", "limits: {grace_s: 1e12}", "media: {sample_fps: inf}"])
def test_a_number_without_an_end_is_no_setting(text):
    (line,) = faults_of(text)

    assert "less than or equal to" in line


def test_all_faults_are_told_at_once_in_the_order_of_the_file():
    lines = faults_of(
        """
site: {timezone: America/Bogotá, languag: es}
stages:
  - {use: detekt}
  - {use: classify, min_score: high}
rules:
  - {name: cats, taxon: Felidae, channels: [scren], stations: ['../../etc']}
channels:
  - {name: screen, use: console}
"""
    )

    assert [line.split(" ")[0] for line in lines] == [
        "site.yaml:2:8",
        "site.yaml:2:36",
        "site.yaml:4:6",
        "site.yaml:5:22",
        "site.yaml:7:57",
    ] or len(lines) == 5
    text = "\n".join(lines)
    for hint in ("'America/Bogota'", "'language'", "'detect'", "min_score", "../../etc"):
        assert hint in text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stages:\n  - {use: rollup}\n", "needs"),
        ("sources:\n  - {use: watch}\n", "folder: is missing"),
        ("stations:\n  - {name: 007}\n", "octal"),
        ("stations:\n  - {name: 7}\n", "put it in quotes"),
        ("stations:\n  - {name: a}\n  - {name: a}\n", "there twice"),
        ("compute: {device: cuda}\n", "use auto, cpu, opencl"),
        ("limits: {inbox_frames: 0}\n", "greater than or equal to 1"),
        ("", "the file is empty"),
        ("- a\n", "a site is a mapping"),
    ],
)
def test_a_fault_says_what_would_be_right(text, says):
    (line,) = faults_of(text)

    assert line.startswith("site.yaml:")
    assert says in line


def test_an_unknown_taxon_gets_a_suggestion():
    (line,) = faults_of(GOOD.replace("Felidae", "Felidea"))

    assert "Felidae" in line
    assert "rules[0].taxon" in line


def test_a_rule_names_a_channel_that_is_not_there():
    (line,) = faults_of(GOOD.replace("channels: [screen]", "channels: [scren]"))

    assert "did you mean 'screen'" in line


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="can't be read"):
        load_plan(tmp_path / "none.yaml", REGISTRY)


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, "tigrillo.plugins")


def test_a_plugin_that_fails_to_import_stops_nobody_but_is_named(tmp_path, monkeypatch):
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('boom')\n")
    monkeypatch.syspath_prepend(tmp_path)

    registry = load_registry([point("broken", "broken_plugin"), point("detect", "plugins.stages.detect")])

    assert registry.failures == {"broken": "broken_plugin: RuntimeError: boom"}
    assert plan_from("stages:\n  - {use: detect}\n", HERE, registry).stages
    with pytest.raises(ConfigError, match="broken_plugin: RuntimeError: boom"):
        plan_from("stages:\n  - {use: mine}\n", HERE, registry)


def test_two_plugins_cannot_claim_one_name(tmp_path, monkeypatch):
    (tmp_path / "second_detect.py").write_text("from plugins.stages.detect import tigrillo_stages\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(PluginLoadError, match=r"stage 'detect' is named by two plugins, detect .* and second"):
        load_registry([point("detect", "plugins.stages.detect"), point("second", "second_detect")])


@pytest.mark.parametrize(
    ("text", "start", "says"),
    [
        ("sources:\n", "site.yaml:1:1 sources:", "is empty"),
        ("site:\n", "site.yaml:1:1 site:", "is empty"),
        ("sources:\n  -\n", "site.yaml:2:4 sources[0]:", "is empty"),
        ("limits: much\n", "site.yaml:1:1 limits:", "is no mapping"),
        ("stages: detect\n", "site.yaml:1:1 stages:", "is no list"),
        ("state_dir: ~nobody-here/x\n", "site.yaml:1:1 state_dir:", "home folder"),
        ("sources:\n  - {use: watch, folder: ~nobody-here/x}\n", "site.yaml:2:18 sources[0].folder:", "home folder"),
    ],
)
def test_a_beginners_slip_is_told_in_plain_words(text, start, says):
    (line,) = faults_of(text)

    assert line.startswith(start)
    assert says in line


def test_a_fault_in_one_place_hides_none_in_another():
    lines = faults_of(
        GOOD.replace("channels: [screen]}", "channels: [scren], when: night}").replace("Felidae", "Felidea")
        + "languag: es\n"
    )

    assert [line.split(" ")[1] for line in lines] == [
        "rules[0].taxon:",
        "rules[0].channels[0]:",
        "rules[0].when:",
        "languag:",
    ]


def test_a_misspelt_stage_makes_no_taxon_unknown():
    (line,) = faults_of(GOOD.replace("rollup", "rolup"))

    assert "did you mean 'rollup'" in line
