"""A new text for the site's YAML: what is wrong with it, and how it differs. Nothing is written here."""

import contextlib
import difflib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..config import Plan, check_complete, check_logins, plan_from
from ..errors import ConfigError, EdgeError, FatalError
from ..foreign import foreign
from ..i18n import _
from ..models.installed import InstalledModels
from ..paths import models_dir
from ..redaction import SHOWN, redacted
from ..registry import Registry
from ..site_web import risks_of, tls_fault
from ..yaml_marks import parse

LARGEST_TEXT = 1_000_000  # bytes; a site of 200 stations and 100 rules has 60,000
CONTEXT_LINES = 3
# What stands behind such a key is the place of a secret, `{env: NAME}`; who wrote the secret itself is told so, and
# nobody else is to read it.
SECRET_WORD = re.compile(r"password|passwd|passphrase|secret|token|api_?key", re.IGNORECASE)
BEFORE_VALUE = re.compile(r"""[\w-]{0,64}["']?\s*:\s*(?=[^\s{])""")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A text that may become the site's YAML.

    base: SHA-256, hex, of the file as the proposer saw it. faults: one line each, "site.yaml:12:3 rules[0].taxon: …".
    diff: unified, without secrets; "" when nothing changes. warnings: what is not wrong, but may not be meant.
    stale: the file has changed since; one of the faults says so.
    """

    path: Path
    text: str
    base: str
    faults: tuple[str, ...]
    diff: str
    warnings: tuple[str, ...] = ()
    stale: bool = False

    @property
    def is_good(self) -> bool:
        """Whether it can be applied: no fault, and something changes."""
        return not self.faults and bool(self.diff)


def read_site(path: Path) -> tuple[str, str]:
    """(text, base) of the site's YAML as it is now. Raises ConfigError when it can't be read."""
    try:
        body = path.read_bytes()
        return body.decode("utf-8"), sha256_of(body)
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(_("{path}: can't be read: {reason}").format(path=path, reason=foreign(exc))) from exc


def sha256_of(body: bytes) -> str:
    """Hex digest, by which two states of the file are told apart."""
    return hashlib.sha256(body).hexdigest()


def propose(path: Path, text: str, registry: Registry, *, base: str = "") -> Proposal:
    """Check a new text for the site at `path`, and compare it with the file.

    base: as `read_site` gave it when the proposer began; a file that has changed since is a fault, "" looks at the file
    as it is now. Raises ConfigError only when the file itself can't be read.
    """
    text = text.replace("\r\n", "\n")  # forms send CRLF
    old, now = read_site(path)
    faults: list[str] = []
    stale = bool(base) and base != now
    if stale:
        faults.append(
            _("{name} was changed meanwhile: load it again, and make your change there").format(name=path.name)
        )
    if len(text.encode()) > LARGEST_TEXT:
        faults.append(_("{name}: more than {most} bytes").format(name=path.name, most=LARGEST_TEXT))
        return Proposal(path, text, base or now, tuple(faults), "", stale=stale)
    plan, found = _plan_of(path, text, old, registry)
    faults += found
    warnings = tuple(_warnings_of(plan, parse(old).data)) if plan is not None else ()
    diff = diff_of(old, text, path.name)
    return Proposal(path, text, base or now, tuple(map(redacted, faults)), diff, warnings, stale)


def diff_of(old: str, new: str, name: str = "site.yaml") -> str:
    """A unified diff without secrets; "" when the two are equal."""
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"{name} (now)", f"{name} (new)", lineterm="", n=CONTEXT_LINES
    )
    return without_secrets("\n".join(lines))


def without_secrets(text: str) -> str:
    """Any text of a site, to be shown: known secrets, and what stands where only their place belongs, are •••."""
    return "\n".join(map(_without_secret, redacted(text).split("\n")))


def _without_secret(line: str) -> str:
    comment = line.find("#")
    for word in SECRET_WORD.finditer(line, 0, comment if comment >= 0 else len(line)):
        if value := BEFORE_VALUE.match(line, word.end()):
            return line[: value.end()] + SHOWN
    return line


def _warnings_of(plan: Plan, was: object) -> Iterator[str]:
    """What is not there on this machine as this user sees it, which is no fault: a disk may be plugged in later."""
    for spec, config in plan.sources:
        folder = getattr(config, "folder", None)
        if isinstance(folder, Path) and not folder.is_dir():
            yield _("{source}: the folder {folder} is not there yet").format(source=spec.name, folder=folder)
    installed = InstalledModels(models_dir())
    for name in dict.fromkeys(str(config.model) for _spec, config in plan.stages if hasattr(config, "model")):
        try:
            installed.card(name)
        except EdgeError as exc:
            yield str(exc)
    yield from page_warnings(plan)
    if plan.file.web is None and isinstance(was, dict) and "web" in was:
        yield _("there is no `web:` any more: this page ends, and the way back is `tigrillo apply` in a terminal")


def page_warnings(plan: Plan) -> Iterator[str]:
    """What to look at in a site's `web:`, though the page would come up, or another user might see it otherwise."""
    if (web := plan.file.web) is None:
        return
    yield from (f"{says}: {step}" for says, step in risks_of(web))
    if fault := tls_fault(web.tls):
        yield fault
    if web.tiles is not None and not web.tiles.is_file():
        yield _("web.tiles: the file {path} is not there").format(path=web.tiles)


def _plan_of(path: Path, text: str, old: str, registry: Registry) -> tuple[Plan | None, list[str]]:
    """(the plan, what speaks against it)."""
    try:
        plan = plan_from(text, path, registry)
        check_complete(plan)
        check_logins(path, text, registry)
    except FatalError as exc:
        return None, str(exc).replace(f"{path}:", f"{path.name}:").splitlines()
    if plan.state_dir != state_dir_of(path, old):
        return plan, [
            _(
                "{name}: state_dir can't be changed while the site runs: the record and all pictures would stay "
                "behind. Stop tigrillo, move the folder, then edit the file by hand"
            ).format(name=path.name)
        ]
    was, new = parse(old).data, parse(text).data
    if isinstance(was, dict) and was.get("database") != new.get("database"):
        return plan, [
            _(
                "{name}: database can't be changed while the site runs: the record would stay behind. Stop tigrillo, "
                "move the record, then edit the file by hand"
            ).format(name=path.name)
        ]
    return plan, []


def state_dir_of(path: Path, text: str) -> Path:
    """The state folder that a site's text names, as well as a text with faults tells it."""
    data = parse(text).data
    named = data.get("state_dir") if isinstance(data, dict) else None
    folder = Path(named if isinstance(named, str) and named else "state")
    with contextlib.suppress(RuntimeError):  # no such home: the check of the text says so
        folder = folder.expanduser()
    return path.resolve().parent / folder
