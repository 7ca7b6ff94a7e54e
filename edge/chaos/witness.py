"""The agent, and beside it a record of what it captured: `python -m edge.chaos.witness RECORD AGENT.yaml`.

A line `id name` goes to RECORD once a frame is said to survive a power cut. The record knows nothing of the spool, so
it can be held against the server afterwards. After a kill between the two it is a frame short, never one too long.
"""

import importlib
import logging
import os
import sys
from pathlib import Path

EVENT = "frame.captured id=%s name=%s"  # of raspberry_pi/shutter.py


class Record(logging.Handler):
    """Appends each captured frame to a file, in one write."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.DEBUG)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def emit(self, record: logging.LogRecord) -> None:
        """Write down a capture; other events are none of ours."""
        if record.msg == EVENT and isinstance(record.args, tuple):
            os.write(self._file, "{} {}\n".format(*record.args).encode())


def captured(path: Path) -> dict[str, str]:
    """Frame id → file name, as the record at `path` has it; empty when nothing was captured."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split(" ", 1) for line in lines)


def main() -> int:
    """Run the agent of AGENT.yaml; its exit code."""
    record, config = sys.argv[1:]
    shutter = logging.getLogger("raspberry_pi.shutter")
    shutter.setLevel(logging.DEBUG)
    shutter.addHandler(Record(Path(record)))
    # by name, as `tigrillo agent` does it
    return int(importlib.import_module("raspberry_pi.agent").main([config]))


if __name__ == "__main__":
    sys.exit(main())
