"""The units as systemd itself judges them, and the user and folders that they rely on."""

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.errors import EXIT_CONFIG

UNITS = Path(__file__).resolve().parents[2] / "systemd"
NAMES = ("tigrillo.service", "tigrillo-agent.service")
FAILED = "tigrillo-failed@.service"
PREFIX = "/usr/local"


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def verify(folder: Path) -> str:
    """All that `systemd-analyze verify` says of the units; it exits 0 on unknown keys, so only silence is good."""
    done = analyze("verify", "--recursive-errors=yes", "--man=no", *(folder / name for name in (*NAMES, FAILED)))
    return done.stdout + done.stderr + ("" if done.returncode == 0 else f"exit {done.returncode}")


@pytest.fixture(autouse=True)
def systemd_is_here(need):
    need(shutil.which("systemd-analyze") is not None, "systemd-analyze (Debian package systemd)")


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """The units with their prefix moved to a folder where the programs that they start are executable.

    The programs here are /bin/true: what is checked is the units. test_install.py checks them with the real ones.
    """
    for program in ("bin/tigrillo", "lib/tigrillo/bin/python"):
        place = tmp_path / program
        place.parent.mkdir(parents=True)
        shutil.copy("/bin/true", place)
    for name in (*NAMES, FAILED):
        text = (UNITS / name).read_text("utf-8")
        (tmp_path / name).write_text(text.replace(f"{PREFIX}/", f"{tmp_path}/"), "utf-8")
    return tmp_path


def read(name: str) -> configparser.SectionProxy:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string((UNITS / name).read_text("utf-8"))
    return unit["Service"]


def test_systemd_has_nothing_to_say_of_the_units(staged):
    assert verify(staged) == ""


def test_a_misspelt_key_would_be_noticed(staged):
    unit = staged / NAMES[0]
    unit.write_text(unit.read_text("utf-8").replace("RestartSec=", "RestartSecs="), "utf-8")

    assert "RestartSecs" in verify(staged)


def test_a_missing_program_would_be_noticed(staged):
    (staged / "bin/tigrillo").unlink()

    assert "is not executable" in verify(staged)


@pytest.mark.parametrize("name", [*NAMES, FAILED])
def test_the_exposure_is_at_most_two_of_ten(name):
    done = analyze("security", "--offline=true", "--threshold=20", "--no-pager", UNITS / name)

    assert done.returncode == 0, done.stdout
    assert "Overall exposure level" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_systemd_restarts_after_a_crash_but_not_after_a_wrong_configuration(name):
    service = read(name)

    assert service["Type"] == "notify"
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == str(EXIT_CONFIG)
    assert float(service["WatchdogSec"]) > 0


def test_a_failure_is_told_by_a_unit_that_is_there():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string((UNITS / NAMES[0]).read_text("utf-8"))
    named = FAILED.replace("@", "@tigrillo")

    assert unit["Unit"]["OnFailure"] == named
    assert named in unit["Service"]["ExecStopPost"]


@pytest.mark.parametrize(
    ("told_min_ago", "active", "goes_on"),
    [(None, False, True), (None, True, False), (60, False, False), (13 * 60, False, True)],
)
def test_people_are_told_when_the_service_is_down_and_nobody_was_told_of_late(tmp_path, told_min_ago, active, goes_on):
    command = read(FAILED)["ExecCondition"]
    script = command.partition("'")[2].rstrip("'").replace("\\\n", " ").replace("$$", "$").replace("%i", "tigrillo")
    told = tmp_path / "told"
    if told_min_ago is not None:
        told.touch()
        os.utime(told, times=(told.stat().st_mtime - 60 * told_min_ago,) * 2)
    for name, status in (("systemctl", 0 if active else 3), ("sleep", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (tmp_path / name).chmod(0o755)

    done = subprocess.run(
        ["/bin/sh", "-c", script.replace("/run/tigrillo-failed/told", str(told))],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=False,
    )

    assert (done.returncode == 0) is goes_on


@pytest.mark.parametrize("name", NAMES)
def test_opencl_compilers_may_make_code_and_python_takes_none_from_the_working_folder(name):
    assert "MemoryDenyWriteExecute" not in read(name)
    # configparser keeps the last Environment= line only
    assert "PYTHONSAFEPATH=1" in (UNITS / name).read_text("utf-8")


def test_the_user_the_groups_and_the_folders_come_into_being(tmp_path, need):
    need(os.geteuid() == 0, "root, to give folders to another user")
    (tmp_path / "etc").mkdir()

    for tool, file in (("systemd-sysusers", "tigrillo.sysusers"), ("systemd-tmpfiles", "tigrillo.tmpfiles")):
        shutil.copy(UNITS / file, tmp_path / file)
        verb = ["--create"] if tool == "systemd-tmpfiles" else []
        done = subprocess.run(
            [tool, f"--root={tmp_path}", *verb, f"{tmp_path}/{file}"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    users = {line.split(":")[0]: line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    groups = {line.split(":")[0] for line in (tmp_path / "etc/group").read_text().splitlines()}
    models = (tmp_path / "var/lib/tigrillo/models").stat()
    assert users["tigrillo"][5] == "/var/lib/tigrillo"
    assert {"tigrillo", "render", "video", "gpio"} <= groups
    assert models.st_uid == int(users["tigrillo"][2])
    assert models.st_mode & 0o777 == 0o750
    etc = (tmp_path / "etc/tigrillo").stat()
    assert (etc.st_uid, etc.st_mode & 0o7777) == (0, 0o1775)  # the page may replace site.yaml, and nothing of others
