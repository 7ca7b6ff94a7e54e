"""AGENT.yaml → Settings, or every fault in it as `file:line:col path: what is wrong, what would be right`.

The standard library and PyYAML only. Nothing on disk is looked at but the file itself.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path

import yaml

from edge.foreign import foreign
from edge.i18n import _, mark
from edge.wire import WireError, checked_station

# What YAML 1.1 makes of an unquoted word, in words a person knows.
READS_AS = {
    "bool": mark("yes or no"),
    "int": mark("a number"),
    "float": mark("a number"),
    "null": mark("nothing"),
    "timestamp": mark("a date"),
}


class AgentConfigError(ValueError):
    """AGENT.yaml is wrong. faults: one line each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker is. password_file: its first line is the password."""

    host: str
    port: int = 1883
    username: str = ""
    password_file: Path | None = None
    keepalive_s: int = 60


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """The agent's own disk. min_free_bytes: what is left free for the rest of the system."""

    folder: Path
    max_bytes: int
    min_free_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """Where pictures come from. replay: the files of `path`, in order, again and again when `loop`."""

    use: str
    path: Path
    loop: bool = False


@dataclass(frozen=True, slots=True)
class TriggerSettings:
    """When a picture is taken. interval: every `every_s` seconds."""

    use: str
    every_s: float


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole AGENT.yaml. max_frames: the agent ends when so many were captured and all arrived; None: never."""

    station: str
    broker: BrokerSettings
    spool: SpoolSettings
    camera: CameraSettings
    trigger: TriggerSettings
    max_frames: int | None = None


def load(path: Path) -> Settings:
    """Read AGENT.yaml; paths in it are relative to its folder. Raises AgentConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise AgentConfigError(
            [_("{path}: can't be read: {reason}").format(path=path, reason=foreign(exc.strerror))]
        ) from exc
    except UnicodeDecodeError as exc:
        raise AgentConfigError([_("{path}: is not UTF-8 text, save it as UTF-8").format(path=path)]) from exc
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
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
    faults = _Faults(str(path))
    settings = _SCHEMA.read(root, (), base=path.absolute().parent, faults=faults)
    if faults.lines:
        raise AgentConfigError(faults.lines)
    assert isinstance(settings, Settings)
    return settings


@dataclass(frozen=True, slots=True)
class _Faults:
    file: str
    lines: list[str] = field(default_factory=list)

    def add(self, node: yaml.Node, place: tuple[str, ...], what: str) -> None:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        self.lines.append(f"{self.file}:{line}:{column} {'.'.join(place) or _('the file')}: {what}")


@dataclass(frozen=True, slots=True)
class _Section:
    """A mapping that becomes a dataclass; fields without a default must be there."""

    build: type
    checks: Mapping[str, "Callable[[yaml.Node], object] | _Section"]

    def read(self, node: yaml.Node, place: tuple[str, ...], *, base: Path, faults: _Faults) -> object:
        """The dataclass, or None and a line more in `faults` for each fault."""
        needed = [each.name for each in fields(self.build) if each.default is MISSING]
        if not isinstance(node, yaml.MappingNode):
            faults.add(node, place, _("must be a section with {names}").format(names=", ".join(needed)))
            return None
        before, values = len(faults.lines), dict[str, object]()
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in values:
                faults.add(key_node, (*place, key), _("stands here twice; keep one of the two"))
            elif key not in self.checks:
                known = get_close_matches(key, self.checks, n=1) or self.checks
                what = _("unknown key, known: {names}").format(names=", ".join(known))
                faults.add(key_node, (*place, key), what)
            else:
                values[key] = self._value(value_node, (*place, key), base=base, faults=faults)
        for key in needed:
            if key not in values:
                faults.add(node, (*place, key), _("is missing"))
        return self.build(**values) if len(faults.lines) == before else None

    def _value(self, node: yaml.Node, place: tuple[str, ...], *, base: Path, faults: _Faults) -> object:
        check = self.checks[place[-1]]
        if isinstance(check, _Section):
            return check.read(node, place, base=base, faults=faults)
        try:
            value = check(node)
        except ValueError as exc:
            faults.add(node, place, str(exc))
            return None
        return base / value if isinstance(value, Path) else value


def _plain(node: yaml.Node, what: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:null":
        raise ValueError(_("must be {what}").format(what=what))
    return str(node.value)


def _text(node: yaml.Node) -> str:
    value = _plain(node, _("text"))
    kind = node.tag.rpartition(":")[2]
    if kind in READS_AS:
        raise ValueError(_('{value} reads as {kind}, write "{value}"').format(value=value, kind=_(READS_AS[kind])))
    if not value.strip():
        raise ValueError(_("must not be empty"))
    return value


def _file(node: yaml.Node) -> Path:
    return Path(_text(node)).expanduser()


def _station(node: yaml.Node) -> str:
    try:
        return checked_station(_text(node))
    except WireError as exc:
        raise ValueError(foreign(str(exc).removeprefix("station "))) from exc


def _yes_or_no(node: yaml.Node) -> bool:
    value = _plain(node, _("true or false"))
    if value.lower() not in {"true", "false"}:
        raise ValueError(_("must be {what}, got {value!r}").format(what=_("true or false"), value=value))
    return value.lower() == "true"


def _whole(least: int, most: int = 2**63) -> Callable[[yaml.Node], int]:
    def check(node: yaml.Node) -> int:
        bounded = _("a whole number, {least} to {most}").format(least=least, most=most)
        what = _("a whole number of at least {least}").format(least=least) if most == 2**63 else bounded
        value = _plain(node, what)
        # digits in groups, as people write sizes; no octal 010, no sexagesimal 22:30, no 1e9
        if not re.fullmatch(r"0|[1-9][0-9]{0,18}|[1-9][0-9]{0,2}(_[0-9]{3}){1,6}", value):
            raise ValueError(_("must be {what}, got {value!r}").format(what=what, value=value))
        if not least <= int(value) <= most:
            raise ValueError(_("must be {what}, got {value}").format(what=what, value=value))
        return int(value)

    return check


def _seconds(node: yaml.Node) -> float:
    what = _("seconds, more than 0 and at most 86400")
    value = _plain(node, what)
    try:
        seconds = float(value)
    except ValueError as exc:
        raise ValueError(_("must be {what}, got {value!r}").format(what=what, value=value)) from exc
    if not 0 < seconds <= 86_400:
        raise ValueError(_("must be {what}, got {value!r}").format(what=what, value=value))
    return seconds


def _one_of(*names: str) -> Callable[[yaml.Node], str]:
    def check(node: yaml.Node) -> str:
        value = _plain(node, _(" or ").join(names))
        if value not in names:
            raise ValueError(_("{value!r} is unknown; known: {names}").format(value=value, names=", ".join(names)))
        return value

    return check


_SCHEMA = _Section(
    Settings,
    {
        "station": _station,
        "broker": _Section(
            BrokerSettings,
            {
                "host": _text,
                "port": _whole(1, 65_535),
                "username": _text,
                "password_file": _file,
                "keepalive_s": _whole(5, 65_535),
            },
        ),
        "spool": _Section(SpoolSettings, {"folder": _file, "max_bytes": _whole(1), "min_free_bytes": _whole(0)}),
        "camera": _Section(CameraSettings, {"use": _one_of("replay"), "path": _file, "loop": _yes_or_no}),
        "trigger": _Section(TriggerSettings, {"use": _one_of("interval"), "every_s": _seconds}),
        "max_frames": _whole(1),
    },
)
