"""AGENT.yaml is changed in place."""

import pytest
import yaml

from edge.paths import data_dir
from raspberry_pi.agent_yaml import state_dir_of, with_station

FILES = {"ca": "identity/ca.pem", "cert": "identity/cert.pem", "key": "identity/key.pem"}
BROKER = {"host": "10.0.0.1", "port": 8883, "tls": FILES}


def changed(text: str) -> str:
    return with_station(text, "cámara-01", host="10.0.0.1", port=8883, files=FILES)


@pytest.mark.parametrize("name", ["en/agent.yaml", "es/agent.yaml", "agent.yaml"])
def test_the_starter_files_keep_all_but_station_and_broker(name):
    before = (data_dir("configs") / name).read_text("utf-8")

    after = changed(before)

    old, new = yaml.safe_load(before), yaml.safe_load(after)
    assert new["station"] == "cámara-01"
    assert new["broker"] == {key: value for key, value in old["broker"].items() if key == "keepalive_s"} | BROKER
    assert {key: value for key, value in new.items() if key not in ("station", "broker")} == {
        key: value for key, value in old.items() if key not in ("station", "broker")
    }
    kept = [line for line in before.splitlines() if line.startswith("#")]
    assert [line for line in after.splitlines() if line.startswith("#")] == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "broker: {host: old, keepalive_s: 9}\nspool: {folder: s}\n",
        "spool: {folder: s}\nbroker:\n    host: old\n    tls:\n        ca: x\n        cert: y\n    port: 1\n",
        "station: old # here\n\nbroker:\n  # who\n  host: old\n\n# next\nspool: {folder: s}",
    ],
)
def test_any_form_of_the_section_becomes_the_new_one(text):
    after = yaml.safe_load(changed(text))

    assert after["station"] == "cámara-01"
    assert after["broker"] == BROKER
    assert ("spool" in after) == ("spool" in text)


def test_changing_twice_is_changing_once():
    once = changed("station: a\nbroker:\n  host: old\n  keepalive_s: 30\n")

    assert changed(once) == once
    assert yaml.safe_load(once)["broker"]["keepalive_s"] == 30


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("station: a\n", ""),
        ("state_dir: /var/lib/x  # here\n", "/var/lib/x"),
        ('state_dir: "my state"\n', "my state"),
        ("spool:\n  state_dir: no\n", ""),
    ],
)
def test_the_state_folder_is_found_without_a_yaml_library(text, folder):
    assert state_dir_of(text) == folder
