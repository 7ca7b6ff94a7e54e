"""What commands want written while the daemon runs: files in `<state_dir>/requests`, which it takes in and answers.

One process writes the database (docs/guarantees.md); a command that finds the site running leaves a request and waits.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import EdgeError, FatalError
from ..foreign import foreign
from ..i18n import _, speaking, user_language
from ..paths import write_atomically
from ..services import Log
from ..stations.folders import give_to_owner, make_folder

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any]]
FOLDER = "requests"
LOOK_S = 0.1
MOST_FILES = 64  # taken in at once
OLD_ANSWERS = 256  # answers nobody came back for; the oldest go


def ask(state_dir: Path, what: str, values: Mapping[str, Any], *, wait_s: float) -> Mapping[str, Any]:
    """Have the daemon do something; returns its answer.

    Raises FatalError with its reason when it refuses, and when it has not answered after `wait_s` (then it is still
    done when the daemon comes to it).
    """
    folder = state_dir / FOLDER
    name = f"{time.time_ns():020}-{secrets.token_hex(4)}"
    answer = folder / f"{name}.answer"
    try:
        make_folder(folder)
        path = folder / f"{name}.json"
        write_atomically(path, json.dumps({"what": what, "values": dict(values), "language": user_language()}).encode())
        give_to_owner(path)
    except OSError as exc:
        reason = foreign(exc.strerror or str(exc))
        raise FatalError(_("{folder}: can't be written: {reason}").format(folder=folder, reason=reason)) from exc
    until = time.monotonic() + wait_s
    while not answer.exists():
        if time.monotonic() > until:
            raise FatalError(
                _("the running site has not answered yet; it does this when it comes to it ({path})").format(path=path)
            )
        time.sleep(LOOK_S)
    said: dict[str, Any] = json.loads(answer.read_bytes())
    answer.unlink(missing_ok=True)
    if "refused" in said:
        raise FatalError(str(said["refused"]))
    return said


@dataclass(frozen=True, slots=True)
class Requests:
    """The daemon's side. handlers: what → what does it; each may raise EdgeError to refuse."""

    state_dir: Path
    handlers: Mapping[str, Handler]
    log: Log

    def take_in(self) -> int:
        """Do what lies there, oldest first; returns how many. A file that is no request is put away."""
        folder = self.state_dir / FOLDER
        paths = sorted(folder.glob("*.json"))[:MOST_FILES]
        for path in paths:
            try:
                asked = json.loads(path.read_bytes())
                handler, values = self.handlers[asked["what"]], dict(asked["values"])
            except (OSError, ValueError, KeyError, TypeError) as exc:
                self.log.warning("request.refused", path=str(path), reason=f"{type(exc).__name__}: {exc}")
                path.replace(path.with_suffix(".refused"))
                continue
            try:
                with speaking(str(asked.get("language", ""))):  # a refusal is for whoever asked
                    answer = dict(handler(values))
            except (EdgeError, ValueError, KeyError, TypeError) as exc:
                answer = {"refused": str(exc)}
            write_atomically(path.with_suffix(".answer"), json.dumps(answer).encode())
            path.unlink()  # after its answer: one that a power cut interrupts is done again, and all can be done twice
        for path in sorted(folder.glob("*.answer"))[:-OLD_ANSWERS]:
            path.unlink(missing_ok=True)
        return len(paths)
