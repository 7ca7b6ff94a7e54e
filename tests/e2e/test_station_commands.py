"""`tigrillo station`, `tigrillo broker` and `tigrillo run` as a person uses them, with a real mosquitto."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.tokens import read_token
from tests.e2e.waiting import HOST, free_port, listens, wait_until

TIGRILLO = Path(sys.executable).with_name("tigrillo")


def tigrillo(*arguments: object, cwd: Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TIGRILLO), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "TIGRILLO_LANG": "en"},
        **options,
    )


def a_site(folder: Path, **broker) -> dict[str, int]:
    ports = {"port": free_port(), "enroll": free_port()}
    text = f"host: {HOST}, port: {ports['port']}, listen: {HOST}, enroll: {{port: {ports['enroll']}, listen: {HOST}}}"
    extra = "".join(f", {key}: {json.dumps(value)}" for key, value in broker.items())
    folder.mkdir(exist_ok=True)
    (folder / "inbox").mkdir(exist_ok=True)
    (folder / "site.yaml").write_text(
        f"broker: {{{text}{extra}}}\nsources:\n  - {{use: watch, folder: inbox}}\nstages:\n  - use: motion\n"
    )
    return ports


def test_station_commands_from_add_to_revoke(tmp_path):
    site = tmp_path / "site"
    ports = a_site(site)
    pi = tmp_path / "pi"
    pi.mkdir()
    broker = subprocess.Popen([TIGRILLO, "broker"], cwd=site, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    adding = subprocess.Popen(
        [TIGRILLO, "station", "add", "cam-01", "--lat", "2.5", "--lon=-73.5", "--species-list", "andes", "--wait"],
        cwd=site,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TIGRILLO_LANG": "en"},
    )
    try:
        wait_until(lambda: listens(ports["enroll"]) and listens(ports["port"]), 30)
        lines = iter(adding.stdout.readline, "")
        token = next(line.split()[3] for line in lines if "station enroll" in line)
        enrolled = tigrillo("station", "enroll", token, "--config", "agent.yaml", cwd=pi)
        assert enrolled.returncode == 0, enrolled.stderr
        said = adding.communicate(timeout=20)[0]
        shown = json.loads(tigrillo("station", "show", "cam-01", "--json", cwd=site).stdout)
        revoked = tigrillo("station", "revoke", "cam-01", cwd=site)
        listed = json.loads(tigrillo("station", "list", "--json", cwd=site).stdout)
    finally:
        broker.send_signal(signal.SIGTERM)
        adding.kill()
        adding.wait()
        adding.stdout.close()
        ended = broker.wait(20)
    assert ended == 0
    assert "cam-01: enrolled, certificate until" in said
    assert (shown["state"], shown["latitude"], shown["species_list"]) == ("enrolled", 2.5, "andes")
    assert "its connection is closed" in revoked.stdout
    assert [(row["name"], row["state"]) for row in listed] == [("cam-01", "revoked")]
    assert not listens(ports["port"])


def test_an_unknown_station_is_one_line_and_an_exit_code(tmp_path):
    a_site(tmp_path)

    for what in (["show", "nobody"], ["bundle", "--out", "b.tar", "nobody"], ["command", "nobody", "capture"]):
        found = tigrillo("station", *what, cwd=tmp_path)

        assert found.returncode == 1
        assert found.stderr.count("\n") == 1
        assert "no station of this name was added" in found.stderr
    assert not (tmp_path / "b.tar").exists()
    assert not list((tmp_path / "state").glob("commands/*"))


def test_a_command_for_a_mistyped_or_revoked_station_is_refused(tmp_path):
    a_site(tmp_path)
    tigrillo("station", "add", "cam-01", cwd=tmp_path)

    mistyped = tigrillo("station", "command", "cam-10", "capture", cwd=tmp_path)
    taken = tigrillo("station", "command", "cam-01", "capture", cwd=tmp_path)
    tigrillo("station", "revoke", "cam-01", cwd=tmp_path)
    revoked = tigrillo("station", "command", "cam-01", "capture", cwd=tmp_path)

    assert (mistyped.returncode, taken.returncode, revoked.returncode) == (1, 0, 1)
    assert "did you mean 'cam-01'?" in mistyped.stderr
    assert "is revoked" in revoked.stderr
    assert len(list((tmp_path / "state").glob("commands/*"))) == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["add", "server"], "is what the server calls itself"),
        (["add", "a/b"], "NAME: 'a/b'"),
        (["add", "a", "--timezone", "Bogota"], "did you mean 'America/Bogota'"),
        (["enroll", "ABCD-EFGH"], "is not typed right"),
    ],
)
def test_a_wrong_argument_is_one_line(tmp_path, arguments, complaint):
    a_site(tmp_path)

    found = tigrillo("station", *arguments, cwd=tmp_path)

    assert found.returncode == 1
    assert complaint in found.stderr
    assert "Traceback" not in found.stderr


def test_the_daemon_keeps_a_broker_also_after_it_was_killed(tmp_path):
    ports = a_site(tmp_path, run=True)
    start = [TIGRILLO, "run", "site.yaml"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    pid_file = tmp_path / "state" / "stations" / "mosquitto.pid"
    daemon = subprocess.Popen(start, **quiet)
    try:
        wait_until(lambda: listens(ports["port"]) and listens(ports["enroll"]), 60)
        first = pid_file.read_text()
        os.kill(int(first), signal.SIGKILL)
        wait_until(lambda: pid_file.exists() and pid_file.read_text() not in ("", first), 20)
        second = pid_file.read_text()
        wait_until(lambda: listens(ports["port"]), 20)
        daemon.kill()
        daemon.wait()
        assert listens(ports["port"])
        daemon = subprocess.Popen(start, **quiet)
        wait_until(lambda: pid_file.exists() and pid_file.read_text() not in ("", second), 60)
        wait_until(lambda: listens(ports["port"]), 20)
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0
    assert not listens(ports["port"])


def test_init_makes_the_authority_once_and_the_broker_starts_with_it(tmp_path):
    made = tigrillo("init", "site", cwd=tmp_path)
    stations = tmp_path / "site" / "state" / "stations"
    key = (stations / "ca-key.pem").read_bytes()
    (tmp_path / "site" / "site.yaml").unlink()
    (tmp_path / "site" / "agent.yaml").unlink()

    again = tigrillo("init", "site", cwd=tmp_path)
    checked = tigrillo("broker", "--check", cwd=tmp_path / "site")

    assert (made.returncode, again.returncode, checked.returncode) == (0, 0, 0), checked.stderr
    assert (stations / "ca-key.pem").read_bytes() == key
    assert "mosquitto starts with it" in checked.stdout


def test_a_configuration_that_mosquitto_refuses_is_said(tmp_path):
    a_site(tmp_path)
    tigrillo("broker", "--write-only", cwd=tmp_path)
    (tmp_path / "state" / "stations" / "crl.pem").write_text("no list")

    checked = tigrillo("broker", "--check", cwd=tmp_path)

    assert checked.returncode == 1
    assert "crl.pem" in checked.stderr


def test_somebody_elses_broker_is_not_run(tmp_path):
    (tmp_path / "site.yaml").write_text("broker: {external: true, host: broker.example}\n")

    run = tigrillo("broker", cwd=tmp_path)
    written = tigrillo("broker", "--write-only", cwd=tmp_path)

    assert run.returncode == 1
    assert "somebody else's" in run.stderr
    assert written.returncode == 0


def test_doctor_asks_for_mosquitto_and_not_for_a_broker_that_the_daemon_starts(tmp_path):
    ports = a_site(tmp_path, run=True)
    site = tmp_path / "site.yaml"
    site.write_text(site.read_text().replace("stages:", f"  - {{use: mqtt, port: {ports['port']}}}\nstages:"))

    done = tigrillo("doctor", "site.yaml", "--json", cwd=tmp_path)

    found = {line["what"]: line["verdict"] for line in json.loads(done.stdout)}
    assert found["broker"] == "good"
    assert "mqtt" not in found


def test_a_program_reads_the_token_of_a_new_station(tmp_path):
    a_site(tmp_path / "site")

    added = tigrillo("station", "add", "cam-01", "--json", cwd=tmp_path / "site")

    said = json.loads(added.stdout)
    assert (said["station"], said["answered"]) == ("cam-01", True)
    assert read_token(said["token"]).host


def test_waiting_is_for_people_and_json_for_programs(tmp_path):
    a_site(tmp_path / "site")

    done = tigrillo("station", "add", "cam-01", "--json", "--wait", cwd=tmp_path / "site")

    assert done.returncode == 2
