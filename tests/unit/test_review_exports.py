"""What people say and mark reaches the exports."""

import csv

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
