"""Models on an OpenCL device behind the Compute protocol: one worker thread, a plan for each batch size that comes."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import numpy as np
import onnx

from ...compute.choice import FoundDevice
from ...compute.device import Device
from ...compute.frames import Passing, Shown
from ...compute.worker import LATENCY_S, BatchJob, Worker
from ...errors import DeviceBusy, DeviceLost, ModelError, StageError, UnsupportedOpError
from ...i18n import _
from ...model import F32, Box, Card, Picture
from ...services import MotionRule, Scene, Session
from ..model_file import check_hash, load_onnx
from .execute import Bound, Constants, bind, kernels_of
from .fuse import fuse
from .graph import Graph
from .hop import Found, Hop, decoder_of
from .importer import import_model
from .kept import Tell, tell_nobody
from .memory import MB, Fitted, Room, fit
from .plan import Choices, Choose, Plan, leanest, pick, plan_graph
from .scene import OpenclScene

# Batches that are planned when they first come, and stay on the device; others are put together from these. 2, because
# a site has two workers unless it says otherwise.
SIZES: Final = (16, 4, 2, 1)

T = TypeVar("T")


class OpenclCompute:
    """Compute on one OpenCL device; use it with `with`. Everything of OpenCL happens in its worker's thread.

    cache_dir: built programs and what the tuner found. on_lost: the device was given up, after one new start.
    tell: log event and fields, for what an operator should know. choices: the tuner's, by model and batch.
    memory_bytes: to use at most. whole_hop: whether detectors and classifiers take pictures as they are, and motion
    looks at them there, too; None: on a GPU, for a CPU device is no quicker at it than OpenCV. latency_s: how long a
    batch waits for the pictures of others.
    """

    def __init__(
        self,
        found: FoundDevice,
        *,
        cache_dir: Path,
        profile: bool = False,
        on_lost: Callable[[DeviceLost], None] | None = None,
        tell: Tell = tell_nobody,
        choices: Callable[[Card, int], Choices] = lambda _card, _size: {},
        memory_bytes: int | None = None,
        whole_hop: bool | None = None,
        latency_s: float = LATENCY_S,
    ) -> None:
        self.found, self.tell, self.choices, self.memory_bytes = found, tell, choices, memory_bytes
        self.whole_hop = found.capability.family == "gpu" if whole_hop is None else whole_hop
        self.worker: Worker[Device] = Worker(
            lambda: Device.open(found, cache_dir=cache_dir, profile=profile), on_lost=on_lost, latency_s=latency_s
        )
        self.passing = Passing()
        self._hop: Hop | None = None
        self._loading = threading.Lock()
        self._sessions: dict[Path, OpenclSession] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.worker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sessions.clear()
        self._stack.close()

    def session(self, card: Card) -> Session:
        """The session of a model, planned and built at the first call, shared afterwards.

        Raises ModelError when the file is missing, is not its card's or does not fit the device; UnsupportedOpError
        naming the node that can't run; KernelBuildError.
        """
        with self._loading:
            if card.folder not in self._sessions:
                self._sessions[card.folder] = OpenclSession(card, self)
            return self._sessions[card.folder]

    @contextmanager
    def looking_at(self, picture: Picture) -> Iterator[None]:
        """See VisionCompute.looking_at."""
        with self.worker.client(), self.passing.passes(picture):
            yield

    def scene(self, rule: MotionRule) -> Scene | None:
        """See VisionCompute.scene."""
        return OpenclScene(self, rule) if self.whole_hop and not self.worker.is_lost else None

    def hop(self, device: Device) -> Hop:
        """The kernels around models on the device that is open now; in the thread that owns it."""
        if self._hop is None or self._hop.device is not device:
            self._hop = Hop(device, self.passing)
        return self._hop

    def forget(self, card: Card) -> None:
        """Give back what a model takes on the device; the next `session` begins anew."""
        with self._loading:
            session = self._sessions.pop(card.folder, None)
        if session:
            with suppress(DeviceLost):  # then it is gone already
                self.worker.submit(session.free).result()


class OpenclSession:
    """One model; it may be used from several threads, whose pictures then share launches."""

    def __init__(self, card: Card, compute: OpenclCompute) -> None:
        check_hash(card)
        self.card, self._compute = card, compute
        self._model = load_model(card)
        self._input, self._fixed_batch = check_input(self._model, card)
        self._device: Device | None = None
        self._constants: Constants | None = None
        self._bound: dict[int, Bound] = {}
        self._most = SIZES[0]  # pictures that the device had room for at once
        shapes = compute.worker.submit(self._shapes).result()
        self.output_shapes: Sequence[tuple[int | None, ...]] = [(None, *shape[1:]) for shape in shapes]

    def run(self, batch: F32) -> Sequence[F32]:
        """Run the model on float32 (n, 3, height, width); see Session.run.

        Raises ValueError on a batch of another shape, DeviceBusy when the device has no room for one picture,
        StageError when the answer is not a number, DeviceLost when the device broke down.
        """
        if batch.shape != (len(batch), 3, *self.card.input_hw) or not len(batch):
            wanted = ", ".join(map(str, self.card.input_hw))
            raise ValueError(f"model {self.card.name!r} takes (n, 3, {wanted}), got {batch.shape}")
        job = BatchJob((self, "run"), len(batch), self._run_batch, batch)
        return self._numbers(self._compute.worker.submit_batch(job).result())

    def free(self, _device: Device) -> None:
        """Give its memory on the device back; in the thread that owns it."""
        for bound in self._bound.values():
            bound.free()
        if self._constants:
            self._constants.free()
        self._bound.clear()
        self._device = self._constants = None

    def find(self, picture: Picture, card: Card) -> Found | None:
        """See Finder.find."""
        if decoder_of(card) is None or not self._takes_pictures:
            return None
        key = (self, "find", card.min_score, card.nms_iou)
        job = BatchJob(key, 1, partial(self._find_all, card=card), self._compute.passing.show(picture))
        found = self._compute.worker.submit_batch(job).result()
        if isinstance(found, StageError):
            raise found
        return found

    def run_crops(self, picture: Picture, boxes: Sequence[Box], card: Card) -> Sequence[F32] | None:
        """See Cropper.run_crops."""
        if not self._takes_pictures:
            return None
        run = partial(self._run_crops, card=card)
        payload = self._compute.passing.show(picture), tuple(boxes)
        job = BatchJob((self, "crops", card.crop_margin), len(boxes), run, payload)
        return self._numbers(self._compute.worker.submit_batch(job).result())

    @property
    def _takes_pictures(self) -> bool:
        return self._compute.whole_hop and self._fixed_batch in {None, 1}

    def _numbers(self, outputs: Sequence[F32]) -> Sequence[F32]:
        """The outputs. Raises StageError when they are none: here, for other callers' of the same batch may be."""
        if not all(np.isfinite(output).all() for output in outputs):
            text = _("model {name!r} answered with NaN or infinity: are its weights damaged?")
            raise StageError(text.format(name=self.card.name))
        return outputs

    def plan(self, device: Device, size: int, *, choose: Choose | None = None) -> Fitted:
        """The plan of a batch size that fits the device's free memory."""
        graph = self.graph(size)
        chosen = self._compute.choices(self.card, size)
        wish = choose or (lambda problem, found: pick(chosen, problem, found))

        def make(lean: bool, stream: bool) -> Plan:
            return plan_graph(graph, device.capability, choose=leanest if lean else wish, stream=stream)

        usage = device.buffers.usage
        limit = min(usage.limit, self._compute.memory_bytes or usage.limit)
        largest = min(device.capability.max_alloc_bytes, limit)
        kept = self._constants or Constants(device)
        return fit(make, Room(limit - usage.used, largest, resident=kept.holds), name=self.card.name)

    def graph(self, size: int) -> Graph:
        """The fused graph for a batch size."""
        shape = (size, 3, *self.card.input_hw)
        return fuse(import_model(self._model, shapes={self._input: shape}))

    def _run_batch(self, device: Device, payloads: Sequence[F32]) -> list[list[F32]]:
        """All payloads, one after the other, through as few runs as their number allows; outputs a payload."""
        pictures = payloads[0] if len(payloads) == 1 else np.concatenate(payloads)
        pieces = self._in_pieces(len(pictures), lambda part, size: self._run_piece(device, pictures[part], size))
        return _dealt(pieces, [len(each) for each in payloads])

    def _run_crops(
        self, device: Device, payloads: Sequence[tuple[Shown, Sequence[Box]]], card: Card
    ) -> list[list[F32]]:
        """The same for squares around boxes."""
        parts = [(shown, box) for shown, boxes in payloads for box in boxes]
        hop = self._compute.hop(device)
        pieces = self._in_pieces(
            len(parts), lambda part, size: hop.run_crops(self._bound_for(device, size), parts[part], card)
        )
        return _dealt(pieces, [len(boxes) for _shown, boxes in payloads])

    def _find_all(self, device: Device, payloads: Sequence[Shown], card: Card) -> list[Found | StageError | None]:
        """What a detector sees in each picture, or that its answer for that one is not a number."""
        hop = self._compute.hop(device)

        def find(part: slice, size: int) -> Sequence[Found | StageError | None]:
            try:
                return hop.find(self._bound_for(device, size), payloads[part], card)
            except StageError as exc:
                if size == 1:
                    return [exc]
            return [found for one in payloads[part] for found in self._find_all(device, [one], card)]

        return [found for piece in self._in_pieces(len(payloads), find) for found in piece]

    def _in_pieces(self, count: int, run: Callable[[slice, int], T]) -> list[T]:
        """What `run(which, batch size)` gives for all of `count` pictures, in as few runs as there is room for."""
        pieces: list[T] = []
        start = 0
        while start < count:
            size = self._size_for(count - start)
            try:
                pieces.append(run(slice(start, start + size), size))
            except DeviceBusy:
                if size == 1 or self._fixed_batch:
                    raise
                self._run_fewer(size)
                continue
            start += size
        return pieces

    def _size_for(self, left: int) -> int:
        """Pictures of the next run when so many are left."""
        return self._fixed_batch or next(size for size in SIZES if size <= min(left, self._most))

    def _run_fewer(self, size: int) -> None:
        """There was no room for so many pictures: from now on not so many."""
        self._most = size - 1
        if bound := self._bound.pop(size, None):
            bound.free()
        self._compute.tell("compute.squeezed", {"model": self.card.name, "how": f"batches smaller than {size}"})

    def _run_piece(self, device: Device, piece: F32, size: int) -> list[F32]:
        count = len(piece)
        if count < size:  # a fixed batch is filled up with its last picture
            piece = np.concatenate([piece, np.repeat(piece[-1:], size - count, axis=0)])
        bound = self._bound_for(device, size)
        return [np.asarray(each, np.float32)[:count] for each in bound.run({self._input: piece})]

    def _bound_for(self, device: Device, size: int) -> Bound:
        """The bound plan of a batch size; made anew after the device was lost."""
        if device is not self._device:
            self._bound.clear()
            self._device, self._constants, self._most = device, Constants(device), SIZES[0]
        if size not in self._bound:
            try:
                fitted = self.plan(device, size)
            except (ModelError, UnsupportedOpError) as exc:
                if size > 1 and not self._fixed_batch:
                    raise DeviceBusy(str(exc)) from exc
                raise
            if fitted.how:
                megabytes = str(fitted.plan.total_bytes // MB)
                self._compute.tell("compute.squeezed", {"model": self.card.name, "how": fitted.how, "mb": megabytes})
            with device.programs.building(kernels_of(fitted.plan), on_wait=self._tell_waiting):
                self._bound[size] = bind(fitted.plan, device, constants=self._constants)
        return self._bound[size]

    def _tell_waiting(self) -> None:
        how = "another process builds the same; we go on when it is done, or build too"
        self._compute.tell("compute.waiting", {"model": self.card.name, "how": how})

    def _shapes(self, device: Device) -> list[tuple[int, ...]]:
        bound = self._bound_for(device, self._fixed_batch or 1)
        return [tensor.shape for tensor in bound.plan.outputs.values()]


def _dealt(pieces: Sequence[Sequence[F32]], counts: Sequence[int]) -> list[list[F32]]:
    """The outputs of several runs as those of callers that brought so many pictures each."""
    outputs = [np.concatenate(each) if len(each) > 1 else each[0] for each in zip(*pieces, strict=True)]
    ends = np.cumsum(counts)
    return [[output[end - count : end] for output in outputs] for count, end in zip(counts, ends, strict=True)]


def load_model(card: Card) -> onnx.ModelProto:
    """The card's ONNX model. Raises ModelError when the file is no model or holds weights that are no numbers."""
    model = load_onnx(card.onnx_path)
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype.kind == "f" and np.isnan(array).any():
            text = _("model {name!r}: tensor {tensor!r} holds NaN: pull or export it again")
            raise ModelError(text.format(name=card.name, tensor=tensor.name))
    return model


def check_input(model: onnx.ModelProto, card: Card) -> tuple[str, int | None]:
    """Name and fixed batch (None when any will do) of the model's input. Raises ModelError unless it fits the card."""
    constants = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in constants]
    shapes = [[dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in inputs]
    wanted = (0, 3, *card.input_hw)
    fits = len(inputs) == 1 and len(shapes[0]) == 4
    if not fits or any(a and b and a != b for a, b in zip(shapes[0], wanted, strict=True)):
        text = _("model {name!r}: its input is {has}, its card says float (n, 3, {input_hw}): correct {path}")
        path, has = (
            card.folder / "card.toml",
            ", ".join(f"{each.name} {shape}" for each, shape in zip(inputs, shapes, strict=True)),
        )
        raise ModelError(text.format(name=card.name, has=has, input_hw=", ".join(map(str, card.input_hw)), path=path))
    return inputs[0].name, shapes[0][0] or None
