"""What log-in keeps in memory for one app: how passwords are checked, and who was known a moment ago."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from sqlalchemy import Connection

from edge.passwords import Hasher
from edge.store.keys import Session
from edge.store.users import User, any_user

from ..web import Web, web_of

T = TypeVar("T")
CACHED = timedelta(seconds=2)  # a change made by another process, such as `tigrillo users disable`, is seen after it
MOST_CACHED = 500


@dataclass(frozen=True, slots=True)
class Known:
    """Who a cookie or key belongs to. session: None for a key's. scopes: None for a session's. touched: last noted."""

    user: User
    session: Session | None
    scopes: frozenset[str] | None
    pk: int
    touched: datetime | None
    read_at: datetime


@dataclass(slots=True)
class Desk:
    """One app's. `change` is the only way to write, so that what was known is forgotten at once."""

    web: Web
    hasher: Hasher = field(default_factory=Hasher)
    known: dict[str, Known] = field(default_factory=dict)
    changes: int = 0
    _somebody: bool = False

    def change(self, work: Callable[[Connection], T], *, takes: bool = False) -> T:
        """One transaction that may change what people may do. Raises what `work` raises, StoreBusy.

        takes: it takes something from somebody, so that open event streams end and their readers are asked again.
        """
        try:
            with self.web.store.transaction() as connection:
                return work(connection)
        finally:
            self.changes += 1
            self.known.clear()
            if takes:
                self.web.live.ask_again()

    def remembered(self, token: str, now: datetime) -> Known | None:
        """Who this hash belonged to a moment ago."""
        found = self.known.get(token)
        return found if found and timedelta() <= now - found.read_at < CACHED else None

    def remember(self, token: str, known: Known, *, changes: int) -> None:
        """Keep it for a moment. changes: of the desk, before it was read: what changed meanwhile may be this."""
        if changes != self.changes:
            return
        if len(self.known) >= MOST_CACHED:
            self.known.clear()
        self.known[token] = known

    def has_users(self) -> bool:
        """Whether anybody can log in yet; users are never deleted, so a yes stays one."""
        if not self._somebody:
            with self.web.readers.read() as connection:
                self._somebody = any_user(connection)
        return self._somebody


def desk_of(request: Request) -> Desk:
    """The desk of this request's app, made when first asked for."""
    state = request.app.state
    if not hasattr(state, "desk"):
        state.desk = Desk(web_of(request))
    desk: Desk = state.desk
    return desk


TheDesk = Annotated[Desk, Depends(desk_of)]
