"""What the page says when something is wrong is in the reader's language, and names what to do."""

import json
import re
from dataclasses import replace

import pytest
from sqlalchemy import insert
from starlette.testclient import TestClient

from edge.errors import FatalError
from edge.i18n import _
from edge.logs import make_log
from edge.pipeline.requests import Requests
from edge.store.schema import audit
from tests.auth_rig import AuthRig
from tests.web_rig import NOW, SharedApp, WebRig

ES = {"accept-language": "es-CO"}
ENGLISH = re.compile(r"\b(the|this|such|should|needs|required|write|input)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with WebRig(tmp_path_factory.mktemp("said")) as rig:
        yield rig


def main_of(answer):
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text.split("<main", 1)[1].split("</main>")[0]).split())


@pytest.mark.parametrize(
    ("role", "method", "path", "sent", "status", "says"),
    [
        ("viewer", "get", "/?kind=unicorn", None, 422, "kind: debe ser"),
        ("viewer", "get", "/review?from=2026-99-99", None, 422, "from: escriba una fecha"),
        ("viewer", "get", "/review?score_from=abc", None, 422, "score_from: escriba un número de 0 a 1"),
        ("viewer", "get", "/review/999999", None, 404, "no existe esa secuencia"),
        ("viewer", "get", "/review/abc", None, 404, "Aquí no hay nada"),
        ("viewer", "get", "/review?after=zzz", None, 400, "empiece desde el principio"),
        ("viewer", "get", "/stations/nope", None, 404, "no existe esa estación"),
        ("viewer", "get", "/users", None, 403, "Hace falta el permiso de: llevar personas y la configuración."),
        ("viewer", "post", "/review/answer", {"what": "blank"}, 403, "Hace falta el permiso de: decir qué muestran"),
        ("manager", "get", "/stations/cam-01/deployment?id=nope", None, 404, "no existe esa instalación"),
        ("manager", "post", "/stations/cam-01/command", {}, 422, "falta este valor"),
        ("manager", "get", "/alerts/rules/drafts/nope", None, 404, "haga el cambio de nuevo"),
        ("manager", "post", "/alerts/rules/edit", {"min_score": "7"}, 422, "Nombre: falta: agregue `name: …`"),
        (
            "manager",
            "post",
            "/alerts/rules/edit",
            {"min_score": "7"},
            422,
            "Puntaje mínimo: debe ser menor o igual que 1",
        ),
        ("manager", "post", "/alerts/rules/edit", {"yaml": "{a: ["}, 422, "el texto termina donde falta un valor"),
        ("manager", "post", "/alerts/rules/rest", {"name": "nope"}, 409, "esta regla ya no existe"),
        ("manager", "get", "/export/999/file", None, 404, "Aquí no hay nada"),
    ],
)
def test_a_fault_is_told_in_spanish(rig, role, method, path, sent, status, says):
    answer = getattr(rig.client(role), method)(path, headers=ES, **({"data": sent} if sent is not None else {}))

    told = main_of(answer)
    assert answer.status_code == status, told
    assert says in told
    assert not ENGLISH.search(re.sub(r"'[^']*'|`[^`]*`", "", told)), told


def test_a_forged_form_is_refused_in_spanish(tmp_path):
    with AuthRig(tmp_path) as people:
        told = main_of(TestClient(people.app).post("/login", headers=ES | {"origin": "http://evil.example"}))

    assert "Esto no se hizo" in told
    assert "Esto se envió desde la página de otro sitio" in told


def test_the_same_fault_is_told_in_english_to_who_reads_english(rig):
    answer = rig.client("viewer").get("/review/999999", headers={"accept-language": "en"})

    assert "no such sequence" in main_of(answer)


@pytest.mark.parametrize(("via", "says"), [("session", "no existe esa estación"), ("token", "no such station")])
def test_the_api_speaks_english_to_programs_and_the_reader_s_language_to_the_page(rig, via, says):
    principal = replace(rig.principal("viewer"), via=via)

    async def knows(_request):
        return principal

    answer = TestClient(SharedApp(rig.web, knows)).get("/api/v1/stations/nope", headers=ES)

    assert answer.json()["title"] == "There is nothing here"
    assert answer.json()["detail"] == says


@pytest.mark.parametrize(("language", "says"), [("es", "ya se intentó de nuevo"), ("en", "tried again already")])
def test_the_daemon_refuses_in_the_language_of_whoever_asked(tmp_path, language, says):
    def handler(_values):
        raise FatalError(_("nothing is in quarantine under number {pk}: it was tried again already").format(pk=1))

    (tmp_path / "requests").mkdir()
    request = tmp_path / "requests" / "1.json"
    request.write_text(json.dumps({"what": "it", "values": {}, "language": language}), "utf-8")

    Requests(tmp_path, {"it": handler}, make_log(json_lines=True, level="error")).take_in()

    assert says in json.loads(request.with_suffix(".answer").read_text("utf-8"))["refused"]


@pytest.mark.parametrize(("role", "leads"), [("manager", 'href="/upload"'), ("viewer", 'href="/stations"')])
@pytest.mark.parametrize("path", ["/review", "/review/progress"])
def test_a_site_without_pictures_leads_to_what_its_reader_may_do_about_it(rig, path, role, leads):
    empty = rig.client(role).get(path).text.split('<section class="empty">')[1].split("</section>")[0]

    assert leads in empty


def test_a_station_leads_to_the_upload_of_its_card_where_its_name_stands_already(rig):
    link = "/upload?station=cam-02"

    assert f'href="{link}"' in rig.client("manager").get("/stations/cam-02").text
    assert f'href="{link}"' not in rig.client("viewer").get("/stations/cam-02").text
    assert 'value="cam-02"' in rig.client("manager").get(link).text.split('id="f-station"')[1].split(">")[0]


def test_a_site_without_animals_does_not_offer_the_time_that_is_shown_already(rig):
    told = rig.client("viewer").get("/species?period=all").text

    assert "No animal with a name yet" in told
    assert "Show all time" not in told


def test_the_audit_says_what_was_done_in_words_and_a_name_it_does_not_know_as_it_is(tmp_path):
    with WebRig(tmp_path) as site:
        with site.store.transaction() as connection:
            for action in ("user.login", "plugin.thing"):
                connection.execute(insert(audit).values(at=NOW, who="ana", action=action, subject="user ana"))
        admin = site.client("admin")
        rows = admin.get("/system/audit", headers=ES).text.split("<tbody>")[1]
        one = admin.get("/system/audit?action=user.login", headers=ES).text.split("<tbody>")[1]

    assert "inició sesión" in rows
    assert "user.login" not in rows
    assert "plugin.thing" in rows
    assert "plugin.thing" not in one
