"""Kernels → built programs of one device: each source once a process, and from disk where it was built before.

PoCL 3.1, two cores, 20 programs of four small kernels, 2026-11: built in 6.4 s, their binaries taken in 7.0 s, loaded
in 0.05 s (0.46 s when PoCL's own cache was emptied meanwhile); built again out of PoCL's own cache 0.8 s. Its compiler
holds a lock, so threads gain nothing there: 3.0 s with two, 3.1 s with one, for 20 programs of two kernels.
"""

import os
import re
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final, cast

from ..errors import KernelBuildError
from ..foreign import foreign
from ..i18n import _
from ..paths import write_atomically
from ..services import Log
from .capability import Capability
from .driver import cl
from .faults import FULL, GONE, fault
from .kernel import Kernel
from .program_cache import ProgramCache, key_of

# Without -cl-fast-relaxed-math: NaN and infinity mean what ONNX says they mean.
OPTIONS: Final = "-cl-std=CL1.2 -cl-mad-enable -cl-no-signed-zeros"
MAX_THREADS: Final = 8
POCL: Final = "Portable Computing Language"
ON_CPU: Final = " -DON_CPU=1"  # some kernels have one line that differs between the families
ERROR_LINE: Final = re.compile(r"\berror\b\s*:", re.IGNORECASE)


