"""The whole agent as a process, with all that can be wired to it: mock pins, a picamera2 and a bus without a Pi."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PI = """\
station: cam-1
state_dir: state
broker: {host: 127.0.0.1, port: 9}
spool: {max_bytes: 100_000_000}
uplink: {thumbnails: first}
camera:
  use: picamera2
  size: 640x480
  thumbnail: 160x120
  warm_up_s: 0.1
  burst: {count: 2, per_s: 10}
  clip: {before_s: 0.5, after_s: 0.5, per_s: 15, bits_per_s: 500_000}
triggers:
  - {use: interval, every_s: 3600}
  - {use: pir, pin: 17}
  - {use: schedule, at: ["sunset-00:30", "22:00-05:00 every 10 min"]}
lamp: {pin: 27, when: always, settle_s: 0}
place: {latitude: 4.6, longitude: -74.1, timezone: America/Bogota}
profile: {use: sun}
health: {every_s: 10, sensors: [{use: ina219, name: battery}, {use: pijuice, name: ups}]}
"""


@pytest.fixture
def agent(tmp_path):
    (tmp_path / "agent.yaml").write_text(PI)
    environment = os.environ | {
        "PYTHONPATH": f"{REPO}{os.pathsep}{REPO / 'tests' / 'fakes'}",
        "GPIOZERO_PIN_FACTORY": "mock",
    }
    command = [sys.executable, "-m", "raspberry_pi.agent", "agent.yaml"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stderr.close()


def status_when(folder, true, timeout_s=20.0):
    """status.json as soon as it is so."""
    path = folder / "state" / "status.json"
    for _ in range(int(timeout_s / 0.05)):
        if path.exists():
            status = json.loads(path.read_text())
            if true(status):
                return status
        time.sleep(0.05)
    raise AssertionError(path.read_text() if path.exists() else "no status.json")


def test_pictures_clip_and_health_of_a_whole_trap(agent, tmp_path):
    status = status_when(tmp_path, lambda found: found["spooled"] >= 5)
    agent.send_signal(signal.SIGTERM)
    words = agent.communicate(timeout=15)[1]

    headers = [json.loads(path.read_bytes().partition(b"\n")[0]) for path in (tmp_path / "state/spool").glob("*.frame")]
    kinds = sorted((each["kind"], each["name"].rpartition(".")[2]) for each in headers)
    health = status["health"]
    assert agent.returncode == 0, words
    assert kinds == [("clip", "mp4"), *[("still", "jpg")] * 4], "two stills, a thumbnail of each, and the clip"
    assert {each["trigger"] for each in headers} == {"interval"}
    assert health["battery"] == {"volts": 12.4, "amps": 0.25, "watts": 3.1}
    assert health["ups"] is None
    assert words.count("what=ups") == 1
    assert (health["camera"], health["pir_count"], health["camera_error"]) == ("picamera2", 0, None)


def test_what_is_not_installed_is_one_line_and_ends_with_78(tmp_path):
    (tmp_path / "a.yaml").write_text(PI)
    blocked = "import sys; sys.modules['gpiozero'] = None; from raspberry_pi.agent import main; exit(main(['a.yaml']))"
    environment = os.environ | {"PYTHONPATH": f"{REPO}{os.pathsep}{REPO / 'tests' / 'fakes'}", "TIGRILLO_LANG": "en"}

    done = subprocess.run(
        [sys.executable, "-c", blocked], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 78
    assert "apt install python3-gpiozero" in done.stderr
    assert len(done.stderr.splitlines()) == 1
