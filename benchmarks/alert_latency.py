"""How long does an alert take? From a frame's first byte on the network to the whole message at SMTP and at Twilio.

Usage: python benchmarks/alert_latency.py [--mix usual|all] [--rate FRAMES_A_SECOND] [--seconds S]

Real parts on this machine: mosquitto, `tigrillo run` with megadetector-lite and efficientnet-lite0, a mail server that
wants STARTTLS and a login, Twilio's API over HTTP. Twenty stations send at random moments (Poisson), five frames a
second together. Every frame is looked at by the detector, blank ones too; boxes are classified as well.

usual   one frame in five shows an animal: that is an alert, by mail with its picture and by SMS
all     every frame shows one and is told, ten messages a second: more than two cores do; nothing is promised of it

Every alert is an encounter of its own. The servers and the sender take their share of the same cores.
"""

import argparse
import hashlib
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import psutil
from alert_kit import (
    MAIL_PASSWORD,
    MAIL_USER,
    Beat,
    Notes,
    make_certificate,
    percentiles,
    start_mailbox,
    start_twilio,
    told,
    wait_for_line,
)
from kit import SHARED_MEDIA, machine

from edge.demo.footage import fetch_pictures, make_footage
from edge.demo.parts import Crew, Part, broker_command, free_port, wait_for_port
from edge.link import Broker, Link
from edge.wire import FrameHeader, up_topic
from plugins.notifiers.email_names import message_id

STATIONS, SEED = 20, 7
WARM_FRAMES, LEFT_S = 10, 120.0
GOAL_S = 2.0
BOOT = "0badcafe"
COMMENT = b"\xff\xfe\x00\x0c"  # of a JPEG, ten bytes follow
ONE_IN = {"usual": 5, "all": 1}
SHOWN = ("african_elephants", "american_black_bear", "ena24_2480", "ena24_4383", "ena24_7951", "ena24_9455")
SITE = """\
site: {{name: Benchmark, language: es, timezone: America/Bogota}}
state_dir: state
sources: [{{use: mqtt, host: 127.0.0.1, port: {port}, client_id: benchmark}}]
stages: [{{use: detect}}, {{use: classify}}, {{use: rollup}}]
alerts: {{gap_min: 0, queue: 10000}}
channels:
  - {{name: mail, use: email, host: localhost, port: {smtp}, security: starttls, ca_file: "{ca}", username: {user},
      password: {{env: MAIL_PASSWORD}}, sender: traps@example.org, recipients: [ana@example.org]}}
  - {{name: sms, use: sms, account_sid: AC{zeros}, auth_token: {{env: TWILIO_TOKEN}}, sender: "+573000000001",
      recipients: ["+573001234567"], api_base: "http://127.0.0.1:{twilio}", answers: 0}}
rules: [{{name: animals, category: animal, min_score: 0.5, channels: [mail, sms]}}]
"""


