"""A station's identity as a tar file, for a Pi that can't reach the enrolment."""

import io
import json
import os
import tarfile
from pathlib import Path

from ..errors import FatalError
from ..i18n import _
from .desk import Desk
from .folders import PRIVATE, PUBLIC


def write_bundle(desk: Desk, station: str, out: Path, *, agent_yaml: str, origin: tuple[str, int]) -> None:
    """Write the file, mode 0600. origin: (host, port) of the enrolment, where the agent renews its certificate.

    Raises FatalError when it is there already or can't be written; the station keeps what it had then.
    """
    try:
        file = os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb")
    except OSError as exc:
        raise FatalError(_("{path}: can't be written: {reason}").format(path=out, reason=exc.strerror)) from exc
    try:
        with file, tarfile.open(fileobj=file, mode="w") as tar:
            _fill(tar, desk, station, agent_yaml=agent_yaml, origin=origin)
    except BaseException:
        out.unlink()
        raise


def _fill(tar: tarfile.TarFile, desk: Desk, station: str, *, agent_yaml: str, origin: tuple[str, int]) -> None:
    granted, key = desk.bundle(station)
    for name, body, mode in (
        ("agent.yaml", agent_yaml, PUBLIC),
        ("identity/ca.pem", granted.ca, PUBLIC),
        ("identity/cert.pem", granted.certificate, PUBLIC),
        ("identity/key.pem", key.decode(), PRIVATE),
        ("identity/enrolled.json", json.dumps({"host": origin[0], "port": origin[1]}), PUBLIC),
    ):
        entry = tarfile.TarInfo(name)
        raw = body.encode()
        entry.size, entry.mode, entry.mtime = len(raw), mode, desk.clock.now().timestamp()
        tar.addfile(entry, io.BytesIO(raw))
