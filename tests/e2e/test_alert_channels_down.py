"""All that can fail fails at once, with the real channels: the others go on, and in the end all is sent or says why."""

import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from edge.alerts.desk import AlertSettings
from edge.alerts.rules import Rule
from edge.cli import app
from edge.clock import SteppedClock
from edge.config import plan_from
from edge.registry import load_registry
from edge.testing import FakeClip, grey_picture
from tests.alert_rig import JAGUAR, Rig, animal
from tests.e2e.local_http import talking
from tests.e2e.mail_servers import PASSWORD, Mailbox, make_certificate, smtp_server
from tests.e2e.twilio_server import ACCOUNT, RANGER, SENDER, TOKEN, twilio_server
from tests.e2e.waiting import free_port

CHANNELS = ("mail", "sms", "hook", "nowhere", "program")
SITE = """
sources: [{{use: watch, folder: inbox}}]
stages: [{{use: detect}}, {{use: classify}}, {{use: rollup}}]
channels:
  - name: mail
    use: email
    host: localhost
    port: {smtp}
    ca_file: {folder}/cert.pem
    username: station
    password: {{env: MAIL_PASSWORD}}
    sender: traps@example.org
    recipients: [ana@example.org]
    timeout_s: 5
  - name: sms
    use: sms
    account_sid: {account}
    auth_token: {{env: TWILIO_TOKEN}}
    sender: "{sender}"
    recipients: ["{ranger}"]
    api_base: {twilio}
    timeout_s: 0.5
  - name: hook
    use: webhook
    url: http://127.0.0.1:{hook}/
    allow_http: true
    allow: [127.0.0.0/8]
    timeout_s: 0.5
  - {{name: nowhere, use: webhook, url: "https://gone.invalid/", timeout_s: 1}}
  - {{name: program, use: exec, command: [/bin/sh, -c, "(cat; echo) >> {folder}/program.txt"]}}
rules:
  - {{name: cats, taxon: Felidae, channels: [mail, sms, hook, nowhere, program]}}
"""


class Hook:
    """A web server that takes connections and says nothing until it works; bodies: what it was given then."""

    def __init__(self):
        self.works = False
        self.got = 0

    def talk(self, connection, over):
        connection.settimeout(5)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65_536)
        if not self.works:
            over.wait(2)
            return
        head, _, body = head.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        while len(body) < length:
            body += connection.recv(65_536)
        self.got += 1
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    monkeypatch.setenv("TWILIO_TOKEN", TOKEN)
    hook = Hook()
    with ExitStack() as stack:
        twilio = stack.enter_context(twilio_server())
        hook_port = stack.enter_context(talking(hook.talk))
        certificate, smtp = make_certificate(tmp_path), free_port()
        text = SITE.format(
            smtp=smtp,
            folder=tmp_path,
            account=ACCOUNT,
            sender=SENDER,
            ranger=RANGER,
            twilio=twilio.base,
            hook=hook_port,
        )
        (tmp_path / "site.yaml").write_text(text, "utf-8")
        plan = plan_from(text, tmp_path / "site.yaml", load_registry())
        rig = Rig(
            tmp_path, [Rule(name="cats", taxon="Felidae", channels=CHANNELS)], channels=CHANNELS,
            clock=SteppedClock(datetime(2026, 11, 22, 12, tzinfo=UTC)), digest=None,
            settings=AlertSettings(gap=timedelta(0), queue=8), give_up_after=timedelta(hours=3),
        )  # fmt: skip
        stack.callback(rig.store.close)
        notifiers = {
            name: stack.enter_context(spec.build(config, rig.services))
            for name, (spec, config) in plan.channels.items()
        }
        rig.box = rig.outbox(**notifiers)
        yield rig, twilio, hook, lambda mailbox: stack.enter_context(smtp_server(mailbox, certificate, smtp))


def states_of(rig, channel):
    return [row.state for row in rig.rows() if row.channel == channel]


def status_of(rig, folder):
    """What `tigrillo alerts status --json` says beside the daemon."""
    state = folder / "state"
    state.mkdir(exist_ok=True)
    (state / "status.json").write_text(json.dumps({"channels": rig.box.snapshot()}), "utf-8")
    with rig.store.transaction() as connection:
        (state / "tigrillo.sqlite").unlink(missing_ok=True)
        path = str(state / "tigrillo.sqlite")
    connection = rig.store._engine.raw_connection()
    connection.driver_connection.execute("VACUUM INTO ?", (path,))
    done = CliRunner().invoke(
        app, ["alerts", "status", "--site", str(folder / "site.yaml"), "--json", "--last", "1000"]
    )
    return done.exit_code, json.loads(done.stdout)


def test_everything_down_for_an_hour_stops_nothing_else_and_loses_nothing(site, tmp_path):
    rig, twilio, hook, start_mail = site
    twilio.faults = ["20429", "500", "hang", "html", "retry 7", *["500"] * 50]
    rig.media.clips.update({f"f{number}": FakeClip([grey_picture()]) for number in range(1, 20)})

    for number in range(12):
        rig.see(animal(JAGUAR))
        rig.send()
        assert len((tmp_path / "program.txt").read_text().splitlines()) == number + 1, "the others wait for nobody"
        rig.clock.step(300)

    down = rig.box.snapshot()
    assert {name: lane["state"] == "works" for name, lane in down.items()} == dict.fromkeys(CHANNELS, False) | {
        "program": True
    }
    assert all(down[name]["error"] for name in CHANNELS[:4])
    for name in CHANNELS[:4]:
        assert states_of(rig, name).count("pending") <= 8, "the queue is bounded"
    code, status = status_of(rig, tmp_path)
    assert (code, status["channels"]["mail"]["state"]) == (1, "paused")
    assert status["channels"]["hook"]["messages"]["pending"]["count"] == 8

    mailbox = Mailbox(answers=[f"451 try later, {PASSWORD} {TOKEN}"])
    start_mail(mailbox)
    twilio.faults = []
    hook.works = True
    rig.live(5 * 3600, every_s=900)

    sent = {name: states_of(rig, name).count("sent") for name in ("mail", "sms", "hook")}
    for name, count in sent.items():
        assert count + states_of(rig, name).count("dropped") == 12, "all of it was sent, or was too much for the queue"
        assert count >= 8
    assert len(mailbox.mails) == len({mail["Message-ID"] for mail in mailbox.parsed()}) == sent["mail"]
    assert sent["sms"] <= len(twilio.bodies) <= sent["sms"] + 1, "one whose fate nobody knew, at most, comes twice"
    assert hook.got == sent["hook"]
    gone = [row for row in rig.rows() if row.channel == "nowhere"]
    assert {(row.state, row.reason) for row in gone} <= {
        ("failed", "expired"),
        ("dropped", "queue"),
        ("dropped", "late"),
    }
    assert any(row.reason == "expired" and "given up after" in row.error for row in gone)

    said = json.dumps(status_of(rig, tmp_path)) + repr(rig.events) + json.dumps(rig.box.snapshot())
    assert PASSWORD not in said
    assert TOKEN not in said
    assert any("•••" in str(event.fields.get("reason")) for event in rig.events), "it was there to be taken out"
