#!/usr/bin/env python3
"""schemathesis over the whole OpenAPI of the running page: `python benchmarks/openapi.py [--seconds 300] [--out FILE]`.

A site with some frames, deployments, health and a key of an admin; `python -m server` over it as a process of its own;
every operation but the event stream, which never ends, with data that fit the description and data that do not.
Checked: no server error, the answers' status, headers, types and shapes as described, data that do not fit refused,
other methods refused, nothing answered without a key.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert

from edge.clock import SystemClock
from edge.store import keys, users
from edge.store.schema import deployments, station_health, station_state
from edge.summaries.work import Summariser
from tests.alert_rig import animal
from tests.e2e.waiting import free_port, wait_until
from tests.web_rig import SITE, WebRig

REPO = Path(__file__).resolve().parent.parent
STREAM = "/api/v1/events"
# Left out: positive_data_acceptance, for an id that fits its pattern need not exist; the two that need operations which
# make and delete a thing in one run of links, which the description does not have. What is too long is refused with 413
# unread. A rule may be called "simulate", and that address has a rule's methods then.
SETTINGS = """\
[checks]
positive_data_acceptance.enabled = false
use_after_free.enabled = false
ensure_resource_availability.enabled = false
negative_data_rejection.expected-statuses = ["4xx", 503]
[[operations]]
include-path = "/api/v1/rules/simulate"
[operations.checks]
allow_header_conformance.enabled = false
"""


def seed(folder: Path, port: int) -> str:
    """A site with a little of everything; the text of an admin's key."""
    now = datetime.now(UTC).replace(microsecond=0)
    with WebRig(folder, SITE.replace("web: {}", f"web: {{port: {port}, sees_people: viewer}}")) as rig:
        for number in range(12):
            rig.record(f"cam-0{number % 2 + 1}", f"f{number}", [animal()], at=now - timedelta(hours=number))
        health = {"battery": {"volts": 12.4}, "temperature_c": 21.5, "spool": {"frames": 2, "oldest_s": 60}}
        word = {"station": "cam-01", "drift_s": 0.4, "health": health}
        stood = {"id": "cam-01:1", "station": "cam-01", "latitude": 4.6, "longitude": -74.1}
        with rig.store.transaction() as connection:
            connection.execute(insert(station_health).values(**word, at=now, received_at=now))
            connection.execute(insert(station_state).values(**word, online=True, heard_at=now, health_at=now))
            connection.execute(insert(deployments).values(**stood, started_at=now, created_at=now))
            users.add(connection, "ana", role="admin", password="", now=now, who="seed")
            ana = users.by_name(connection, "ana")
            assert ana is not None
            key = keys.add_token(connection, ana, "schemathesis", keys.SCOPES, now=now, who="seed", days=1)
        zone = rig.plan.file.site.timezone
        summariser = Summariser(rig.store, rig.readers, rig.plan.stations, zone, SystemClock(), rig.web.log)
        while summariser.refresh():
            pass
    return key


def check(folder: Path, *, seconds: int, examples: int, seed_number: int = 7) -> tuple[int, str]:
    """(exit code of schemathesis, what it said). folder: an empty one."""
    port = free_port()
    key = seed(folder, port)
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    with (folder / "server.log").open("wb") as log:
        command = [sys.executable, "-m", "server", str(folder / "site.yaml")]
        server = subprocess.Popen(command, cwd=REPO, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: server.poll() is not None or answers(f"{url}/healthz"), 30)
        (folder / "schemathesis.toml").write_text(SETTINGS, "utf-8")
        described = folder / "openapi.json"
        described.write_bytes(get(f"{url}/api/v1/openapi.json", key))
        program = Path(sys.executable).with_name("schemathesis")
        command = [str(program), "run", str(described), "-u", url, "-H", f"Authorization: Bearer {key}"]
        command += ["--exclude-path", STREAM, "--continue-on-failure"]
        command += ["--max-examples", str(examples), "--phases", "coverage,fuzzing", "--seed", str(seed_number)]
        command += [
            "--max-time",
            str(seconds),
            "--request-timeout",
            "20",
            "--no-color",
            "--generation-database",
            "none",
        ]
        command += ["--suppress-health-check", "all", "--no-shrink"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    finally:
        server.terminate()
        server.wait(20)
    bugs = [line for line in (folder / "server.log").read_text("utf-8").splitlines() if "web.bug" in line]
    said = (done.stdout + done.stderr).replace(key, "…").replace(str(folder), "…").replace(url, "http://…")
    return (done.returncode or bool(bugs)), said + "\n".join(bugs)


def answers(url: str) -> bool:
    """Whether somebody answers there."""
    try:
        get(url)
    except OSError:
        return False
    return True


def get(url: str, key: str = "") -> bytes:
    """The body of an answer. Raises OSError."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        body: bytes = answer.read()
    return body


def main() -> int:
    """Print what schemathesis says, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--examples", type=int, default=50)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        code, said = check(Path(folder), seconds=options.seconds, examples=options.examples)
        paths = json.loads((Path(folder) / "openapi.json").read_bytes())["paths"]
    said = re.sub(r"(?m)[ \t]+$", "", said)
    text = f"{datetime.now(UTC):%Y-%m-%d}, {sum(map(len, paths.values()))} operations\n\n{said}\n"
    print(text)
    if options.out:
        options.out.write_text(text, "utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
