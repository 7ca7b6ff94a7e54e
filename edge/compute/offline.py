"""Compile kernels for a card that is not in this machine, and read off what each takes of it.

Kernel → clang-16 (front end and back end of AMD's drivers) → Resources. Nothing here loads an OpenCL driver. The
compilers and libraries are Debian's: clang-16, lld-16, rocm-device-libs, and libclc-16 for Mesa's target.
"""

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final

from ..errors import EdgeError
from ..paths import write_atomically
from .kernel import Kernel

CLANG, LINKER = "clang-16", "ld.lld-16"
# As edge.compute.program.OPTIONS, which can't be imported without loading the machine's drivers; a test holds the two
# together.
OPTIONS: Final = ("-cl-std=CL1.2", "-cl-mad-enable", "-cl-no-signed-zeros")
REMARKS: Final = "-Rpass-analysis=kernel-resource-usage"
SHT_SYMTAB, SYMBOL_BYTES = 2, 24  # of ELF
TIMEOUT_S: Final = 120  # no kernel here takes a second
FUNCTION: Final = re.compile(r"remark:\s+Function Name: (\S+)")
FIGURE: Final = re.compile(r"remark:\s+([A-Za-z ]+?)(?: \[[^]]*\])?: (\d+) ")
FIELDS: Final = {
    "VGPRs": "vgprs",
    "SGPRs": "sgprs",
    "LDS Size": "lds_bytes",
    "ScratchSize": "scratch_bytes",
    "Occupancy": "occupancy_waves",
}


class OfflineError(EdgeError):
    """A kernel can't be compiled for a card that is not here. Read by developers only, so its text is English."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one kernel takes, as the compiler says.

    vgprs: vector registers of a lane. sgprs: scalar registers of a wave. lds_bytes: local memory of a group.
    scratch_bytes: memory of a lane for registers that were spilled and arrays that found none.
    occupancy_waves: waves that a SIMD could hold, by registers and local memory, for groups of the largest size.
    """

    vgprs: int
    sgprs: int
    lds_bytes: int
    scratch_bytes: int
    occupancy_waves: int


@dataclass(frozen=True, slots=True)
class Target:
    """A compiler's idea of a card. flags: clang's. library: built-in functions that clang must be given, or None."""

    name: str
    flags: tuple[str, ...]
    library: Path | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """All of clang's arguments that make a difference to the code."""
        linked = ("-Xclang", "-mlink-builtin-bitcode", "-Xclang", str(self.library)) if self.library else ()
        return ("-x", "cl", *OPTIONS, "-O3", *self.flags, *linked)


def rocm_target() -> Target:
    """gfx803 as ROCm and AMDGPU-PRO's newer compilers see it. Raises OfflineError without rocm-device-libs."""
    folder = next(iter(sorted(Path("/usr/lib").glob("*/amdgcn/bitcode"))), None)
    if folder is None:
        raise OfflineError("no amdgcn/bitcode below /usr/lib: install rocm-device-libs")
    return Target("gfx803", ("-target", "amdgcn-amd-amdhsa", "-mcpu=gfx803", f"--rocm-device-lib-path={folder}"))


def mesa_target() -> Target:
    """polaris10 as Mesa's Clover sees it, built-in functions from libclc. Raises OfflineError without libclc-16."""
    library = Path("/usr/lib/clc/polaris10-amdgcn-mesa-mesa3d.bc")
    if not library.is_file():
        raise OfflineError(f"no {library}: install libclc-16")
    return Target("polaris10 (Mesa)", ("-target", "amdgcn-mesa-mesa3d", "-mcpu=polaris10"), library)


def compile_kernel(kernel: Kernel, target: Target, *, cache_dir: Path) -> Resources:
    """What a kernel takes on a target: compiled, looked at for functions that no library has, and remembered.

    cache_dir: a file for each source, target and compiler; made when needed. Raises OfflineError naming file, entry
    and the compiler's first line.
    """
    source = kernel.source()
    known = "\0".join((compiler_version(), *target.arguments, kernel.entry, source))
    place = cache_dir / f"{hashlib.sha256(known.encode()).hexdigest()[:32]}.json"
    if place.is_file():
        return Resources(**json.loads(place.read_text("utf-8")))
    with tempfile.TemporaryDirectory(prefix="gfx803-") as folder:
        remarks = _build(kernel, source, target, Path(folder))
    resources = parse_remarks(remarks, kernel)
    cache_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(place, json.dumps(asdict(resources)).encode())
    return resources


