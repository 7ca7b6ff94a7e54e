"""scripts/apt.sh installs only what is missing; here it is kept from installing anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def apt(tmp_path):
    """Runs the script where there is no apt-get: what it would install is then in its error."""
    for tool in ("bash", "dirname", "id"):
        (tmp_path / tool).symlink_to(shutil.which(tool))

    def run(*pairs):
        command = [shutil.which("bash"), REPO / "scripts" / "apt.sh", *pairs]
        environment = os.environ | {"PATH": str(tmp_path)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


def test_nothing_happens_when_commands_and_files_are_there(apt, tmp_path):
    (tmp_path / "one.icd").touch()

    done = apt("bash:bash", f"driver:{tmp_path}/one.icd", f"library:{tmp_path}/*.icd")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_packages_are_named_whose_command_file_or_pattern_is_missing(apt, tmp_path):
    done = apt("a:no-such-command", "b:bash", f"c:{tmp_path}/none", f"d:{tmp_path}/*.none")

    assert done.returncode == 1
    assert "missing: a c d (Debian names)" in done.stderr
