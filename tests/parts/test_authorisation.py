"""Route × role, each cell really requested of the app with its real log-in. The table: tests/authorisation.py."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import anyio
import pytest
from fastapi.routing import iter_route_contexts

from edge.store.keys import add_token, open_session
from server.auth import cookies
from server.auth.forgery import form_token
from server.needs import Needs, public, unasked
from server.rights import ROLES
from tests.auth_rig import AuthRig
from tests.authorisation import PAGE, PERSONAS, PUBLIC, ROUTES, expected, page

LONGEST_S = 20.0
NUMBER = re.compile(r"(pk|number|frame_pk)$")


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with AuthRig(tmp_path_factory.mktemp("site")) as rig:
        for role in ROLES:
            rig.add(f"a {role}", role)
        yield rig


@dataclass(slots=True)
class Answer:
    """As far as it goes until it begins."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """ "in", "log in" or "no"."""
        if self.status == 401 or self.headers.get("location", "").startswith("/login?next="):
            return "log in"
        return "no" if self.status == 403 else "in"


def routes_of(app) -> dict[str, str]:
    """ "GET /path" → the right that its code asks for; "" where it asks for none."""
    found = {}
    for each in iter_route_contexts(app.routes):
        asked = list(calls_of(each.original_route.dependant))
        rights = [call.right for call in asked if isinstance(call, Needs)] or [PUBLIC] * (
            public in asked or unasked in asked
        )
        for method in each.methods:
            found[f"{method} {each.path}"] = rights[0] if rights else ""
    return found


def calls_of(dependant) -> Iterator[object]:
    for each in dependant.dependencies:
        yield each.call
        yield from calls_of(each)


def test_every_route_has_a_row_and_asks_for_what_the_row_says(rig):
    found, table = routes_of(rig.app).items(), ROUTES.items()

    assert sorted(found - table) == [], "one line each in tests/authorisation.py, then python -m tests.authorisation"
    assert sorted(table - found) == [], "no such route, or it asks for something else"


def test_the_page_in_docs_is_the_table():
    assert PAGE.read_text("utf-8") == page(), "python -m tests.authorisation writes it"


@pytest.mark.parametrize("persona", PERSONAS)
def test_every_cell_is_as_the_table_says(rig, persona):
    wrong = {}

    async def all_of_them() -> None:
        for route in ROUTES:
            answer = await ask(rig, route, headers_of(rig, persona))
            if answer.verdict != expected(route, persona) or answer.status >= 500:
                wrong[route] = (answer.status, expected(route, persona))

    anyio.run(all_of_them)
    assert wrong == {}


def headers_of(rig, persona: str) -> dict[str, str]:
    """What the persona's program sends with everything; a fresh log-in each time, for some routes end it."""
    secret = "f" * 43
    form = {"cookie": f"{cookies.FORM}={secret}", "x-csrf-token": form_token(Asking(rig.app), secret)}
    if persona == "nobody":
        return form
    now = rig.clock.now()
    if persona == "key":
        with rig.store.transaction() as connection:
            admin = rig_user(rig, "a admin", connection)
            connection.exec_driver_sql("DELETE FROM api_tokens")
            key = add_token(connection, admin, "x", ["see"], now=now, who="test", days=1)
        return form | {"authorization": f"Bearer {key}"}
    with rig.store.transaction() as connection:
        user = rig_user(rig, f"a {persona}", connection)
        secret = open_session(connection, user.pk, now=now, days=1)
    return {"cookie": f"{cookies.SESSION}={secret}", "x-csrf-token": rig.token_of(secret)}


def rig_user(rig, name, connection):
    from edge.store.users import by_name  # noqa: PLC0415  # because it is needed here alone

    return by_name(connection, name)


@dataclass(frozen=True, slots=True)
class Asking:
    """As much of a request as the form's token needs."""

    app: object


async def ask(rig, route: str, headers: dict[str, str]) -> Answer:
    """Send a request without a body, past the network, and look at how the answer begins."""
    method, path = route.split(" ", 1)
    path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: "999999" if NUMBER.search(found[1]) else "x", path)
    sent = {"host": "testserver", "accept": "text/html", "content-length": "0"} | headers
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": ("192.0.2.7", 50_000),
        "server": ("testserver", 80),
        "state": {},
    }
    answer, begun, bodies = Answer(), anyio.Event(), [b""]

    async def receive():
        if bodies:
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}
        await anyio.sleep(LONGEST_S)  # nobody hangs up
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            begun.set()

    async def serve():
        await rig.app(scope, receive, send)
        begun.set()

    with anyio.fail_after(LONGEST_S):
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            await begun.wait()
            group.cancel_scope.cancel()  # streams go on for ever
    return answer