def compile_all(
    kernels: Iterable[Kernel],
    target: Target,
    *,
    cache_dir: Path,
    on_progress: Callable[[int, int], None] | None = None,
) -> Mapping[Kernel, Resources]:
    """`compile_kernel` for many, as many at once as there are cores, in the order given.

    on_progress: called with (done, total) after each. Raises the first OfflineError; those under way end first.
    """
    wanted = list(dict.fromkeys(kernels))
    stop = threading.Event()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "clang") as pool:
        jobs = {each: pool.submit(_unless, stop, each, target, cache_dir) for each in wanted}
        try:
            for done, job in enumerate(as_completed(jobs.values()), start=1):
                job.result()
                if on_progress:
                    on_progress(done, len(jobs))
        finally:
            stop.set()
    return {kernel: found for kernel, job in jobs.items() if (found := job.result())}


def _unless(stop: threading.Event, kernel: Kernel, target: Target, cache_dir: Path) -> Resources | None:
    return None if stop.is_set() else compile_kernel(kernel, target, cache_dir=cache_dir)


@cache
def compiler_version() -> str:
    """First line of what the compiler says of itself. Raises OfflineError when compiler or linker is missing."""
    for tool in (CLANG, LINKER):
        if shutil.which(tool) is None:
            raise OfflineError(f"{tool} is not there: install {'clang-16' if tool == CLANG else 'lld-16'}")
    return subprocess.run([CLANG, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def _build(kernel: Kernel, source: str, target: Target, folder: Path) -> str:
    """Compile and link; what the compiler remarked."""
    made = str(folder / "kernel.o")
    command = [CLANG, *target.arguments, REMARKS, "-fno-color-diagnostics", "-c", "-o", made, "-"]
    remarks = _run(kernel, target, command, source)
    if target.library is None:
        _run(kernel, target, [LINKER, "-shared", "--no-undefined", "-o", str(folder / "kernel.so"), made], "")
    elif missing := undefined_symbols(Path(made).read_bytes()):
        # Mesa loads objects itself; their relocations have no addends, which lld can't read for this machine.
        raise OfflineError(f"{_where(kernel, target)}: no library has {', '.join(missing)}")
    return remarks


def undefined_symbols(elf: bytes) -> list[str]:
    """Names that a 64-bit little-endian ELF object uses and doesn't hold."""
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    size, count = struct.unpack_from("<HH", elf, 0x3A)
    heads = [struct.unpack_from("<IIQQQQIIQQ", elf, table + at * size) for at in range(count)]
    found = []
    for _name, kind, _flags, _address, offset, length, link, *_rest in heads:
        if kind != SHT_SYMTAB:
            continue
        names = heads[link][4]
        for at in range(offset + SYMBOL_BYTES, offset + length, SYMBOL_BYTES):  # the first is empty
            name, _info, _other, section = struct.unpack_from("<IBBH", elf, at)
            if section == 0:
                found.append(elf[names + name : elf.index(b"\0", names + name)].decode())
    return found


def _run(kernel: Kernel, target: Target, command: list[str], given: str) -> str:
    where = _where(kernel, target)
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as exc:
        raise OfflineError(f"{where}: {command[0]} gave no answer in {TIMEOUT_S} s") from exc
    if done.returncode:
        raise OfflineError(f"{where}: {first_error(done.stderr) or f'{command[0]} ended with {done.returncode}'}")
    return done.stderr


def _where(kernel: Kernel, target: Target) -> str:
    return f"kernels/{kernel.file}, kernel {kernel.entry!r}, for {target.name}"


def first_error(text: str) -> str:
    """The first line of a compiler's or linker's output that is an error; its first line when none says so."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line), lines[0] if lines else "")


def parse_remarks(text: str, kernel: Kernel) -> Resources:
    """The figures that clang's remarks give for a kernel's entry; functions that were inlined have remarks, too.

    Raises OfflineError when the entry or one of the figures is not there.
    """
    found: dict[str, int] = {"lds_bytes": 0}  # functions have no such line
    seen = inside = False
    for line in text.splitlines():
        if function := FUNCTION.search(line):
            inside = function[1] == kernel.entry
            seen = seen or inside
        elif inside and (figure := FIGURE.search(line)) and figure[1] in FIELDS:
            found[FIELDS[figure[1]]] = int(figure[2])
    if not seen:
        raise OfflineError(f"kernels/{kernel.file} has no kernel {kernel.entry!r}, or {CLANG} says nothing of it")
    if missing := sorted(set(FIELDS.values()) - set(found)):
        raise OfflineError(f"{CLANG} says nothing of {', '.join(missing)} of kernel {kernel.entry!r}")
    return Resources(**found)
