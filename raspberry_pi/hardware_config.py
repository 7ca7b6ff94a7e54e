"""The sections of AGENT.yaml that say what is wired to the Pi: camera, triggers, lamp, profile, health, place.

Nothing here looks at the hardware: that a pin or a camera is missing shows when it is opened.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from edge.i18n import _

from .triggers.moments import PlanError, read_plan
from .yaml_sections import (
    Kinds,
    ListOf,
    Plainly,
    Readable,
    Section,
    file,
    number,
    one_of,
    plain,
    seconds,
    size,
    text,
    whole,
    yes_or_no,
)

# What the encoder of a Pi 4 and older takes: H.264 level 4.2, 1080p30.
# Source: Raspberry Pi documentation, "The Picamera2 Library", chapter on encoders.
CLIP_PIXELS = (1920, 1080)
# Of a burst and of a clip's end: systemd's watchdog bites after 60 s without a sign of life, and warm-up, a slow card
# and a camera that gives no picture have their share of them.
LONGEST_S = 20.0
Controls = tuple[tuple[str, float | bool], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the camera stands, for the sun and for clock times. timezone: "" is the system's own."""

    latitude: float | None = None
    longitude: float | None = None
    timezone: str = ""

    def __post_init__(self) -> None:
        """Half a place is none. Raises ValueError."""
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError(_("latitude and longitude are given together"))

    @property
    def has_sun(self) -> bool:
        """Whether the sun's times are known here."""
        return self.latitude is not None


@dataclass(frozen=True, slots=True)
class Burst:
    """`count` pictures for each trigger, `per_s` of them a second."""

    count: int = 1
    per_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Clip:
    """A video for each trigger. before_s: from before the trigger, out of a buffer in memory."""

    before_s: float = 2.0
    after_s: float = 5.0
    per_s: float = 15.0
    bits_per_s: int = 4_000_000


@dataclass(frozen=True, slots=True)
class ControlSets:
    """A camera's own controls by day and by night, such as ExposureTime: 20000."""

    day: Controls = ()
    night: Controls = ()


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """The files of `path`, in order, again and again when `loop`."""

    use: str
    path: Path
    loop: bool = False


@dataclass(frozen=True, slots=True)
class Picamera2Settings:
    """A camera on the ribbon cable. standby "stopped": off between pictures, warm_up_s later for each."""

    use: str
    number: int = 0
    size: tuple[int, int] = (1920, 1080)
    thumbnail: tuple[int, int] = (480, 270)
    quality: int = 90
    rotate: int = 0
    standby: str = "running"
    warm_up_s: float = 1.0
    burst: Burst = field(default_factory=Burst)
    clip: Clip | None = None
    controls: ControlSets = field(default_factory=ControlSets)

    def __post_init__(self) -> None:
        """What the encoder and the buffer need. Raises ValueError."""
        if self.clip and (self.size[0] > CLIP_PIXELS[0] or self.size[1] > CLIP_PIXELS[1]):
            raise ValueError(_("with clip, size is at most 1920x1080: the Pi's encoder takes no more"))
        _check_times(self.standby, self.burst, self.clip)


@dataclass(frozen=True, slots=True)
class V4l2Settings:
    """A USB camera, read by ffmpeg. format: mjpeg is passed on as the camera made it, yuyv422 is compressed here."""

    use: str
    device: Path = Path("/dev/video0")
    format: str = "mjpeg"
    size: tuple[int, int] = (1280, 720)
    per_s: float = 10.0
    standby: str = "running"
    warm_up_s: float = 1.0
    burst: Burst = field(default_factory=Burst)
    clip: Clip | None = None

    def __post_init__(self) -> None:
        """What the buffer needs. Raises ValueError."""
        _check_times(self.standby, self.burst, self.clip)


