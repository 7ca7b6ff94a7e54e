"""AGENT.yaml: what it may say, and that each fault is one line with its place."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import yaml

from raspberry_pi import agent
from raspberry_pi.config import AgentConfigError, load

REPO = Path(__file__).resolve().parents[2]
GOOD = """\
station: cam-03
broker: {host: 192.168.1.5, username: cam-03, password_file: secret.txt}
spool: {folder: spool, max_bytes: 8_000_000_000}
camera: {use: replay, path: pictures, loop: true}
trigger: {use: interval, every_s: 2.5}
"""


def faults_of(folder: Path, text: str) -> list[str]:
    path = folder / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AgentConfigError) as caught:
        load(path)
    return [line.removeprefix(f"{path}:") for line in caught.value.faults]


def test_a_good_file_is_read_with_paths_from_its_own_folder(tmp_path):
    path = tmp_path / "agent.yaml"
    path.write_text(GOOD)

    settings = load(path)

    assert settings.station == "cam-03"
    assert (settings.broker.port, settings.broker.password_file) == (1883, tmp_path / "secret.txt")
    assert (settings.spool.folder, settings.spool.max_bytes) == (tmp_path / "spool", 8_000_000_000)
    assert (settings.camera.loop, settings.trigger.every_s, settings.max_frames) == (True, 2.5, None)


def names_in(section: object) -> set[str]:
    """Every setting's name in these settings and the sections below."""
    found = set[str]()
    for each in section if isinstance(section, tuple) else [section]:
        if is_dataclass(each):
            found.update(field.name for field in fields(each))
            for field in fields(each):
                found |= names_in(getattr(each, field.name))
    return found


@pytest.mark.parametrize("name", ["agent.yaml", "en/agent-pi.yaml", "es/agent-pi.yaml"])
def test_the_commented_examples_are_good_and_name_every_setting_of_what_they_use(name):
    path = REPO / "configs" / name

    settings = load(path)

    text = path.read_text(encoding="utf-8")
    if name == "agent.yaml":
        wanted = names_in(settings) - {"trigger", "lamp"}
    else:
        sections = (settings.camera, settings.triggers, settings.place, settings.lamp, settings.health)
        wanted = names_in(sections)
    assert len(wanted) > 20
    assert not [setting for setting in wanted if not re.search(rf"\b{setting}:", text)]


@pytest.mark.parametrize("name", ["agent.yaml", "agent-pi.yaml", "agent-usb.yaml"])
@pytest.mark.parametrize("language", ["en", "es"])
def test_the_starters_are_good(language, name):
    assert load(REPO / "configs" / language / name).station


WIRED = """\
station: cam-03
broker: {host: 192.168.1.5}
spool: {folder: spool, max_bytes: 8_000_000_000}
camera: {use: picamera2, size: 1920x1080, clip: {before_s: 2}}
triggers:
  - {use: pir, pin: 17}
  - {use: schedule, at: [ "06:30" ], active: night}
lamp: {pin: 27}
profile: {use: clock}
health: {sensors: [{use: ina219, address: 0x41}]}
"""


def test_what_is_wired_is_read(tmp_path):
    (tmp_path / "agent.yaml").write_text(WIRED)

    settings = load(tmp_path / "agent.yaml")

    assert (settings.camera.size, settings.camera.clip.before_s, settings.camera.burst.count) == ((1920, 1080), 2.0, 1)
    assert [each.use for each in settings.all_triggers] == ["pir", "schedule"]
    assert (settings.lamp.pin, settings.health.sensors[0].address) == (27, 0x41)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("use: picamera2", "use: picamera", "4:15 camera.use: 'picamera' is unknown; known: replay, picamera2"),
        ("{use: picamera2, ", "{", "4:9 camera.use: is missing"),
        ("1920x1080", "1920*1080", "4:32 camera.size: must be a size such as 1920x1080, both numbers even"),
        ("1920x1080", "4608x2592", "4:9 camera: with clip, size is at most 1920x1080"),
        ("before_s: 2}", "before_s: 2}, standby: stopped", "4:9 camera: clip.before_s needs standby: running"),
        ("clip: {before_s: 2}", "burst: {count: 50}", "4:9 camera: burst: count / per_s is 20 s at most"),
        ("pin: 17}", "pin: 40}", "6:21 triggers[0].pin: must be a whole number, 0 to 27, got 40"),
        ("pin: 17}", "pin: 27}", "8:13 lamp.pin: GPIO27 is used twice"),
        ("{use: pir, pin: 17}", "{use: motoin}", "6:11 triggers[0].use: 'motoin' is unknown; known: interval, pir"),
        ('"06:30"', "22:30", '7:27 triggers[1].at[0]: 22:30 reads as a number, write "22:30"'),
        ("06:30", "soon", "7:27 triggers[1].at[0]: 'soon' is no time of a day; write it like \"06:30\""),
        ("06:30", "sunset", "7:25 triggers[1].at: needs place: {latitude: ..., longitude: ...}"),
        ("use: clock", "use: sun", "9:16 profile.use: needs place"),
        ("use: clock", 'use: clock, night: ["19:00"]', "9:10 profile: night is two times"),
        ("use: clock", "use: brightness, dark: 90", "9:10 profile: dark must be less than bright"),
        ("0x41", "65", "10:43 health.sensors[0].address: must be an I2C address, 0x03 to 0x77, got '65'"),
        ("lamp:", "place: {latitude: 4.6}\nlamp:", "8:8 place: latitude and longitude are given together"),
        ("[{use: ina219, address: 0x41}]", "ina219", "10:19 health.sensors: must be a list"),
    ],
)
def test_a_fault_of_what_is_wired_is_one_line_with_its_place(tmp_path, old, new, fault):
    text = WIRED.replace(old, new)
    assert text != WIRED

    faults = faults_of(tmp_path, text)

    assert len(faults) == 1
    assert faults[0].startswith(fault)


