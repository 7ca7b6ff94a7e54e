"""What every part of the page is handed: the site, the database, the clock. Built once, in __main__.py or a test."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Depends, Request

from edge.clock import Clock
from edge.config import Plan
from edge.registry import Registry
from edge.services import Log
from edge.site_web import WebConfig
from edge.store.readers import Readers
from edge.store.sql import Store

from .live.hub import Hub


@dataclass(frozen=True, slots=True)
class Web:
    """One site's web page. readers: for every page. store: for the few writes (short transactions). live: news."""

    plan: Plan
    registry: Registry
    store: Store
    readers: Readers
    clock: Clock
    log: Log
    live: Hub = field(default_factory=Hub, compare=False)

    @property
    def config(self) -> WebConfig:
        """The section `web:`."""
        return self.plan.file.web or WebConfig()

    @property
    def state_dir(self) -> Path:
        """The site's folder; what the page keeps itself lies in `web/` below it."""
        return self.plan.state_dir

    @property
    def own_dir(self) -> Path:
        """The page's own folder: derived pictures, uploads, its key."""
        return self.plan.state_dir / "web"

    def zone_of(self, station: str) -> ZoneInfo:
        """The zone in which times of a station are shown."""
        known = self.plan.stations.get(station)
        return ZoneInfo((known and known.timezone) or self.plan.file.site.timezone)


def web_of(request: Request) -> Web:
    """The Web that this application was made with."""
    web: Web = request.app.state.web
    return web


Site = Annotated[Web, Depends(web_of)]
