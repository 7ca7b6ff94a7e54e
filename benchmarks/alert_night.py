"""A night at 100×: real stills in, and every message as it left. Writes a folder: texts, mails, what the commands say.

Usage: python benchmarks/alert_night.py FOLDER [--speed 100]

The daemon lives from 18:00 to 07:20 by a clock that runs 100 times as fast (alert_kit/fast_server.py). Three stations
send what SIGHTINGS says, at its times. Detector, classifier, mosquitto, mail server and Twilio's API are those of
alert_latency.py, the stills those of ../shared/media. With chromium the mails are drawn as PNG, too.
"""

import argparse
import base64
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path
from zoneinfo import ZoneInfo

from alert_kit import Notes, start_mailbox, start_twilio, wait_for_line
from alert_kit.fast_server import FastClock
from kit import SHARED_MEDIA

from edge.demo.parts import Crew, broker_command, free_port, wait_for_port
from edge.link import Broker, Link
from edge.wire import FrameHeader, up_topic

ZONE = ZoneInfo("America/Bogota")
BEGINS, ENDS = "18:00", "07:20"
SERVER = Path(__file__).parent / "alert_kit" / "fast_server.py"
CHROMIUM = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip
# local time, station, still, when it was taken (left out: then)
SIGHTINGS = (
    ("18:20:00", "river-01", "ena24_7951", ""),
    ("18:40:00", "fields-02", "african_elephants", ""),
    ("18:41:30", "fields-02", "african_elephants", ""),
    ("18:44:00", "fields-02", "african_elephants", ""),
    ("19:30:00", "ridge-03", "ena24_4383", ""),
    ("21:15:00", "ridge-03", "blank", ""),
    ("22:10:00", "fields-02", "african_elephants", ""),
    ("23:40:00", "ridge-03", "ena24_2480", ""),
    ("02:14:00", "river-01", "ocelot", ""),
    ("02:14:40", "river-01", "ocelot", ""),
    ("02:16:00", "river-01", "ocelot", ""),
    ("03:30:00", "ridge-03", "ena24_4383", "20:05:00"),
    ("04:50:00", "river-01", "ena24_9455", ""),
    ("05:40:00", "river-01", "blank2", ""),
)
EXPLAINED = ("0009", "0010", "0007")  # frames: sent, joined, quiet hours
SITE = """\
site: {{name: La Macarena, language: en, timezone: America/Bogota}}
state_dir: state
stations:
  - {{name: river-01, latitude: 2.18, longitude: -73.79}}
  - {{name: fields-02, latitude: 2.21, longitude: -73.80}}
  - {{name: ridge-03, latitude: 2.25, longitude: -73.84}}
sources: [{{use: mqtt, host: 127.0.0.1, port: {port}}}]
stages: [{{use: detect}}, {{use: classify}}, {{use: rollup}}]
channels:
  - {{name: mail, use: email, host: 127.0.0.1, port: {smtp}, security: none, sender: Camera traps <traps@example.org>}}
  - {{name: sms, use: sms, account_sid: AC{zeros}, auth_token: {{env: TWILIO_TOKEN}}, sender: "+573000000001",
      api_base: "http://127.0.0.1:{twilio}", answers: 0}}
recipients:
  - name: ana
    language: es
    reach: {{sms: "+573001234567", mail: ana@example.org}}
    quiet: {{hours: ["21:00-05:30"], override: critical}}
    digest: "07:00"
    digest_channel: mail
  - {{name: ben, language: en, reach: {{mail: ben@example.org}}, per_day: 5}}
  - {{name: carla, language: es, reach: {{sms: "+573007654321"}}}}
rules:
  - name: cats at night
    taxon: Felidae
    sun: night
    severity: critical
    to: [ana, ben]
    escalate: [{{after_min: 15, to: [carla]}}]
  - name: elephants in the fields
    taxon: Elephantidae
    stations: fields-02
    to: [ana, ben]
  - name: other mammals
    all: [{{taxon: Mammalia}}, {{not: {{taxon: [Felidae, Elephantidae]}}}}]
    severity: info
    to: [ben]
    cooldown_min: 120
"""
RULES = """\
rules:
  - {name: every animal, category: animal, to: [ana, ben]}
"""


@contextmanager
def running(folder: Path, clock: FastClock) -> Iterator[tuple[Notes, Notes, int]]:
    """Mailbox, Twilio and the broker's port, while the daemon lives in its night."""
    os.environ["TWILIO_TOKEN"] = "the-token-of-this-test"
    port = free_port()
    with Crew(folder) as crew:
        mailbox, twilio = start_mailbox(crew), start_twilio(crew)
        crew.start("broker", broker_command(folder, port)[1])
        wait_for_port(port)
        values = {"port": port, "smtp": mailbox.port, "twilio": twilio.port, "zeros": "0a" * 16}
        (folder / "site.yaml").write_text(SITE.format(**values), "utf-8")
        numbers = (clock.begins.isoformat(), str(clock.zero_s), str(clock.speed))
        daemon = crew.start("daemon", [sys.executable, str(SERVER), str(folder / "site.yaml"), *numbers])
        wait_for_line(daemon, "mqtt.connected")
        yield mailbox, twilio, port
        if daemon.has_ended():
            raise SystemExit(daemon.log.read_text()[-3000:])