@dataclass(frozen=True, slots=True)
class RtspSettings:
    """A network camera, read by ffmpeg. url_file: its first line is the address, with name and password in it."""

    use: str
    url: str = ""
    url_file: Path | None = None
    per_s: float = 5.0
    standby: str = "running"
    warm_up_s: float = 1.0
    burst: Burst = field(default_factory=Burst)
    clip: Clip | None = None

    def __post_init__(self) -> None:
        """One address. Raises ValueError."""
        if bool(self.url) == bool(self.url_file):
            raise ValueError(_("give url or url_file, one of the two"))
        _check_times(self.standby, self.burst, self.clip)


CameraSettings = ReplaySettings | Picamera2Settings | V4l2Settings | RtspSettings


@dataclass(frozen=True, slots=True)
class IntervalSettings:
    """Every `every_s` seconds. active: always, or only by day or by night (profile says when that is)."""

    use: str
    every_s: float
    active: str = "always"


@dataclass(frozen=True, slots=True)
class PirSettings:
    """A movement sensor on a pin. pin: BCM number.

    debounce_s: shorter pulses are noise. warm_up_s: since the Pi was switched on. hold_off_s: after one that fired.
    """

    use: str
    pin: int
    debounce_s: float = 0.1
    warm_up_s: float = 60.0
    hold_off_s: float = 5.0
    active_high: bool = True
    active: str = "always"


@dataclass(frozen=True, slots=True)
class MotionSettings:
    """Movement in the camera's small stream. changed: share of the picture; difference: in grey levels of 255."""

    use: str
    changed: float = 0.02
    difference: int = 25
    every_s: float = 0.5
    hold_off_s: float = 5.0
    active: str = "always"


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """At these times of the day; see triggers/moments.py for how they are written."""

    use: str
    at: tuple[str, ...]
    active: str = "always"


TriggerSettings = IntervalSettings | PirSettings | MotionSettings | ScheduleSettings


