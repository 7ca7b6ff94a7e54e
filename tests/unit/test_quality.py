"""Figures of quality: one answer a file, ranks that are right, wrong or silent, and tables of labels that are wrong."""

from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.model import Answer, Category, Detection, Outcome, PictureResult
from edge.models.taxa import all_taxa
from edge.species.labels import Label, Shows, read_labels, taxon_of
from edge.species.quality import as_json, found_in, quality_of
from edge.testing import spooled_frame

TAXA = all_taxa()


def label(shows: Shows, name: str = "") -> Label:
    return Label("a.jpg", shows, TAXA[name] if name else None)


def seen(*boxes: tuple[Category, float, str]) -> Outcome:
    """What was recorded: category, the detector's score, the answer's taxon, whose own score is 0.8."""
    detections = tuple(
        Detection(category, score, (0.1, 0.1, 0.2, 0.2), answer=Answer(TAXA[name], 0.8) if name else None)
        for category, score, name in boxes
    )
    return Outcome(spooled_frame(), (PictureResult(0, 0.0, detections),), 80, 60)


def test_the_surest_box_says_what_a_file_shows_and_the_surest_answered_animal_says_which() -> None:
    outcome = seen(("person", 0.6, ""), ("animal", 0.5, "Felidae"), ("animal", 0.9, ""), ("animal", 0.3, "Canidae"))

    found = found_in(label("animal"), outcome)

    assert found.said == "animal"
    assert found.answer is not None
    assert found.answer.taxon.scientific_name == "Felidae"
    assert found_in(label("blank"), seen()).said == "blank"
    assert found_in(label("blank"), None).said == "failed"


def test_recall_and_precision_of_each_kind() -> None:
    files = [
        found_in(label("animal"), seen(("animal", 0.9, ""))),
        found_in(label("animal"), seen()),
        found_in(label("animal"), None),
        found_in(label("human"), seen(("animal", 0.9, ""))),
        found_in(label("blank"), seen()),
        found_in(label("unknown"), seen(("animal", 0.9, ""))),
    ]

    quality = quality_of(files)

    assert (quality.files, quality.failed) == (6, 1)
    assert quality.kinds["animal"].recall == pytest.approx(1 / 3)
    assert quality.kinds["animal"].precision == pytest.approx(1 / 2)
    assert quality.kinds["blank"].precision == pytest.approx(1 / 2)
    assert (quality.kinds["human"].recall, quality.kinds["human"].precision) == (0, None)
    assert quality.kinds["vehicle"].recall is None
    assert quality.confusion["human", "animal"] == 1


def test_a_coarser_answer_counts_where_it_is_right_and_is_silent_below() -> None:
    cases = ["Leopardus pardalis", "Felidae", "Carnivora", "Canis lupus", ""]
    files = [found_in(label("animal", "Leopardus pardalis"), seen(("animal", 0.9, name))) for name in cases]

    ranks = quality_of(files).ranks

    counts = {rank: (each.right, each.wrong, each.silent) for rank, each in ranks.items()}
    assert counts == {
        "species": (1, 1, 3),
        "genus": (1, 1, 3),
        "family": (2, 1, 2),
        "order": (4, 0, 1),
        "class": (4, 0, 1),
        "kingdom": (4, 0, 1),
    }
    assert ranks["family"].accuracy == pytest.approx(2 / 5)
    assert ranks["family"].precision == pytest.approx(2 / 3)


def test_a_label_that_is_coarser_than_a_rank_does_not_count_there() -> None:
    quality = quality_of([found_in(label("animal", "Felidae"), seen(("animal", 0.9, "Puma concolor")))])

    assert quality.ranks["species"].files == 0
    assert quality.ranks["family"].right == 1
    assert quality.calibration_error == pytest.approx(0.2)  # said 0.8, was right


def test_answers_on_blank_files_are_wrong_answers() -> None:
    quality = quality_of([found_in(label("blank"), seen(("animal", 0.4, "Felidae")))])

    assert quality.answers == 1
    assert quality.calibration_error == pytest.approx(0.8)
    assert as_json(quality)["confusion"] == [["blank", "animal", 1]]


def test_labels_are_read_with_species_that_the_table_lacks(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        "file,observation_type,scientific_name,common_name\n"
        "a.jpg,animal,Leopardus garleppi,colocolo\nb.jpg,Animal,,ocelot\nc.jpg,blank,,\nd.jpg,animal,Xus yus,thing\n",
        "utf-8",
    )

    first, second, third, fourth = read_labels(path)

    assert first.taxon is not None
    assert first.taxon.lineage[-2:] == ("Leopardus", "Leopardus garleppi")
    assert second.taxon == TAXA["Leopardus pardalis"]
    assert (third.shows, third.taxon) == ("blank", None)
    assert (fourth.taxon, fourth.written) == (None, "Xus yus")
    assert taxon_of("oso andino") == TAXA["Tremarctos ornatus"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,what\n", ":1: column 'file' is missing"),
        ("file,observation_type\na.jpg,ghost\n,animal\n", ":2: observation_type 'ghost'.*\n.*:3: names no file"),
    ],
)
def test_a_wrong_table_of_labels_is_refused_with_lines(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text, "utf-8")

    with pytest.raises(ConfigError, match=says):
        read_labels(path)