def play(port: int, clock: FastClock) -> None:
    """Send each sighting at its time, and wait for the morning."""
    begins = clock.begins
    with Link(Broker("127.0.0.1", port), client_id="night", subscribe="none", on_message=lambda _message: None) as link:
        link.connect()
        for number, (at, station, still, taken) in enumerate(SIGHTINGS, 1):
            moment = at_night(begins, at)
            wait_for(clock, moment, link)
            body = (SHARED_MEDIA / "stills" / f"{still}.jpg").read_bytes()
            unlike = b"".join([body[:2], b"\xff\xfe\x00\x06", b"%04d" % number, body[2:]])
            header = FrameHeader(
                id=f"0badcafe-{number:04}", sha256=sha256(unlike).hexdigest(), boot="0badcafe", seq=number,
                kind="still", captured_at=at_night(begins, taken) if taken else moment, name=f"{number:04}.jpg",
            )  # fmt: skip
            link.publish(up_topic(station, "frame"), unlike, properties=header.to_properties())
            print(f"  {at}  {station:<10} {still}", flush=True)
        wait_for(clock, at_night(begins, f"{ENDS}:00"), link)


def at_night(begins: datetime, at: str) -> datetime:
    """The moment of a local time in the night that begins then."""
    hour, minute, second = (int(each) for each in at.split(":"))
    moment = begins.astimezone(ZONE).replace(hour=hour, minute=minute, second=second)
    return (moment if moment >= begins else moment + timedelta(days=1)).astimezone(UTC)


def wait_for(clock: FastClock, moment: datetime, link: Link) -> None:
    """Drive the connection until then."""
    while clock.at(time.time()) < moment:
        link.turn(0.02)


def show(folder: Path, mailbox: Notes, twilio: Notes, clock: FastClock) -> str:
    """Write what left as files; returns it as text, in the order in which it left."""
    lines = [(each["at"], f"SMS to {each['to']}\n{each['body']}\n") for each in twilio.read()]
    for number, noted in enumerate(mailbox.read(), 1):
        mail = message_from_bytes(Path(noted["mail"]).read_bytes(), policy=policy.default)
        plain = mail.get_body(("plain",))
        said = plain.get_content().strip() if plain else ""
        head = "".join(f"{name}: {mail[name]}\n" for name in ("To", "Subject", "Importance") if mail[name])
        lines.append((noted["at"], f"{head}\n{said}\n"))
        draw(mail, folder / f"mail-{number:02}")
    out = []
    for at, text in sorted(lines):
        out.append(f"── {clock.at(at).astimezone(ZONE):%H:%M} ──\n{text}")
    return "\n".join(out)


def draw(mail: EmailMessage, target: Path) -> None:
    """The HTML form with its picture inside, as TARGET.html; and as TARGET.png where chromium is installed."""
    html = mail.get_body(("html",))
    if html is None:
        return
    text = html.get_content()
    for part in mail.walk():
        if part["Content-ID"]:
            data = base64.b64encode(part.get_content()).decode()
            text = text.replace(
                f"cid:{part['Content-ID'].strip('<>')}", f"data:{part.get_content_type()};base64,{data}"
            )
    target.with_suffix(".html").write_text(text, "utf-8")
    if (chromium := shutil.which("chromium")) is not None:
        profile, shot = target.parent / "chromium", target.with_suffix(".png")
        shown = ["--window-size=720,1000", f"--user-data-dir={profile}", f"--screenshot={shot}"]
        command = [chromium, *CHROMIUM, *shown, str(target.with_suffix(".html"))]
        subprocess.run(command, check=False, timeout=60, capture_output=True)


def said(folder: Path, *arguments: str) -> str:
    """What a command prints, with its name above."""
    command = [sys.executable, "-m", "edge.cli", "alerts", *arguments, "--site", "site.yaml"]
    environment = os.environ | {"COLUMNS": "132", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return f"$ tigrillo alerts {' '.join(arguments)}\n{done.stdout}{done.stderr}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="is made; what left is written into it")
    parser.add_argument("--speed", type=float, default=100.0, help="of the night (100)")
    chosen = parser.parse_args()
    folder = chosen.folder.resolve()
    folder.mkdir(parents=True)
    yesterday = datetime.now(ZONE) - timedelta(days=1)
    hour, minute = (int(each) for each in BEGINS.split(":"))
    begins = yesterday.replace(hour=hour, minute=minute, second=0, microsecond=0).astimezone(UTC)
    clock = FastClock(begins, time.time(), chosen.speed)
    with running(folder, clock) as (mailbox, twilio, port):
        play(port, clock)
        (folder / "messages.txt").write_text(show(folder, mailbox, twilio, clock), "utf-8")
        (folder / "status.txt").write_text(said(folder, "status", "--last", "20"), "utf-8")
    (folder / "other.yaml").write_text(RULES, "utf-8")
    explained = "\n".join(said(folder, "explain", f"0badcafe-{each}") for each in EXPLAINED)
    (folder / "explain.txt").write_text(explained, "utf-8")
    simulated = said(folder, "simulate", "--since", "2d", "other.yaml")
    (folder / "simulate.txt").write_text(f"{simulated}\n{said(folder, 'simulate', '--since', '2d')}", "utf-8")
    for name in ("messages", "explain", "simulate", "status"):
        print(f"\n══ {name} ══\n{(folder / f'{name}.txt').read_text('utf-8')}")


if __name__ == "__main__":
    main()