@dataclass(frozen=True, slots=True)
class Stills:
    """What the cameras take. shown: an animal is in them. blank: nothing."""

    shown: Sequence[bytes]
    blank: Sequence[bytes]
    source: str

    @classmethod
    def gathered(cls, folder: Path) -> "Stills":
        """The real ones of ../shared/media; without it the demo's cat, which scikit-image's wheel brings."""
        stills = SHARED_MEDIA / "stills"
        if stills.is_dir():
            shown = [stills / f"{name}.jpg" for name in SHOWN]
            blank = [*stills.glob("blank*.jpg"), *sorted((SHARED_MEDIA / "burst").glob("*.JPG"))]
            source = "../shared/media"
        else:
            fetch_pictures(folder / "pictures")
            walk = make_footage(folder / "pictures", folder / "footage")
            day = [each for each in walk if each.name.startswith("day")]
            shown, blank, source = day[6:9], [*day[:3], *day[12:]], "the demo's footage"
        read = [[each.read_bytes() for each in files] for files in (shown, blank)]
        sizes = sorted(len(each) // 1000 for each in (*read[0], *read[1]))
        return cls(*read, f"{len(shown)} and {len(blank)} stills of {source}, {sizes[0]} to {sizes[-1]} KB")


@dataclass(slots=True)
class Sender:
    """Twenty stations on one connection. sent: id → when its first byte went out, seconds since 1970."""

    link: Link
    stills: Stills
    chance: Random = field(default_factory=lambda: Random(SEED))
    sent: dict[str, float] = field(default_factory=dict)
    number: int = 0

    def send(self, *, shows: bool) -> None:
        """One frame of one of the stations."""
        self.number += 1
        body = self.chance.choice(self.stills.shown if shows else self.stills.blank)
        body = b"".join([body[:2], COMMENT, b"%010d" % self.number, body[2:]])
        header = FrameHeader(
            id=f"{BOOT}-{self.number:08d}",
            sha256=hashlib.sha256(body).hexdigest(),
            captured_at=datetime.now(UTC),
            boot=BOOT,
            seq=self.number,
            kind="still",
            name=f"{self.number:08d}.jpg",
        )
        station = f"cam-{self.number % STATIONS + 1:02}"
        self.sent[header.id] = time.time()
        self.link.publish(up_topic(station, "frame"), body, properties=header.to_properties())

    def turn(self, until_s: float) -> None:
        """Drive the connection until then."""
        while (left_s := until_s - time.monotonic()) > 0:
            self.link.turn(min(left_s, 0.02))


@dataclass(frozen=True, slots=True)
class Place:
    """Everything that runs."""

    folder: Path
    mailbox: Notes
    twilio: Notes
    sender: Sender
    crew: Crew
    daemon: Part

    def rows(self, query: str) -> list[sqlite3.Row]:
        """Of the daemon's database."""
        path = self.folder / "state" / "tigrillo.sqlite"
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            return list(connection.execute(query))

    def left(self) -> int:
        """Frames and messages that are still on their way."""
        recorded = self.rows("select count(*) n from frames where state = 'recorded'")[0]["n"]
        waiting = self.rows("select count(*) n from notices where state in ('pending', 'sending')")[0]["n"]
        return int(self.sender.number - recorded + waiting)

    def drain(self) -> None:
        """Wait until nothing is on its way."""
        until = time.monotonic() + LEFT_S
        while left := self.left():
            if time.monotonic() > until:
                raise SystemExit(f"{left} frames or messages left after {LEFT_S:.0f} s")
            self.sender.turn(time.monotonic() + 0.3)


@contextmanager
def open_place(folder: Path) -> Iterator[Place]:
    """Servers, broker and daemon, running and connected."""
    os.environ |= {"MAIL_PASSWORD": MAIL_PASSWORD, "TWILIO_TOKEN": "the-token-of-this-test"}
    stills, certificate, port = Stills.gathered(folder), make_certificate(folder), free_port()
    print(f"{stills.source}", flush=True)
    with Crew(folder) as crew:
        mailbox, twilio = start_mailbox(crew, certificate=certificate), start_twilio(crew)
        crew.start("broker", broker_command(folder, port)[1])
        wait_for_port(port)
        values = {"port": port, "smtp": mailbox.port, "twilio": twilio.port, "ca": certificate[0], "zeros": "0a" * 16}
        (folder / "site.yaml").write_text(SITE.format(user=MAIL_USER, **values), "utf-8")
        daemon = start_daemon(crew, folder / "site.yaml")
        link = Link(Broker("127.0.0.1", port), client_id="sender", subscribe="none", on_message=lambda _message: None)
        with link:
            link.connect()
            while not link.ready:
                link.turn(0.05)
            yield Place(folder, mailbox, twilio, Sender(link, stills), crew, daemon)
        if daemon.has_ended():
            raise SystemExit(daemon.log.read_text()[-3000:])


def start_daemon(crew: Crew, site: Path) -> Part:
    """`tigrillo run`, once it receives."""
    daemon = crew.start("daemon", [sys.executable, "-m", "edge.cli", "run", str(site), "--log-json"])
    wait_for_line(daemon, "mqtt.connected")
    return daemon


@dataclass(frozen=True, slots=True)
class Cores:
    """Processor seconds so far: of the daemon, of all that we started and are, of the whole machine."""

    daemon_s: float
    ours_s: float
    all_s: float
    at_s: float

    @classmethod
    def of(cls, place: Place) -> "Cores":
        """Now."""
        spent = {}
        for pid in (os.getpid(), *(part.process.pid for part in place.crew.parts if part.process)):
            times = psutil.Process(pid).cpu_times()
            spent[pid] = times.user + times.system
        assert place.daemon.process is not None
        whole = psutil.cpu_times()
        busy = sum(whole) - whole.idle - whole.iowait - whole.guest - whole.guest_nice
        return cls(spent[place.daemon.process.pid], sum(spent.values()), busy, time.monotonic())

    def tell(self, before: "Cores", frames: int) -> None:
        """Print what was used since then: a figure is worth little when others took much."""
        spent_s = self.at_s - before.at_s
        daemon, ours = self.daemon_s - before.daemon_s, self.ours_s - before.ours_s
        others = max(0.0, self.all_s - before.all_s - ours) / spent_s
        print(
            f"  cores in use: daemon {daemon / spent_s:.2f} ({daemon / frames * 1000:.0f} ms a frame), our senders and "
            f"servers {(ours - daemon) / spent_s:.2f}, others on this machine {others:.2f}"
        )


def measure(place: Place, *, mix: str, rate: float, seconds: float) -> set[str]:
    """Send for so long, wait for all; returns the ids of the frames that count."""
    sender, beat = place.sender, Beat(10)
    for number in range(WARM_FRAMES):
        sender.send(shows=number % 2 == 0)
        sender.turn(time.monotonic() + 0.3)
    place.drain()
    before, cores, began_s = set(sender.sent), Cores.of(place), time.monotonic()
    next_s = began_s
    while next_s < began_s + seconds:
        sender.turn(next_s)
        sender.send(shows=sender.number % ONE_IN[mix] == 0)
        next_s += sender.chance.expovariate(rate)
        if beat.due():
            done_s = time.monotonic() - began_s
            print(f"  {done_s:3.0f} s of {seconds:.0f}: {place.left()} frames and messages under way", flush=True)
    place.drain()
    Cores.of(place).tell(cores, len(sender.sent) - len(before))
    return set(sender.sent) - before


def report(place: Place, counted: set[str], *, mix: str, rate: float) -> float:
    """Print the figures; returns the p95 of the slower way, seconds."""
    frames = {
        row["id"]: row for row in place.rows("select id, received_at, recorded_at, stage_ms from frames")
        if row["id"] in counted
    }  # fmt: skip
    notices = place.rows("select key, channel, receipt, id from notices n join frames f on f.pk = n.frame_pk")
    mails = {each["id"]: each["at"] for each in place.mailbox.read()}
    texts = {each["sid"]: each["at"] for each in place.twilio.read()}
    arrived: dict[str, dict[str, float]] = {"mail": {}, "sms": {}}
    for row in notices:
        if row["id"] in counted:
            known = (
                mails.get(message_id(row["key"], "example.org"))
                if row["channel"] == "mail"
                else texts.get(row["receipt"])
            )
            arrived[row["channel"]][row["id"]] = float("inf") if known is None else known
    sent, seconds = (
        place.sender.sent,
        max(place.sender.sent[each] for each in counted) - min(place.sender.sent[each] for each in counted),
    )
    alerts = sorted(arrived["mail"])
    print(
        f"  {len(counted)} frames in {seconds:.0f} s, {len(counted) / seconds:.1f} a second; {len(alerts)} alerts, "
        f"{sum(map(len, arrived.values())) / seconds:.1f} messages a second"
    )
    received = {name: _at(row["received_at"]) for name, row in frames.items()}
    recorded = {name: _at(row["recorded_at"]) for name, row in frames.items()}
    looked = {name: sum(json.loads(row["stage_ms"]).values()) / 1000 for name, row in frames.items()}
    print(f"  {'seconds':<44}{'p50':>8}{'p95':>8}{'max':>8}")
    _line("sent → durable here", [received[each] - sent[each] for each in counted])
    _line("waiting for a worker, and recording", [recorded[each] - received[each] - looked[each] for each in counted])
    _line("looked at: decode, detect, classify", [looked[each] for each in counted])
    ways = []
    for channel, server in (("mail", "SMTP"), ("sms", "Twilio")):
        _line(f"recorded → {server} has it", [arrived[channel][each] - recorded[each] for each in alerts])
    for channel, server in (("mail", "SMTP"), ("sms", "Twilio")):
        whole = [arrived[channel][each] - sent[each] for each in alerts]
        _line(f"sent → {server} has it", whole)
        ways.append((f"p95 to {server}, {rate:g} frames/s, {mix}", percentiles(whole)[1]))
    for what, value in ways if mix == "usual" else ():
        told(what, value, GOAL_S, unit=" s", digits=2)
    return max(value for _what, value in ways)


def _line(what: str, values: Sequence[float]) -> None:
    print(f"  {what:<44}" + "".join(f"{each:8.2f}" for each in percentiles(values)))


def _at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", choices=ONE_IN, default="usual")
    parser.add_argument("--rate", type=float, default=5.0, help="frames a second (5)")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long it is measured (120)")
    chosen = parser.parse_args()
    print(f"$ python benchmarks/{Path(__file__).name} {' '.join(sys.argv[1:])}".rstrip())
    print(machine("aiosmtpd", "twilio"), flush=True)
    mix = chosen.mix
    print(f"{mix}: one frame in {ONE_IN[mix]} is told; load before {os.getloadavg()[0]:.1f}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="tigrillo-latency-", ignore_cleanup_errors=True) as folder,
        open_place(Path(folder)) as place,
    ):
        counted = measure(place, mix=mix, rate=chosen.rate, seconds=chosen.seconds)
        slowest_s = report(place, counted, mix=mix, rate=chosen.rate)
    print(f"  load after {os.getloadavg()[0]:.1f}")
    print(f"ratio: {slowest_s / GOAL_S:.2f} (the slower way's p95 over the goal)")


if __name__ == "__main__":
    main()