class Programs:
    """The programs of one device; may be used from several threads.

    cache: where binaries are kept. logs: folder for what the compiler says about a kernel that it refuses.
    """

    def __init__(
        self, context: cl.Context, capability: Capability, *, cache: ProgramCache, logs: Path, log: Log | None = None
    ) -> None:
        self.context, self.capability, self.cache, self.logs = context, capability, cache, logs
        self._device = context.devices[0]
        self._options = OPTIONS + (ON_CPU if capability.family == "cpu" else "")
        # PoCL compiles all kernels a second time when it is asked for a binary: see `save`.
        self._saves_at_once = self._device.platform.name.strip() != POCL
        self._log = log
        self._lock = threading.Lock()
        self._programs: dict[str, Future[cl.Program]] = {}
        self._unsaved: dict[str, cl.Program] = {}
        self.built = 0  # from source, since the device was opened
        self.loaded = 0  # from the cache

    def kernel(self, kernel: Kernel) -> cl.Kernel:
        """A new kernel object, whose arguments nobody else sets; its program is built when this source is new.

        Raises KernelBuildError when the compiler refuses it or the source has no such entry, DeviceLost when the device
        is gone.
        """
        program = self._program(kernel)
        try:
            return cl.Kernel(program, kernel.entry)
        except cl.Error as exc:
            if exc.code in GONE:
                raise fault(exc, f"kernel {kernel.entry!r} on {self.capability.name}") from exc
            text = _("kernels/{file} has no kernel {entry!r}: {reason}")
            raise KernelBuildError(text.format(file=kernel.file, entry=kernel.entry, reason=exc)) from exc

    def prebuild(self, kernels: Iterable[Kernel], on_progress: Callable[[int, int], None] | None = None) -> None:
        """Build what is missing, several programs at once. on_progress: called with (done, total) after each program.

        Raises as `kernel` does, at the first program that fails; those that were begun are finished first.
        """
        one_each = {each.source(): each for each in kernels}
        with self._lock:
            missing = [each for source, each in one_each.items() if source not in self._programs]
        threads = min(len(os.sched_getaffinity(0)), MAX_THREADS, max(1, len(missing)))
        with ThreadPoolExecutor(threads, "build") as pool:
            jobs = [pool.submit(self._program, each) for each in missing]
            try:
                for done, job in enumerate(as_completed(jobs), start=1):
                    job.result()
                    if on_progress:
                        on_progress(done, len(jobs))
            finally:
                for job in jobs:
                    job.cancel()
        self._trim()

    def building(
        self, kernels: Iterable[Kernel], *, on_wait: Callable[[], None] = lambda: None
    ) -> AbstractContextManager[None]:
        """A context in which no other process builds these kernels, as long as any is not on disk yet; not reentrant.

        Best left after the first launches, for PoCL compiles then and keeps that in a cache of its own. on_wait: called
        when another process is at it; it is waited for, but not for ever.
        """
        keys = sorted({key_of(each.source(), self._options, self.capability) for each in kernels})
        if all(map(self.cache.holds, keys)):
            return nullcontext()
        return self.cache.alone(key_of("\n".join(keys), "", self.capability), on_wait=on_wait)

    def save(self) -> int:
        """Keep the binaries that are not on disk yet; returns how many there were.

        With PoCL this takes as long as building did, so it waits until somebody asks; elsewhere all is kept already.
        Best after the first launches: PoCL's binaries then hold what it made for their group sizes, too.
        """
        with self._lock:
            unsaved, self._unsaved = self._unsaved, {}
        for key, program in unsaved.items():
            with self.cache.alone(key, on_wait=lambda: None):
                if self.cache.load(key) is None:  # else another process was quicker, and a binary takes a second
                    self._keep(key, program)
        self._trim()
        return len(unsaved)

    def _program(self, kernel: Kernel) -> cl.Program:
        source = kernel.source()
        with self._lock:
            mine = source not in self._programs
            future = self._programs.setdefault(source, Future())
        if mine:
            try:
                future.set_result(self._load_or_build(kernel, source))
            except BaseException as exc:
                with self._lock:
                    del self._programs[source]
                future.set_exception(exc)
                raise
        return future.result()

    def _load_or_build(self, kernel: Kernel, source: str) -> cl.Program:
        key = key_of(source, self._options, self.capability)
        program = self._load(key)
        if program is not None:
            with self._lock:
                self.loaded += 1
            return program
        program = self._build(kernel, source, key)
        with self._lock:
            self.built += 1
            if not self._saves_at_once:
                self._unsaved[key] = program
        if self._saves_at_once:
            self._keep(key, program)
        return program

    def _load(self, key: str) -> cl.Program | None:
        binary = self.cache.load(key)
        if binary is None:
            if self.cache.holds(key):
                self._tell("program.cache_damaged", key=key)
            return None
        try:
            program = cl.Program(self.context, [self._device], [binary])
            program.build()
        except cl.Error as exc:
            if exc.code in GONE:
                raise fault(exc, f"programs of {self.capability.name}") from exc
            self._tell("program.cache_refused", key=key, reason=_first_line(str(exc)))
            self.cache.forget(key)
            return None
        return program

    def _build(self, kernel: Kernel, source: str, key: str) -> cl.Program:
        program = cl.Program(self.context, source)
        try:
            program.build(self._options.split())
        except cl.Error as exc:
            if exc.code in GONE | FULL:
                raise fault(exc, f"kernels/{kernel.file} on {self.capability.name}") from exc
            where = self._write_log(kernel, source, str(exc), key)
            raise KernelBuildError(
                _("kernels/{file}, kernel {entry!r}, does not compile for {device}: {reason} ({where})").format(
                    file=kernel.file,
                    entry=kernel.entry,
                    device=self.capability.name,
                    reason=_first_line(str(exc)),
                    where=where,
                )
            ) from exc
        return program

    def _write_log(self, kernel: Kernel, source: str, said: str, key: str) -> str:
        """Write what the compiler said and the numbered lines that it speaks of; returns where, in words."""
        numbered = "\n".join(f"{number:5}  {line}" for number, line in enumerate(source.splitlines(), start=1))
        path = self.logs / f"{Path(kernel.file).stem}-{kernel.entry}-{key[:12]}.log"
        body = f"{self.capability.name}\n{self.capability.driver}\n{self._options}\n\n{said}\n\n{numbered}\n"
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            write_atomically(path, body.encode())
        except OSError as exc:
            return _("its log could not be written: {reason}").format(reason=foreign(exc))
        return _("all of it: {path}").format(path=path)

    def _keep(self, key: str, program: cl.Program) -> None:
        try:
            binaries = cast("list[bytes]", program.get_info(cl.program_info.BINARIES))
            if binaries and binaries[0]:
                self.cache.keep(key, binaries[0])
        except (cl.Error, OSError) as exc:
            self._tell("program.not_cached", key=key, reason=str(exc))

    def _trim(self) -> None:
        try:
            self.cache.trim()
        except OSError as exc:
            self._tell("program.cache_not_trimmed", reason=str(exc))

    def _tell(self, event: str, **fields: str) -> None:
        if self._log:
            self._log.debug(event, **fields)


def _first_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    # the first line is pyopencl's, which repeats the code only
    return next((line for line in lines[1:] if ERROR_LINE.search(line)), lines[0] if lines else _("no reason given"))
