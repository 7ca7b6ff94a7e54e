"""The settings of `modem`, how it speaks with mmcli and gammu, and what it makes of their answers.

What the real programs do is tried in tests/e2e/test_modem.py; here are scripts that say what a dummy modem does not.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from edge.errors import ConfigError, NoticeRefused, NotifyError
from edge.notices import Receipt
from edge.testing import fake_services, notice
from plugins.notifiers.modem import SPEC as MODEM
from plugins.notifiers.modem_channel import ModemChannel
from plugins.notifiers.modem_gammu import read_entry
from plugins.notifiers.modem_mmcli import delivery, quoted
from plugins.notifiers.modem_stick import Found, Letter, Report, signal_words
from plugins.notifiers.sms_memory import Memory

RANGER, OTHER = "+573001234567", "+573007654321"
TEXT = "Jaguar (93%), cam-03, 12:00. Reply ACK 7F2K"
SENT = 'printf "Sending SMS 1/1....waiting for network answer..%s\\n"'

# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "Field required"),
        ({"by": "kannel"}, "'mmcli' or 'gammu'"),
        ({"by": "gammu"}, "needs `config`"),
        ({"by": "gammu", "config": "x", "modem": "1"}, "it stands in its file, as `device`"),
        ({"by": "mmcli", "config": "x"}, "`config` is for `by: gammu`"),
        ({"by": "mmcli", "modem": "/dev/ttyUSB0"}, "is no modem"),
        ({"by": "mmcli", "modem": "any --help"}, "is no modem"),
        ({"by": "mmcli", "recipients": ["300 1234567"]}, "no telephone number"),
        ({"by": "mmcli", "template": "{animal}"}, "no field is called 'animal'"),
        ({"by": "mmcli", "template": "{headline}" * 9}, "`max_segments` is 2"),
        ({"by": "mmcli", "timeout_s": 1}, "greater than or equal to 2"),
        ({"by": "mmcli", "colour": "red"}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused_with_what_is_right(settings, says):
    with pytest.raises(ValidationError) as refused:
        MODEM.config(**settings)

    assert says in str(refused.value)


def test_a_modem_is_any_a_number_or_a_path():
    path = "/org/freedesktop/ModemManager1/Modem/3"

    assert [MODEM.config(by="mmcli", modem=each).modem for each in ("any", 3, path)] == ["any", "3", path]
    assert MODEM.has_own(MODEM.config(by="mmcli", recipients=["+57 300 1234567"]))
    assert not MODEM.has_own(MODEM.config(by="mmcli"))


def test_a_missing_program_or_file_ends_the_start(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="mmcli is not there"), MODEM.build(MODEM.config(by="mmcli"), fake_services()):
        pass

    program(tmp_path, "exit 0")
    config = MODEM.config(by="gammu", config=tmp_path / "none")
    with pytest.raises(ConfigError, match="gammu-config makes such a file"), MODEM.build(config, fake_services()):
        pass


# ── programs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "told"),
    [("a, b=c", '"a, b=c"'), ("it's", '''"it's"'''), ('"a"', """'"a"'"""), ("""it's "a\"""", '''"it's 'a'"''')],
)
def test_a_text_is_quoted_as_mmcli_reads_it(text, told):
    assert quoted(text) == told


@pytest.mark.parametrize(
    ("state", "receipt"),
    [
        ("completed-received", Receipt("delivered")),
        ("completed-forwarded-unconfirmed", Receipt("waiting")),
        ("temporary-error-no-response-from-sme", Receipt("waiting")),
        ("temporary-fatal-error-no-response-from-sme", Receipt("failed", "temporary fatal error no response from sme")),
        ("error-no-interworking-available", Receipt("failed", "error no interworking available")),
        ("unknown", Receipt("waiting")),
    ],
)
def test_a_delivery_state_is_final_when_the_network_tries_no_more(state, receipt):
    assert delivery(state) == receipt


def test_signals_are_told_in_words():
    assert [signal_words(each).split()[1] for each in (0, 24, 25, 50, 75, 100)] == [
        "weak", "weak", "fair", "good", "strong", "strong",
    ]  # fmt: skip


def test_only_received_messages_are_read():
    head = 'Location 7, folder "Inbox", SIM memory, Inbox folder\nSMS message\nRemote number        : "+57300"\n'

    assert read_entry('Location 7, folder "Outbox"\nSMS message\nStatus               : Sent\n\nACK\n\n') is None
    assert read_entry("Location 9\nEmpty\n") is None
    entry = read_entry(head + "Status               : Read\n\na\n\nStatus               : Sent\n\n")
    assert (entry.place, entry.number, entry.text, entry.at) == (
        "7",
        "+57300",
        "a\n\nStatus               : Sent",
        None,
    )


def program(folder, script):
    path = folder / "gammu"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def gammu(tmp_path, monkeypatch):
    """A channel through a script in gammu's place."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "gammurc").touch()
    program(tmp_path, "exit 0")
    config = MODEM.config(by="gammu", config=tmp_path / "gammurc", timeout_s=2, recipients=[RANGER, OTHER])
    with MODEM.build(config, fake_services(state_dir=tmp_path)) as channel:
        yield channel


def test_gammu_gets_arguments_and_no_shell_and_no_secret(gammu, tmp_path, monkeypatch):
    monkeypatch.setenv("TWILIO_TOKEN", "secret")
    program(tmp_path, f'for each; do echo "$each" >> {tmp_path}/told; done; env >> {tmp_path}/told')

    gammu.send(notice(to=RANGER, station="$(id)"), picture=b"")

    told = (tmp_path / "told").read_text().splitlines()
    assert told[:10] == [
        "-c",
        f"{tmp_path}/gammurc",
        "sendsms",
        "TEXT",
        RANGER,
        "-len",
        "1600",
        "-report",
        "-textutf8",
        TEXT,
    ]
    assert "LC_ALL=C.UTF-8" in told
    assert not any("secret" in line for line in told)


def test_a_number_that_the_network_does_not_know_is_refused_and_others_get_theirs(gammu, tmp_path):
    program(
        tmp_path,
        f"""case "$5" in {RANGER}) {SENT % "error 28, message reference=-1"}; echo Unknown error.; exit 127;; esac
{SENT % "OK, message reference=7"}""",
    )

    sid = gammu.send(notice(), picture=b"")

    assert sid.startswith(f"{OTHER}#7@")
    with pytest.raises(NoticeRefused, match=r"knows no number \+573001234567"):
        gammu.send(replace(notice(to=RANGER), key="other"), picture=b"")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (SENT % "error 38, message reference=-1" + "; exit 127", "cause 38"),
        ("echo 'Error opening device.'; exit 102", "can't be opened"),
        ("exit 123", "asks for its PIN"),
        ("exit 169", "no message centre"),
        ("echo; echo 'Some new fault.'; exit 199", "code 199: Some new fault"),
    ],
)
def test_what_fails_is_told_with_what_to_do_and_tried_again(gammu, tmp_path, script, says):
    program(tmp_path, script)
    with pytest.raises(NotifyError, match=says):
        gammu.send(notice(), picture=b"")

    program(tmp_path, SENT % "OK, message reference=7")
    assert gammu.send(notice(to=RANGER), picture=b"").startswith(f"{RANGER}#7@")


def test_a_program_that_hangs_is_ended(gammu, tmp_path):
    program(tmp_path, "echo Sending SMS 1/1; exec sleep 30")
    gammu.stick = replace(gammu.stick, tool=replace(gammu.stick.tool, timeout_s=0.2))

    with pytest.raises(NotifyError, match=r"took more than 0\.2 s"):
        gammu.send(notice(to=RANGER), picture=b"")


# ── once ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Stick:
    """A stick of memory. fate: what `sent` answers. raises: what `send` does."""

    fate: str | None = None
    raises: list[Exception] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    found: Found = field(default_factory=Found)
    deleted: list[str] = field(default_factory=list)

    def check(self):
        return "a stick"

    def prepare(self, number, text):
        return "place"

    def send(self, place, number, text):
        if self.raises:
            raise self.raises.pop()
        self.left.append((number, text))
        return "7"

    def sent(self, place, number, text):
        return self.fate

    def look(self):
        return self.found

    def delete(self, places):
        self.deleted += places


@pytest.fixture
def channel(tmp_path):
    services = fake_services(state_dir=tmp_path)
    memory = Memory(tmp_path / "sms.sqlite", services)
    yield ModemChannel(Stick(), services, [RANGER, OTHER], lambda _notice: TEXT, str, memory, 30.0)
    memory.close()


def test_while_a_message_may_be_on_its_way_it_is_not_sent_again_but_others_are(channel):
    channel.stick.raises = [NotifyError("no answer")]
    with pytest.raises(NotifyError, match="no answer"):
        channel.send(notice(), picture=b"")

    with pytest.raises(NotifyError, match="may still be sending") as waits:
        channel.send(notice(), picture=b"")
    assert channel.stick.left == [(OTHER, TEXT)]
    assert waits.value.again_in_s == 60

    channel.services.clock.step(61)
    channel.send(notice(), picture=b"")
    assert channel.stick.left == [(OTHER, TEXT), (RANGER, TEXT)]


def test_what_left_in_the_meantime_is_not_sent_again(channel):
    channel.stick.raises = [NotifyError("no answer")]
    with pytest.raises(NotifyError):
        channel.send(notice(to=RANGER), picture=b"")
    channel.stick.fate = "41"

    assert channel.send(notice(to=RANGER), picture=b"").startswith(f"{RANGER}#41@")
    assert channel.stick.left == []


def test_nobody_to_write_to_is_refused(channel):
    channel.recipients = ()

    with pytest.raises(NoticeRefused, match="set `recipients`"):
        channel.send(notice(), picture=b"")


def report(channel, number, state="delivered", *, reference="7", minutes=0):
    at = channel.services.clock.now() + timedelta(minutes=minutes)
    return Report(number, reference, Receipt(state), at, (f"{number} {state} {minutes}",))


def test_a_message_to_two_people_is_delivered_when_both_have_it_and_reports_stay_till_then(channel):
    sid = channel.send(notice(), picture=b"")
    first = report(channel, RANGER)
    channel.stick.found = Found(
        reports=(first, report(channel, OTHER, minutes=-60), report(channel, OTHER, reference="8"))
    )
    channel.stick.deleted.clear()

    assert channel.receipts([sid]) == {sid: Receipt("waiting")}
    assert channel.stick.deleted == []

    channel.stick.found = Found(reports=(first, report(channel, OTHER)))
    assert channel.receipts([sid, "+57#1@x", ""]) == {sid: Receipt("delivered")}
    assert sorted(channel.stick.deleted) == [f"{RANGER} delivered 0", f"{OTHER} delivered 0"]


def test_a_receipt_is_asked_for_only_where_reports_were(channel):
    sid = channel.send(notice(to=RANGER), picture=b"")
    channel.stick.found = Found(reports=(report(channel, RANGER),))
    channel.tracks = False

    assert channel.receipts([sid]) == {}


def test_an_answer_that_could_not_be_deleted_is_heard_once(channel):
    letter = Letter("id", RANGER, "ACK\n7F2K", datetime(2030, 1, 1, tzinfo=UTC), ("1", "2"))
    channel.stick.found = Found(letters=(letter,))
    heard, stop = [], FakeStop(looks=3)

    channel.listen(lambda reply: heard.append((reply.channel, reply.sender, reply.text, reply.id)) or "", stop)

    assert heard == [("modem", RANGER, "ACK 7F2K", "id")]
    assert channel.stick.deleted == ["1", "2"] * 3


class FakeStop:
    """Set after so many looks; waits for nothing."""

    def __init__(self, looks):
        self.looks = looks

    def wait(self, _seconds):
        self.looks -= 1
        return self.looks < 0

    def is_set(self):
        return False
