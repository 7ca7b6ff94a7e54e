"""Which device runs the models: the site's `compute.device` → a Compute.

"auto" takes an OpenCL GPU for each model that it runs right and no slower than the CPU (opencl/check.py), else ONNX
Runtime. "opencl…" takes that device or stops with the reason. Whoever loses the device goes on on the CPU, loudly.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..compute.choice import FoundDevice, match, parse_choice
from ..compute.probe import probe_devices
from ..errors import DeviceLost, EdgeError, NoDeviceError
from ..model import F32, Box, Boxes, Card, Picture
from ..paths import cache_dir
from ..placement import Placement
from ..services import Compute, Cropper, Finder, Log, MotionRule, Scene, Session
from .ort import OrtCompute

if TYPE_CHECKING:
    from .opencl.session import OpenclCompute


def open_compute(
    device: str, *, threads: int, jobs: int, log: Log | None = None, cache: Path | None = None
) -> AbstractContextManager[Compute]:
    """The compute part of a site.

    device: see edge.compute.choice. threads: CPU threads, 0 for all cores. jobs: most model runs at once on the CPU.
    cache: folder for compiled kernels and verdicts. Raises ConfigError when the text is no device, NoDeviceError when
    the device is not there.
    """
    choice = parse_choice(device)
    if choice.kind == "cpu":
        return OrtCompute(threads=threads, jobs=jobs)

    def tell(text: str) -> None:
        if log:
            log.warning("compute.driver_left_out", reason=text)

    try:
        found = find(device, tell=tell)
    except NoDeviceError as exc:
        if choice.kind == "opencl":
            raise
        if log:
            log.info("compute.cpu", reason=str(exc))
        return OrtCompute(threads=threads, jobs=jobs)
    return _with_opencl(
        found, must=choice.kind == "opencl", cpu=OrtCompute(threads=threads, jobs=jobs), log=log, cache=cache
    )


def find(device: str, *, tell: Callable[[str], None] = lambda _text: None) -> FoundDevice:
    """The OpenCL device that a choice means, probed in child processes. Raises ConfigError or NoDeviceError.

    tell: told of a driver that is left out.
    """
    choice = parse_choice(device)
    probe = probe_devices()
    if probe.found and probe.problem:
        tell(probe.problem)
    return match(choice, probe.found, problem=probe.problem)


@contextmanager
def _with_opencl(
    found: FoundDevice, *, must: bool, cpu: OrtCompute, log: Log | None, cache: Path | None
) -> Iterator[Compute]:
    from .opencl.session import OpenclCompute  # noqa: PLC0415  # because it loads the drivers into this process
    from .opencl.tune import load_choices  # noqa: PLC0415

    folder = cache or cache_dir()

    def lost(exc: DeviceLost) -> None:
        if log:
            log.error("compute.device_lost", device=found.label, reason=str(exc), going_on="ONNX Runtime, CPU")

    def tell(event: str, fields: object) -> None:
        if log and isinstance(fields, dict):
            log.warning(event, **fields)

    with ExitStack() as stack:
        opencl = OpenclCompute(
            found,
            cache_dir=folder,
            on_lost=lost,
            tell=tell,
            choices=lambda card, size: load_choices(folder, card, found.capability, size, tell=tell),
        )
        stack.enter_context(cpu)
        try:
            stack.enter_context(opencl)
        except EdgeError as exc:
            if must:
                raise
            if log:
                log.warning("compute.cpu", device=found.label, reason=str(exc))
            yield cpu
            return
        yield DeviceCompute(opencl, cpu, must=must, folder=folder, log=log)


@runtime_checkable
class TellsWhere(Protocol):
    """A Compute that says what runs each model."""

    def runs(self) -> Mapping[str, str]:
        """Each loaded model → what runs it."""


@dataclass(slots=True)
class DeviceCompute:
    """An OpenCL device, and the CPU behind it. must: no check decides; the models run on the device or not at all."""

    opencl: "OpenclCompute"
    cpu: OrtCompute
    must: bool
    folder: Path
    log: Log | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sessions: dict[Path, Session] = field(default_factory=dict)

    def session(self, card: Card) -> Session:
        """See Compute.session. Raises what the device raises when it must be that device."""
        with self._lock:
            if card.folder not in self._sessions:
                self._sessions[card.folder] = self._open(card)
            return self._sessions[card.folder]

    def runs(self) -> dict[str, str]:
        """Each loaded model → what runs it, for people; on the CPU also what the device gave back."""
        sessions = dict(self._sessions)  # without the lock, as there
        lasting = {folder.name for folder, each in sessions.items() if isinstance(each, LastingSession)}
        return dict.fromkeys(sorted(lasting), self.opencl.found.label) | self.cpu.runs()

    def looking_at(self, picture: Picture) -> AbstractContextManager[None]:
        """See VisionCompute.looking_at."""
        return self.opencl.looking_at(picture)

    def scene(self, rule: MotionRule) -> Scene | None:
        """See VisionCompute.scene. On a device that runs no model nobody has checked anything."""
        with self._lock:
            is_used = any(isinstance(each, LastingSession) for each in self._sessions.values())
        return self.opencl.scene(rule) if is_used else None

    def _open(self, card: Card) -> Session:
        if not (self.must or self._passes(card)):
            return self.cpu.session(card)
        try:
            return LastingSession(self.opencl.session(card), card, self.cpu)
        except EdgeError as exc:  # it passed once, but now the device is full, or was lost
            if self.must:
                raise
            if self.log:
                self.log.warning("compute.cpu", model=card.name, device=self.opencl.found.label, reason=str(exc))
            return self.cpu.session(card)

    def _passes(self, card: Card) -> bool:
        from .opencl.verdicts import verdict_on  # noqa: PLC0415  # as above

        found = self.opencl.found
        verdict = verdict_on(card, self.opencl, folder=self.folder, threads=self.cpu.threads)
        good = verdict.is_right and verdict.is_fast
        if self.log:
            tell = self.log.info if good else self.log.warning
            tell("compute.checked", says=verdict.says, runs_on=found.label if good else "ONNX Runtime, CPU")
        return good


class LastingSession:
    """A model on the device for as long as that lasts, on the CPU afterwards."""

    def __init__(self, session: Session, card: Card, cpu: OrtCompute) -> None:
        self.card, self._session, self._cpu = card, session, cpu
        self.output_shapes = session.output_shapes

    def find(self, picture: Picture, card: Card) -> tuple[Boxes, Placement] | None:
        """See Finder.find."""
        session = self._session
        try:
            return session.find(picture, card) if isinstance(session, Finder) else None
        except DeviceLost:
            self._session = self._cpu.session(self.card)
            return None

    def run_crops(self, picture: Picture, boxes: Sequence[Box], card: Card) -> Sequence[F32] | None:
        """See Cropper.run_crops."""
        session = self._session
        try:
            return session.run_crops(picture, boxes, card) if isinstance(session, Cropper) else None
        except DeviceLost:
            self._session = self._cpu.session(self.card)
            return None

    def run(self, batch: F32) -> Sequence[F32]:
        """See Session.run."""
        try:
            return self._session.run(batch)
        except DeviceLost:
            self._session = self._cpu.session(self.card)
            return self._session.run(batch)
