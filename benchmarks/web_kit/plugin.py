"""A stage that finds an animal in every picture at once: what is measured is the page beside ingest, not a model.

It comes in as every plugin does, by an entry point: a folder with this module and its metadata on PYTHONPATH.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from edge.api import Answer, Detection, Frame, Services, Stage, StageSpec, Taxon, hookimpl

PUMA = Taxon(
    "Puma concolor",
    "species",
    ("Animalia", "Chordata", "Mammalia", "Carnivora", "Felidae", "Puma", "Puma concolor"),
    "puma",
    "puma",
)
FOUND = Detection("animal", 0.9, (0.1, 0.2, 0.3, 0.4), "animal", (), Answer(PUMA, 0.95))


class Settings(BaseModel):
    """None."""

    model_config = ConfigDict(extra="forbid")


def find(frame: Frame) -> Frame:
    """The frame with a puma."""
    return replace(frame, detections=(FOUND,))


def build(_config: Settings, _services: Services) -> AbstractContextManager[Stage]:
    """Nothing to open."""
    return nullcontext(find)


@hookimpl
def tigrillo_stages() -> list[StageSpec[Settings]]:
    """`use: bench-puma`."""
    return [StageSpec("bench-puma", Settings, build, reads=frozenset({"picture"}), writes=frozenset({"detections"}))]


def install(folder: Path) -> None:
    """Make `folder` one that PYTHONPATH may name."""
    info = folder / "tigrillo_bench-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tigrillo-bench\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tigrillo.plugins]\nbench-puma = tigrillo_bench\n")
    (folder / "tigrillo_bench.py").write_bytes(Path(__file__).read_bytes())
