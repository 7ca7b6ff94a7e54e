"""The site's YAML as a type: sections, keys, bounds and defaults. Plugins' own settings are checked in config.py."""

import difflib
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, Field, field_validator, model_validator

from .alerts.heartbeat import HeartbeatConfig
from .alerts.people import ClockTime, Recipient
from .alerts.rules import Rule
from .alerts.zones import Zone
from .compute.choice import parse_choice
from .dataset import Dataset
from .errors import ConfigError
from .i18n import _
from .paths import is_safe_name
from .privacy.policy import PeopleConfig
from .site_database import DatabaseConfig
from .site_web import WebConfig


def known_zone(name: str) -> str:
    """The name of a time zone, when there is one of this name. Raises ValueError with the nearest."""
    if name not in available_timezones():
        close = difflib.get_close_matches(name, available_timezones(), 1)
        raise ValueError(_("{name!r} is no IANA time zone{hint}").format(name=name, hint=did_you_mean(close)))
    return name


def _safe_station(name: str) -> str:
    if not is_safe_name(name):
        raise ValueError(_("{name!r}: letters, digits, '_', '-' and '.' only, at most 64").format(name=name))
    return name


def _device(text: str) -> str:
    try:
        parse_choice(text)
    except ConfigError as exc:
        raise ValueError(str(exc)) from exc
    return text


def did_you_mean(close: Sequence[str]) -> str:
    """`; did you mean 'Felidae'?`, or nothing where no name is near."""
    return _("; did you mean {names}?").format(names=", ".join(repr(name) for name in close)) if close else ""


def expandable(folder: str) -> str:
    """The folder as it is written, when its `~` names a home. Raises ValueError when it does not."""
    try:
        FilePath(folder).expanduser()
    except RuntimeError as exc:
        raise ValueError(
            _("{folder!r}: there is no such home folder: write the whole path").format(folder=folder)
        ) from exc
    return folder


TimeZone = Annotated[str, AfterValidator(known_zone)]
StationName = Annotated[str, AfterValidator(_safe_station)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SiteInfo(_Strict):
    """Who and where."""

    name: str = "tigrillo"
    language: Literal["en", "es"] = "en"
    timezone: TimeZone = "UTC"


class Limits(_Strict):
    """The bounds. spool_bytes: frames that wait on disk. inbox_frames: in work at once. compute_jobs: in the models."""

    spool_bytes: ByteSize = Field(default=ByteSize(20_000_000_000), gt=0)
    inbox_frames: int = Field(default=2, ge=1, le=64)
    compute_jobs: int = Field(default=2, ge=1, le=64)
    when_full: Literal["block", "drop_newest"] = "block"
    grace_s: float = Field(default=20.0, ge=0, le=3600)


class ComputeConfig(_Strict):
    """Where models run. device: auto, cpu, opencl or opencl:PLATFORM/DEVICE. threads: for the CPU, 0 for all cores."""

    device: Annotated[str, AfterValidator(_device)] = "auto"
    threads: int = Field(default=0, ge=0, le=256)


class MediaConfig(_Strict):
    """How clips are looked at. sample_fps: pictures a second of clip time, 0 for every picture.

    clip_pictures: of one clip, at most, 0 for no bound: of longer ones key pictures, and those where the most moves.
    """

    sample_fps: float = Field(default=2.0, ge=0, le=1000)
    clip_pictures: int = Field(default=600, ge=0)
    max_pixels: int = Field(default=120_000_000, gt=0)


class StationConfig(_Strict):
    """A camera's place. timezone: the zone its clock is set to; the site's when left out.

    species_list: name of the list of what lives there, where that is not the site's: NAME.csv beside that one.
    """

    name: StationName
    timezone: TimeZone | None = None
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    species_list: str = ""


class EnrollConfig(_Strict):
    """The enrolment's address: where Raspberry Pis change their token for a certificate."""

    port: int = Field(default=8884, ge=1, le=65_535)
    listen: str = ""


class BrokerConfig(_Strict):
    """The broker that stations with certificates talk to.

    host: the name or address by which they reach it; this machine's own when left out. names: more of them, for the
    certificate. run: `tigrillo run` starts it. external: somebody else's, with our authority. enforce: only stations
    that were added, or that the site names, may send.
    """

    host: str = ""
    port: int = Field(default=8883, ge=1, le=65_535)
    listen: str = ""
    names: tuple[str, ...] = ()
    run: bool = False
    external: bool = False
    enroll: EnrollConfig | None = None
    enforce: bool = False

    @model_validator(mode="after")
    def _one_owner(self) -> "BrokerConfig":
        if self.external and (self.run or not self.host):
            raise ValueError(_("external: true is somebody else's broker: name its `host`, and leave `run` out"))
        return self


class Use(BaseModel):
    """A list entry that names a plugin; the rest are that plugin's own settings."""

    model_config = ConfigDict(extra="allow", frozen=True)
    use: str


class Channel(Use):
    """An alert channel: a notifier under a name that rules refer to.

    per_minute: messages it is given in a minute at most. sees_people: its own addressees may see people, where the rule
    allows it.
    """

    name: str
    per_minute: int | None = Field(default=None, ge=1, le=10_000)
    sees_people: bool = False


class AlertsConfig(_Strict):
    """How alerts are put together; what each means: edge/alerts/desk.py, docs/alerts.md.

    digest: when the digest of channels' own addressees comes; null for never. page: address of the web page, for links
    that are good for link_days. give_up_h: a message that its channel does not take is kept so long. heartbeat: who is
    told when the system itself is unwell; nobody when left out.
    """

    gap_min: float = Field(default=10, ge=0, le=24 * 60)
    max_age_min: float = Field(default=30, gt=0, le=7 * 24 * 60)
    updates: int = Field(default=2, ge=0, le=20)
    queue: int = Field(default=500, ge=1, le=100_000)
    give_up_h: float = Field(default=24, gt=0, le=24 * 30)
    digest: ClockTime | None = "07:00"
    page: str = ""
    link_days: int = Field(default=7, ge=1, le=366)
    heartbeat: HeartbeatConfig | None = None

    @field_validator("page")
    @classmethod
    def _is_address(cls, page: str) -> str:
        if page and not (page.startswith(("https://", "http://")) and page.isprintable() and " " not in page):
            raise ValueError(_("{page!r} is no web address: write https://…").format(page=page[:80]))
        return page


class SiteFile(_Strict):
    """The whole file."""

    site: SiteInfo = SiteInfo()
    state_dir: Annotated[str, AfterValidator(expandable)] = "state"
    database: DatabaseConfig = DatabaseConfig()
    limits: Limits = Limits()
    compute: ComputeConfig = ComputeConfig()
    media: MediaConfig = MediaConfig()
    broker: BrokerConfig | None = None
    stations: tuple[StationConfig, ...] = ()
    sources: tuple[Use, ...] = ()
    stages: tuple[Use, ...] = ()
    channels: tuple[Channel, ...] = ()
    recipients: tuple[Recipient, ...] = ()
    groups: dict[str, tuple[str, ...]] = {}
    zones: dict[str, Zone] = {}
    alerts: AlertsConfig = AlertsConfig()
    rules: tuple[Rule, ...] = ()
    dataset: Dataset | None = None
    people: PeopleConfig = PeopleConfig()
    web: WebConfig | None = None
