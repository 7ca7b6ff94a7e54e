"""The commands: one line and an exit code on wrong input, JSON where a program reads it."""

import json
import os
import socket
import subprocess
import sys

import pytest

from edge.cli import app
from edge.compute.probe import probe_devices
from edge.errors import EXIT_CONFIG
from edge.inference.opencl.check import Verdict, save_verdict
from edge.inference.opencl.verdicts import verdict_key
from edge.models.installed import InstalledModels

COMMANDS = ("init", "check", "run", "process", "agent", "demo", "plugins", "replay", "doctor", "bench", "models")


def tigrillo(*arguments, **environment):
    command = [sys.executable, "-m", "edge.cli", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=os.environ | environment
    )


def test_the_fixed_names_are_there():
    names = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}

    assert names >= set(COMMANDS)


@pytest.mark.parametrize("language", ["en", "es"])
def test_a_new_site_can_be_checked_at_once_and_is_never_overwritten(tmp_path, language):
    made = tigrillo("init", tmp_path / "site", "--lang", language)
    checked = tigrillo("check", tmp_path / "site" / "site.yaml", "--json")
    again = tigrillo("init", tmp_path / "site", "--lang", language)

    assert made.returncode == 0, made.stderr
    assert json.loads(checked.stdout)["stages"] == ["motion", "detect", "classify", "rollup"]
    assert again.returncode == 1
    assert "is there already" in again.stderr


def test_check_prints_every_fault_and_exits_78(tmp_path):
    site = tmp_path / "site.yaml"
    site.write_text("site: {timezone: Mars}\nstages:\n  - {use: detekt}\nat: 22:30\nat: 1\n")

    done = tigrillo("check", site)

    assert done.returncode == EXIT_CONFIG
    assert [line.split(" ")[0].split(":")[1:] for line in done.stderr.splitlines()] == [
        ["1", "8"],
        ["3", "6"],
        ["4", "5"],
        ["5", "1"],
    ]


def test_what_the_system_says_of_a_file_is_one_line(tmp_path):
    (tmp_path / "file").touch()

    done = tigrillo("init", tmp_path / "file" / "site")

    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"[Errno 20] Not a directory: '{tmp_path / 'file' / 'site'}'"]


def test_run_of_a_broken_site_exits_78_without_a_traceback(tmp_path):
    site = tmp_path / "site.yaml"
    site.write_text("sources:\n  - {use: watch, folder: .}\nstages:\n  - {use: detect, model: not-there}\n")

    done = tigrillo("run", site)

    assert done.returncode == EXIT_CONFIG
    assert done.stderr.strip().splitlines()[-1].startswith("model 'not-there' is not installed")
    assert "Traceback" not in done.stderr


def test_plugins_lists_all_kinds():
    listed = json.loads(tigrillo("plugins", "--json").stdout)

    assert set(listed["stages"]) >= {"motion", "detect", "classify", "rollup"}
    assert set(listed["sources"]) >= {"watch", "mqtt", "replay"}
    assert set(listed["decoders"]) >= {"yolov5", "yolox", "yolov8", "classifier"}
    assert set(listed["notifiers"]) >= {"email", "console"}
    assert set(listed["exporters"]) >= {"megadetector"}
    assert listed["failures"] == {}


