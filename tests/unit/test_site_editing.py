"""Single values of a site's YAML are changed, and nothing else is."""

import difflib
from pathlib import Path

import pytest
import yaml

from edge.configuring.editing import add_item, remove_item, replace_item, set_value
from edge.errors import ConfigError
from edge.yaml_marks import parse

REPO = Path(__file__).resolve().parents[2]
SITES = [(REPO / "configs" / language / "site.yaml").read_text("utf-8") for language in ("en", "es")]


def changed_lines(old, new):
    """What is new, and what is gone; only lines that differ."""
    lines = list(difflib.ndiff(old.splitlines(), new.splitlines()))
    return [each[2:] for each in lines if each[0] == "+"], [each[2:] for each in lines if each[0] == "-"]


@pytest.mark.parametrize("text", SITES)
def test_a_value_is_set_and_every_other_line_stays_as_it_was(text):
    new = set_value(text, ("limits", "inbox_frames"), 4)

    came, went = changed_lines(text, new)
    assert len(came) == len(went) == 1
    assert came[0].startswith("  inbox_frames: 4 ")
    assert came[0].partition("#")[2] == went[0].partition("#")[2]
    assert parse(new).data["limits"]["inbox_frames"] == 4


@pytest.mark.parametrize("text", SITES)
def test_an_entry_is_found_by_its_name(text):
    name = parse(text).data["rules"][0]["name"]

    new = set_value(text, ("rules", name, "min_score"), 0.8)

    assert parse(new).data["rules"][0]["min_score"] == 0.8
    assert [len(each) for each in changed_lines(text, new)] == [1, 1]


@pytest.mark.parametrize("text", SITES)
def test_keys_on_the_way_are_made(text):
    new = set_value(text, ("broker", "tls", "key"), "key.pem")

    came, went = changed_lines(text, new)
    assert parse(new).data["broker"] == {"tls": {"key": "key.pem"}}
    assert went == []
    assert came == ["broker:", "  tls:", "    key: key.pem"]


@pytest.mark.parametrize("text", SITES)
def test_an_entry_comes_last_in_its_list(text):
    rule = {"name": "night", "taxon": "Panthera onca", "hours": ["22:00-05:30"], "channels": ["screen"]}

    new = add_item(text, ("rules",), rule)

    assert parse(new).data["rules"][-1] == rule
    came, went = changed_lines(text, new)
    assert went == []
    assert came[0] == "  - name: night"


def test_a_mapping_of_one_key_within_brackets_keeps_its_braces():
    text = "stages: [{use: motion}, {use: detect}]\nrules: [{name: cats}]\n"

    assert changed_lines(text, set_value(text, ("rules", "cats", "taxon"), "Felidae")) == (
        ["rules: [{name: cats, taxon: Felidae}]"],
        ["rules: [{name: cats}]"],
    )


def test_a_list_is_made_where_there_is_none():
    new = add_item("site: {name: x}  # mine\n", ("rules",), {"name": "a"})

    assert new.startswith("site: {name: x}  # mine\n")
    assert parse(new).data["rules"] == [{"name": "a"}]


def test_an_entry_that_is_replaced_keeps_the_comments_of_what_stays():
    text = "rules:\n  - name: cats\n    taxon: Felidae  # any of them\n    min_score: 0.65\n  - name: dogs  # later\n"

    new = replace_item(text, ("rules", "cats"), {"name": "cats", "taxon": "Felidae", "cooldown_min": 5})

    assert "taxon: Felidae  # any of them" in new
    assert "- name: dogs  # later" in new
    assert parse(new).data["rules"][0] == {"name": "cats", "taxon": "Felidae", "cooldown_min": 5}


def test_an_entry_is_removed_by_name():
    text = "rules:\n  - name: cats  # one\n  - name: dogs  # two\n  - name: bats  # three\n"

    assert remove_item(text, ("rules", "dogs")) == text.replace("  - name: dogs  # two\n", "")


@pytest.mark.parametrize(
    "value", ["22:30", "yes", "010", "007", "1e3", "null", "", "a: b", "#x", "[x", "a, b", "tab\there", "né \"q\" 'q'"]
)
def test_a_text_stays_a_text_for_every_reader(value):
    new = set_value("site: {}\n", ("site", "name"), value)

    read = parse(new)
    assert yaml.safe_load(new) == {"site": {"name": value}}
    if "\t" not in value:
        assert read.faults == []
        assert read.data == {"site": {"name": value}}


def test_line_ends_of_another_system_stay():
    assert set_value("site:\r\n  name: x  # c\r\n", ("site", "name"), "zoo") == "site:\r\n  name: zoo # c\r\n"


@pytest.mark.parametrize("place", [("rules", "nobody"), ("rules", 3), ("site", "name", "deeper", "still")])
def test_a_place_that_is_not_there_is_named(place):
    with pytest.raises(ConfigError, match="nothing stands at"):
        remove_item("site: {name: x}\nrules: [{name: a}]\n", place)


def test_what_is_no_yaml_is_said_in_one_line():
    with pytest.raises(ConfigError, match="not YAML") as caught:
        set_value("a: [1\n", ("a",), 2)

    assert "\n" not in str(caught.value)
