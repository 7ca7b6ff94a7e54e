"""The state folder goes away while the daemon runs."""

import json
import shutil
import subprocess
import sys
import time


def test_a_removed_state_folder_ends_the_daemon_instead_of_forgetting_frames(tmp_path):
    site = tmp_path / "site.yaml"
    site.write_text("sources: [{use: watch, folder: inbox}]\nstages: [{use: motion}]\n")
    (tmp_path / "inbox").mkdir()
    state = tmp_path / "state"
    with subprocess.Popen(
        [sys.executable, "-m", "edge.cli", "run", site], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as daemon:
        try:
            give_up = time.monotonic() + 30
            while not (state / "status.json").exists() and time.monotonic() < give_up:
                time.sleep(0.1)
            assert json.loads((state / "status.json").read_text())["pid"] == daemon.pid

            shutil.rmtree(state, ignore_errors=True)
            shutil.rmtree(state, ignore_errors=True)  # a status file may have been written meanwhile
            _out, said = daemon.communicate(timeout=20)
        finally:
            daemon.kill()

    assert daemon.returncode == 1
    assert "was removed while the site ran" in said.splitlines()[-1]
    assert "Traceback" not in said
