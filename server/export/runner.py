"""Makes exports, one after the other, each in a process of its own at low priority; the page only looks at the folders.

A thread runs while something waits. A child ends with the page (edge/lifeline.py), and what it was making is made
anew at the next look. What would fill the disk is stopped.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from edge.redaction import redacted

from ..web import Web
from .jobs import OPEN, Job, all_jobs, end_job, folder_of, forget_old, size_of

LOOK_S = 0.2
LEAST_FREE_BYTES = 1_000_000_000  # what is left for frames
MOST_BYTES = 20_000_000_000  # of all exports that are kept
MOST_REASON = 2_000
NICE = 10


@dataclass(slots=True)
class Runner:
    """One site's. Any thread may call it."""

    web: Web
    _running: str = ""
    _cancelled: set[str] = field(default_factory=set)
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def running(self) -> str:
        """The id of the export that is being made, "" for none."""
        return self._running

    def jobs(self) -> list[Job]:
        """All exports, newest first; whatever waits is gone on with."""
        found = all_jobs(self.web, running=self._running)
        if any(job.state in OPEN for job in found):
            self.wake()
        return found

    def wake(self) -> None:
        """Something waits."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="exports", daemon=True)
                self._thread.start()

    def cancel(self, job: Job) -> None:
        """Make it no more; one that is done stays."""
        with self._lock:
            if job.id == self._running:
                self._cancelled.add(job.id)
                return
        if job.state in OPEN:
            end_job(folder_of(self.web) / job.id, "cancelled", self.web.clock.now())

    def wait(self, timeout_s: float = 60.0) -> None:
        """Until nothing waits; for tests."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._make_all()
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._running, self._thread = "", None

    def _make_all(self) -> None:
        while True:
            forget_old(self.web, self.web.clock.now())
            with self._lock:
                waiting = [job for job in all_jobs(self.web) if job.state in OPEN]
                if not waiting:
                    self._running, self._thread = "", None  # under the lock: who asks now starts another thread
                    return
                job = waiting[-1]
                self._running = job.id
            try:
                self._make(job)
            except OSError as exc:  # the disk is full, or somebody took the folder away
                self.web.log.warning("export.failed", export=job.id, reason=str(exc))
                self._give_up(job)

    def _give_up(self, job: Job) -> None:
        folder = folder_of(self.web) / job.id
        try:
            end_job(folder, "failed", self.web.clock.now(), reason="the disk could not be written")
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)

    def _make(self, job: Job) -> None:
        folder, web = folder_of(self.web) / job.id, self.web
        module = ["edge.lifeline", str(os.getpid()), "server.export.child"]
        command = ["nice", "-n", str(NICE), sys.executable, "-m", *module, str(web.plan.path.absolute()), str(folder)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        web.log.info("export.began", export=job.id, format=job.asked.format, who=job.who)
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as faults:
            child = subprocess.Popen(command, stdout=said, stderr=faults, stdin=subprocess.DEVNULL, env=environment)
            stopped = ""
            while True:
                try:
                    child.wait(LOOK_S)
                    break
                except subprocess.TimeoutExpired:
                    if not stopped and (stopped := self._must_stop(job, folder)):
                        child.kill()
            said.seek(0)
            faults.seek(0)
            out, err = said.read(MOST_REASON * 10), faults.read(MOST_REASON)
        now = web.clock.now()
        if stopped == "cancelled":
            self._cancelled.discard(job.id)
            end_job(folder, "cancelled", now)
        elif stopped:
            end_job(folder, "failed", now, reason=stopped)
        elif child.returncode == 0:
            end_job(folder, "done", now, **json.loads(out.splitlines()[-1]))
        else:
            reason = redacted(err.decode("utf-8", "replace").strip()) or f"exit code {child.returncode}"
            end_job(folder, "failed", now, reason=reason[-MOST_REASON:])
        web.log.info("export.ended", export=job.id, seconds=round((now - job.at).total_seconds(), 1))

    def _must_stop(self, job: Job, folder: Path) -> str:
        """Why this one may not go on; "" when it may."""
        if job.id in self._cancelled:
            return "cancelled"
        if shutil.disk_usage(folder).free < LEAST_FREE_BYTES:
            return "the disk is nearly full"
        if size_of(folder_of(self.web)) > MOST_BYTES:
            return "the exports that are kept take too much of the disk: remove some"
        return ""


_runners: dict[Path, Runner] = {}
_runners_lock = threading.Lock()


def runner_of(web: Web) -> Runner:
    """The site's runner, made when it is first asked for."""
    with _runners_lock:
        return _runners.setdefault(web.own_dir, Runner(web))
