"""What people say and mark reaches the exports."""

import csv
import json
from datetime import timedelta

from edge.export import Wanted, context_of, write_export
from edge.registry import load_registry
from edge.services import Station
from edge.store.harvest import Span
from edge.testing import fake_services
from tests.alert_rig import PUMA, animal
from tests.review_rig import review_rig

STATIONS = {"cam-01": Station("cam-01", "America/Bogota", 4.6, -74.1)}


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_favourite_and_an_answer_are_in_the_camtrap_package(tmp_path):
    with review_rig(tmp_path) as rig:
        marked = rig.fresh((animal(PUMA),), ())
        client = rig.client("reviewer", name="ana")
        client.put(f"/api/v1/favourites/{marked}")
        traits = {"sex": "female", "life_stage": "adult", "behaviour": "drinking", "count": 2, "species": "jaguar"}
        said = {"action": "for-the-export", "frames": [marked], "kind": "animal"}
        client.post("/api/v1/reviews", json=said | traits)
        services = fake_services(stations=STATIONS, clock=rig.clock, exporting=context_of(rig.store, Span()))

        write_export(rig.store, load_registry().exporters["camtrap-dp"], tmp_path / "out", services, Wanted())

    media, observations = rows_of(tmp_path / "out" / "media.csv"), rows_of(tmp_path / "out" / "observations.csv")
    assert [each["favorite"] for each in media] == ["true", ""]
    [person] = [each for each in observations if each["classificationMethod"] == "human"]
    assert (person["scientificName"], person["sex"], person["lifeStage"]) == ("Panthera onca", "female", "adult")
    assert (person["behavior"], person["count"], person["classifiedBy"]) == ("drinking", "2", "ana")


def test_other_formats_state_what_counts_now(tmp_path):
    with review_rig(tmp_path) as rig:
        renamed = rig.fresh((animal(PUMA, 0.8), animal(PUMA, 0.6)))
        rig.fresh((animal(PUMA),))  # nobody said anything of it
        blank = rig.fresh((animal(PUMA),))
        missed = rig.fresh(())
        one_box = rig.fresh((animal(PUMA, 0.7), animal(PUMA, 0.5, side=0.1)))
        client = rig.client("reviewer", name="ana")
        boxes = client.get(f"/api/v1/sequences/{one_box}").json()["members"][0]["boxes"]
        for number, said in enumerate(
            (
                {"sequences": [renamed], "kind": "animal", "species": "jaguar", "count": 1},
                {"sequences": [blank], "kind": "blank"},
                {"sequences": [missed], "kind": "animal", "species": "Nasua nasua", "count": 3},
                {"observations": [boxes[1]["pk"]], "kind": "human"},
            )
        ):
            answer = client.post("/api/v1/reviews", json={"action": f"export-{number}", **said})
            assert answer.status_code == 200
        services = fake_services(stations=STATIONS, clock=rig.clock, exporting=context_of(rig.store, Span()))
        exporters = load_registry().exporters

        write_export(rig.store, exporters["csv"], tmp_path / "out.csv", services, Wanted())
        write_export(rig.store, exporters["coco"], tmp_path / "out.json", services, Wanted())

    rows = [
        (each["frame_id"], each["category"], each["taxon"], each["score"]) for each in rows_of(tmp_path / "out.csv")
    ]
    assert sorted(rows) == [
        ("fresh1-0", "animal", "Panthera onca", "1.0"),
        ("fresh2-0", "animal", "Puma concolor", "0.9"),
        ("fresh4-0", "animal", "Nasua nasua", "1.0"),
        ("fresh4-0", "animal", "Nasua nasua", "1.0"),
        ("fresh4-0", "animal", "Nasua nasua", "1.0"),
        ("fresh5-0", "animal", "Puma concolor", "0.7"),
        ("fresh5-0", "person", "", "1.0"),
    ]
    by_whom = {(each["frame_id"], each["category"]): each["reviewed_by"] for each in rows_of(tmp_path / "out.csv")}
    assert by_whom == {
        ("fresh1-0", "animal"): "ana",
        ("fresh2-0", "animal"): "",
        ("fresh4-0", "animal"): "ana",
        ("fresh5-0", "animal"): "",
        ("fresh5-0", "person"): "ana",
    }
    machine = json.loads((tmp_path / "out.json").read_text("utf-8"))["annotations"]
    assert len([each for each in machine if "bbox" in each]) == 6


def test_the_table_for_spreadsheets_says_who_said_it_when_and_what_besides(tmp_path):
    with review_rig(tmp_path) as rig:
        pk = rig.fresh((animal(PUMA, 0.8), animal(PUMA, 0.6, side=0.1)))
        traits = {"sex": "female", "life_stage": "adult", "behaviour": "drinking", "comments": "a scar, left\nside"}
        said = {"action": "for-the-table", "sequences": [pk], "kind": "animal", "species": "jaguar", "count": 2}
        at = rig.clock.now()
        rig.client("reviewer", name="ana").post("/api/v1/reviews", json=said | traits)
        services = fake_services(stations=STATIONS, clock=rig.clock, exporting=context_of(rig.store, Span()))
        wanted = Wanted(taxa=frozenset({"Panthera onca"}), independent=timedelta(minutes=30))

        write_export(rig.store, load_registry().exporters["csv"], tmp_path / "out.csv", services, wanted)
    rows = rows_of(tmp_path / "out.csv")
    assert [each["taxon"] for each in rows] == ["Panthera onca"] * 2
    for each in rows:
        assert {name: each[name] for name in traits} == traits
        assert (each["reviewed_by"], each["reviewed_utc"]) == ("ana", at.isoformat(timespec="seconds"))
