"""What the benchmarks share: the pictures they run on, the command's own path, and a line about the machine."""

import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

REPO = Path(__file__).resolve().parents[2]
os.environ.setdefault("TIGRILLO_MODELS", str(REPO / ".cache" / "models"))

from edge.clock import SystemClock  # noqa: E402  # because the models' folder is set first
from edge.commands.process import DEFAULT_SITE  # noqa: E402
from edge.config import plan_from  # noqa: E402
from edge.daemon import open_runner, open_services  # noqa: E402
from edge.logs import make_log  # noqa: E402
from edge.model import Outcome  # noqa: E402
from edge.pipeline.runner import Runner  # noqa: E402
from edge.pipeline.tally import Tally  # noqa: E402
from edge.process import Failure, Item, Journal, look_at_all, write_results  # noqa: E402
from edge.registry import Registry, load_registry  # noqa: E402
from edge.services import Services  # noqa: E402

SHARED_MEDIA = REPO.parent / "shared" / "media"
LEAST_PIXELS = 1920 * 1080


def machine(*packages: str) -> str:
    """One line: date, processor, cores, versions, and how busy the machine was before we began."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "opencv-python-headless", *packages))
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {cpu}, {len(os.sched_getaffinity(0))} cores; "
        f"Python {platform.python_version()}, {versions}; load before {os.getloadavg()[0]:.1f}"
    )


def gather_stills(folder: Path, *, count: int) -> str:
    """Fill `folder` with `count` stills of 1080p or more; says where they come from.

    The real ones of ../shared/media/stills over and over, or pictures made here where that folder is absent.
    """
    real = [path for path in sorted((SHARED_MEDIA / "stills").glob("*.jpg")) if _pixels(path) >= LEAST_PIXELS]
    if not real:
        real = [_make_still(folder / f".made-{number}.jpg", seed=number) for number in range(6)]
    for number in range(count):
        (folder / f"{number:05}.jpg").symlink_to(real[number % len(real)].resolve())
    made = real[0].name.startswith(".made")
    return f"{count} stills, {len(real)} different, {'made by script' if made else 'of ../shared/media/stills'}"


def _pixels(path: Path) -> int:
    height, width, *_ = simplejpeg.decode_jpeg_header(path.read_bytes())
    return int(height * width)


def _make_still(path: Path, *, seed: int) -> Path:
    """A 1080p JPEG of coarse and fine structure, about as large as a camera trap's; no animals in it."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(0, 200, (27, 48, 3), np.uint8), (1920, 1080), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.integers(0, 40, (540, 960, 3), np.uint8), (1920, 1080))
    path.write_bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(coarse + fine), quality=85, colorspace="BGR"))
    return path


@dataclass(frozen=True, slots=True)
class Process:
    """The path of `tigrillo process`: all that the command opens before it looks at the first file."""

    registry: Registry
    services: Services
    runner: Runner
    workers: int

    def run(self, items: list[Item], out: Path) -> list[Outcome | Failure]:
        """What the command does between opening the models and its summary: look at all, keep a journal, write."""
        results: list[Outcome | Failure] = []
        journal = Journal(out, "benchmark", resume=False)

        def done(result: Outcome | Failure) -> None:
            journal.add(result)
            results.append(result)

        look_at_all(
            items,
            runner=self.runner,
            services=self.services,
            workers=self.workers,
            stop=threading.Event(),
            done=done,
        )
        write_results(out, items, journal, exporter=self.registry.exporters["megadetector"], services=self.services)
        journal.close(finished=True)
        return results


@contextmanager
def open_process(
    site: str = DEFAULT_SITE, *, path: Path | None = None, fps: float | None = None, workers: int = 0
) -> Iterator[Process]:
    """The command's path with its own defaults. path: where the site stands. fps: of a clip's pictures, 0 for all."""
    registry = load_registry()
    plan = plan_from(site, path or Path("(benchmark)"), registry)
    log = make_log(json_lines=False, level="warning")
    with (
        open_services(plan, registry, log=log, clock=SystemClock(), tally=Tally(), sample_fps=fps) as services,
        open_runner(plan, services) as runner,
    ):
        yield Process(registry, services, runner, workers or plan.file.limits.inbox_frames)
