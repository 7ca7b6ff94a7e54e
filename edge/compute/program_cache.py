"""Built programs on disk: a folder of files named after what they were built from, whole or not at all.

File: MAGIC, SHA-256 of the binary (32 bytes), the binary. The sum is checked before a driver sees the binary: PoCL 3.1
ends the whole process on one that is cut off (an assertion in pocl_binary.c).
"""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..paths import write_atomically
from .capability import Capability

FORMAT: Final = 1  # part of each key and of each file
MAGIC: Final = f"tigrillo program {FORMAT}\n".encode()
SUM_BYTES: Final = hashlib.sha256().digest_size
LIMIT_BYTES: Final = 256_000_000  # some ten models: a PoCL binary takes 70 KB, NVIDIA's PTX 10 to 100 KB
STALE_S: Final = 3600.0  # what is still being written after an hour was left behind by a process that is gone
WAIT_S: Final = 120.0  # for another process that builds the same; the largest model takes a minute on two busy cores
POLL_S: Final = 0.1


def key_of(source: str, options: str, capability: Capability) -> str:
    """The name of a program in the cache: changes with its text, its options, the device, the driver and the format."""
    parts = (str(FORMAT), source, options, capability.name, capability.driver)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ProgramCache:
    """The binaries in `folder`, which is made when there is something to keep. limit_bytes: what they may take."""

    folder: Path
    limit_bytes: int = LIMIT_BYTES

    def load(self, key: str) -> bytes | None:
        """The binary kept under this key; None when there is none or it is damaged or of another format."""
        path = self._path(key)
        try:
            body = path.read_bytes()
        except OSError:
            return None
        head, total, binary = body[: len(MAGIC)], body[len(MAGIC) :][:SUM_BYTES], body[len(MAGIC) + SUM_BYTES :]
        if head != MAGIC or hashlib.sha256(binary).digest() != total:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # what is used stays longest
        return binary

    def holds(self, key: str) -> bool:
        """Whether there is a file of this key; only `load` tells whether it is good."""
        return self._path(key).is_file()

    def keep(self, key: str, binary: bytes) -> None:
        """Write a binary, in place of an older one. Raises OSError as the file system gives it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path(key), MAGIC + hashlib.sha256(binary).digest() + binary)

    def forget(self, key: str) -> None:
        """Remove what the driver refused."""
        with contextlib.suppress(OSError):
            self._path(key).unlink()

    def trim(self) -> int:
        """Delete the files used longest ago until the rest fits; returns how many. Another process may do the same."""
        aged = []
        for path in self.folder.glob("*.bin"):
            with contextlib.suppress(OSError):  # the other process was here first
                status = path.stat()
                aged.append((status.st_mtime, status.st_size, path))
        total, deleted = sum(size for _when, size, _path in aged), 0
        for _when, size, path in sorted(aged):
            if total <= self.limit_bytes:
                break
            path.unlink(missing_ok=True)
            total, deleted = total - size, deleted + 1
        self._sweep()
        return deleted

    @contextlib.contextmanager
    def alone(self, name: str, *, on_wait: Callable[[], None], wait_s: float = WAIT_S) -> Iterator[None]:
        """Hold a lock among processes, so that the second finds what the first one built; it ends with the process.

        on_wait: called once when another process holds it. After `wait_s`, and where there can be no lock, work begins
        all the same: it is only done twice then.
        """
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                self.folder.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context((self.folder / f".{name}.lock").open("wb"))
                _wait_for(file.fileno(), on_wait, until_s=time.monotonic() + wait_s)
            yield

    def _sweep(self) -> None:
        oldest = time.time() - STALE_S
        for path in (*self.folder.glob(".*.part"), *self.folder.glob(".*.lock")):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.bin"


def _wait_for(descriptor: int, on_wait: Callable[[], None], *, until_s: float) -> None:
    """Lock an open file, or give up at that time of the monotonic clock. Raises OSError where there are no locks."""
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                on_wait()
                told = True
            if time.monotonic() >= until_s:
                return
            time.sleep(POLL_S)
        else:
            return
