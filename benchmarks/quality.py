"""How good are the answers? Labelled files through the real pipeline: recall, precision, species by rank, calibration.

Usage: python benchmarks/quality.py DIR LABELS.csv [--site SITE.yaml] [--json] [--plot FILE.svg]

DIR: where the files of LABELS.csv stand (file, observation_type, scientific_name, common_name). The files go the way of
`tigrillo process`, default stages and models unless a site says otherwise. One answer a file: its surest box says what
it shows, its surest animal with an answer says which. An answer at a higher rank that is right counts at that rank and
above, and is silent below. What each figure means: docs/quality.md.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from kit import DEFAULT_SITE, machine, open_process

from edge.model import Outcome
from edge.process import find_items
from edge.species.labels import Label, read_labels
from edge.species.quality import NO_ANSWER, SCORED, Found, Quality, as_json, found_in, quality_of
from edge.species.reliability import reliability_svg


def look(folder: Path, labels: list[Label], site: Path | None) -> list[Found]:
    """What the pipeline says of every labelled file."""
    text = site.read_text("utf-8") if site else DEFAULT_SITE
    items = [replace(item, name=each.file) for each in labels for item in find_items([folder / each.file])]
    with tempfile.TemporaryDirectory() as out, open_process(text, path=site) as process:
        outcomes = {
            result.spooled.name: result
            for result in process.run(items, Path(out) / "results.json")
            if isinstance(result, Outcome)
        }
    return [found_in(each, outcomes.get(each.file)) for each in labels]


def share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def tables(quality: Quality) -> Iterator[str]:
    """The figures as Markdown tables, which read well on a terminal, too."""
    yield f"{quality.files} files, {quality.failed} failed"
    yield _head("shows", "labelled", "said", "right", "recall", "precision")
    for kind in SCORED:
        each = quality.kinds[kind]
        yield _row(kind, each.labelled, each.said, each.right, share(each.recall), share(each.precision))
    yield _head("rank", "files", "right", "wrong", "silent", "accuracy", "of the answered")
    for rank, of in quality.ranks.items():
        yield _row(rank, of.files, of.right, of.wrong, of.silent, share(of.accuracy), share(of.precision))
    yield f"\ncalibration error of {quality.answers} answers: {quality.calibration_error:.3f}"
    yield f"answers that a species list rolled up or changed: {quality.marked}"
    yield from _pairs("labelled", "said", quality.confusion)
    yield from _pairs("animal", "answer", quality.species)


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _head(*names: str) -> str:
    return f"\n{_row(*names)}\n{_row(*('---' for _name in names))}"


def _pairs(first: str, second: str, counts: Mapping[tuple[str, str], int]) -> Iterator[str]:
    yield _head(first, second, "files")
    for (truth, said), count in sorted(counts.items(), key=lambda each: (each[0][0], -each[1])):
        yield _row(truth, said or NO_ANSWER, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the labelled files stand")
    parser.add_argument("labels", type=Path, metavar="LABELS.csv", help="file, observation_type, scientific_name, …")
    parser.add_argument("--site", type=Path, help="take stages and models from this site")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--plot", type=Path, help="write a reliability plot (SVG) here")
    chosen = parser.parse_args()
    quality = quality_of(look(chosen.folder, read_labels(chosen.labels), chosen.site))
    if chosen.plot:
        chosen.plot.write_text(reliability_svg([("answers", quality.bins)]), "utf-8")
    if chosen.json:
        print(json.dumps(as_json(quality), indent=1))
        return
    print(machine())
    for line in tables(quality):
        print(line)


if __name__ == "__main__":
    main()
