"""Channel `exec` with real programs: what they are told, how long they may take, and what their exit code means."""

import json
import os
import stat
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.clock import SteppedClock
from edge.errors import ConfigError, NoticeRefused, NotifyError
from edge.fakes import NOON
from edge.services import Station
from edge.testing import fake_services, notice
from plugins.notifiers.exec import SPEC, ExecConfig
from plugins.notifiers.program import run_program

JPEG = b"\xff\xd8picture\xff\xd9"


@pytest.fixture
def program(tmp_path):
    """Make a shell script; $HERE is the test's folder."""

    def make(script, name="tell.sh"):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\nHERE='{tmp_path}'\n{script}\n")
        path.chmod(0o700)
        return str(path)

    return make


@contextmanager
def an_exec(*command, services=None, **settings):
    services = services or fake_services(
        clock=SteppedClock(NOON), stations={"cam-03": Station("cam-03", "UTC", 4.6, -74.1)}
    )
    with SPEC.build(ExecConfig(command=command, **settings), services) as notifier:
        yield notifier


def is_running(pid):
    """Whether this process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_gets_the_notice_the_picture_and_its_arguments_and_gives_an_id(program, tmp_path):
    told = 'cat > "$HERE/notice"; cp "$TIGRILLO_PICTURE" "$HERE/picture"; echo "$@" > "$HERE/arguments"'
    script = f'{told}; echo "id 7"; echo more'
    with an_exec(program(script), "$HOME; rm -rf x", "*") as channel:
        assert channel.send(notice(to="+573001234567", person="ana"), picture=JPEG) == "id 7"

    said = json.loads((tmp_path / "notice").read_text())
    assert (said["key"], said["kind"], said["to"], said["person"]) == ("17/ana-sms/0", "alert", "+573001234567", "ana")
    assert said["alert"]["species"]["scientific_name"] == "Panthera onca"
    assert said["station"]["latitude"] == 4.6
    assert said["picture"].keys() == {"media_type", "bytes", "sha256"}
    assert (tmp_path / "picture").read_bytes() == JPEG
    assert (tmp_path / "arguments").read_text() == "$HOME; rm -rf x *\n"  # no shell looked at them


def test_the_picture_s_file_is_ours_alone_and_goes(program, tmp_path):
    script = 'echo "$TIGRILLO_PICTURE"; stat -c %a "$(dirname "$TIGRILLO_PICTURE")"  > "$HERE/mode"'
    with an_exec(program(script)) as channel:
        path = channel.send(notice(), picture=JPEG)

    assert path.endswith("/picture.jpg")
    assert (tmp_path / "mode").read_text().strip() == "700"
    assert not Path(path).parent.exists()


def test_the_environment_is_path_home_lang_and_what_the_notice_says(program, tmp_path, monkeypatch):
    for name in ("MAIL_PASSWORD", "TIGRILLO_MQTT_PASSWORD", "LD_PRELOAD_X", "PYTHONPATH"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LANG", "es_CO.UTF-8")
    with an_exec(program('/usr/bin/env -0 > "$HERE/env"; pwd > "$HERE/cwd"')) as channel:
        channel.send(notice(station="cam\r\n03\0", key="k\n1"), picture=b"")

    found = dict(each.split("=", 1) for each in (tmp_path / "env").read_text().split("\0") if each)
    for made_by_the_shell in ("PWD", "_", "OLDPWD", "SHLVL"):
        found.pop(made_by_the_shell, None)
    assert found == {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "LANG": "es_CO.UTF-8",
        "TIGRILLO_KEY": "k 1",
        "TIGRILLO_KIND": "alert",
        "TIGRILLO_SEVERITY": "warning",
        "TIGRILLO_STATION": "cam 03",
        "TIGRILLO_TO": "",
        "TIGRILLO_HEADLINE": "Jaguar · cam-03 · 12:00",
    }
    assert (tmp_path / "cwd").read_text() == "/\n"


def test_without_a_picture_there_is_no_variable(program):
    with an_exec(program('echo "${TIGRILLO_PICTURE-none}"')) as channel:
        assert channel.send(notice(), picture=b"") == "none"


def test_a_full_disk_costs_the_picture_and_not_the_message(program, monkeypatch):
    services = fake_services()
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    with an_exec(program('echo "${TIGRILLO_PICTURE-none}"'), services=services) as channel:
        assert channel.send(notice(), picture=JPEG) == "none"

    assert [entry[1] for entry in services.log.entries] == ["notify.picture_lost"]


# ── how it ends ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_75_and_signals_mean_not_now(program):
    with an_exec(program("echo modem busy >&2; exit 75")) as channel, pytest.raises(NotifyError) as failure:
        channel.send(notice(), picture=b"")
    assert str(failure.value) == "tell.sh says not now (exit code 75): modem busy"

    with an_exec(program("kill -9 $$")) as channel, pytest.raises(NotifyError, match="ended by signal 9"):
        channel.send(notice(), picture=b"")


@pytest.mark.parametrize("code", [1, 2, 64, 74, 76, 126, 127, 255])
def test_any_other_code_means_never_with_the_last_line_it_wrote(program, code):
    script = f"echo first >&2; printf 'no such\\033[31m number\\n\\n  \\n' >&2; echo output; exit {code}"
    with an_exec(program(script)) as channel, pytest.raises(NoticeRefused) as refusal:
        channel.send(notice(), picture=b"")

    assert str(refusal.value) == f"tell.sh refused it (exit code {code}): no such [31m number"


def test_a_program_that_says_nothing_has_no_id(program):
    with an_exec(program("exit 0")) as channel:
        assert channel.send(notice(), picture=b"") is None


def test_a_program_that_does_not_read_is_no_fault(program):
    text = b"x" * 5_000_000

    ended = run_program([program("exec 0<&-; sleep 0.05; echo done")], text=text, environment={}, timeout_s=10)

    assert (ended.code, ended.first_line) == (0, "done")


def test_a_program_that_reads_much_and_writes_much_is_heard_at_both_ends():
    text = b"y" * 3_000_000

    ended = run_program(
        ["/bin/sh", "-c", "tee /dev/stderr; echo >&2; echo end >&2"], text=text, environment={}, timeout_s=20
    )

    assert ended.code == 0
    assert ended.first_line.startswith("yyy")
    assert len(ended.first_line) == 200
    assert ended.last_error == "end"


def test_a_program_that_never_stops_writing_costs_no_memory_and_is_ended(program):
    started = time.monotonic()
    with an_exec(program("exec yes"), timeout_s=0.3) as channel, pytest.raises(NotifyError, match=r"more than 0\.3 s"):
        channel.send(notice(), picture=b"")

    assert time.monotonic() - started < 3


def test_a_program_that_hangs_is_ended_with_all_it_started(program, tmp_path):
    script = (
        "trap '' TERM; sleep 60 & echo $! > $HERE/child; echo $$ > $HERE/parent; echo stuck >&2; wait; wait; sleep 60"
    )
    started = time.monotonic()
    with an_exec(program(script), timeout_s=0.3) as channel, pytest.raises(NotifyError) as failure:
        channel.send(notice(), picture=b"")

    assert "took more than 0.3 s and was ended: stuck" in str(failure.value)
    assert time.monotonic() - started < 4
    pids = [int((tmp_path / name).read_text()) for name in ("child", "parent")]
    deadline = time.monotonic() + 2
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, pids))


def test_a_program_is_asked_to_end_before_it_is_ended(program, tmp_path):
    script = "trap 'echo asked > $HERE/asked; exit 0' TERM; while :; do sleep 0.05; done"
    with an_exec(program(script), timeout_s=0.2) as channel, pytest.raises(NotifyError):
        channel.send(notice(), picture=b"")

    assert (tmp_path / "asked").read_text() == "asked\n"


def test_what_a_program_leaves_running_is_not_waited_for(program, tmp_path):
    started = time.monotonic()
    with an_exec(program("sleep 30 & echo $! > $HERE/child; echo sent")) as channel:
        assert channel.send(notice(), picture=b"") == "sent"

    child = int((tmp_path / "child").read_text())
    assert time.monotonic() - started < 5
    assert is_running(child)
    os.kill(child, 9)


def test_no_zombie_and_no_open_file_is_left(program):
    def open_files():
        return len(list(Path("/proc/self/fd").iterdir()))

    with an_exec(program("exit 0")) as channel:
        channel.send(notice(), picture=b"")
        before = open_files()
        for _each in range(5):
            channel.send(notice(), picture=JPEG)
        after = open_files()

    assert after == before
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    assert not [pid for pid in children if "tell.sh" in Path(f"/proc/{pid}/stat").read_text()]


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_program_that_is_not_there_is_told_at_the_start(tmp_path):
    plain = tmp_path / "plain.txt"
    plain.write_text("no program")
    for command in (str(tmp_path / "missing"), "no-such-program-anywhere", str(plain), str(tmp_path)):
        with pytest.raises(ConfigError, match="is no program that can be run"), an_exec(command):
            pass


def test_a_program_that_goes_later_is_waited_for(program):
    path = program("exit 0")
    with an_exec(path) as channel:
        assert channel.check() == path
        Path(path).unlink()
        for ask in (lambda: channel.send(notice(), picture=b""), channel.check):
            with pytest.raises(NotifyError):
                ask()


def test_a_file_that_is_no_program_is_told_when_it_is_run(tmp_path):
    path = tmp_path / "odd"
    path.write_bytes(b"\x7fELF and nothing more")
    path.chmod(stat.S_IRWXU)
    with an_exec(str(path)) as channel, pytest.raises(NotifyError, match="can't be started"):
        channel.send(notice(), picture=b"")


def test_a_name_is_found_on_the_path():
    with an_exec("true") as channel:
        assert Path(channel.check()).name == "true"


@pytest.mark.parametrize(
    "settings", [{"command": []}, {"command": ["a\0b"]}, {"command": "a b"}, {"command": ["a"], "timeout_s": 0}]
)
def test_settings_that_can_t_be_are_refused(settings):
    with pytest.raises(ValidationError):
        ExecConfig.model_validate(settings)


def test_an_address_is_one_line():
    assert SPEC.address(" room 3 ") == "room 3"
    for text in ("", " ", "a\nb", "x" * 201):
        with pytest.raises(ValueError, match="one line"):
            SPEC.address(text)