def test_motion_and_brightness_need_a_camera_that_sees(tmp_path):
    text = GOOD.replace("{use: interval, every_s: 2.5}", "{use: motion}") + "profile: {use: brightness}\n"

    faults = faults_of(tmp_path, text)

    assert [fault.split(" ")[1] for fault in faults] == ["profile.use:", "trigger:"]


@pytest.mark.parametrize("text", ["triggers: []", "triggers: {use: interval, every_s: 1}"])
def test_no_trigger_is_a_fault(tmp_path, text):
    faults = faults_of(tmp_path, GOOD.replace("trigger: {use: interval, every_s: 2.5}", text))

    assert len(faults) == 1
    assert " triggers: " in faults[0]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("cam-03\n", "../../etc\n", "1:10 station: '../../etc': letters"),
        ("cam-03\n", "no\n", '1:10 station: no reads as yes or no, write "no"'),
        ("cam-03\n", "007\n", '1:10 station: 007 reads as a number, write "007"'),
        ("username:", "usrname:", "2:29 broker.usrname: unknown key, known: username"),
        ("host: 192.168.1.5, ", "", "2:9 broker.host: is missing"),
        ("username: cam-03", "port: 22:30", "2:35 broker.port: must be a whole number, 1 to 65535, got '22:30'"),
        ("username: cam-03", "port: 70000", "2:35 broker.port: must be a whole number, 1 to 65535, got 70000"),
        ("8_000_000_000", "1e9", "3:35 spool.max_bytes: must be a whole number of at least 1, got '1e9'"),
        ("8_000_000_000", "010", "3:35 spool.max_bytes: must be a whole number of at least 1, got '010'"),
        ("loop: true", "loop: ja", "4:45 camera.loop: must be true or false, got 'ja'"),
        ("use: replay", "use: telescope", "4:15 camera.use: 'telescope' is unknown; known: replay"),
        ("2.5", "0", "5:35 trigger.every_s: must be seconds, more than 0 and at most 86400, got '0'"),
        ("2.5", ".nan", "5:35 trigger.every_s: must be seconds, more than 0 and at most 86400, got '.nan'"),
        ("trigger: {use: interval, every_s: 2.5}", "trigger: 5", "5:10 trigger: must be a section with use"),
        ("trigger:", "station: b\ntrigger:", "5:1 station: stands here twice"),
        ("trigger:", "trigger: {", "not YAML"),
    ],
)
def test_a_fault_is_one_line_with_its_place(tmp_path, old, new, fault):
    text = GOOD.replace(old, new)
    assert text != GOOD

    faults = faults_of(tmp_path, text)

    assert len(faults) == 1
    assert fault in faults[0]
    assert "\n" not in faults[0]


def test_all_faults_are_told_at_once(tmp_path):
    faults = faults_of(tmp_path, "station: a b\nbroker: {}\nspool: []\ncolour: red\n")

    assert len(faults) == 6
    assert {fault.split(" ")[1].rstrip(":") for fault in faults} == {
        "station", "broker.host", "spool", "colour", "camera", "triggers",
    }  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"- a\n", b"\xff\xfe", b"a: [", b"\x00", b"x: &a [*a]", b"? [a, b]\n: 1\n"])
def test_a_file_that_is_no_configuration_is_refused(tmp_path, content):
    path = tmp_path / "agent.yaml"
    path.write_bytes(content)

    with pytest.raises(AgentConfigError):
        load(path)


def test_a_wrong_file_ends_the_agent_with_78_and_its_faults(tmp_path, capsys):
    path = tmp_path / "agent.yaml"
    path.write_text(yaml.safe_dump({"station": "x"}))

    code = agent.main([str(path)])

    assert code == 78
    assert capsys.readouterr().err.count(f"{path}:1:1 ") == 4


@pytest.mark.parametrize(("setting", "said"), [("pictures", "camera.path"), ("secret.txt", "broker.password_file")])
def test_what_is_not_on_the_disk_ends_the_agent_with_78(tmp_path, capsys, setting, said):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(b"a")
    (tmp_path / "secret.txt").write_text("hush\n")
    path = tmp_path / "agent.yaml"
    path.write_text(GOOD.replace(setting, "elsewhere"))

    code = agent.main([str(path)])

    assert code == 78
    assert said in capsys.readouterr().err
