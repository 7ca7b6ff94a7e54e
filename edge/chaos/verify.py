"""After the run: what the cameras took, held against the server's rows and files; none of our code is asked."""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .witness import captured

Row = tuple[str, str, str, str, str, str, int]  # station, id, name, sha256, path, state, seq


@dataclass(frozen=True, slots=True)
class Camera:
    """One agent's folder and what its camera shows: name → SHA-256, each once, in this order."""

    station: str
    folder: Path
    pictures: Mapping[str, str]

    @property
    def record(self) -> Path:
        """Where its witness writes."""
        return self.folder / "captured.txt"


@dataclass(frozen=True, slots=True)
class Verdict:
    """lost, doubled, mismatched: frames. faults: one line for each thing that must not be, these three included.

    again: copies that the server recognised and did not record. strays: files in its folder without a row.
    """

    frames: int
    rows: int
    recorded: int
    quarantined: int
    lost: int
    doubled: int
    mismatched: int
    strays: int
    faults: tuple[str, ...]


def rows_of(state: Path) -> list[Row]:
    """All frames that the server has a row for; none before there is a database."""
    query = "select station, id, name, sha256, path, state, seq from frames order by pk"
    return list(_ask(state, query))


def progress_of(state: Path) -> tuple[int, int]:
    """(frames with a row, frames that are done)."""
    query = "select count(*), coalesce(sum(state in ('recorded', 'quarantined')), 0) from frames"
    return next(_ask(state, query), (0, 0))


def _ask(state: Path, query: str) -> Iterator[Any]:
    try:
        connection = sqlite3.connect(f"{(state / 'tigrillo.sqlite').as_uri()}?mode=ro", uri=True, timeout=5)
    except sqlite3.OperationalError:
        return
    try:
        yield from connection.execute(query)
    except sqlite3.OperationalError:  # no table yet, or the server was killed while it made the file
        return
    finally:
        connection.close()


def verify(cameras: list[Camera], state: Path) -> Verdict:
    """Compare. The server is stopped by now."""
    rows = rows_of(state)
    wanted = sum(len(camera.pictures) for camera in cameras)
    faults: list[str] = []
    lost = doubled = mismatched = 0
    for camera in cameras:
        mine = [row for row in rows if row[0] == camera.station]
        gone = _lost(camera, mine)
        twice = len(mine) - len({row[2] for row in mine})
        wrong = [row[1] for row in mine if not _is_whole(camera, row)]
        lost, doubled, mismatched = lost + len(gone), doubled + twice, mismatched + len(wrong)
        for count, what in (
            (len(gone), f"lost, first {gone[:3]}"),
            (twice, "doubled"),
            (len(wrong), f"not whole, first {wrong[:3]}"),
        ):
            if count:
                faults.append(f"{camera.station}: {count} frames {what}")
        faults += _counters(camera, mine)
    if len(rows) != wanted:
        faults.append(f"the server has {len(rows)} rows of {wanted} frames")
    faults += [
        f"refused: {name}: {reason}"
        for name, reason in _ask(state, "select name, reason from quarantine where frame_pk is null limit 5")
    ]
    faults += [f"database: {text}" for (text,) in _ask(state, "pragma integrity_check") if text != "ok"]
    states = Counter(row[5] for row in rows)
    return Verdict(
        frames=wanted,
        rows=len(rows),
        recorded=states["recorded"],
        quarantined=states["quarantined"],
        lost=lost,
        doubled=doubled,
        mismatched=mismatched,
        strays=_strays(state, rows),
        faults=tuple(faults),
    )


def _lost(camera: Camera, mine: list[Row]) -> list[str]:
    """Pictures without a row, and captured frames without one; a picture is captured once, whatever was killed."""
    names, ids = {row[2] for row in mine}, {row[1] for row in mine}
    missing = {name for name in camera.pictures if name not in names}
    return sorted(missing | {name for frame, name in captured(camera.record).items() if frame not in ids})


def _is_whole(camera: Camera, row: Row) -> bool:
    _station, _id, name, sha256, path, _state, _seq = row
    try:
        body = Path(path).read_bytes()
    except OSError:
        return False
    return camera.pictures.get(name) == sha256 == hashlib.sha256(body).hexdigest()


def _counters(camera: Camera, mine: list[Row]) -> list[str]:
    """Whether the agent's own figures agree: captured = acknowledged = all, in an unbroken row of numbers."""
    count = len(camera.pictures)
    try:
        status = json.loads((camera.folder / "spool" / "status.json").read_bytes())
    except (OSError, ValueError) as exc:
        return [f"{camera.station}: status.json: {exc}"]
    expected = {"captured": count, "acked": count, "spooled": 0, "dropped": 0, "done": True}
    faults = [
        f"{camera.station}: {key} is {status.get(key)}, not {value}"
        for key, value in expected.items()
        if status.get(key) != value
    ]
    if sorted(row[6] for row in mine) != list(range(1, count + 1)):
        faults.append(f"{camera.station}: the sequence numbers are not 1 to {count}, each once")
    return faults


def _strays(state: Path, rows: list[Row]) -> int:
    known = {row[4] for row in rows}
    files = (path for folder in ("media", "incoming") for path in (state / folder).rglob("*") if path.is_file())
    return sum(str(path) not in known for path in files)
