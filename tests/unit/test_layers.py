"""docs/architecture.md's picture of arrows, kept true by reading every import."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
ROOMS = ("edge", "plugins", "raspberry_pi", "server")

# Parts of edge, lowest first: an import inside edge goes down, or stays in its own part.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"edge", "errors", "clock", "wire", "model", "i18n", "sd_notify", "crash", "redaction", "arenas"}),
    frozenset({"lifeline"}),
    frozenset({"placement", "messages", "tls", "tokens", "notices", "deployed", "camera_clock", "sunlight", "dataset"}),
    frozenset({"paths", "services", "foreign", "passwords"}),
    frozenset({"hookspecs"}),
    frozenset(
        {"registry", "yaml_marks", "logs", "media", "models", "store", "compute", "secret", "link", "links"}
        | {"tracking", "uploads"}
    ),
    frozenset({"inference", "alerts", "stations", "fieldwork", "species", "repeats", "privacy"}),
    frozenset({"site_web", "site_database"}),
    frozenset({"site_file", "wording"}),
    frozenset({"site_alerts", "settings"}),
    frozenset({"config"}),
    frozenset({"api", "configuring"}),
    frozenset({"pipeline", "station_site"}),
    frozenset({"daemon", "fakes", "summaries"}),
    frozenset({"running"}),
    frozenset({"reloading"}),
    frozenset(
        {"testing", "process", "video", "export", "importing", "doctor", "demo", "simulate", "send_now", "chores"}
    ),
    frozenset({"chaos"}),
    frozenset({"commands"}),
    frozenset({"cli"}),
)
LEVEL = {part: level for level, parts in enumerate(LEVELS) for part in parts}

# What the rooms beside edge may know of it.
MAY_IMPORT = {
    "plugins": {"edge.api"},
    "raspberry_pi": {
        "edge.wire",
        "edge.crash",
        "edge.messages",
        "edge.sd_notify",
        "edge.link",
        "edge.tls",
        "edge.tokens",
        "edge.paths",
        "edge.i18n",
        "edge.foreign",
    },
    "server": {"edge"},
}
PI_LIBRARIES = {"paho", "yaml"}
# What a Pi imports of edge needs nothing that a Pi has not; `edge` itself is edge/__init__.py.
BARE = {"edge"} | MAY_IMPORT["raspberry_pi"]
OPENCL_ROOMS = ("edge.compute", "edge.inference.opencl")


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module. lazy: inside a function, so it happens only when that is called."""

    module: str
    line: int
    relative: bool
    lazy: bool


