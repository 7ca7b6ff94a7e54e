"""How the agent on this Pi is: `python -m raspberry_pi.status [AGENT.yaml] [--json]`, or `tigrillo agent status`.

Reads what the agent writes once a second; starts nothing and asks nobody.
"""

import argparse
import fcntl
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edge.foreign import foreign
from edge.i18n import _, mark

from .config import AgentConfigError, Settings, load

CONFIGS = (Path("agent.yaml"), Path("/etc/tigrillo/agent.yaml"))
EXIT_CONFIG = 78
SHOWN = 20  # measured values; more are for --json
LINKS = {"connected": mark("connected"), "closed": mark("waits for uplink.windows"), "lost": mark("not connected")}
CLOCKS = {"ok": mark("right"), "guessed": mark("not checked"), "unknown": mark("not known")}
REASONS = {
    "full": mark("spool full"),
    "disk_full": mark("disk full"),
    "oldest": mark("made room, oldest first"),
    "thinned": mark("thinned out"),
    "not_wanted": mark("full image not asked for"),
    "camera": mark("camera failed"),
    "refused": mark("refused by the server, in aside/"),
    "damaged": mark("damaged on the disk, in aside/"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m raspberry_pi.status", description=_("How the agent on this Pi is.")
    )
    parser.add_argument("config", type=Path, nargs="?", metavar="AGENT.yaml", help=_("The agent's YAML file."))
    parser.add_argument("--json", action="store_true", help=_("Print what the agent wrote, as JSON."))
    given = parser.parse_args(argv)
    return run(given.config, as_json=given.json)


def run(config: Path | None, *, as_json: bool = False) -> int:
    """Print it; 0 when the agent runs, 1 when it does not, 78 when AGENT.yaml is wrong. config: None looks around."""
    try:
        settings = load(config or next((each for each in CONFIGS if each.exists()), CONFIGS[0]))
    except AgentConfigError as exc:
        print(exc, file=sys.stderr)
        return EXIT_CONFIG
    path = settings.state_folder / "status.json"
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        print(_("{path}: not there; the agent has not run yet").format(path=path), file=sys.stderr)
        return 1
    except (OSError, ValueError) as exc:
        reason = foreign(exc.strerror) if isinstance(exc, OSError) else exc
        print(_("{path}: can't be read: {reason}").format(path=path, reason=reason), file=sys.stderr)
        return 1
    running = is_running(settings)
    if as_json:
        print(json.dumps({**found, "running": running}, indent=2))
    else:
        print(as_table(lines_of(found, settings, running=running, now=datetime.now(UTC))))
    return 0 if running else 1


def is_running(settings: Settings) -> bool:
    """Whether an agent holds this spool."""
    try:
        with (settings.spool_folder / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def lines_of(found: Mapping[str, Any], settings: Settings, *, running: bool, now: datetime) -> list[tuple[str, str]]:
    """What a person wants to know first, as (what, how it is)."""
    link, clock, budget = found["link"], found["clock"], found["budget"]
    if running:
        agent = _("runs for {time}").format(time=_duration(timedelta(seconds=found["uptime_s"])))
    else:
        agent = _("does not run; last sign {time} ago").format(time=_ago(found["updated_at"], now))
    lines = [
        (_("station"), str(found["station"])),
        (_("agent"), f"{agent}  ({found['version']})"),
        (_("link"), _link(link, running=running, now=now)),
        (_("last ack"), _("{time} ago").format(time=_ago(found["last_ack_at"], now)) if found["last_ack_at"] else "–"),
        (_("captured"), _number(found["captured"])),
        (_("arrived"), _number(found["acked"])),
        (_("waiting"), _waiting(found, settings)),
        (_("dropped"), _number(found["dropped"])),
    ]
    lines += [("", f"{_number(count)}  {_(REASONS.get(why, why))}") for why, count in found["dropped_by"].items()]
    lines.append((_("clock"), _clock(clock)))
    if budget["per_day"]:
        used = _("{spent} of {all} today").format(spent=_bytes(budget["spent"]), all=_bytes(budget["per_day"]))
        lines.append((_("sent"), used + (_("; used up, waits for tomorrow") if budget["used_up"] else "")))
    if found["last_error"]:
        lines.append((_("last warning"), f"{found['last_error']}  ({_ago(found['last_error_at'], now)})"))
    return lines + _measured(found.get("health", {}))


def as_table(lines: Sequence[tuple[str, str]]) -> str:
    """The lines with their second column aligned."""
    width = max(len(name) for name, _value in lines)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in lines)


def _link(link: Mapping[str, Any], *, running: bool, now: datetime) -> str:
    if not running:
        return _(LINKS["lost"])
    since = _("{what}, {time}").format(what=_(LINKS.get(link["state"], link["state"])), time=_ago(link["since"], now))
    return since if link["state"] == "connected" or not link["reason"] else f"{since}: {foreign(link['reason'])}"


def _waiting(found: Mapping[str, Any], settings: Settings) -> str:
    text = _("{count}  ({used} of {all})").format(
        count=_number(found["spooled"]), used=_bytes(found["spool_bytes"]), all=_bytes(settings.spool.max_bytes)
    )
    if found["held"]:
        text += "  " + _("{count} of them until they are asked for").format(count=_number(found["held"]))
    if found["oldest_s"] is not None:
        text += "  " + _("the oldest for {time}").format(time=_duration(timedelta(seconds=found["oldest_s"])))
    return text


def _clock(clock: Mapping[str, Any]) -> str:
    text = _(CLOCKS.get(clock["state"], clock["state"]))
    if clock["offset_s"] is not None:
        text += "  " + _("off by {seconds:+.1f} s").format(seconds=-clock["offset_s"])
    if clock["drift_ppm"] is not None:
        text += "  " + _("{seconds:+.1f} s a day").format(seconds=clock["drift_ppm"] * 0.0864)
    return text


def _measured(health: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for name, value in health.items():
        if value is None or value == "" or name == "last_error":
            continue
        shown = _bytes(value) if name.endswith("_bytes") else str(value)
        if isinstance(value, Mapping):
            shown = "  ".join(f"{key} {inner}" for key, inner in value.items() if inner is not None)
        lines.append((name.removesuffix("_bytes").replace("_", " "), shown))
    return lines[:SHOWN]


def _ago(moment: str, now: datetime) -> str:
    try:
        return _duration(now - datetime.fromisoformat(moment))
    except ValueError:
        return "?"


def _duration(span: timedelta) -> str:
    seconds = max(0, round(span.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _bytes(count: float) -> str:
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


def _number(count: int) -> str:
    return f"{count:,}".replace(",", "\u202f")


if __name__ == "__main__":
    sys.exit(main())
