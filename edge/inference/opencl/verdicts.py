"""The verdict on a model and a device: the one that is kept, else a check now, which alone loads the driver."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from ...compute.choice import FoundDevice
from ...model import Card
from ..ort import OrtCompute
from .check import Verdict, check, key_of, load_verdict, save_verdict
from .session import OpenclCompute
from .tune import load_choices


def verdict_on(card: Card, opencl: OpenclCompute, *, folder: Path, threads: int) -> Verdict:
    """The verdict kept in the cache `folder`, else a check now, in seconds. Raises as the CPU's session does."""
    key = key_of(card, opencl.found.capability)
    verdict = load_verdict(folder / "verdicts", key)
    if verdict is None:
        with OrtCompute(threads=threads) as cpu:  # one of its own, so that its memory goes afterwards
            label = opencl.found.label
            verdict = check(card, lambda: opencl.session(card), lambda: cpu.session(card), device=label)
        save_verdict(folder / "verdicts", key, verdict)
    return verdict


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
        """What was found out earlier, by these kernels and this driver."""
        return load_verdict(self.folder / "verdicts", key_of(card, self.found.capability))

    def check(self, card: Card) -> Verdict:
        """Check now, in seconds, and keep what was found. Raises as the CPU's session does."""
        return verdict_on(card, self._opencl or self._open(), folder=self.folder, threads=self.threads)

    def _open(self) -> OpenclCompute:
        opencl = OpenclCompute(
            self.found,
            cache_dir=self.folder,
            choices=lambda card, size: load_choices(self.folder, card, self.found.capability, size),
        )
        self._opencl = self._stack.enter_context(opencl)
        return opencl
