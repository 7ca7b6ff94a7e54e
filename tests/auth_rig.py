"""A site with people who log in, for tests of log-in: the real app, its real `knows`, and cheap passwords.

with AuthRig(tmp_path) as rig:
    rig.add("Ana", "reviewer")
    browser = rig.log_in("Ana")
    browser.post("/account", {"language": "es"})     # a Browser sends the CSRF token of the page it saw last
"""

import re
from collections.abc import Iterable
from typing import Any, Self

from starlette.testclient import TestClient

from edge.passwords import Hasher
from edge.store.users import User, add, by_name
from server.app import create_app
from server.auth.desk import Desk
from server.auth.forgery import session_token
from tests.web_rig import WebRig

PASSWORD = "los gatos de la noche"  # nobody has it
TOKEN = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


class Browser(TestClient):
    """A browser that follows nothing by itself and sends the token of the page it saw last."""

    csrf = ""

    def request(self, method: str, url: Any, **options: Any) -> Any:  # type: ignore[override]  # because httpx names each option
        """As TestClient; what a form sends gets the token."""
        if method == "POST" and isinstance(options.get("data"), dict):
            options["data"] = {"csrf": self.csrf, **options["data"]}
        answer = super().request(method, url, **options)
        if found := TOKEN.search(answer.text):
            self.csrf = found[1]
        return answer

    def post(self, url: Any, data: dict[str, Any] | None = None, **options: Any) -> Any:  # type: ignore[override]  # because see above
        """Send a form."""
        return self.request("POST", url, data=data or {}, **options)


class AuthRig(WebRig):
    """A WebRig with people."""

    def __enter__(self) -> Self:
        super().__enter__()
        self.hasher = Hasher(memory_kib=64, rounds=1)
        self.app = create_app(self.web)
        self.app.state.desk = self.desk = Desk(self.web, self.hasher)
        return self

    def add(self, name: str, role: str = "viewer", *, password: str = PASSWORD, **values: Any) -> User:
        """Somebody new."""
        with self.store.transaction() as connection:
            kept = self.hasher.hash(password) if password else ""
            return add(connection, name, role, now=self.clock.now(), who="test", password=kept, **values)

    def user(self, name: str) -> User:
        """As the database has them."""
        with self.store.reading() as connection:
            found = by_name(connection, name)
        assert found
        return found

    def browser(
        self, *, https: bool = False, headers: dict[str, str] | None = None, address: str = "192.0.2.7"
    ) -> Browser:
        """A new one, without cookies."""
        url = "https://testserver" if https else "http://testserver"
        return Browser(
            self.app,
            base_url=url,
            headers=headers,
            follow_redirects=False,
            client=(address, 50_000),
            raise_server_exceptions=True,
        )

    def log_in(self, name: str, *, password: str = PASSWORD, browser: Browser | None = None, **options: Any) -> Browser:
        """A browser in which somebody is logged in, with their token in hand."""
        browser = browser or self.browser(**options)
        browser.get("/login")
        answer = browser.post("/login", {"name": name, "password": password})
        assert answer.status_code == 303, answer.text
        browser.get("/account")  # for its token
        return browser

    def token_of(self, secret: str) -> str:
        """What the forms of a session carry."""
        return session_token(secret)

    def audit(self, actions: Iterable[str] = ()) -> list[tuple[str, str, str]]:
        """(who, action, subject) of what was written down, oldest first."""
        from sqlalchemy import select  # noqa: PLC0415  # because only some tests ask

        from edge.store.schema import audit  # noqa: PLC0415  # because see above

        with self.store.reading() as connection:
            rows = connection.execute(select(audit.c.who, audit.c.action, audit.c.subject).order_by(audit.c.pk)).all()
        return [tuple(row) for row in rows if not actions or row.action in actions]
