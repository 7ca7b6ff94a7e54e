"""A changed site.yaml is tried by the running daemon: kept when all comes up, else the text before runs on."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edge.chores import apply_proposal, wait_for_outcome
from edge.clock import SystemClock
from edge.config import load_plan
from edge.configuring.changes import Change, Changes
from edge.configuring.proposal import propose
from edge.registry import load_registry
from edge.store.sql import Store
from tests.e2e.waiting import HOST, free_port, wait_until

SITE = """# our site
sources: [{use: watch, folder: inbox, settle_s: 0.1, rescan_s: 0.5}]
stages: [{use: motion}]
"""
OTHER = SITE.replace("# our site", "site: {name: Other}  # renamed")


class Rig:
    """A running `tigrillo run` that tries changes for `trial_s`."""

    def __init__(self, folder: Path, media: Path, trial_s: float) -> None:
        self.folder, self.media, self.site, self.pictures = folder, media, folder / "site.yaml", 0
        (folder / "inbox").mkdir()
        self.site.write_text(SITE)
        self.environment = os.environ | {"TIGRILLO_TRIAL_S": str(trial_s), "TIGRILLO_LANG": "en"}
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "edge.cli", "run", str(self.site), "--log-json"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, env=self.environment)

    def apply(self, text: str) -> Change:
        """As the page does."""
        registry = load_registry()
        proposal = propose(self.site, text, registry)
        assert proposal.is_good, proposal.faults
        return apply_proposal(load_plan(self.site, registry), proposal, who="ana", why="", clock=SystemClock())

    def apply_by_command(self, text: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "new.yaml").write_text(text)
        command = [
            sys.executable,
            "-m",
            "edge.cli",
            "apply",
            "new.yaml",
            "--site",
            "site.yaml",
            "--by",
            "ana",
            "--json",
        ]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )

    def records_another(self) -> None:
        """Wait until a picture that comes now is recorded."""
        self.pictures += 1
        body = (self.media / "stills" / "blank.jpg").read_bytes() + bytes(self.pictures)  # another content each time
        (self.folder / "inbox" / f"{self.pictures}.jpg").write_bytes(body)
        wait_until(lambda: self._recorded() == self.pictures, 20)

    def _recorded(self) -> int:
        if not (self.folder / "state" / "status.json").exists():
            return 0
        with Store(f"sqlite:///{self.folder / 'state' / 'tigrillo.sqlite'}", read_only=True) as store:
            return store.counts().get("recorded", 0)

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


@pytest.fixture
def rig(tmp_path, shared_media, request):
    rig = Rig(tmp_path, shared_media, request.param)
    yield rig
    if rig.process.poll() is None:
        rig.process.kill()
        rig.process.wait()


@pytest.mark.parametrize("rig", [1.0], indirect=True)
def test_a_change_is_kept_when_all_comes_up_and_put_back_when_not_while_frames_are_recorded(rig):
    rig.records_another()

    good = rig.apply_by_command(OTHER)
    rig.records_another()
    kept = rig.site.read_text()
    with socket.create_server((HOST, 0)) as taken:  # the page can't listen where somebody else does
        change = rig.apply(OTHER + f"web: {{port: {taken.getsockname()[1]}}}\n")
        bad = wait_for_outcome(rig.folder / "state", change)
    rig.records_another()

    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["state"] == "kept"
    assert kept == OTHER
    assert bad.state == "rolled_back"
    assert bad.reason.startswith("web: exit code")
    assert "Address already in use" in bad.reason
    assert rig.site.read_text() == OTHER
    changes = Changes(rig.folder / "state").newest_first()
    assert [(each.state, each.who) for each in changes] == [("rolled_back", "ana"), ("kept", "ana")]
    assert rig.end() == 0


@pytest.mark.parametrize("rig", [60.0], indirect=True)
def test_a_daemon_killed_while_it_tries_a_change_starts_with_the_text_before(rig):
    changes = Changes(rig.folder / "state")
    rig.records_another()
    rig.apply(OTHER)
    wait_until(lambda: (trial := changes.trial()) is not None and trial.attempts == 1, 20)

    rig.process.send_signal(signal.SIGKILL)
    rig.process.wait()
    held = rig.site.read_text()
    rig.start()
    rig.records_another()

    assert held == OTHER
    assert rig.site.read_text() == SITE
    [change] = changes.newest_first()
    assert (change.state, change.reason) == ("rolled_back", "the process ended while it was tried")
    assert rig.end() == 0


def test_a_page_ends_with_the_daemon_that_is_killed(tmp_path):
    port = free_port()
    parent = (
        "import subprocess, sys, os, time\n"
        "subprocess.Popen([sys.executable, '-P', '-m', 'edge.lifeline', str(os.getpid()), 'http.server', sys.argv[1],"
        " '--bind', '127.0.0.1'])\ntime.sleep(60)\n"
    )
    daemon = subprocess.Popen([sys.executable, "-c", parent, str(port)], stderr=subprocess.DEVNULL, cwd=tmp_path)
    wait_until(lambda: _listens(port), 20)

    daemon.kill()
    daemon.wait()

    wait_until(lambda: not _listens(port), 10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
