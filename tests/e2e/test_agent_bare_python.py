"""The agent on a Python that has paho and PyYAML and nothing else, as on a Raspberry Pi."""

import json
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
TELL_FOREIGN_MODULES = """
import importlib.util, sys
before = set(sys.modules)
import raspberry_pi.agent
new = {name for name in set(sys.modules) - before if getattr(sys.modules[name], "__file__", None)}
tops = {name.partition(".")[0] for name in new}
tops = {top for top in tops if not top.startswith("_sysconfigdata")}  # Python's own, named after the machine
print(sorted(tops - sys.stdlib_module_names - {"raspberry_pi", "edge"}))
print([name for name in ("numpy", "cv2", "pydantic") if importlib.util.find_spec(name)])
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """A new virtual environment with what the extra `pi` names, and the repository on its path."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=True)
    wanted = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]["pi"]
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", *wanted], check=True)
    return folder / "bin" / "python"


def run(python: Path, *arguments: str, cwd: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO), "PYTHONWARNINGS": "error"}
    ended = subprocess.run(
        [python, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_it_imports_paho_and_yaml_and_nothing_else(bare, tmp_path):
    foreign, present = run(bare, "-c", TELL_FOREIGN_MODULES, cwd=tmp_path).splitlines()

    assert foreign in ("['_yaml', 'paho', 'yaml']", "['paho', 'yaml']")
    assert present == "[]"


def test_its_help_is_printed(bare, tmp_path):
    assert "AGENT.yaml" in run(bare, "-m", "raspberry_pi.agent", "--help", cwd=tmp_path)


def test_it_sends_frames_to_a_real_broker_and_stops_when_they_are_acked(bare, broker, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(b"a" * 50_000)
    (tmp_path / "agent.yaml").write_text(
        f"station: cam-1\nbroker: {{host: 127.0.0.1, port: {broker.port}}}\n"
        "spool: {folder: spool, max_bytes: 1_000_000}\n"
        "camera: {use: replay, path: pictures, loop: true}\n"
        "trigger: {use: interval, every_s: 0.05}\nmax_frames: 5\n"
    )
    server = subprocess.Popen([sys.executable, "-c", ACK_EVERYTHING, str(broker.port)], cwd=REPO)
    try:
        run(bare, "-m", "raspberry_pi.agent", str(tmp_path / "agent.yaml"), cwd=tmp_path)
    finally:
        server.kill()
        server.wait()

    status = json.loads((tmp_path / "spool" / "status.json").read_text())
    assert (status["captured"], status["acked"], status["done"]) == (5, 5, True)


ACK_EVERYTHING = """
import sys
from edge.link import Broker, Link
from edge.messages import encode_acks
from edge.wire import ALL_UP, FrameHeader, down_topic, read_topic

def take(message):
    address = read_topic(message.topic)
    if address.what == "frame":
        header = FrameHeader.from_properties(message.properties)
        link.publish(down_topic(address.station, "ack"), encode_acks([header.id]))

link = Link(Broker("127.0.0.1", int(sys.argv[1])), client_id="server", subscribe=ALL_UP, on_message=take)
link.connect()
while True:
    link.turn(1.0)
"""
