"""Which OpenCL devices this machine has and which of them work, asked in child processes.

A driver that crashes, hangs or prints nonsense ends a child; here it is one line that names it and the next step.
`python -m edge.compute.probe` prints the result as JSON.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from ..foreign import foreign
from ..i18n import _
from .capability import Capability
from .choice import FoundDevice
from .icd import VENDORS, copy_icds, icd_files

CHILD: Final = (sys.executable, "-m", "edge.compute.probe_child")
TIMEOUT_S: Final = 30.0  # PoCL's first build takes 1 s on an idle core; a cold disk and a busy machine take longer


@dataclass(frozen=True, slots=True)
class Probe:
    """found: every device, broken ones too. problem: why there is none, or which driver was left out; else ""."""

    found: tuple[FoundDevice, ...]
    problem: str


class _ChildFailed(Exception):
    """The child gave no answer; the text says how it ended."""


def probe_devices(*, timeout_s: float = TIMEOUT_S, try_kernels: bool = True, child: Sequence[str] = CHILD) -> Probe:
    """List the devices, and run a small kernel on each, one child process a device. Never raises for a bad driver.

    A driver that ends the child by being listed is left out, from then on in this process too: $OCL_ICD_VENDORS names
    a folder with the others, so ask before anything loads the drivers. timeout_s: how long each child may take. child:
    the command that answers, for tests.
    """
    try:
        found, problem = _listed(child, timeout_s=timeout_s)
    except _ChildFailed as exc:
        found, problem = _without_the_guilty(str(exc), child, timeout_s=timeout_s)
    if try_kernels:
        found = tuple(_tried(each, child, timeout_s=timeout_s) for each in found)
    return Probe(found, problem)


def _listed(child: Sequence[str], *, timeout_s: float, vendors: str = "") -> tuple[tuple[FoundDevice, ...], str]:
    """All devices and why there are none."""
    answer = _ask(child, timeout_s=timeout_s, vendors=vendors)
    try:
        return tuple(_device(each) for each in answer["found"]), str(answer["problem"])
    except (KeyError, TypeError) as exc:
        raise _ChildFailed(_("gave an unreadable answer")) from exc


def _without_the_guilty(how: str, child: Sequence[str], *, timeout_s: float) -> tuple[tuple[FoundDevice, ...], str]:
    """What the other drivers offer when the listing ended so, and the line that names the guilty one."""
    files = icd_files()
    guilty = [file for file in files if len(files) == 1 or not _answers_alone(file, child, timeout_s=timeout_s)]
    if not guilty:
        return (), _("OpenCL {how}: see clinfo").format(how=how)
    others = [file for file in files if file not in guilty]
    found = _leave_only(others, child, timeout_s=timeout_s) if others else ()
    text = _("the OpenCL driver of {files} {how}: update it, remove that file, or set OCL_ICD_VENDORS to another one")
    if found:
        text = _("the OpenCL driver of {files} {how} and is left out: update it or remove that file")
    return found, text.format(files=", ".join(map(str, guilty)), how=how)


def _leave_only(files: Sequence[Path], child: Sequence[str], *, timeout_s: float) -> tuple[FoundDevice, ...]:
    """The devices of these drivers, which are this process's only ones from now on; () when there are none."""
    try:
        folder = str(copy_icds(files))
        found, _problem = _listed(child, timeout_s=timeout_s, vendors=folder)
    except (_ChildFailed, OSError):
        return ()
    if found:
        os.environ[VENDORS] = folder
    return found


def _device(values: Mapping[str, Any]) -> FoundDevice:
    return FoundDevice(**{**values, "capability": Capability(**values["capability"])})


def _tried(device: FoundDevice, child: Sequence[str], *, timeout_s: float) -> FoundDevice:
    try:
        answer = _ask((*child, str(device.platform_number), str(device.number)), timeout_s=timeout_s)
        return replace(device, broken=str(answer["broken"]))
    except _ChildFailed as exc:
        text = _("its driver {how} when it built and ran a small kernel")
        return replace(device, broken=text.format(how=exc))
    except (KeyError, TypeError):
        return replace(device, broken=_("gave an unreadable answer"))


def _ask(command: Sequence[str], *, timeout_s: float, vendors: str = "") -> dict[str, Any]:
    env = dict(os.environ, **({VENDORS: vendors} if vendors else {}))
    try:
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise _ChildFailed(_("hung for {seconds} s").format(seconds=f"{timeout_s:g}")) from exc
    except OSError as exc:
        raise _ChildFailed(_("could not be asked ({reason})").format(reason=foreign(exc))) from exc
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise _ChildFailed(_("crashed ({signal}){said}").format(signal=name, said=_last_words(done.stderr)))
    if done.returncode:
        raise _ChildFailed(_("failed (exit {code}){said}").format(code=done.returncode, said=_last_words(done.stderr)))
    try:
        answer = json.loads(done.stdout)
    except ValueError as exc:
        raise _ChildFailed(_("gave an unreadable answer")) from exc
    return answer if isinstance(answer, dict) else {}


def _last_words(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", errors="replace").strip().splitlines()
    return f": {lines[-1].strip()[:200]}" if lines else ""


def _answers_alone(file: Path, child: Sequence[str], *, timeout_s: float) -> bool:
    try:
        return "found" in _ask(child, timeout_s=timeout_s, vendors=str(file))
    except _ChildFailed:
        return False


if __name__ == "__main__":
    print(json.dumps(asdict(probe_devices()), indent=2))
