"""AGENT.yaml → Settings, or every fault in it as `file:line:col path: what is wrong, what would be right`.

The standard library and PyYAML only. Nothing on disk is looked at but the file itself.
"""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from edge.foreign import foreign
from edge.i18n import _

from . import hardware_config as hardware
from .hardware_config import (
    CameraSettings,
    HealthSettings,
    LampSettings,
    MotionSettings,
    Picamera2Settings,
    PirSettings,
    Place,
    ProfileSettings,
    RtspSettings,
    ScheduleSettings,
    TriggerSettings,
    V4l2Settings,
)
from .triggers.moments import read_plan
from .uplink_config import (
    BROKER,
    COMMANDS,
    SPOOL,
    UPLINK,
    BrokerSettings,
    CommandSettings,
    SpoolSettings,
    UplinkSettings,
)
from .yaml_sections import Faults, ListOf, Section, file, node_at, station, whole


class AgentConfigError(ValueError):
    """AGENT.yaml is wrong. faults: one line each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole AGENT.yaml. triggers: any of them takes a picture; `trigger:` is the same for one alone.

    state_dir: the one folder that is written to; spool.folder may lie elsewhere. max_frames: the agent ends when so
    many were captured and all arrived; None: never.
    """

    station: str
    broker: BrokerSettings
    spool: SpoolSettings
    camera: CameraSettings
    triggers: tuple[TriggerSettings, ...] = ()
    trigger: TriggerSettings | None = None
    place: Place = field(default_factory=Place)
    lamp: LampSettings | None = None
    profile: ProfileSettings = field(default_factory=ProfileSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    uplink: UplinkSettings = field(default_factory=UplinkSettings)
    commands: CommandSettings = field(default_factory=CommandSettings)
    state_dir: Path | None = None
    max_frames: int | None = None

    @property
    def all_triggers(self) -> tuple[TriggerSettings, ...]:
        """`triggers` and `trigger` together."""
        return self.triggers + ((self.trigger,) if self.trigger else ())

    @property
    def spool_folder(self) -> Path:
        """Where frames wait."""
        folder = self.spool.folder or (self.state_dir and self.state_dir / "spool")
        assert folder, "load() sees to it that one of the two is given"
        return folder

    @property
    def state_folder(self) -> Path:
        """Where the agent writes everything that is no frame: `state_dir`, or among the frames without one."""
        return self.state_dir or self.spool_folder


def load(path: Path) -> Settings:
    """Read AGENT.yaml; paths in it are relative to its folder. Raises AgentConfigError."""
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise AgentConfigError(
            [_("{path}: can't be read: {reason}").format(path=path, reason=foreign(exc.strerror))]
        ) from exc
    except UnicodeDecodeError as exc:
        raise AgentConfigError([_("{path}: is not UTF-8 text, save it as UTF-8").format(path=path)]) from exc
    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as exc:
        where = exc.problem_mark
        at = f":{where.line + 1}:{where.column + 1}" if where else ""
        what = _("not YAML: {problem}").format(problem=foreign(exc.problem or exc.context))
        raise AgentConfigError([f"{path}{at}: {what}"]) from exc
    except yaml.YAMLError as exc:
        what = _("not YAML: {problem}").format(problem=" ".join(str(exc).split()))
        raise AgentConfigError([f"{path}: {what}"]) from exc
    if root is None:
        what = _("is empty; configs/agent.yaml is one to start from")
        raise AgentConfigError([f"{path}:1:1 {_('the file')}: {what}"])
    faults = Faults(str(path))
    settings = _SCHEMA.read(root, (), base=path.absolute().parent, faults=faults)
    if isinstance(root, yaml.MappingNode) and not {"trigger", "triggers"} & {
        str(key.value) for key, _value in root.value
    }:
        faults.add(root, ("triggers",), _("is missing"))
    if isinstance(settings, Settings):
        _check_together(settings, root, faults)
    if faults.lines:
        raise AgentConfigError(faults.lines)
    assert isinstance(settings, Settings)
    return settings


def _check_together(settings: Settings, root: yaml.Node, faults: Faults) -> None:
    """Faults of sections that need each other."""
    if not settings.all_triggers:
        faults.add(node_at(root, "triggers"), ("triggers",), _("is empty: no picture would be taken"))
    if settings.spool.folder is None and settings.state_dir is None:
        faults.add(node_at(root, "spool"), ("spool", "folder"), _("is missing"))
    by = settings.profile.use
    sun_profile = by == "sun"
    if sun_profile and not settings.place.has_sun:
        what = _("needs place: {latitude: ..., longitude: ...}")
        faults.add(node_at(root, "profile", "use"), ("profile", "use"), what)
    camera = settings.camera
    live = camera if isinstance(camera, Picamera2Settings | V4l2Settings | RtspSettings) else None
    sees = live is not None and live.standby == "running"
    if by == "brightness" and not sees:
        what = _("needs a camera other than replay, with standby: running")
        faults.add(node_at(root, "profile", "use"), ("profile", "use"), what)
    alone = settings.triggers == ()
    for number, trigger in enumerate(settings.all_triggers):
        name = "trigger" if alone or number == len(settings.triggers) else f"triggers[{number}]"
        node = node_at(root, "trigger") if name == "trigger" else node_at(root, "triggers", number)
        if isinstance(trigger, MotionSettings) and not sees:
            faults.add(node, (name,), _("needs a camera other than replay, with standby: running"))
        needs_sun = isinstance(trigger, ScheduleSettings) and any(read_plan(each).needs_sun for each in trigger.at)
        if needs_sun and not settings.place.has_sun:
            faults.add(node_at(node, "at"), (name, "at"), _("needs place: {latitude: ..., longitude: ...}"))
    _check_pins(settings, root, faults)


def _check_pins(settings: Settings, root: yaml.Node, faults: Faults) -> None:
    """No pin serves two."""
    nodes = [
        (each.pin, ("triggers", str(number)), node_at(root, "triggers", number, "pin"))
        for number, each in enumerate(settings.triggers)
        if isinstance(each, PirSettings)
    ]
    if isinstance(settings.trigger, PirSettings):
        nodes.append((settings.trigger.pin, ("trigger", ""), node_at(root, "trigger", "pin")))
    if settings.lamp:
        nodes.append((settings.lamp.pin, ("lamp", ""), node_at(root, "lamp", "pin")))
    seen = set[int]()
    for pin, (name, number), node in nodes:
        if pin in seen:
            place = f"{name}[{number}]" if number else name
            faults.add(node, (place, "pin"), _("GPIO{pin} is used twice").format(pin=pin))
        seen.add(pin)


_SCHEMA = Section(
    Settings,
    {
        "station": station,
        "broker": BROKER,
        "spool": SPOOL,
        "uplink": UPLINK,
        "commands": COMMANDS,
        "state_dir": file,
        "camera": hardware.CAMERA,
        "triggers": ListOf(hardware.TRIGGER),
        "trigger": hardware.TRIGGER,
        "place": hardware.PLACE,
        "lamp": hardware.LAMP,
        "profile": hardware.PROFILE,
        "health": hardware.HEALTH,
        "max_frames": whole(1),
    },
)
