"""`tigrillo species` and `tigrillo calibrate`: what they print, and what reviews in a record give."""

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from typer.testing import CliRunner

from edge.cli import app
from edge.commands.calibrate import Collect
from edge.errors import ConfigError, FatalError
from edge.model import Classification, Detection, Outcome, PictureResult
from edge.store.reviewed import reviewed_boxes
from edge.store.schema import observations, reviews
from edge.store.sql import Store
from edge.testing import frame, spooled_frame

NOW = datetime(2026, 11, 22, 7, 14, tzinfo=UTC)
BOX = (0.1, 0.2, 0.3, 0.4)
runner = CliRunner()


def tigrillo(*arguments: str) -> Any:
    return runner.invoke(app, list(arguments))


def test_check_shows_what_each_line_means_and_what_the_classifier_can_say_of_it(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("spanish\npuma\nocelote\n", "utf-8")

    rows = json.loads(tigrillo("species", "check", str(path), "--json").output)["rows"]
    page = tigrillo("species", "check", str(path))

    assert [(row["line"], row["taxon"], row["answer"]) for row in rows] == [
        (2, "Puma concolor", "Puma concolor"),
        (3, "Leopardus pardalis", "Felidae"),
    ]
    assert page.exit_code == 0
    assert "2 lines; the classifier can name 1" in page.output


def test_check_of_a_wrong_list_tells_every_fault_and_exits_78(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("spanish\nzorro\nocelotee\n", "utf-8")

    plain = tigrillo("species", "check", str(path))
    said = tigrillo("species", "check", str(path), "--json")

    assert isinstance(plain.exception, ConfigError)
    assert [line.split(": ")[0] for line in str(plain.exception).splitlines()] == [f"{path}:2", f"{path}:3"]
    assert said.exit_code == 78
    assert [each["line"] for each in json.loads(said.output)["faults"]] == [2, 3]


def test_what_list_begins_check_takes(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"

    path.write_text(tigrillo("species", "list", "--under", "felino", "--csv").output, "utf-8")

    rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    assert {"scientific_name": "Puma concolor", "english": "puma", "spanish": "puma"} in rows
    assert all(row["scientific_name"] != "Canis lupus" for row in rows)
    assert tigrillo("species", "check", str(path)).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("species", "list", "--under", "zorro"), "'zorro' may be"),
        (("species", "list", "--rank", "tribe"), "no rank 'tribe': there are kingdom"),
        (("species", "list", "--taxonomy", "birds"), "no taxonomy is called 'birds'"),
        (("calibrate",), "--from LABELS.csv or --reviews"),
        (("calibrate", "--from", "labels.csv", "--reviews"), "--from LABELS.csv or --reviews"),
    ],
)
def test_a_wrong_option_is_one_clear_line(arguments: tuple[str, ...], says: str) -> None:
    answer = tigrillo(*arguments)

    assert isinstance(answer.exception, FatalError)
    assert says in str(answer.exception)
    assert "\n" not in str(answer.exception)


def test_of_each_file_the_surest_classified_box_is_collected() -> None:
    classes = (Classification("tabby", 0.6),)
    boxes = [Detection("animal", 0.9, BOX), Detection("animal", 0.5, BOX, "", classes)]
    boxes.append(Detection("animal", 0.7, BOX, "b", classes))
    collect = Collect()

    collect(frame(detections=tuple(boxes)))

    (best,) = collect.best.values()
    assert best.label == "b"


@pytest.fixture
def recorded(tmp_path: Path) -> Any:
    """A record of three frames with two classified boxes each."""
    with Store(f"sqlite:///{tmp_path / 'tigrillo.sqlite'}") as store:
        for number in range(3):
            spooled = replace(spooled_frame(), id=f"f{number}", name=f"f{number}.jpg", received_at=NOW)
            store.add_frames([(spooled, 0)])
            claimed = store.claim_next(NOW)
            assert claimed is not None
            found = tuple(
                Detection("animal", score, BOX, name, (Classification("tabby", score),))
                for name, score in (("small", 0.4), ("large", 0.9))
            )
            store.record(Outcome(claimed, (PictureResult(0, 0.0, found),), 80, 60), now=NOW)
        yield store


def review(
    store: Store, frame_pk: int, kind: str, taxon: str = "", *, box: int | None = None, undone: bool = False
) -> None:
    row = {"frame_pk": frame_pk, "observation_pk": box, "kind": kind, "taxon": taxon, "by": "ana", "at": NOW}
    row |= {"undone_at": NOW + timedelta(1), "undone_by": "ana"} if undone else {}
    with store.transaction() as connection:
        connection.execute(insert(reviews).values(**row))


def test_reviews_give_each_box_once_with_the_newest_word_that_counts(recorded: Store) -> None:
    with recorded.transaction() as connection:
        boxes = connection.execute(select(observations.c.frame_pk, observations.c.pk, observations.c.label)).all()
    pks = {(frame_pk, name): pk for frame_pk, pk, name in boxes}
    first, second, third = sorted({frame_pk for frame_pk, _pk, _name in boxes})
    review(recorded, first, "animal", "Panthera onca")
    review(recorded, first, "animal", "Leopardus pardalis")
    review(recorded, first, "blank", undone=True)
    review(recorded, second, "blank", box=pks[second, "small"])
    review(recorded, third, "animal", "Puma", box=pks[third, "large"])
    review(recorded, third, "human")

    found = [(each.kind, each.taxon, each.detection.label) for each in reviewed_boxes(recorded)]

    assert found == [
        ("animal", "Leopardus pardalis", "large"),
        ("blank", "", "small"),
        ("animal", "Puma", "large"),
    ]
