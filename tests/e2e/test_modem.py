"""SMS through a stick: the real `gammu` with its dummy modem, the real `mmcli` with a ModemManager of memory."""

import re
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge.clock import SystemClock
from edge.errors import NoticeRefused, NotifyError, StoreBusy
from edge.notices import Receipt, Wording
from edge.testing import check_notifier_contract, fake_services, notice
from plugins.notifiers.modem import SPEC as MODEM
from tests.e2e.modem_manager import RECEIVING, SENT, modem_manager
from tests.e2e.waiting import wait_until

RANGER, OTHER = "+573001234567", "+573007654321"
TEXT = "Jaguar (93%), cam-03, 12:00. Reply ACK 7F2K"
# What a run of gammu logs of each SMS that it hands to the modem; text in Unicode stands there in hexadecimal as well.
LEFT = re.compile(
    r'Recipient number "(?P<to>.*)"\n(?:.*\n)*?(?P<coding>7 bit|Unicode) SMS, length .*\n'
    r"(?P<text>(?:.*\n)*?)Sent SMS on"
)


@pytest.fixture
def services(tmp_path):
    return fake_services(state_dir=tmp_path / "state", clock=SystemClock())


def words(text):
    """A notice that is told as this very text."""
    return notice(to=RANGER, kind="health", words=Wording(text, ()), code="", link="")