@dataclass(frozen=True, slots=True)
class LampSettings:
    """An infrared lamp on a pin, on while pictures are taken. when: night or always. max_on_s: never longer."""

    pin: int
    active_high: bool = True
    when: str = "night"
    settle_s: float = 0.2
    max_on_s: float = 30.0


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """What tells night from day: the sun below `sun_degrees`, the clock from night[0] to night[1], or the brightness.

    dark, bright: mean grey level (0 to 255) below which it is night, above which it is day again.
    """

    use: str = "day"
    sun_degrees: float = -6.0  # civil twilight: below it colours can't be told
    night: tuple[str, ...] = ("19:00", "06:00")
    dark: float = 30.0
    bright: float = 60.0

    def __post_init__(self) -> None:
        """What belongs together. Raises ValueError."""
        if len(self.night) != 2 or not all(re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", each) for each in self.night):
            raise ValueError(_('night is two times, such as ["19:00", "06:00"]'))
        if self.dark >= self.bright:
            raise ValueError(_("dark must be less than bright"))


@dataclass(frozen=True, slots=True)
class SensorSettings:
    """One measuring chip. name: what it measures, such as battery; shunt_ohm: the resistor on its board."""

    use: str
    name: str = "battery"
    bus: int = 1
    address: int | None = None
    shunt_ohm: float = 0.1


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """What is measured and how often it is sent."""

    every_s: float = 600.0
    sensors: tuple[SensorSettings, ...] = ()


def _check_times(standby: str, burst: Burst, clip: Clip | None) -> None:
    if burst.count / burst.per_s > LONGEST_S:
        raise ValueError(_("burst: count / per_s is {limit:g} s at most").format(limit=LONGEST_S))
    if clip and clip.before_s and standby == "stopped":
        raise ValueError(_("clip.before_s needs standby: running, for a camera that is off sees nothing before"))


def _plan(node: yaml.Node) -> str:
    value = text(node)
    try:
        read_plan(value)
    except PlanError as exc:
        raise ValueError(str(exc)) from exc
    return value


def _address(node: yaml.Node) -> int:
    what = _("an I2C address, 0x03 to 0x77")
    value = plain(node, what)
    if not re.fullmatch(r"0x[0-9a-fA-F]{2}", value) or not 0x03 <= int(value, 16) <= 0x77:
        raise ValueError(_("must be {what}, got {value!r}").format(what=what, value=value))
    return int(value, 16)


_PIN = whole(0, 27)  # the pins of the 40-pin header, BCM numbers
_ACTIVE = one_of("always", "day", "night")
_STANDBY = one_of("running", "stopped")
_WARM_UP = number(0, 10)
_BURST = Section(Burst, {"count": whole(1, 50), "per_s": number(0.1, 30)})
_CLIP = Section(
    Clip,
    {
        # 20 s at 4 Mbit/s are 10 MB of memory
        "before_s": number(0, 20),
        "after_s": number(0.5, LONGEST_S),
        "per_s": number(1, 60),
        "bits_per_s": whole(100_000, 25_000_000),
    },
)
_STREAM: dict[str, Callable[[yaml.Node], object] | Readable] = {
    "per_s": number(0.5, 60),
    "standby": _STANDBY,
    "warm_up_s": _WARM_UP,
    "burst": _BURST,
    "clip": _CLIP,
}

PLACE = Section(Place, {"latitude": number(-90, 90), "longitude": number(-180, 180), "timezone": text})
CAMERA = Kinds(
    {
        "replay": Section(ReplaySettings, {"use": text, "path": file, "loop": yes_or_no}),
        "picamera2": Section(
            Picamera2Settings,
            {
                "use": text,
                "number": whole(0, 3),
                "size": size,
                "thumbnail": size,
                "quality": whole(1, 100),
                "rotate": whole(0, 180),
                "standby": _STANDBY,
                "warm_up_s": _WARM_UP,
                "burst": _BURST,
                "clip": _CLIP,
                "controls": Section(ControlSets, {"day": Plainly(), "night": Plainly()}),
            },
        ),
        "v4l2": Section(
            V4l2Settings,
            {"use": text, "device": file, "format": one_of("mjpeg", "yuyv422"), "size": size, **_STREAM},
        ),
        "rtsp": Section(RtspSettings, {"use": text, "url": text, "url_file": file, **_STREAM}),
    }
)
TRIGGER = Kinds(
    {
        "interval": Section(IntervalSettings, {"use": text, "every_s": seconds, "active": _ACTIVE}),
        "pir": Section(
            PirSettings,
            {
                "use": text,
                "pin": _PIN,
                "debounce_s": number(0, 10),
                "warm_up_s": number(0, 600),
                "hold_off_s": number(0, 86_400),
                "active_high": yes_or_no,
                "active": _ACTIVE,
            },
        ),
        "motion": Section(
            MotionSettings,
            {
                "use": text,
                "changed": number(0.0001, 1),
                "difference": whole(1, 254),
                "every_s": number(0.1, 60),
                "hold_off_s": number(0, 86_400),
                "active": _ACTIVE,
            },
        ),
        "schedule": Section(ScheduleSettings, {"use": text, "at": ListOf(_plan, alone=True), "active": _ACTIVE}),
    }
)
LAMP = Section(
    LampSettings,
    {
        "pin": _PIN,
        "active_high": yes_or_no,
        "when": one_of("night", "always"),
        "settle_s": number(0, 5),
        "max_on_s": number(0.5, 300),
    },
)
PROFILE = Section(
    ProfileSettings,
    {
        "use": one_of("day", "night", "sun", "clock", "brightness"),
        "sun_degrees": number(-18, 10),
        "night": ListOf(text),
        "dark": number(0, 255),
        "bright": number(0, 255),
    },
)
HEALTH = Section(
    HealthSettings,
    {
        "every_s": number(10, 86_400),
        "sensors": ListOf(
            Section(
                SensorSettings,
                {
                    "use": text,
                    "name": text,
                    "bus": whole(0, 22),
                    "address": _address,
                    "shunt_ohm": number(0.0001, 100),
                },
            )
        ),
    },
)
