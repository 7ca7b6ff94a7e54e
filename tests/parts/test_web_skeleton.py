"""What holds for every page: headers, static files, errors in words, the reader's language."""

import re

import pytest
from fastapi import APIRouter
from starlette.testclient import TestClient

from server.__main__ import open_web
from server.page import asset
from tests.alert_rig import animal
from tests.web_rig import SITE, WebRig


@pytest.fixture
def rig(tmp_path):
    with WebRig(tmp_path) as rig:
        yield rig


def test_a_page_that_is_not_there_says_so_in_the_readers_language_with_safe_headers(rig):
    answer = rig.client("viewer", language="es").get("/nowhere")

    assert answer.status_code == 404
    assert "Aquí no hay nada" in answer.text
    assert '<html lang="es">' in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["server-timing"].startswith("app;dur=")


def test_the_api_answers_errors_as_problems(rig):
    answer = rig.client("viewer").get("/api/v1/nowhere")

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 404


def test_an_error_nobody_thought_of_is_a_page_without_its_text_and_with_safe_headers(rig):
    client = rig.client("viewer", raise_server_exceptions=False)
    broken = APIRouter()

    @broken.get("/broken")
    def broke() -> None:
        raise ZeroDivisionError("secret-4711")

    client.app.include_router(broken)
    answer = client.get("/broken")

    assert answer.status_code == 500
    assert "Something went wrong here" in answer.text
    assert "secret-4711" not in answer.text
    assert "content-security-policy" in answer.headers


def test_static_files_are_kept_for_good_under_their_hash_and_nothing_outside_is_given(rig):
    client: TestClient = rig.client(None)

    found = client.get(asset("app.css"))
    assert found.status_code == 200
    assert "immutable" in found.headers["cache-control"]
    version = re.search(r"/static/(\w+)/", asset("app.css"))[1]
    for path in (
        f"/static/{version}/../page.py",
        f"/static/{version}/..%2fpage.py",
        "/static/0/app.css",
        f"/static/{version}/x.css",
        f"/static/{version}/%00",
        f"/static/{version}/app.css%00",
    ):
        assert client.get(path).status_code == 404


def test_what_the_page_keeps_is_not_for_other_users_of_the_machine(rig):
    kept = [rig.web.own_dir, rig.plan.state_dir / "tigrillo.sqlite"]
    for path in kept:
        path.chmod(0o755)

    with open_web(rig.plan, rig.web.registry, log=rig.web.log, clock=rig.clock):
        modes = [path.stat().st_mode & 0o777 for path in kept]

    assert modes == [0o750, 0o750]


def test_a_long_body_is_refused_before_it_is_read(rig):
    client = rig.client("admin")
    answer = client.post("/language", content=b"x" * 2_000_001, headers={"accept-language": "es"})

    assert answer.status_code == 413
    assert "Esto es demasiado de una vez" in answer.text
    assert answer.headers["connection"] == "close"
    told = client.post("/api/v1/reviews", content=b"x" * 2_000_001)
    assert (told.json()["status"], told.headers["content-type"]) == (413, "application/problem+json")


def test_the_rig_records_frames(rig):
    pk = rig.record("cam-01", "a", [animal()])

    assert rig.store.outcome(pk).detections()[0].category == "animal"


def test_the_files_of_the_section_are_beside_the_site_wherever_it_is_started_from(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    monkeypatch.chdir(tmp_path)
    with WebRig(
        tmp_path / "site", SITE.replace("web: {}", "web: {tls: {certificate: a.crt, key: a.key}, tiles: b}")
    ) as rig:
        config = rig.web.config

    assert (config.tls.certificate, config.tiles) == (tmp_path / "site" / "a.crt", tmp_path / "site" / "b")
