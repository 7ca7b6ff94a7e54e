"""What the API says of stations: one model each, with units."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ..api.words import NO_NUL, Moment
from .overview import State

Line = Annotated[str, StringConstraints(max_length=128, pattern=NO_NUL)]
Lines = Annotated[str, StringConstraints(max_length=4000, pattern=NO_NUL)]


class Shape(BaseModel):
    """Made of attributes of our own values."""

    model_config = ConfigDict(from_attributes=True)


class PlaceShape(Shape):
    """A position, degrees WGS 84. exact: false where it is the middle of a cell of 0.1°, for those who don't review."""

    latitude: float
    longitude: float
    exact: bool


class TroubleShape(Shape):
    """Something wrong. sort: never, silent, battery, supply, card, backlog, fading or clock. text: English."""

    sort: str
    text: str


class BatteryShape(Shape):
    """volts, percent: as its agent said last. falling_per_day: in volts or percent, null unless it falls.

    days_left: until the site's limit, null where that is unknown.
    """

    volts: float | None
    percent: float | None
    falling_per_day: float | None
    days_left: float | None


class StationShape(Shape):
    """A station. heard_at: its agent's last word or its newest frame. silent_after_s: how long it may say nothing.

    standing: whether a deployment goes on, null when it never had one. drift_s: the server's clock less its own.
    frames_7_days: taken in the last seven days.
    """

    name: str
    timezone: str
    state: State
    online: bool | None
    heard_at: datetime | None
    silent_after_s: float
    standing: bool | None
    troubles: list[TroubleShape]
    battery: BatteryShape | None
    place: PlaceShape | None
    drift_s: float | None
    version: str
    frames_7_days: int


class StationList(BaseModel):
    """Stations by name."""

    items: list[StationShape]
    next: str | None


class ReadingShape(Shape):
    """What an agent said of itself, the first of each hour. disk: free bytes. waiting: frames in its spool."""

    at: datetime
    volts: float | None
    percent: float | None
    temperature_c: float | None
    disk: float | None
    waiting: float | None
    drift_s: float | None


class ReadingList(BaseModel):
    """Readings, oldest first; all that were asked for are there."""

    items: list[ReadingShape]
    next: str | None = None


class DayShape(Shape):
    """Frames of a local day, by what counts now. sequences: of frames that belong together."""

    day: date
    frames: int
    blanks: int
    animals: int
    humans: int
    vehicles: int
    sequences: int
    unreviewed: int


class DayList(BaseModel):
    """Days with frames, oldest first; days without any are left out."""

    items: list[DayShape]
    next: str | None = None


class DeploymentShape(Shape):
    """When a camera stood where. ended_at: null while it stands there."""

    id: str
    station: str
    started_at: datetime
    ended_at: datetime | None
    place: PlaceShape | None
    uncertainty_m: float | None
    timezone: str
    camera_id: str
    camera_model: str
    height_m: float | None
    tilt_deg: float | None
    heading_deg: float | None
    bait: str
    feature: str
    habitat: str
    setup_by: str
    tags: list[str]
    comments: str
    origin: str


class DeploymentList(BaseModel):
    """Deployments, newest first."""

    items: list[DeploymentShape]
    next: str | None = None


class EffortShape(Shape):
    """How much of its time the camera looked; days of 24 h, nights by local midnights."""

    start: datetime
    end: datetime
    trap_nights: int
    active_nights: int
    active_days: float
    failed_days: float
    unknown_days: float
    frames: int


class NewDeployment(BaseModel):
    """A deployment to note, or what one is to be. id: made of station and day when empty. Degrees WGS 84, metres."""

    model_config = ConfigDict(extra="forbid")

    id: Line = ""
    started_at: Moment
    ended_at: Moment | None = None
    latitude: float | None = Field(default=None, strict=True, ge=-90, le=90)
    longitude: float | None = Field(default=None, strict=True, ge=-180, le=180)
    uncertainty_m: float | None = Field(default=None, strict=True, ge=0, le=20_000_000)
    camera_id: Line = ""
    camera_model: Line = ""
    height_m: float | None = Field(default=None, strict=True, ge=-10, le=200)
    tilt_deg: float | None = Field(default=None, strict=True, ge=-90, le=90)
    heading_deg: float | None = Field(default=None, strict=True, ge=0, le=360)
    bait: Line = ""
    feature: Line = ""
    habitat: Line = ""
    setup_by: Line = ""
    tags: Annotated[list[Line], Field(max_length=50)] = []
    comments: Lines = ""


class CommandShape(Shape):
    """A command. state: queued, sent, done, failed or expired. text: its agent's answer."""

    id: str
    name: str
    state: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    text: str


class CommandList(BaseModel):
    """The newest commands, newest first."""

    items: list[CommandShape]
    next: str | None = None


class NewCommand(BaseModel):
    """A command to send: pictures as a trigger would take, one full picture at once, or a restart."""

    model_config = ConfigDict(extra="forbid")

    name: Literal["capture", "snapshot", "reboot"]


class Queued(BaseModel):
    """A command that waits for its station to be connected."""

    id: str
