"""The verdict on a model and a device: the one that is kept, else a check now, which alone loads the driver."""

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from ... import __version__
from ...compute.capability import Capability
from ...compute.choice import FoundDevice
from ...model import Card
from ..ort import OrtCompute
from .check import Verdict, check, key_of, load_verdict, save_verdict
from .session import OpenclCompute
from .tune import choices_path, load_choices


def verdict_on(card: Card, opencl: OpenclCompute, *, folder: Path, threads: int) -> Verdict:
    """The verdict kept in the cache `folder`, else a check now, in seconds. Raises as the CPU's session does."""
    key = verdict_key(folder, card, opencl.found.capability)
    verdict = load_verdict(folder / "verdicts", key, tell=opencl.tell)
    if verdict is None:
        with OrtCompute(threads=threads) as cpu:  # one of its own, so that its memory goes afterwards
            label = opencl.found.label
            verdict = check(card, lambda: opencl.session(card), lambda: cpu.session(card), device=label)
        if not verdict.passing:
            save_verdict(folder / "verdicts", key, verdict)
        if not (verdict.is_right and verdict.is_fast):
            opencl.forget(card)  # nobody will run it there, so its weights need not lie there
    return verdict


def verdict_key(folder: Path, card: Card, device: Capability) -> str:
    """File name of a verdict: another one after an update of the program, or once the tuner has found something."""
    try:
        tuned = choices_path(folder, card, device, 1).read_bytes()
    except OSError:
        tuned = b""
    return hashlib.sha256(f"{key_of(card, device)}\n{__version__}\n".encode() + tuned).hexdigest()[:32]


@dataclass(slots=True)
class Verdicts:
    """Verdicts on one device; use it with `with`. folder: the cache's. threads: of ONNX Runtime, 0 for all cores."""

    found: FoundDevice
    folder: Path
    threads: int = 0
    _stack: ExitStack = field(default_factory=ExitStack)
    _opencl: OpenclCompute | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def kept(self, card: Card) -> Verdict | None:
        """What was found out earlier, by this program and this driver."""
        return load_verdict(self.folder / "verdicts", verdict_key(self.folder, card, self.found.capability))

    def check(self, card: Card) -> Verdict:
        """Check now, in seconds, and keep what was found. Raises as the CPU's session does."""
        opencl = self._opencl or self._open()
        try:
            return verdict_on(card, opencl, folder=self.folder, threads=self.threads)
        finally:
            opencl.forget(card)  # room for the next

    def _open(self) -> OpenclCompute:
        opencl = OpenclCompute(
            self.found,
            cache_dir=self.folder,
            choices=lambda card, size: load_choices(self.folder, card, self.found.capability, size),
        )
        self._opencl = self._stack.enter_context(opencl)
        return opencl
