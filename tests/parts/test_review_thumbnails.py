"""What people said of a thumbnail holds for its full frame once that is here: in lists, sums, exports; undo too."""

import csv
from datetime import timedelta

import pytest
from sqlalchemy import select

from edge.export import Wanted, context_of, write_export
from edge.model import AgentFacts
from edge.registry import load_registry
from edge.services import Station
from edge.store.harvest import Span
from edge.store.schema import observations
from edge.store.web_schema import days, tallies
from edge.testing import fake_services
from tests.alert_rig import PUMA, animal
from tests.review_rig import ReviewRig
from tests.web_rig import NOW

AT = NOW - timedelta(days=3)
PUMA_NAME = "Puma concolor"


class Pair(ReviewRig):
    """A site whose camera sent a thumbnail; `full` lets the full frame come, and sums up."""

    def thumbnail(self, *shown):
        agent = AgentFacts("boot", 1, 1, 1.0, "sure", "pir", "f1", None)
        pk = self.record("cam-01", "t1", shown, at=AT, agent=agent)
        self.sum_up()
        return pk

    def full(self, *shown, at=AT):
        pk = self.record("cam-01", "f1", shown, at=at, agent=AgentFacts("boot", 1, 2, 1.0, "sure", "pir", "", None))
        self.sum_up()
        return pk

    def box_of(self, frame):
        with self.readers.read() as connection:
            return connection.scalars(select(observations.c.pk).where(observations.c.frame_pk == frame)).first()

    def events(self):
        """Taxon → events of all time; and pictures that nobody answered."""
        with self.readers.read() as connection:
            sums = select(tallies.c.taxon, tallies.c.events).where(tallies.c.station == "", tallies.c.period == "")
            return dict(connection.execute(sums).all()), sum(connection.scalars(select(days.c.unreviewed)))

    def exported(self, folder):
        stations = {"cam-01": Station("cam-01", "America/Bogota", 4.6, -74.1)}
        services = fake_services(stations=stations, clock=self.clock, exporting=context_of(self.store, Span()))
        write_export(self.store, load_registry().exporters["camtrap-dp"], folder, services, Wanted())
        with (folder / "observations.csv").open(encoding="utf-8", newline="") as file:
            rows = [each for each in csv.DictReader(file) if each["classificationMethod"] == "human"]
        return [(each["observationLevel"], each["scientificName"], each["classifiedBy"]) for each in rows]


@pytest.fixture
def rig(tmp_path):
    with Pair(tmp_path) as rig:
        yield rig


def say(rig, **said):
    said = {"action": "of-the-thumbnail", "kind": "animal", "species": "jaguar", **said}
    answer = rig.client("reviewer", name="ana").post("/api/v1/reviews", json=said)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_was_said_of_a_thumbnail_counts_for_its_full_frame(rig, tmp_path):
    thumbnail = rig.thumbnail(animal(PUMA))
    say(rig, sequences=[thumbnail], count=2)

    full = rig.full(animal(PUMA, 0.7))

    row = rig.row(full)
    assert (row["shown_taxon"], row["count"], row["unreviewed"], row["disagrees"]) == ("Panthera onca", 2, 0, True)
    assert rig.events() == ({"Panthera onca": 1}, 0)
    [said] = [each for each in rig.exported(tmp_path / "out") if each[0] == "media"]
    assert said == ("media", "Panthera onca", "ana")
    whole = rig.client("viewer").get(f"/api/v1/sequences/{full}").json()
    assert [each["by"] for each in whole["reviews"]] == ["ana"]
    assert whole["members"][0]["counts"] == [
        {"kind": "animal", "taxon": "Panthera onca", "count": 2, "by_person": True}
    ]
    assert "ana" in rig.client("viewer").get("/review").text
    of_frame = rig.client("viewer").get(f"/api/v1/frames/{full}").json()["reviews"]
    assert [(each["taxon"], each["count"], each["by"]) for each in of_frame] == [("Panthera onca", 2, "ana")]


