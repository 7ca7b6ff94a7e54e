"""An agent in a network namespace: packet loss, a slow link, a link that dies without a word, a broker that restarts.

    agent ── veth, nft and tc ── mosquitto ── daemon

Needs root, iproute2 and nftables. Names carry our pid, and go with the block that made them.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .parts import Agent, Daemon, Mosquitto, spying, still, wait_until

KEEPALIVE_S = 5
LOSS_PERCENT = 20
RATE = "1mbit"
SBIN = "/usr/sbin:/sbin"
SITE = "sources: [{{use: mqtt, port: {port}, keepalive_s: 5}}]\nstages: [{{use: motion}}]\n"


def missing_tools() -> list[str]:
    """Debian packages that are not there."""
    path = f"{os.environ.get('PATH', '')}:{SBIN}"
    wanted = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables"}
    return sorted({package for tool, package in wanted.items() if shutil.which(tool, path=path) is None})


def allowed() -> bool:
    """Whether this machine lets us make a network namespace."""
    name = f"tgtry{os.getpid()}"
    made = _try("ip", "netns", "add", name)
    return made and _try("ip", "netns", "del", name)


def _do(*command: str) -> str:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "PATH": f"{os.environ['PATH']}:{SBIN}"}
    )
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _try(*command: str) -> bool:
    with suppress(OSError):
        _do(*command)
        return True
    return False


@dataclass(frozen=True, slots=True)
class Net:
    """A namespace and the pair of interfaces that leads out of it. here, there: addresses of the two ends."""

    name: str
    outer: str
    inner: str
    here: str
    there: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What stands before a command that is to run inside."""
        return (shutil.which("ip", path=f"{os.environ['PATH']}:{SBIN}") or "ip", "netns", "exec", self.name)

    def inside(self, *command: str) -> str:
        return _do("ip", "netns", "exec", self.name, *command)

    def drop(self, rule: str) -> None:
        """Drop packets that match after they were sent, both ways; "%" stands for the agent's own side."""
        self.heal()
        for place, interface, mine in (((), self.outer, "sport"), (self.prefix, self.inner, "dport")):
            _do(*place, "nft", "add", "table", "inet", self.name)
            _do(*place, "nft", f"add chain inet {self.name} come {{ type filter hook prerouting priority 0; }}")
            match = f"iifname {interface} {rule.replace('%', mine)}"
            _do(*place, "nft", f"add rule inet {self.name} come {match} counter drop")

    def dropped(self) -> int:
        """Packets that were dropped since the last `drop`."""
        tables = [_do(*place, "nft", "list", "table", "inet", self.name) for place in ((), self.prefix)]
        return sum(int(found) for table in tables for found in re.findall(r"counter packets (\d+)", table))

    def heal(self) -> None:
        for place in ((), self.prefix):
            _try(*place, "nft", "delete", "table", "inet", self.name)

    @contextmanager
    def slow(self, rate: str) -> Iterator[None]:
        """At most so many bits a second out of the namespace."""
        bucket = ("rate", rate, "burst", "16kb", "latency", "400ms")
        self.inside("tc", "qdisc", "add", "dev", self.inner, "root", "tbf", *bucket)
        try:
            yield
        finally:
            self.inside("tc", "qdisc", "del", "dev", self.inner, "root")

    def plug(self, state: str) -> None:
        """The cable: "up" or "down"; nobody is told, no RST is sent."""
        _do("ip", "link", "set", self.outer, state)

    def port_of_agent(self) -> int:
        """The port from which the agent is connected now."""
        rows = [line.split() for line in self.inside("ss", "-Htn", "state", "established").splitlines()]
        return int(rows[-1][2].rpartition(":")[2])


@contextmanager
def network(number: int = 0) -> Iterator[Net]:
    """A namespace that ends with the block. number: another one for each that is open at the same time."""
    own = f"{os.getpid()}n{number}"
    subnet = f"10.{213 + number}.{os.getpid() % 250 + 1}"
    net = Net(f"tg{own}", f"tgo{own}", f"tgi{own}", f"{subnet}.1", f"{subnet}.2")
    _do("ip", "netns", "add", net.name)
    try:
        _do("ip", "link", "add", net.outer, "type", "veth", "peer", "name", net.inner)
        _do("ip", "link", "set", net.inner, "netns", net.name)
        _do("ip", "addr", "add", f"{net.here}/30", "dev", net.outer)
        _do("ip", "link", "set", net.outer, "up")
        net.inside("ip", "addr", "add", f"{net.there}/30", "dev", net.inner)
        net.inside("ip", "link", "set", net.inner, "up")
        net.inside("ip", "link", "set", "lo", "up")
        yield net
    finally:
        net.heal()
        _try("ip", "netns", "del", net.name)
        _try("ip", "link", "del", net.outer)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one fault. back_s: from its end (half-open: from its beginning) to the agent's next connection."""

    fault: str
    frames: int
    arrived: int
    wrong: int  # rows twice, or with another hash
    duplicates: float  # bytes that came again, as a share of the bytes of distinct frames
    seconds: float
    back_s: float | None = None
    dropped: int = 0  # packets


