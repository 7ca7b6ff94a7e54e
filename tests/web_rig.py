"""A site with a database and the page over it, in one process, for tests of the web page.

    def test_…(tmp_path):
        with WebRig(tmp_path) as rig:
            rig.record("cam-01", "a", [animal()])       # a recorded frame, tests/alert_rig.py's detections
            page = rig.client("reviewer").get("/review")

Who asks is said by the test (`client(role)`), not by log-in: tests of log-in make their own app without `knows`.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

from fastapi import APIRouter, FastAPI, Request
from starlette.datastructures import State
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from edge.clock import SteppedClock
from edge.config import Plan, load_plan
from edge.logs import make_log
from edge.model import CaptureTime, Detection, Outcome, PictureResult, SpooledFrame
from edge.registry import Registry, load_registry
from edge.store.readers import Readers
from edge.store.sql import Store
from server.app import create_app
from server.needs import Knows
from server.rights import Principal, Role, rights_of
from server.web import Web

NOW = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
SITE = """\
site: {name: Reserva El Silencio, language: en, timezone: America/Bogota}
stations:
  - {name: cam-01, latitude: 4.6, longitude: -74.1}
  - {name: cam-02, latitude: 4.7, longitude: -74.2}
  - {name: cam-03}
sources: [{use: watch, folder: inbox}]
stages: [{use: motion}]
channels: [{name: log, use: console}]
rules: [{name: cats, category: animal, channels: [log]}]
web: {}
"""


@cache
def _registry() -> Registry:
    """Once a process: looking for plugins takes longer than most tests."""
    return load_registry()


@cache
def _empty_database() -> bytes:
    """All tables and no rows, made once a process."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tigrillo.sqlite"
        with Store(f"sqlite:///{path}"):
            pass
        return path.read_bytes()


class SharedApp:
    """One application for a process of tests, here with a state of its own: another site, another person.

    Putting its routes together takes longer than most tests do.
    """

    _app: FastAPI | None = None
    _began_with: ClassVar[dict[str, Any]] = {}

    def __init__(self, web: Web, knows: Knows) -> None:
        self.web, self.knows = web, knows
        if SharedApp._app is None:
            SharedApp._app = create_app(web, knows)
            SharedApp._began_with = dict(SharedApp._app.state._state)
        self.app = SharedApp._app
        self.state = State(SharedApp._began_with | {"web": web, "knows": knows})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        self.app.state = self.state
        await self.app(scope, receive, send)

    def include_router(self, router: APIRouter, **options: Any) -> None:
        """A route for this test only: the application is made anew."""
        self.app = create_app(self.web, self.knows)
        self.state = self.app.state
        self.app.include_router(router, **options)


class WebRig:
    """The rig. site: the YAML. `rig.web` is what pages are handed, `rig.clock` is stepped by the test."""

    def __init__(self, folder: Path, site: str = SITE) -> None:
        self.folder = folder
        self.path = folder / "site.yaml"
        self.path.write_text(site, "utf-8")
        self.clock = SteppedClock(NOW)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        registry = _registry()
        self.plan: Plan = load_plan(self.path, registry)
        (self.plan.state_dir / "web").mkdir(parents=True)
        if not self.plan.file.database.url:
            (self.plan.state_dir / "tigrillo.sqlite").write_bytes(_empty_database())
        self.store = self._stack.enter_context(Store(self.plan.database_url))
        self.readers = self._stack.enter_context(Readers(self.plan.database_url))
        log = make_log(json_lines=False, level="error")
        self.web = Web(self.plan, registry, self.store, self.readers, self.clock, log)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def client(
        self,
        role: Role | None = "viewer",
        *,
        stations: Iterable[str] | None = None,
        language: str = "",
        name: str = "",
        alone: bool = False,
        **options: Any,
    ) -> TestClient:
        """A browser of somebody with this role; None: of nobody. No CSRF field is asked for.

        alone: with an application of its own, for what that counts.
        """
        principal = role and self.principal(role, stations=stations, language=language, name=name)

        async def knows(_request: Request) -> Principal | None:
            return principal or None

        app = create_app(self.web, knows) if alone else SharedApp(self.web, knows)
        return TestClient(app, base_url="http://testserver", **options)

    def principal(
        self, role: Role, *, stations: Iterable[str] | None = None, language: str = "", name: str = ""
    ) -> Principal:
        """Somebody with this role."""
        config = self.web.config
        rights = rights_of(role, sees_people=config.sees_people, sees_originals=config.sees_originals)
        scope = None if stations is None else frozenset(stations)
        return Principal(name or role, role, rights, scope, language, "session", 0, "test-csrf")

    def record(
        self,
        station: str,
        frame_id: str,
        detections: Sequence[Detection] = (),
        *,
        at: datetime | None = NOW,
        path: Path | None = None,
        **fields: Any,
    ) -> int:
        """A recorded still with these detections; its pk. path: a real picture. fields: of SpooledFrame."""
        file = path or self.folder / f"{station}-{frame_id}.jpg"
        captured = CaptureTime(at, at.isoformat() if at else "", "UTC", "exif" if at else "unknown")
        frame = SpooledFrame(
            station=station,
            id=frame_id,
            kind="still",
            path=file,
            name=file.name,
            sha256=f"{abs(hash((station, frame_id))):064x}",
            size_bytes=file.stat().st_size if file.exists() else 1000,
            source="test",
            captured=captured,
            received_at=(at or NOW) + timedelta(seconds=5),
            **fields,
        )
        self.store.add_frames([(frame, 0)])
        [pk] = [each.pk for each in self.store.find_frames(frame_id) if each.station == station]
        while (claimed := self.store.claim_next(NOW + timedelta(days=3650))) is not None and claimed.pk != pk:
            self.store.release(claimed.pk, not_before=NOW, reason="", count_attempt=False)
        assert claimed
        outcome = Outcome(claimed, (PictureResult(0, 0.0, tuple(detections)),), width=640, height=480)
        assert self.store.record(outcome, now=NOW)
        return pk
