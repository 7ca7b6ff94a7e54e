"""Models on the CPU through ONNX Runtime: the device that every machine has."""

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from ..model import Card
from ..services import Session

# Two runs at once, each on all cores, none of whose threads wait by spinning: while one run's threads wait for each
# other at the end of a layer, the other's work. benchmarks/threads.py, megadetector-lite on 1080p JPEGs, 2 cores,
# ONNX Runtime 1.31, 2026-11, milliseconds a picture, two sessions of a shared machine:
#   runs at once × threads, wait     1 worker    2 workers
#   1 × 2, spinning                  119  128     93  206
#   1 × 2, sleeping                  105  174    101  144
#   2 × 1                            161  193     84  106
#   2 × 2, sleeping                    –  126     83   98    <- as fast as any with two workers, and with one
# Without the memory arena 2 × 2 took 180 ms instead of 98 and 322 MB instead of 252.
RUNS_AT_ONCE = 2


class OrtCompute:
    """Compute on the CPU; use it with `with`, sessions end when it is left.

    threads: cores to use, 0 for all that this process may run on. At most `jobs` inferences run at once, over all
    models, one with threads=1; further callers wait.
    """

    def __init__(self, threads: int = 0, jobs: int = RUNS_AT_ONCE) -> None:
        self.threads = threads or len(os.sched_getaffinity(0))
        self._slots = threading.BoundedSemaphore(min(jobs, self.threads))
        self._loading = threading.Lock()
        self._sessions: dict[Path, Session] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sessions.clear()

    def runs(self) -> dict[str, str]:
        """Each loaded model → what runs it, for people."""
        # without the lock: who asks feeds the watchdog, and must not wait until a model is loaded
        return dict.fromkeys((folder.name for folder in list(self._sessions)), "ONNX Runtime, CPU")

    def session(self, card: Card) -> Session:
        """The session of a model; loaded at the first call, shared afterwards by all cards of this folder.

        Raises ModelError when the file is missing, is not the one of the card, or takes another input than the card
        says; UnsupportedOpError when ONNX Runtime has no kernel for an operator.
        """
        from .ort_session import OrtSession  # noqa: PLC0415  # because it loads ONNX Runtime, which a site may not need

        with self._loading:  # two threads that want the same model must not both load it
            if card.folder not in self._sessions:
                self._sessions[card.folder] = OrtSession(card, threads=self.threads, slots=self._slots)
            return self._sessions[card.folder]