def module_name(path: Path) -> str:
    """edge/store/sql.py → edge.store.sql, edge/store/__init__.py → edge.store."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, path: Path) -> Iterator[Import]:
    """Every import once, with its absolute module name. Those under `if TYPE_CHECKING` are left out."""
    yield from dict.fromkeys(_walk(ast.parse(source), path, lazy=False))


def _walk(node: ast.AST, path: Path, *, lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, relative=False, lazy=lazy)
        elif isinstance(child, ast.ImportFrom):
            for module in _from_modules(child, path):
                yield Import(module, child.lineno, relative=child.level > 0, lazy=lazy)
        else:
            yield from _walk(child, path, lazy=lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def _from_modules(node: ast.ImportFrom, path: Path) -> list[str]:
    base = node.module or ""
    if node.level:
        folder = path.parts[: -node.level] if node.level > 1 else path.parts[:-1]
        base = ".".join((*folder, base) if base else folder)
    submodules = [f"{base}.{alias.name}" for alias in node.names]
    # `from edge import wire` imports edge.wire; `from edge.wire import NAME` imports edge.wire.
    return [name if _is_module(name) else base for name in submodules]


def _is_module(name: str) -> bool:
    place = REPO.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def part_of(module: str) -> str:
    """The part of edge that a module belongs to: edge.store.sql → store."""
    below = module.split(".")[1:] or ["edge"]
    longest = ".".join(below[:2])
    return longest if longest in LEVEL else below[0]


def faults_of(source: str, path: Path) -> list[str]:
    """What in this file breaks the picture, one line each. path: relative to the repository."""
    me = module_name(path)
    room = me.split(".")[0]
    faults = []
    for each in imports_of(source, path):
        top = each.module.split(".")[0]
        where = f"{path}:{each.line} imports {each.module}"
        # alembic loads migrations by path, where nothing is relative
        if top == room and not each.relative and "migrations" not in path.parts:
            faults.append(f"{where} absolutely: inside a package, import relatively")
        if reason := _room_fault(me, room, top, each):
            faults.append(f"{where}: {reason}")
    return faults


def _room_fault(me: str, room: str, top: str, each: Import) -> str:
    if top == "pyopencl" and not me.startswith(OPENCL_ROOMS):
        return "OpenCL lives only in edge/compute and edge/inference/opencl"
    if me in BARE and top not in sys.stdlib_module_names | PI_LIBRARIES and each.module not in BARE:
        return "a Raspberry Pi imports this, and has only paho and PyYAML"
    if top not in ROOMS or top == room != "edge":
        return _library_fault(room, top, each)
    if room == "edge":
        return _edge_fault(me, top, each)
    allowed = MAY_IMPORT[room]
    if room == "raspberry_pi" and each.module == "edge":  # its version, and nothing else is in it
        return ""
    return "" if each.module in allowed or top in allowed else f"{room} knows {', '.join(sorted(allowed))} only"


def _library_fault(room: str, top: str, each: Import) -> str:
    allowed = sys.stdlib_module_names | PI_LIBRARIES | {room}
    if room == "raspberry_pi" and not each.lazy and top not in allowed:
        return "the agent starts on a Python with only paho and PyYAML; import it where it is used"
    return ""


def _edge_fault(me: str, top: str, each: Import) -> str:
    mine = part_of(me)
    if top in ("plugins", "server"):
        return f"edge knows no {top} by import"
    if top == "raspberry_pi":
        return "" if mine == "commands" else "only the command line starts an agent"
    other = part_of(each.module)
    if missing := [part for part in (mine, other) if part not in LEVEL]:
        return f"edge.{missing[0]} has no level yet: give it one in {Path(__file__).name} and in docs/architecture.md"
    if mine != other and LEVEL[other] >= LEVEL[mine]:
        return f"this arrow points up ({other} is on level {LEVEL[other]}, {mine} on {LEVEL[mine]})"
    return ""


def source_files() -> list[Path]:
    """Every Python file of the four rooms, relative to the repository."""
    return sorted(path.relative_to(REPO) for room in ROOMS for path in (REPO / room).rglob("*.py"))


def test_every_import_points_down():
    files = source_files()

    faults = [fault for path in files for fault in faults_of((REPO / path).read_text("utf-8"), path)]

    assert len(files) > 30
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("edge/model.py", "from .store import sql", "points up"),
        ("edge/services.py", "from .hookspecs import Stage", "points up"),
        ("edge/store/sql.py", "from ..pipeline import runner", "points up"),
        ("edge/pipeline/runner.py", "import plugins.stages.motion", "knows no plugins"),
        ("edge/daemon.py", "import raspberry_pi.agent", "only the command line"),
        ("edge/config.py", "from edge.errors import ConfigError", "import relatively"),
        ("edge/media/decode.py", "def f():\n    import pyopencl", "OpenCL lives only"),
        ("edge/wire.py", "import numpy", "has only paho and PyYAML"),
        ("edge/brandnew.py", "from .model import Frame", "has no level yet"),
        ("plugins/stages/motion.py", "from edge.model import Frame", "knows edge.api only"),
        ("plugins/stages/motion.py", "from edge import media", "knows edge.api only"),
        ("raspberry_pi/agent.py", "from edge.model import Frame", "raspberry_pi knows"),
        ("raspberry_pi/hardware.py", "import numpy", "only paho and PyYAML"),
    ],
)
def test_a_wrong_arrow_is_reported(path, source, complaint):
    faults = faults_of(source, Path(path))

    assert len(faults) == 1
    assert complaint in faults[0]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("edge/hookspecs.py", "from .services import Services"),
        ("edge/services.py", "if TYPE_CHECKING:\n    from .hookspecs import DecoderSpec"),
        ("edge/compute/device.py", "import pyopencl"),
        ("edge/store/sql.py", "from . import schema"),
        ("plugins/stages/motion.py", "import numpy\nfrom edge.api import Frame"),
        ("raspberry_pi/agent.py", "import paho.mqtt.client\nfrom edge.wire import NAME\nfrom . import spool"),
        ("raspberry_pi/hardware.py", "def f():\n    import av"),
    ],
)
def test_a_right_arrow_is_not(path, source):
    assert faults_of(source, Path(path)) == []