@dataclass(slots=True)
class Bench:
    """Broker and daemon, for one fault after the other."""

    folder: Path
    net: Net
    broker: Mosquitto
    daemon: Daemon
    _number: int = 0

    def suffer(
        self,
        fault: str,
        hurt: Callable[[Agent], float | None],
        *,
        frames: int,
        every_s: float = 0.1,
        large: int = 0,
        timeout_s: float = 60,
    ) -> Figures:
        """An agent takes `frames` stills while `hurt` goes on, which gives back_s. large: bytes of one more, a clip."""
        self._number += 1
        station = f"cam-{self._number}"
        pictures = [still(seed) for seed in range(7)]
        if large:
            pictures[2] = os.urandom(large)
        agent = Agent(
            self.folder, self.broker.port, host=self.net.here, station=station, pictures=pictures, frames=frames,
            every_s=every_s, keepalive_s=KEEPALIVE_S, prefix=self.net.prefix,
        )  # fmt: skip
        began_s, dropped = time.monotonic(), 0
        with spying(self.broker.port) as spy:
            agent.start()
            try:
                back_s = hurt(agent)
                wait_until(agent.has_all, timeout_s, agent.said)
                with suppress(OSError):  # no table: nothing was dropped
                    dropped = self.net.dropped()
            finally:
                self.net.heal()
                agent.end()
            seconds = time.monotonic() - began_s
        rows = [row for row in self.daemon.rows() if row["station"] == station]
        bad = [each for each in self.daemon.damage() if any(each.startswith(row["id"]) for row in rows)]
        wrong = len(rows) - len({row["seq"] for row in rows}) + len(bad)
        return Figures(fault, frames, len(rows), wrong, spy.duplicate_share, seconds, back_s, dropped)

    def loss(self) -> Figures:
        def hurt(_agent: Agent) -> None:
            self.net.drop(f"tcp dport != 0 numgen random mod 100 < {LOSS_PERCENT}")

        return self.suffer(f"{LOSS_PERCENT} % of packets lost, both ways", hurt, frames=40, every_s=0.05)

    def slow_link(self) -> Figures:
        with self.net.slow(RATE):
            return self.suffer("1 Mbit/s", lambda _agent: None, frames=8, every_s=0.05, large=1_100_000)

    def half_open(self) -> Figures:
        """The connection is dead, nobody says so, and a new one would work."""

        def hurt(agent: Agent) -> float:
            wait_until(lambda: agent.status().get("acked", 0) > 3, 20, agent.said)
            connections = agent.said().count("uplink.connected")
            self.net.drop(f"tcp % {self.net.port_of_agent()}")
            return wait_until(lambda: agent.said().count("uplink.connected") > connections, 30, agent.said)

        return self.suffer("half-open connection", hurt, frames=120, every_s=0.1)

    def unplugged(self) -> Figures:
        """The cable is out for longer than the keepalive, then in again."""

        def hurt(agent: Agent) -> float:
            wait_until(lambda: agent.status().get("acked", 0) > 3, 20, agent.said)
            connections = agent.said().count("uplink.connected")
            self.net.plug("down")
            time.sleep(1.7 * KEEPALIVE_S)
            self.net.plug("up")
            return wait_until(lambda: agent.said().count("uplink.connected") > connections, 30, agent.said)

        return self.suffer("link down for 8.5 s", hurt, frames=120, every_s=0.1)

    def broker_restart(self) -> Figures:
        def hurt(agent: Agent) -> float:
            wait_until(lambda: agent.status().get("acked", 0) > 3, 20, agent.said)
            connections = agent.said().count("uplink.connected")
            self.broker.kill()
            time.sleep(1)
            self.broker.start()
            return wait_until(lambda: agent.said().count("uplink.connected") > connections, 30, agent.said)

        return self.suffer("kill -9 of the broker", hurt, frames=100, every_s=0.05)


@contextmanager
def bench(folder: Path, number: int = 0) -> Iterator[Bench]:
    """All that the faults need, ended with the block. number: as `network` has it."""
    with network(number) as net:
        broker = Mosquitto(folder, listen=net.here)
        daemon = Daemon(folder / "server", SITE.format(port=broker.port))
        try:
            broker.start()
            daemon.start()
            yield Bench(folder, net, broker, daemon)
        finally:
            daemon.end()
            broker.end()
