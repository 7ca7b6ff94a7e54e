"""The one thread that owns a device: clients hand it jobs, and jobs of one kind that wait together run as one batch.

A job is a function of the device, so that nothing of OpenCL is touched by any other thread. What lies on the device
(buffers, programs) belongs to that device object: after a loss jobs are handed another one, and make theirs again.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from ..clock import Clock, SystemClock
from ..errors import DeviceBusy, DeviceLost, EdgeError

QUEUE_BOUND: Final = 64  # jobs that wait; whoever submits one more waits too
LATENCY_S: Final = 0.002  # how long a batch waits for clients that are at work: less than one detector run on any card
MAX_BATCH: Final = 16
CALM_S: Final = 60.0  # a device that is lost twice within this time is given up

D = TypeVar("D")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class BatchJob(Generic[D, R]):
    """One client's part of a batch.

    key: jobs of equal key may run together (model and shape), those of None run alone. item_count: pictures in it, ≥ 1.
    run: called once for the whole batch, that of its first job, with the device and the payloads of all; returns one
    result a payload, in order.
    """

    key: Hashable
    item_count: int
    run: Callable[[D, Sequence[Any]], Sequence[R]]
    payload: Any = None

    def __post_init__(self) -> None:
        if self.item_count < 1:
            raise ValueError(f"a job has at least 1 item, got {self.item_count}")


@dataclass(slots=True, eq=False)
class _Client:
    """A thread that looks at a picture. asked: keys of the jobs that it had for that picture."""

    asked: set[Hashable] = field(default_factory=set)


@dataclass(slots=True)
class _Waiting(Generic[D]):
    job: BatchJob[D, Any]
    came_s: float
    client: _Client | None
    future: "Future[Any]" = field(default_factory=Future)


class Worker(Generic[D]):
    """Runs jobs on a device, one after the other, in the order they came; use it with `with`.

    open_device: called in the worker's thread, at the start and after a loss; the device is left there, too.
    on_lost: called in that thread, once, with the error, when the device is given up. bound: jobs that may wait.
    max_batch: items run together at most (one job may have more). latency_s: how long after it
    came a job waits for those of other clients at work. Leaving the context finishes what waits.
    """

    def __init__(
        self,
        open_device: Callable[[], AbstractContextManager[D]],
        *,
        on_lost: Callable[[DeviceLost], None] | None = None,
        bound: int = QUEUE_BOUND,
        max_batch: int = MAX_BATCH,
        latency_s: float = LATENCY_S,
        clock: Clock | None = None,
    ) -> None:
        self._open, self._on_lost = open_device, on_lost
        self._bound, self._max_batch, self._latency_s = bound, max_batch, latency_s
        self._clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._queue: deque[_Waiting[D]] = deque()  # at most `bound`
        self._clients: set[_Client] = set()
        self._here = threading.local()  # .client: this thread's
        self._closed = False
        self._lost: DeviceLost | None = None
        self._reopened_s: float | None = None
        self._opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, name="compute", daemon=True)

    def __enter__(self) -> Self:
        """Open the device. Raises what `open_device` raises."""
        self._thread.start()
        self._opened.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    @property
    def is_lost(self) -> bool:
        """Whether the device was given up: every job fails from now on."""
        return self._lost is not None

    @property
    def waiting(self) -> int:
        """Jobs that wait now."""
        return len(self._queue)

    def submit(self, job: Callable[[D], R]) -> "Future[R]":
        """Run a job alone; its result, or what it raised, arrives in the future.

        Waits while `bound` jobs wait. A device that was given up answers with DeviceLost. Raises RuntimeError once the
        worker was closed, or in its own thread, which would wait for itself.
        """
        return self.submit_batch(BatchJob(None, 1, lambda device, _payloads: [job(device)]))

    def submit_batch(self, job: BatchJob[D, R]) -> "Future[R]":
        """Run a job together with others of its key that wait; otherwise as `submit`.

        When the device has no room for the batch, it is run in halves; a single job gets the DeviceBusy.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("a job submits no jobs: the worker would wait for itself")
        client: _Client | None = getattr(self._here, "client", None)
        waiting = _Waiting(job, self._clock.monotonic_s(), client)
        with self._changed:
            self._changed.wait_for(lambda: len(self._queue) < self._bound or self._closed)
            if self._closed:
                raise RuntimeError("the compute worker is closed")
            self._queue.append(waiting)
            if client:
                client.asked.add(job.key)
            self._changed.notify_all()
        return waiting.future

    @contextmanager
    def client(self) -> Iterator[None]:
        """This thread looks at a picture: batches wait up to `latency_s` for its job of their key, once each.

        Not while a job of it waits already, for then it can't submit another.
        """
        client, before = _Client(), getattr(self._here, "client", None)
        with self._changed:
            self._clients.add(client)
        self._here.client = client
        try:
            yield
        finally:
            self._here.client = before
            with self._changed:
                self._clients.discard(client)
                self._changed.notify_all()

    def _work(self) -> None:
        try:
            device = self._open()
            handle = device.__enter__()
        except BaseException as exc:  # noqa: BLE001  # because it is raised again, in the thread that waits for it
            self._opened.set_exception(exc)
            return
        self._opened.set_result(None)
        holder = _Holder(device, handle)
        while batch := self._next_batch():
            if wanted := [each for each in batch if each.future.set_running_or_notify_cancel()]:
                self._run_batch(holder, wanted)
        holder.close()

    def _next_batch(self) -> "list[_Waiting[D]]":
        """The oldest job and what may run with it, waiting for them; empty when closed and drained."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if not self._queue:
                return []
            until = self._queue[0].came_s + self._latency_s
            while (left := until - self._clock.monotonic_s()) > 0 and self._may_grow():
                self._changed.wait(left)
            batch = self._mates()
            chosen = set(map(id, batch))
            self._queue = deque(each for each in self._queue if id(each) not in chosen)
            self._changed.notify_all()
        return batch

    def _mates(self) -> "list[_Waiting[D]]":
        first, *others = self._queue
        batch, items = [first], first.job.item_count
        if first.job.key is None:
            return batch
        for each in others:
            if each.job.key == first.job.key:
                if items + each.job.item_count > self._max_batch:
                    break  # those behind it stay behind it
                batch.append(each)
                items += each.job.item_count
        return batch

    def _may_grow(self) -> bool:
        key = self._queue[0].job.key
        items = sum(each.job.item_count for each in self._queue if each.job.key == key)
        if self._closed or key is None or items >= self._max_batch:
            return False
        waiting = {each.client for each in self._queue}
        return any(key not in client.asked and client not in waiting for client in self._clients)

    def _run_batch(self, holder: "_Holder[D]", batch: "Sequence[_Waiting[D]]") -> None:
        if self._lost:
            _fail(batch, self._lost)
            return
        try:
            results = self._results(holder, batch)
        except DeviceBusy as exc:
            if len(batch) == 1:
                _fail(batch, exc)
                return
            middle = len(batch) // 2
            self._run_batch(holder, batch[:middle])
            self._run_batch(holder, batch[middle:])
        except BaseException as exc:  # noqa: BLE001  # because it belongs to those who wait for the result
            _fail(batch, exc)
        else:
            for each, result in zip(batch, results, strict=True):
                each.future.set_result(result)

    def _results(self, holder: "_Holder[D]", batch: "Sequence[_Waiting[D]]") -> Sequence[Any]:
        job, payloads = batch[0].job, [each.job.payload for each in batch]
        try:
            results = job.run(holder.device, payloads)
        except DeviceLost as exc:
            self._reopen(holder, exc)
            try:
                results = job.run(holder.device, payloads)
            except DeviceLost as again:
                self._give_up(again)
                raise
        if len(results) != len(batch):
            raise ValueError(f"a batch of {len(batch)} jobs gave {len(results)} results")
        return results

    def _reopen(self, holder: "_Holder[D]", lost: DeviceLost) -> None:
        """Put another device in the place of the lost one. Raises DeviceLost when it is given up."""
        now = self._clock.monotonic_s()
        if self._reopened_s is not None and now - self._reopened_s < CALM_S:
            self._give_up(lost)
            raise lost
        self._reopened_s = now
        try:
            holder.replace(self._open)
        except EdgeError as exc:
            again = DeviceLost(f"{lost}; opened again: {exc}")
            self._give_up(again)
            raise again from exc

    def _give_up(self, lost: DeviceLost) -> None:
        self._lost = lost
        if self._on_lost:
            self._on_lost(lost)


class _Holder(Generic[D]):
    """The device that is open now."""

    def __init__(self, opened: AbstractContextManager[D], device: D) -> None:
        self._opened: AbstractContextManager[D] | None = opened
        self.device = device

    def replace(self, open_device: Callable[[], AbstractContextManager[D]]) -> None:
        self.close()
        opened = open_device()
        self.device = opened.__enter__()
        self._opened = opened

    def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened:
            try:
                opened.__exit__(None, None, None)
            except EdgeError:
                return  # a lost device may refuse to be closed


def _fail(batch: "Sequence[_Waiting[Any]]", exc: BaseException) -> None:
    for each in batch:
        each.future.set_exception(exc)
