"""AGENT.yaml changed in place: station and broker, with all comments and everything else left as they are.

Standard library only, and by lines: enrolment runs where PyYAML may be missing, and YAML libraries drop comments.
"""

import json
import re
from collections.abc import Mapping

TOP = re.compile(r"^([A-Za-z_]+):")
REPLACED = ("host", "port", "username", "password_file", "tls")


def with_station(text: str, station: str, *, host: str, port: int, files: Mapping[str, str]) -> str:
    """The text with this station, broker and identity.

    files: `ca`, `cert` and `key`, as they shall stand there. Other keys of the broker's section stay (keepalive_s).
    """
    tls = ", ".join(f"{name}: {_quoted(path)}" for name, path in files.items())
    broker = [f"  host: {_quoted(host)}", f"  port: {port}", f"  tls: {{{tls}}}"]
    lines = text.splitlines()
    lines = _replace(lines, "station", [f"station: {_quoted(station)}"], keep=False)
    return "\n".join(_replace(lines, "broker", ["broker:", *broker], keep=True)) + "\n"


def state_dir_of(text: str) -> str:
    """The value of `state_dir`, "" when there is none."""
    found = re.search(r"^state_dir:[ \t]*(?:\"([^\"]*)\"|'([^']*)'|([^#\n]*))", text, re.MULTILINE)
    return next((each.strip() for each in found.groups() if each), "") if found else ""


def _replace(lines: list[str], key: str, new: list[str], *, keep: bool) -> list[str]:
    """The lines with a top-level section replaced, or added where it is missing."""
    start = next((at for at, line in enumerate(lines) if line.startswith(f"{key}:")), None)
    if start is None:
        return [*lines, *([""] if lines and lines[-1] else []), *new]
    end = start + 1
    while end < len(lines) and (lines[end][:1] in (" ", "\t") or not lines[end]):
        end += 1
    while not lines[end - 1]:
        end -= 1
    old = _kept(lines[start + 1 : end]) if keep else []
    return [*lines[:start], *new, *old, *lines[end:]]


def _kept(section: list[str]) -> list[str]:
    """The lines of a section but those of keys that are replaced, with what is nested in them."""
    indents = [len(line) - len(line.lstrip()) for line in section if line.strip() and line.lstrip()[0] != "#"]
    first, kept, skipping = min(indents, default=0), [], False
    for line in section:
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent <= first:
            skipping = line.strip().partition(":")[0] in REPLACED
        if not skipping:
            kept.append("  " + line[first:] if line.strip() else line)
    return kept


def _quoted(text: str) -> str:
    """As YAML reads it back as text: JSON's strings are YAML's."""
    return json.dumps(text, ensure_ascii=False)