def test_what_was_said_of_a_thumbnail_is_taken_back_from_its_full_frame_at_once(rig, tmp_path):
    say(rig, sequences=[rig.thumbnail(animal(PUMA))])
    full = rig.full(animal(PUMA))

    changed = rig.client("reviewer", name="ana").delete("/api/v1/reviews/of-the-thumbnail").json()

    assert [(each["pk"], each["taxon"], each["unreviewed"]) for each in changed["sequences"]] == [(full, PUMA_NAME, 1)]
    rig.sum_up()
    assert rig.events() == ({PUMA_NAME: 1}, 1)
    assert rig.exported(tmp_path / "out") == []


def test_of_what_was_said_of_both_the_newest_counts(rig):
    thumbnail = rig.thumbnail(animal(PUMA))
    say(rig, sequences=[thumbnail])
    full = rig.full(animal(PUMA))

    say(rig, action="of-the-full", sequences=[full], species="ocelot", seen=0)
    assert rig.row(full)["shown_taxon"] == "Leopardus pardalis"

    say(rig, action="of-the-old-page", frames=[thumbnail], species="tayra")
    assert rig.row(full)["shown_taxon"] == "Eira barbara"


def test_a_full_frame_of_another_day_is_summed_up_anew_with_its_thumbnails_answer(rig):
    thumbnail = rig.thumbnail(animal(PUMA))
    full = rig.full(animal(PUMA), at=AT + timedelta(days=1))
    rig.sum_up()

    say(rig, frames=[thumbnail])
    rig.sum_up()

    assert rig.row(full)["shown_taxon"] == "Panthera onca"
    assert rig.events() == ({"Panthera onca": 1}, 0)


@pytest.mark.parametrize(
    ("shown", "kind", "taxon", "disagrees"),
    [
        ([animal(PUMA, side=0.32)], "animal", "Panthera onca", True),  # the same box
        ([animal(PUMA, side=0.05)], "animal", "Panthera onca", True),  # another one: all of the frame
        ([], "animal", "Panthera onca", True),
        ([animal(PUMA, side=0.05)], "blank", PUMA_NAME, False),  # another one, which is none
        ([animal(PUMA, side=0.32)], "blank", "", True),
    ],
)
def test_what_was_said_of_a_box_is_about_the_box_around_the_same(rig, tmp_path, shown, kind, taxon, disagrees):
    box = rig.box_of(rig.thumbnail(animal(PUMA)))
    species = "jaguar" if kind == "animal" else ""
    say(rig, observations=[box], kind=kind, species=species)

    full = rig.full(*shown)

    row = rig.row(full)
    assert (row["shown_taxon"], row["unreviewed"], row["disagrees"]) == (taxon, 0, disagrees)
    assert len(rig.exported(tmp_path / "out")) >= 1


def test_a_favourite_thumbnail_is_a_favourite_full_frame_until_its_mark_is_taken_away(rig, tmp_path):
    client = rig.client("reviewer", name="ana")
    client.put(f"/api/v1/favourites/{rig.thumbnail(animal(PUMA))}")
    full = rig.full(animal(PUMA))
    assert rig.row(full)["favourite"]
    assert "★" in client.get(f"/review/{full}").text
    rig.exported(tmp_path / "out")
    assert ",true," in (tmp_path / "out" / "media.csv").read_text("utf-8")

    client.delete(f"/api/v1/favourites/{full}")

    assert not rig.row(full)["favourite"]
    rig.sum_up()
    assert not rig.row(full)["favourite"]


def test_an_answer_from_a_page_of_before_reaches_the_sequence_as_it_is_now(rig):
    thumbnail = rig.thumbnail(animal(PUMA))
    full = rig.full(animal(PUMA))

    changed = say(rig, sequences=[thumbnail])

    assert [each["pk"] for each in changed["sequences"]] == [full]
    assert rig.row(full)["shown_taxon"] == "Panthera onca"
    page = rig.client("viewer").get(f"/review/{thumbnail}?unreviewed=1", follow_redirects=False)
    assert page.headers["location"] == f"/review/{full}?unreviewed=1"
