"""Who asks: the session behind a cookie, or a program's key. The default of `create_app`.

The database is asked in a thread and not more often than every two seconds for one browser; a session's last use is
noted once a minute at most, so that reading pages stays reading.
"""

import contextlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from anyio import to_thread
from fastapi import Request

from edge.errors import StoreBusy
from edge.store.keys import TOKEN_MARK, hash_of, session_of, token_of, touch_session, touch_token

from ..rights import Principal, Right, Role, rights_of
from . import cookies, forgery
from .desk import Desk, Known, desk_of

NOTED = timedelta(minutes=1)
OF_PROGRAMS = ("/api/v1/", "/metrics")  # where keys are taken; pages are for people
BEARER = "bearer "


async def knows(request: Request) -> Principal | None:
    """Who asks; None for nobody. Raises Forged (403) for a change that did not come from one of our own pages."""
    desk = desk_of(request)
    authorization = request.headers.get("authorization", "")
    if authorization.lower().startswith(BEARER) and request.url.path.startswith(OF_PROGRAMS):
        return await _by_key(desk, authorization[len(BEARER) :].strip())
    secret = cookies.read(request, cookies.SESSION)
    if not secret:
        return None
    known = await _known(desk, hash_of(secret), is_key=False)
    if known is None:
        return None
    csrf = forgery.session_token(secret)
    principal = principal_of(desk, known, csrf)
    wanted: Right | None = getattr(request.state, "wanted", None)
    if wanted is None or principal.may(wanted):  # who is refused anyway sends no form of 300 MB to be read first
        await forgery.check(request, csrf)
    request.state.known = known
    return principal


def principal_of(desk: Desk, known: Known, csrf: str) -> Principal:
    """What pages are told of somebody."""
    user, config = known.user, desk.web.config
    role: Role = user.role  # type: ignore[assignment]  # because checked_role let it in
    rights = rights_of(role, sees_people=config.sees_people, sees_originals=config.sees_originals)
    if known.scopes is not None:
        rights &= known.scopes
    via: Literal["session", "token"] = "session" if known.scopes is None else "token"
    return Principal(user.name, role, rights, user.stations, user.language, via, user.pk, csrf)


async def _by_key(desk: Desk, secret: str) -> Principal | None:
    if not secret.startswith(TOKEN_MARK):
        return None
    known = await _known(desk, hash_of(secret), is_key=True)
    return principal_of(desk, known, "") if known else None


async def _known(desk: Desk, token: str, *, is_key: bool) -> Known | None:
    now = desk.web.clock.now()
    if (known := desk.remembered(token, now)) is not None:
        return known
    changes = desk.changes
    known = await to_thread.run_sync(_look_up, desk, token, is_key, now)
    if known is not None:
        desk.remember(token, known, changes=changes)
    return known


def _look_up(desk: Desk, token: str, is_key: bool, now: datetime) -> Known | None:
    with desk.web.readers.read() as connection:
        if is_key:
            if (found := token_of(connection, token, now)) is None:
                return None
            key, user = found
            known = Known(user, None, key.scopes, key.pk, key.used_at, now)
        else:
            if (opened := session_of(connection, token, now)) is None:
                return None
            session, user = opened
            known = Known(user, session, None, session.pk, session.seen_at, now)
    if known.touched is None or now - known.touched >= NOTED:
        known = replace(known, touched=now)
        with contextlib.suppress(StoreBusy), desk.web.store.transaction() as connection:  # the next request notes it
            if known.session is None:
                touch_token(connection, known.pk, now=now)
            else:
                touch_session(connection, known.session, now=now, days=desk.web.config.session_days)
    return known
