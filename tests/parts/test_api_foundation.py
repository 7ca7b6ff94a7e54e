"""What all of the API shares: its description, ETags, health, metrics."""

import re
import threading
from datetime import timedelta

import pytest
from fastapi import APIRouter, Request

from edge.errors import StoreBusy
from server.api.etag import is_known, must_match, tag_of
from server.api.exposition import Family, Sample, exposition
from server.api.meter import Meter
from server.auth import cookies
from server.page import asset
from tests.alert_rig import animal
from tests.web_rig import NOW, WebRig


@pytest.fixture
def rig(tmp_path):
    with WebRig(tmp_path) as rig:
        yield rig


def test_the_description_has_every_route_of_the_api_with_a_name_of_its_own_and_errors_as_problems(rig):
    described = rig.client("viewer").get("/api/v1/openapi.json").json()

    operations = [(path, way) for path, ways in described["paths"].items() for way in ways.items()]
    names = [way["operationId"] for _path, (_method, way) in operations]
    assert "/api/v1/openapi.json" in described["paths"]
    assert len(names) == len(set(names)) >= 2
    assert all(path.startswith("/api/v1/") for path in described["paths"])
    for _path, (method, way) in operations:
        for status in ("401", "403", "422", "503"):
            assert method == "head" or list(way["responses"][status]["content"]) == ["application/problem+json"]
    assert set(described["components"]["securitySchemes"]) == {"token", "session"}


def test_the_description_says_what_each_parameter_means_and_names_what_is_really_sent(rig):
    described = rig.client("viewer").get("/api/v1/openapi.json").json()

    silent = [
        (path, method, each["name"])
        for path, ways in described["paths"].items()
        for method, way in ways.items()
        for each in way.get("parameters", [])
        if each["in"] != "path" and not each.get("description")
    ]
    assert silent == []
    assert described["components"]["securitySchemes"]["session"]["name"] == cookies.SESSION
    assert not [name for name in described["components"]["schemas"] if "__" in name], "two classes of one name"
    for method, path in (("get", "/api/v1/stations"), ("get", "/api/v1/frames/{frame_pk}")):
        assert "ETag" in described["paths"][path][method]["responses"]["200"]["headers"]


def test_whoever_uses_the_wrong_method_is_told_the_right_ones(rig):
    answer = rig.client("viewer").patch("/api/v1/stations/cam-01/deployments/x")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, PUT, DELETE"


def test_the_api_has_a_page_that_needs_nothing_from_elsewhere(rig):
    page = rig.client("viewer", language="es").get("/api")

    assert page.status_code == 200
    assert "/api/v1/openapi.json" in page.text
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page.text)


def test_who_has_an_answer_already_is_not_sent_it_again(rig):
    client = rig.client("viewer")
    first = client.get("/api/v1/openapi.json")

    again = client.get("/api/v1/openapi.json", headers={"if-none-match": first.headers["etag"]})
    other = client.get("/api/v1/openapi.json", headers={"if-none-match": '"another"'})

    assert first.headers["etag"].startswith('"')
    assert (again.status_code, again.content) == (304, b"")
    assert "content-security-policy" in again.headers
    assert other.json() == first.json()


def test_a_change_of_what_has_changed_since_is_refused(rig):
    client, router = rig.client("viewer"), APIRouter()

    @router.put("/thing")
    def change(request: Request) -> dict[str, str]:
        must_match(request, tag_of({"a": 1}))
        return {}

    client.app.include_router(router, prefix="/api/v1")

    assert client.put("/api/v1/thing").status_code == 200
    assert client.put("/api/v1/thing", headers={"if-match": tag_of({"a": 1})}).status_code == 200
    assert client.put("/api/v1/thing", headers={"if-match": tag_of({"a": 2})}).status_code == 412


def test_tags_are_compared_as_the_standard_says():
    assert is_known('W/"a", "b"', '"a"')
    assert is_known("*", '"a"')
    assert not is_known('"c"', '"a"')


def test_anybody_may_ask_whether_it_is_well_and_learns_no_more(rig, monkeypatch):
    client = rig.client(None)
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").json() == {"ready": True, "missing": []}

    client.app.state.threads = [threading.Thread()]  # one that does not live
    with rig.store.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    monkeypatch.setattr("server.api.health.LEAST_FREE_BYTES", 10**18)
    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "missing": ["schema", "threads", "disk"]}
    assert client.get("/healthz").status_code == 200
    assert [client.head(path).status_code for path in ("/healthz", "/readyz")] == [200, 503]  # as monitors ask


