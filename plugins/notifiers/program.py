"""Run a program within a time and a number of bytes: what it is told, what it says, how it ended."""

import os
import select
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from edge.api import one_line

CHUNK = 4096  # bytes of one read; also what is kept of the end of each output, and usually of its start
LAST_READS = 16  # of each output once the program has ended: a pipe holds 64 KiB
GRACE_S = 1.0  # between asking a program that takes too long to end, and ending it


@dataclass(frozen=True, slots=True)
class Ended:
    """code: the exit code, negative for a signal, None when it did not end in time.

    first_line: of standard output. last_error: the last line of standard error that is not empty. Both are plain text.
    output: standard output as it came, as much of its start as is kept.
    """

    code: int | None
    first_line: str = ""
    last_error: str = ""
    output: bytes = b""


def run_program(
    arguments: Sequence[str],
    *,
    text: bytes,
    environment: Mapping[str, str],
    timeout_s: float,
    keep_bytes: int = CHUNK,
) -> Ended:
    """Run a program in a process group of its own, `text` on its standard input, until it ends or time is up.

    Then its whole group is ended: asked first (SIGTERM), so that it can let go of a modem, a second later not asked.
    What a program that ended in time has started stays. keep_bytes: of the start of standard output; more is forgotten.
    Raises OSError when it can't be started.
    """
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd="/",
        start_new_session=True,
        bufsize=0,
    )
    ending = os.pidfd_open(process.pid)
    try:
        talk = _Talk(process, ending, memoryview(text), _Heard(keep_bytes))
        return talk.until(time.monotonic() + timeout_s)
    finally:
        if process.poll() is None:
            _end(process, ending)
        os.close(ending)
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


@dataclass(slots=True)
class _Heard:
    """The first `keep_bytes` and the last CHUNK bytes of an output; what lies between is read and forgotten."""

    keep_bytes: int = CHUNK
    head: bytes = b""
    tail: deque[int] = field(default_factory=lambda: deque(maxlen=CHUNK))

    def add(self, more: bytes) -> None:
        self.head += more[: self.keep_bytes - len(self.head)]
        self.tail.extend(more)

    def first_line(self) -> str:
        return one_line(self.head.partition(b"\n")[0].decode("utf-8", "replace"))

    def last_line(self) -> str:
        lines = [one_line(line) for line in bytes(self.tail).decode("utf-8", "replace").split("\n")]
        return next((line for line in reversed(lines) if line), "")


@dataclass(slots=True)
class _Talk:
    """The pipes of a running program. ending: its pidfd. left: what is still to be told."""

    process: subprocess.Popen[bytes]
    ending: int
    left: memoryview
    output: _Heard = field(default_factory=_Heard)
    errors: _Heard = field(default_factory=_Heard)

    def until(self, deadline_s: float) -> Ended:
        """Write and read until the program has ended; its children may keep the pipes open, they are not waited for."""
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        heard = {process.stdout.fileno(): self.output, process.stderr.fileno(): self.errors}
        with selectors.DefaultSelector() as ready:
            ready.register(self.ending, selectors.EVENT_READ)
            ready.register(process.stdin, selectors.EVENT_WRITE)
            os.set_blocking(process.stdin.fileno(), False)
            for pipe in heard:
                os.set_blocking(pipe, False)
                ready.register(pipe, selectors.EVENT_READ)
            while process.poll() is None and (wait_s := deadline_s - time.monotonic()) > 0:
                for key, _events in ready.select(wait_s):
                    if key.fileobj is process.stdin:
                        if self._tell(key.fd):
                            ready.unregister(process.stdin)
                            process.stdin.close()
                    elif key.fd in heard and not _hear(key.fd, heard[key.fd]):
                        ready.unregister(key.fd)
        for pipe, each in heard.items():
            for _read in range(LAST_READS):
                if not _hear(pipe, each):
                    break
        return Ended(process.poll(), self.output.first_line(), self.errors.last_line(), self.output.head)

    def _tell(self, pipe: int) -> bool:
        """Write some; True when there is no more to write, or nobody reads it."""
        try:
            self.left = self.left[os.write(pipe, self.left[:CHUNK]) :]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            return True
        return not self.left


def _hear(pipe: int, heard: _Heard) -> bool:
    """Read some; False at the end of the output, or when there is nothing now."""
    try:
        more = os.read(pipe, CHUNK)
    except BlockingIOError:
        return False
    heard.add(more)
    return bool(more)


def _end(process: subprocess.Popen[bytes], ending: int) -> None:
    """End a group. Its leader is not reaped before the last signal, so that the group's number stays its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        select.select([ending], [], [], GRACE_S)
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # one that waits for a broken disk ends when that answers
        process.wait(GRACE_S)
