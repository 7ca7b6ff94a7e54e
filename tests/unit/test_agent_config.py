"""AGENT.yaml: what it may say, and that each fault is one line with its place."""

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


def test_the_commented_example_is_good_and_names_every_setting():
    path = REPO / "configs" / "agent.yaml"

    settings = load(path)

    text = path.read_text(encoding="utf-8")
    for section in (settings, settings.broker, settings.spool, settings.camera, settings.trigger):
        for name in section.__slots__:
            assert f"{name}:" in text, f"{name} is not explained in {path.name}"


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_starters_are_good(language):
    assert load(REPO / "configs" / language / "agent.yaml").station


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
        ("trigger: {use: interval, every_s: 2.5}", "trigger: 5", "5:10 trigger: must be a section with use, every_s"),
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
        "station", "broker.host", "spool", "colour", "camera", "trigger",
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