def test_doctor_finds_a_broker_that_is_not_there_and_says_what_to_do(models_dir, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: nobody answers
        port = unused.getsockname()[1]
        site = tmp_path / "site.yaml"
        site.write_text(f"sources:\n  - {{use: mqtt, port: {port}}}\nstages:\n  - {{use: detect}}\n")
        done = tigrillo("doctor", site, "--json")

    findings = {(each["what"], each["verdict"]): each for each in json.loads(done.stdout)}
    assert done.returncode == 1
    assert "start the broker" in findings["mqtt", "bad"]["next_step"]
    assert findings["model", "good"]["says"].startswith("megadetector-lite")
    assert [each["what"] for each in findings.values() if each["verdict"] == "bad"] == ["mqtt"]


def test_doctor_is_content_with_a_good_site(models_dir, tmp_path):
    tigrillo("init", tmp_path / "site")

    done = tigrillo("doctor", tmp_path / "site" / "site.yaml")

    assert done.returncode == 0, done.stdout
    assert "✗" not in done.stdout


def test_doctor_without_models_says_how_to_get_them(tmp_path):
    tigrillo("init", tmp_path / "site")

    done = tigrillo("doctor", tmp_path / "site" / "site.yaml", TIGRILLO_MODELS=str(tmp_path / "none"), COLUMNS="200")

    assert done.returncode == 1
    assert "tigrillo models pull megadetector-lite" in done.stdout


def test_doctor_calls_a_device_that_the_site_names_and_that_is_missing_bad(models_dir, tmp_path):
    site = tmp_path / "site.yaml"
    site.write_text("compute: {device: 'opencl:no-such-card'}\nstages:\n  - {use: detect}\n")

    done = tigrillo("doctor", site, "--json")

    [bad] = [each for each in json.loads(done.stdout) if each["verdict"] == "bad"]
    assert done.returncode == 1
    assert "no-such-card" in bad["says"]
    assert "compute.device" in bad["next_step"]


def test_doctor_names_opencl_on_the_cpu_and_leaves_it_alone(models_dir, tmp_path):
    done = tigrillo("doctor", "--json", CACHE_DIRECTORY=str(tmp_path))

    says = [each["says"] for each in json.loads(done.stdout) if each["what"] == "device"]
    assert any("auto leaves to ONNX Runtime" in each for each in says)
    assert not (tmp_path / "verdicts").exists()  # nothing was checked


@pytest.mark.parametrize(
    ("found", "verdict", "step"),
    [
        ({"error": 1e-6, "ms_opencl": 5.0, "ms_onnxruntime": 9.0}, "good", ""),
        ({"error": 1e-6, "ms_opencl": 9.0, "ms_onnxruntime": 5.0}, "warn", "--tune"),
        ({"error": 0.1, "ms_opencl": 5.0, "ms_onnxruntime": 9.0}, "bad", "compute.device"),
    ],
)
def test_doctor_tells_what_the_check_of_a_model_on_the_device_found(models_dir, tmp_path, found, verdict, step):
    device = probe_devices(try_kernels=False).found[0]
    card = InstalledModels(models_dir).card("megadetector-lite")
    kept = Verdict(card.name, device.label, **found)
    cache = tmp_path / "cache"
    save_verdict(cache / "verdicts", verdict_key(cache, card, device.capability), kept)
    site = tmp_path / "site.yaml"
    site.write_text(f"compute: {{device: '{device.address}'}}\nstages:\n  - {{use: detect}}\n")

    done = tigrillo("doctor", site, "--json", CACHE_DIRECTORY=str(cache))

    [line] = [each for each in json.loads(done.stdout) if each["what"] == "model on device"]
    assert (line["verdict"], line["says"]) == (verdict, kept.says)
    assert step in line["next_step"]
    assert done.returncode == (verdict == "bad")


def test_replay_of_an_unknown_frame_is_one_line(models_dir, tmp_path):
    site = tmp_path / "site.yaml"
    site.write_text("stages:\n  - {use: detect}\n")

    before_any_run = tigrillo("replay", "nope", "--site", site)

    assert before_any_run.returncode == 1
    assert len(before_any_run.stderr.strip().splitlines()) == 1


def test_demo_refuses_a_folder_that_is_not_empty(tmp_path):
    (tmp_path / "something").touch()

    done = tigrillo("demo", "--keep", tmp_path)

    assert done.returncode == 1
    assert "is not empty" in done.stderr


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("site", ["sources:\n  - {use: watch, folder: .}\n", "stages:\n  - {use: detect}\n"])
def test_a_site_that_would_pass_everything_for_blank_is_refused(tmp_path, command, site):
    path = tmp_path / "site.yaml"
    path.write_text(site)

    done = tigrillo(command, path)

    assert done.returncode == EXIT_CONFIG
    assert "nothing is named" in done.stderr