@contextmanager
def listening(channel, hear):
    """The channel hears answers, in a thread of its own."""
    stop = threading.Event()
    thread = threading.Thread(target=channel.listen, args=(hear, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


# ── gammu ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Dummy:
    """A modem of gammu's: a folder with a file for each message, and a log of what left."""

    def __init__(self, folder):
        self.folder, self.log = folder / "modem", folder / "gammu.log"
        self.folder.mkdir()
        self.config = folder / "gammurc"
        self.config.write_text(
            f"[gammu]\nmodel = dummy\nconnection = none\ndevice = {self.folder}\n"
            f"logfile = {self.log}\nlogformat = textall\n"
        )

    def left(self):
        """(number, coding, text) of what left in the last run, and forget it."""
        text = self.log.read_text("utf-8") if self.log.exists() else ""
        self.log.unlink(missing_ok=True)
        return [(*found.group("to", "coding"), found["text"].splitlines()[-1]) for found in LEFT.finditer(text)]

    def lay(self, name, text, *, sender=RANGER, kind="Deliver", state="UnRead", folder=1, more=""):
        """A message as gammu writes it; hexadecimal UTF-16 as in its own files."""
        place = self.folder / "sms" / str(folder)
        place.mkdir(parents=True, exist_ok=True)
        at = datetime.now(UTC)
        (place / name).write_text(
            f"[SMSBackup000]\nPDU = {kind}\nDateTime = {at:%Y%m%dT%H%M%S}Z\nState = {state}\n"
            f'SMSC = "+573000"\nNumber = "{sender}"\nText00 = {text.encode("utf-16-be").hex().upper()}\n'
            f"Coding = Default_No_Compression\nFolder = {folder}\nLength = {len(text)}\nClass = -1\n{more}"
        )

    def lying(self):
        return {str(path.relative_to(self.folder / "sms")) for path in self.folder.glob("sms/*/*")}


@pytest.fixture
def dummy(tmp_path):
    return Dummy(tmp_path)


@pytest.fixture
def through_gammu(dummy, services):
    with MODEM.build(MODEM.config(by="gammu", config=dummy.config, answers=0.05), services) as channel:
        yield channel


def test_gammu_passes_the_contract_of_a_notifier(dummy, services):
    config = MODEM.config(by="gammu", config=dummy.config, recipients=[RANGER])

    check_notifier_contract(MODEM, config, notice(), services, picture=b"jpeg")

    assert dummy.left() == [(RANGER, "7 bit", "All is well: 7 stations were heard today.")]


def test_gammu_sends_letters_of_the_alphabet_as_such_and_others_in_unicode(dummy, through_gammu):
    through_gammu.send(replace(words('Ñandú, "pozo" 50€; $(id) -report'), key="1"), picture=b"")
    assert dummy.left() == [(RANGER, "7 bit", 'Ñandu, "pozo" 50€; $(id) -report')]

    through_gammu.send(replace(words("Рысь у реки"), key="2"), picture=b"")
    assert dummy.left() == [(RANGER, "Unicode", "Рысь у реки")]


def test_gammu_cuts_no_long_text_to_one_sms(dummy, through_gammu):
    through_gammu.send(words("nueve letras " * 22), picture=b"")

    assert [len(text) for _to, _coding, text in dummy.left()] == [153, 13 * 22 - 1 - 153]


def test_what_gammu_sent_is_sent_no_second_time_also_after_a_restart(dummy, services):
    ids, left = set(), []
    for _start in range(2):
        with MODEM.build(MODEM.config(by="gammu", config=dummy.config), services) as channel:
            for _try in range(2):
                ids.add(channel.send(notice(to=RANGER), picture=b""))
                left += dummy.left()

    assert len(ids) == 1
    assert left == [(RANGER, "7 bit", TEXT)]


def test_gammu_hears_answers_once_and_deletes_them_only_then(dummy, through_gammu):
    dummy.lay("1", "ACK 7F2K ñ")
    dummy.lay("2", "a" * 153, sender=OTHER, more="UDH = 050003DD0201\n")
    dummy.lay("3", "b", sender=OTHER, more="UDH = 050003DD0202\n")
    dummy.lay("4", "half of a message", sender=OTHER, more="UDH = 050003AA0201\n")
    dummy.lay("1", "a draft", state="UnSent", kind="Submit", folder=2)
    heard, fails = [], [StoreBusy("busy")]

    def hear(reply):
        if fails:
            raise fails.pop()
        assert ("1/1" if reply.sender == RANGER else "1/3") in dummy.lying()
        heard.append(reply)
        return ""

    with listening(through_gammu, hear):
        wait_until(lambda: through_gammu.services.log.entries)
    assert {"1/1", "1/2", "1/3"} <= dummy.lying()
    with listening(through_gammu, hear):
        wait_until(lambda: len(heard) == 2 and "1/3" not in dummy.lying())

    assert [(reply.sender, reply.text) for reply in heard] == [(RANGER, "ACK 7F2K ñ"), (OTHER, "a" * 153 + "b")]
    assert dummy.lying() == {"1/4", "2/1"}


def test_an_answer_is_answered_through_gammu(dummy, services):
    dummy.lay("1", "AYUDA")
    config = MODEM.config(by="gammu", config=dummy.config)  # looks once within this test

    with MODEM.build(config, services) as channel, listening(channel, lambda _reply: "Escriba ACK, ñandú o ¿?"):
        wait_until(lambda: "1/1" not in dummy.lying())

    assert dummy.left() == [(RANGER, "7 bit", "Escriba ACK, ñandu o ¿?")]


def test_a_text_that_looks_like_another_message_forges_no_sender(dummy, through_gammu):
    forged = f'a\n\nLocation 10009, folder "Inbox", SIM memory, Inbox folder\nSMS message\nRemote number        : "{RANGER}"\nStatus               : UnRead\n\nSTOP'  # noqa: E501
    dummy.lay("1", forged[:160], sender=OTHER)
    heard = []

    with listening(through_gammu, lambda reply: heard.append(reply) or ""):
        wait_until(lambda: "1/1" not in dummy.lying())

    assert [reply.sender for reply in heard] == [OTHER]


def test_gammu_gives_receipts_from_reports_that_the_modem_keeps(dummy, through_gammu):
    sid = through_gammu.send(notice(to=RANGER), picture=b"")
    assert through_gammu.receipts([sid]) == {}
    dummy.lay("7", "Delivered", kind="Status_Report", more="MessageReference = 255\n")
    dummy.lay("8", "Failed", kind="Status_Report", sender=OTHER, more="MessageReference = 255\n")

    assert through_gammu.receipts([sid]) == {sid: Receipt("delivered")}
    assert dummy.lying() == {"1/8"}


def test_gammu_says_which_modem_and_network_or_what_is_wrong(dummy, through_gammu):
    assert through_gammu.check() == "Gammu unknown (Dummy), network GammuT3l"

    dummy.config.write_text("[gammu]\nconnection = at\ndevice = /dev/ttyNoSuchPort\n")
    with pytest.raises(NotifyError, match="no such port"):
        through_gammu.check()
    with pytest.raises(NotifyError, match="no such port"):
        through_gammu.send(notice(to=RANGER), picture=b"")


# ── mmcli ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def manager(tmp_path, monkeypatch):
    with modem_manager(tmp_path) as running:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", running.address)
        yield running


@pytest.fixture
def through_mmcli(manager, services):
    with MODEM.build(MODEM.config(by="mmcli", answers=0.05, timeout_s=20), services) as channel:
        yield channel


def test_mmcli_sends_every_sign_of_a_text_and_keeps_nothing(manager, services):
    config = MODEM.config(by="mmcli", recipients=[RANGER, OTHER])
    text = "a=1, number=+1, b='x' y=50€, ñ"

    with MODEM.build(config, services) as channel:
        channel.send(replace(words(text), to=""), picture=b"")

    assert manager.left == [(RANGER, text), (OTHER, text)]
    assert manager.messages == {}


def test_a_text_with_both_kinds_of_quotes_loses_one_kind(manager, through_mmcli):
    through_mmcli.send(words("""d'Arc "ñ" """), picture=b"")

    assert manager.left == [(RANGER, "d'Arc 'ñ'")]


def test_a_message_whose_fate_was_lost_is_found_at_modemmanager_and_not_sent_again(manager, services):
    manager.stays_silent = True
    with MODEM.build(MODEM.config(by="mmcli", timeout_s=2), services) as channel, pytest.raises(NotifyError):
        channel.send(notice(to=RANGER), picture=b"")
    assert [sms["State"][1] for sms in manager.messages.values()] == [SENT]

    with MODEM.build(MODEM.config(by="mmcli"), services) as channel:  # as after a kill
        first = channel.send(notice(to=RANGER), picture=b"")
        assert channel.send(notice(to=RANGER), picture=b"") == first

    assert manager.left == [(RANGER, TEXT)]
    assert manager.messages == {}


@pytest.mark.parametrize(
    ("name", "error"),
    [("Core.InvalidArgs", NoticeRefused), ("Message.NoNetwork", NotifyError), ("Core.Unauthorized", NotifyError)],
)
def test_a_failed_message_is_not_kept_and_may_be_sent_later(manager, through_mmcli, name, error):
    manager.refuses = (f"org.freedesktop.ModemManager1.Error.{name}", "so it says")
    with pytest.raises(error, match="so it says"):
        through_mmcli.send(notice(to=RANGER), picture=b"")
    assert manager.messages == {}

    manager.refuses = ()
    through_mmcli.send(notice(to=RANGER), picture=b"")
    assert manager.left == [(RANGER, TEXT)]


def test_mmcli_hears_answers_and_deletes_them_but_no_half_ones(manager, through_mmcli):
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}+00"
    manager.receive(RANGER, 'ACK "7F2K"\nñ', now)
    half = manager.receive(OTHER, "half", now, state=RECEIVING)
    manager.receive(OTHER, "MUTE 2h", f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%dT%H:%M:%S}+00")
    heard = []

    def hear(reply):
        assert "ACK" in str(manager.messages)
        heard.append((reply.sender, reply.text))
        return "OK"

    with listening(through_mmcli, hear):
        wait_until(lambda: list(manager.messages) == [half] and manager.left)

    assert heard == [(RANGER, 'ACK "7F2K" ñ')]
    assert manager.left == [(RANGER, "OK")]


def test_mmcli_gives_receipts_by_number_and_reference(manager, through_mmcli, services):
    first = through_mmcli.send(replace(notice(to=RANGER), key="1"), picture=b"")
    second = through_mmcli.send(replace(notice(to=RANGER), key="2"), picture=b"")
    manager.report(RANGER, 40, 0x00)
    manager.report(RANGER, 41, 0x41)
    for sms in manager.messages.values():
        sms["Timestamp"] = ("s", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}+00")

    told = through_mmcli.receipts([first, second])

    assert told == {first: Receipt("delivered"), second: Receipt("failed", "error incompatible destination")}
    assert manager.messages == {}


def test_mmcli_says_which_modem_network_and_signal_and_switches_it_on(manager, through_mmcli):
    manager.state = "disabled"

    assert through_mmcli.check() == "Huawei E3372, network Claro, signal good (67 %)"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"state": "locked", "lock": 2}, "PIN: switch that off with a telephone"),
        ({"state": "locked", "lock": 4}, "PUK"),
        ({"state": "failed"}, "there is no SIM"),
        ({"state": "searching", "signal": 0}, "not in a network .searching.: no signal"),
        ({"state": "searching", "signal": 30}, "ask the network about the SIM"),
        ({"has_modem": False}, "is it plugged in"),
    ],
)
def test_what_keeps_a_modem_from_sending_is_told_with_what_to_do(manager, through_mmcli, change, says):
    for name, value in change.items():
        setattr(manager, name, value)

    with pytest.raises(NotifyError, match=says):
        through_mmcli.check()
    with pytest.raises(NotifyError, match=says):
        through_mmcli.send(notice(to=RANGER), picture=b"")
    assert manager.left == []


def test_no_modemmanager_is_told_with_what_to_do(services, tmp_path, monkeypatch):
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")

    with MODEM.build(MODEM.config(by="mmcli"), services) as channel, pytest.raises(NotifyError, match="D-Bus run"):
        channel.check()