def test_what_concerns_nobody_is_answered_while_the_database_is_not_there(rig):
    async def knows(_request):
        raise StoreBusy("no answer")

    client = rig.client(None, alone=True)
    client.app.state.knows = knows

    found = {path: client.get(path).status_code for path in ("/healthz", asset("app.css"), "/login")}

    assert list(found.values()) == [200, 200, 503]


def test_a_number_is_no_truth_and_no_text(rig):
    client = rig.client("admin")
    described = client.get("/api/v1/openapi.json").json()
    taken, tried = [], 0
    for path, method, name, value in numbers_sent(described):
        tried += 1
        answer = client.request(method, re.sub(r"{\w+}", "1", path), json={name: value})
        if f"{name}: " not in answer.text and f"{name}.0: " not in answer.text:
            taken.append((path, name, value, answer.text[:200]))

    assert taken == []
    assert tried > 20


def numbers_sent(described):
    """(path, method, property, what it must not take) of the bodies that are sent."""
    schemas = described["components"]["schemas"]
    for path, ways in described["paths"].items():
        for method, way in ways.items():
            schema = way.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            named = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
            for name, about in named.get("properties", {}).items():
                for kind in {each.get("type") for each in (about, *about.get("anyOf", ()))}:
                    if kind in {"integer", "number"}:
                        yield from ((path, method, name, value) for value in (True, "1"))
                    elif kind == "array" and about["items"].get("type") in {"integer", "number"}:
                        yield from ((path, method, name, value) for value in ([True], ["1"]))


def test_metrics_are_for_those_who_manage_all_stations(rig):
    unknown = rig.client(None).get("/metrics", follow_redirects=False)
    assert (unknown.status_code, unknown.headers["www-authenticate"]) == (401, "Bearer")
    assert rig.client("reviewer").get("/metrics").status_code == 403
    assert rig.client("manager", stations=["cam-01"]).get("/metrics").status_code == 403
    assert rig.client("manager").get("/metrics").status_code == 200


def test_metrics_tell_of_stations_queues_and_answers(rig):
    rig.record("cam-01", "a", [animal()], at=NOW - timedelta(days=60))
    (rig.plan.state_dir / "status.json").write_text(
        '{"verbs": {"record": {"done": 7, "failed": 1}}, "refused": {"topic": 2}}', "utf-8"
    )
    client = rig.client("manager", alone=True)
    client.get("/api/v1/openapi.json")
    client.get("/api/v1/nowhere/x")

    answer = client.get("/metrics")
    values = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert values['tigrillo_verbs_total{verb="record",outcome="done"}'] == "7"
    assert values['tigrillo_refused_total{kind="topic"}'] == "2"
    assert values['tigrillo_stations{state="all"}'] == "3"
    assert values['tigrillo_stations{state="silent"}'] == "3"  # one for 60 days, two never heard
    assert values['tigrillo_frames_waiting{state="spooled"}'] == "0"
    assert values["tigrillo_summaries_stale_days"] == "1"
    assert values["tigrillo_web_viewers"] == "0"
    route = 'route="/api/v1/openapi.json",method="GET"'
    assert values[f'tigrillo_web_requests_total{{{route},status="200"}}'] == "1"
    assert values['tigrillo_web_requests_total{route="none",method="GET",status="404"}'] == "1"
    assert values[f'tigrillo_web_request_seconds_bucket{{{route},le="+Inf"}}'] == "1"
    assert int(values["process_resident_memory_bytes"]) > 10_000_000


def test_strange_methods_and_addresses_make_no_new_series():
    meter = Meter()
    for _time in range(3):
        meter.note("/a/{name}", "GET", 200, 0.02)
    meter.note("/a/{name}", "GET", 500, 99.0)

    [(route, method, series)] = meter.series()

    assert (route, method) == ("/a/{name}", "GET")
    assert series.statuses == {200: 3, 500: 1}
    assert series.buckets == [0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_labels_cannot_break_out_of_their_line():
    family = Family("a", "gauge", "b\nc", (Sample(1.5, {"station": 'x"\n\\'}), Sample(float("inf"))))

    assert exposition([family, Family("empty", "gauge", "", ())]) == (
        '# HELP a b\\nc\n# TYPE a gauge\na{station="x\\"\\n\\\\"} 1.5\na +Inf\n'
    )
