"""The sections of AGENT.yaml that say how frames are kept and sent: broker, spool, uplink, commands."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from edge.i18n import _

from .schedule import Hours
from .yaml_sections import ListOf, Section, file, number, one_of, seconds, text, whole

POLICIES = ("keep_oldest", "keep_newest", "thin")
THUMBNAILS = ("off", "first", "only_wanted")
MAY_BE_ALLOWED = ("reboot",)  # commands that a server may give only where AGENT.yaml says so


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Files of an encrypted connection: the authority that is believed, our certificate, our key."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker is. password_file: its first line is the password."""

    host: str
    port: int = 1883
    username: str = ""
    password_file: Path | None = None
    keepalive_s: int = 60
    tls: TlsSettings | None = None


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """The agent's own disk. folder: None is `spool` in state_dir. min_free_bytes: what is left free for the system.

    policy: what goes when there is no room for a new frame, one of POLICIES.
    """

    max_bytes: int
    folder: Path | None = None
    min_free_bytes: int = 0
    policy: str = "keep_oldest"


@dataclass(frozen=True, slots=True)
class UplinkSettings:
    """How frames are sent. windows: times of the day like "06:00-07:30", none: always. bytes_per_day: None, no bound.

    fresh_s: a frame younger than this goes before the backlog; fresh_share: of the bytes, while both wait. thumbnails:
    one of THUMBNAILS.
    """

    windows: tuple[str, ...] = ()
    bytes_per_day: int | None = None
    fresh_s: float = 120.0
    fresh_share: float = 0.75
    thumbnails: str = "off"

    def __post_init__(self) -> None:
        """What was not checked one by one. Raises ValueError."""
        Hours.parse(self.windows)

    @property
    def hours(self) -> Hours:
        """`windows`, read."""
        return Hours.parse(self.windows)


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """allow: commands that are refused otherwise, of MAY_BE_ALLOWED."""

    allow: tuple[str, ...] = field(default=())


def _hours(node: yaml.Node) -> str:
    value = text(node)
    try:
        Hours.parse([value])
    except ValueError as exc:
        raise ValueError(_('{value!r} is no part of a day; write it like "06:00-07:30"').format(value=value)) from exc
    return value


_share: Callable[[yaml.Node], object] = number(0, 1)

BROKER = Section(
    BrokerSettings,
    {
        "host": text,
        "port": whole(1, 65_535),
        "username": text,
        "password_file": file,
        "keepalive_s": whole(5, 65_535),
        "tls": Section(TlsSettings, {"ca": file, "cert": file, "key": file}),
    },
)
SPOOL = Section(
    SpoolSettings,
    {"folder": file, "max_bytes": whole(1), "min_free_bytes": whole(0), "policy": one_of(*POLICIES)},
)
UPLINK = Section(
    UplinkSettings,
    {
        "windows": ListOf(_hours),
        "bytes_per_day": whole(1),
        "fresh_s": seconds,
        "fresh_share": _share,
        "thumbnails": one_of(*THUMBNAILS),
    },
)
COMMANDS = Section(CommandSettings, {"allow": ListOf(one_of(*MAY_BE_ALLOWED))})
