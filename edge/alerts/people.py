"""Who is told: recipients, how they are reached, and when they want to be left alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..i18n import _
from ..model import SEVERITIES, Severity
from ..paths import is_safe_name
from .hours import minute_of, parse_span

OWN = "@"  # before a channel's name: its own addressees


def _plain_name(name: str) -> str:
    if not is_safe_name(name):
        raise ValueError(_("{name!r}: letters, digits, '_', '-' and '.' only, at most 64").format(name=name))
    return name


def _clock_time(text: str) -> str:
    try:
        datetime.strptime(text, "%H:%M")  # noqa: DTZ007  # because it is a time of day
    except ValueError as exc:
        raise ValueError(_("{text!r} is no time of day: write '07:00', in quotes").format(text=text)) from exc
    return text


def _span(text: str) -> str:
    return str(parse_span(text))


PlainName = Annotated[str, AfterValidator(_plain_name)]
ClockTime = Annotated[str, AfterValidator(_clock_time)]
SpanText = Annotated[str, AfterValidator(_span)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quiet(_Strict):
    """When not to disturb. hours: "21:00-06:00", the recipient's time. override: from this severity on they come."""

    hours: tuple[SpanText, ...] = Field(min_length=1)
    override: Literal["info", "warning", "critical", "never"] = "critical"

    def forbids(self, severity: Severity, local: datetime) -> bool:
        """Whether a message of this severity has to wait at this time, aware, in the recipient's zone."""
        if self.override != "never" and SEVERITIES.index(severity) >= SEVERITIES.index(self.override):
            return False
        return any(minute_of(local) in parse_span(text) for text in self.hours)


class Recipient(_Strict):
    """A person who is told.

    reach: channel → address, the best first. language, timezone: the site's when left out. per_day: messages on a local
    day at most; the rest goes into the digest, as does what quiet hours held back. digest: when it comes; None for
    never. digest_channel: the first of `reach` when left out. sees_people: may see people, where the rule allows it.
    """

    name: PlainName
    reach: Mapping[str, str] = Field(min_length=1)
    language: Literal["en", "es"] | None = None
    timezone: str | None = None
    quiet: Quiet | None = None
    per_day: int = Field(default=20, ge=1, le=1000)
    digest: ClockTime | None = "07:00"
    digest_channel: str | None = None
    sees_people: bool = False


@dataclass(frozen=True, slots=True)
class Addressee:
    """One way to one recipient, or a channel's own addressees (person ""). name: as rules and rows have it.

    address: "" for a channel's own. quiet: None for none. per_day: None for no bound. digest: None for never.
    """

    name: str
    channel: str
    person: str = ""
    address: str = ""
    language: str = "en"
    timezone: str = "UTC"
    quiet: Quiet | None = None
    per_day: int | None = None
    digest: str | None = None
    digest_to: str = ""
    sees_people: bool = False

    def local(self, now: datetime) -> datetime:
        """`now` in the recipient's zone."""
        return now.astimezone(ZoneInfo(self.timezone))

    def day(self, now: datetime) -> tuple[datetime, datetime]:
        """Begin and end of the recipient's day that `now` lies in; where a midnight comes twice, from the first."""
        midnight = self.local(now).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        return midnight, midnight + timedelta(days=1)

    @property
    def who(self) -> str:
        """Whose budget, digest and mute it is: the person, or the channel's own addressees as one."""
        return self.person or self.name

    @property
    def key(self) -> str:
        """For message keys."""
        return quote(self.name, safe="@")


@dataclass(frozen=True, slots=True)
class Directory:
    """Everybody a site can tell, by the names that rules use."""

    by_name: Mapping[str, Addressee]
    first: Mapping[str, str]  # person → the name of the best way to them
    own: Mapping[tuple[str, str], str]  # (channel, address) of a channel's own addressees → their name

    def find(self, name: str) -> Addressee | None:
        """`ana` (the best way to her), `ana/sms`, or `@mail` (the channel's own); None when there is none."""
        return self.by_name.get(self.first.get(name, name))

    def all_ways(self, person: str) -> list[Addressee]:
        """All ways to a person, the best first."""
        return [each for each in self.by_name.values() if each.person == person]

    def at(self, channel: str, address: str) -> Addressee | None:
        """Who has this address on this channel."""
        ways = (each for each in self.by_name.values() if each.channel == channel and each.address)
        found = next((each for each in ways if each.address.casefold() == address.casefold()), None)
        return found or self.by_name.get(self.own.get((channel, address.casefold()), ""))


@dataclass(frozen=True, slots=True)
class OwnAddressees:
    """What a channel's own addressees are like. language: None for the site's. addresses: for who answers."""

    channel: str
    language: str | None = None
    sees_people: bool = False
    addresses: tuple[str, ...] = ()


def directory(
    recipients: Sequence[Recipient],
    channels: Iterable[OwnAddressees],
    *,
    language: str,
    timezone: str,
    digest: str | None,
) -> Directory:
    """Everybody of a site. digest: when that of the channels' own addressees comes, None for never."""
    channels = list(channels)
    found = {
        OWN + each.channel: Addressee(
            OWN + each.channel,
            each.channel,
            language=each.language or language,
            timezone=timezone,
            digest=digest,
            digest_to=OWN + each.channel,
            sees_people=each.sees_people,
        )
        for each in channels
    }
    own = {(each.channel, address.casefold()): OWN + each.channel for each in channels for address in each.addresses}
    first: dict[str, str] = {}
    for each in recipients:
        best = next(iter(each.reach))
        first[each.name] = f"{each.name}/{best}"
        for channel, address in each.reach.items():
            name = f"{each.name}/{channel}"
            found[name] = Addressee(
                name,
                channel,
                person=each.name,
                address=address,
                language=each.language or language,
                timezone=each.timezone or timezone,
                quiet=each.quiet,
                per_day=each.per_day,
                digest=each.digest,
                digest_to=f"{each.name}/{each.digest_channel or best}",
                sees_people=each.sees_people,
            )
    return Directory(found, first, own)
