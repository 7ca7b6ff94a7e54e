"""What opens the page without a password: sessions of browsers, keys of programs, links that invite or reset.

Each is 32 random bytes that only the holder has; the tables keep their SHA-256, so a copy of them opens nothing.
What takes a connection takes part in the caller's transaction.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from ..i18n import mark
from .users import User, UserRefused, checked_email, checked_role, note, scope_of, user_from
from .web_schema import api_tokens, invitations, sessions, users

SCOPES = ("see", "review", "unblur", "originals", "export", "upload", "manage", "administer")
TOKEN_MARK = "tgl_"  # noqa: S105  # because it is what finds a key that somebody put into public code
INVITE_LIFE, RESET_LIFE = timedelta(days=7), timedelta(days=1)
SPENT_LIFE = timedelta(days=30)  # rows of links that are over are kept so long
MOST_SESSIONS = 20  # of a user; the oldest end
MOST_TOKENS = 50


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody is logged in. address, agent: from where and with what, as the browser says."""

    pk: int
    user_pk: int
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A key of a program. scopes: rights, never more than its user's."""

    pk: int
    name: str
    user_pk: int
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that makes a user (invite) or sets a password (reset, of user_pk)."""

    pk: int
    kind: Literal["invite", "reset"]
    user_pk: int | None
    email: str
    role: str
    stations: frozenset[str] | None
    created_by: str
    created_at: datetime
    expires_at: datetime


def new_secret() -> str:
    """32 random bytes as a text for cookies and addresses."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """What is kept of it. One round is enough: nobody guesses 32 random bytes."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


# sessions


def open_session(
    connection: Connection, user_pk: int, *, now: datetime, days: int, address: str = "", agent: str = ""
) -> str:
    """A new session's secret. Those of this user that are over, and the oldest beyond 20, go."""
    secret, ends = new_secret(), now + timedelta(days=days)
    row = {"token": hash_of(secret), "user_pk": user_pk, "created_at": now, "seen_at": now, "expires_at": ends}
    connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
    connection.execute(insert(sessions).values(**row, address=address[:64], agent=agent[:200]))
    connection.execute(update(users).where(users.c.pk == user_pk).values(seen_at=now))
    mine = select(sessions.c.pk).where(sessions.c.user_pk == user_pk)
    newest_first = mine.order_by(sessions.c.seen_at.desc(), sessions.c.pk.desc())
    old = connection.scalars(newest_first.offset(MOST_SESSIONS)).all()
    if old:
        connection.execute(delete(sessions).where(sessions.c.pk.in_(old)))
    return secret


def session_of(connection: Connection, token: str, now: datetime) -> tuple[Session, User] | None:
    """The session with this hash, and whose it is; None when it is over or its user is not active."""
    query = select(sessions, *_labelled()).join(users, users.c.pk == sessions.c.user_pk)
    query = query.where(sessions.c.token == token, sessions.c.expires_at > now, users.c.active)
    row = connection.execute(query).mappings().first()
    return (_session(row), _user_of(row)) if row else None


def touch_session(connection: Connection, session: Session, *, now: datetime, days: int) -> None:
    """It is used: it lasts `days` from now."""
    later = {"seen_at": now, "expires_at": now + timedelta(days=days)}
    connection.execute(update(sessions).where(sessions.c.pk == session.pk).values(later))
    connection.execute(update(users).where(users.c.pk == session.user_pk).values(seen_at=now))


def sessions_of(connection: Connection, user_pk: int, now: datetime) -> list[Session]:
    """Where somebody is logged in, the last used first."""
    query = select(sessions).where(sessions.c.user_pk == user_pk, sessions.c.expires_at > now)
    return [_session(row) for row in connection.execute(query.order_by(sessions.c.seen_at.desc())).mappings()]


def end_session(connection: Connection, pk: int, user_pk: int) -> bool:
    """End one session of this user; False when there is none."""
    query = delete(sessions).where(sessions.c.pk == pk, sessions.c.user_pk == user_pk)
    return connection.execute(query).rowcount == 1


# keys of programs


def add_token(
    connection: Connection,
    user: User,
    name: str,
    scopes: Iterable[str],
    *,
    now: datetime,
    who: str,
    days: int | None,
) -> str:
    """A new key; its text is shown once. days: None for one that never ends. Raises UserRefused."""
    name, wanted = name.strip(), sorted(set(scopes))
    if not name or len(name) > 64 or not name.isprintable():
        raise UserRefused(mark("A key needs a name of 1 to 64 letters, by which you will know it."))
    if unknown := [each for each in wanted if each not in SCOPES]:
        raise UserRefused(
            mark("{scope!r} is no right: there are {scopes}."), scope=unknown[0][:40], scopes=", ".join(SCOPES)
        )
    if not wanted:
        raise UserRefused(mark("A key needs one right at least."))
    if len(tokens_of(connection, user.pk)) >= MOST_TOKENS:
        raise UserRefused(mark("These are too many keys: revoke those that nobody uses."))
    secret = TOKEN_MARK + new_secret()
    row: dict[str, Any] = {"name": name, "token": hash_of(secret), "user_pk": user.pk, "scopes": wanted}
    row |= {"created_at": now, "expires_at": None if days is None else now + timedelta(days=days)}
    connection.execute(insert(api_tokens).values(row))
    note(connection, "token.add", user.name, now=now, who=who, details={"name": name, "scopes": wanted})
    return secret


def token_of(connection: Connection, token: str, now: datetime) -> tuple[ApiToken, User] | None:
    """The key with this hash, and whose it is; None when it is over, revoked, or its user is not active."""
    query = select(api_tokens, *_labelled()).join(users, users.c.pk == api_tokens.c.user_pk)
    query = query.where(api_tokens.c.token == token, api_tokens.c.revoked_at.is_(None), users.c.active)
    row = connection.execute(query).mappings().first()
    if row is None or (row["expires_at"] and row["expires_at"] <= now):
        return None
    return _token(row), _user_of(row)


def touch_token(connection: Connection, pk: int, *, now: datetime) -> None:
    """It is used."""
    connection.execute(update(api_tokens).where(api_tokens.c.pk == pk).values(used_at=now))


def tokens_of(connection: Connection, user_pk: int) -> list[ApiToken]:
    """Somebody's keys that are not revoked, the newest first."""
    query = select(api_tokens).where(api_tokens.c.user_pk == user_pk, api_tokens.c.revoked_at.is_(None))
    return [_token(row) for row in connection.execute(query.order_by(api_tokens.c.pk.desc())).mappings()]


def revoke_token(connection: Connection, pk: int, user: User, *, now: datetime, who: str) -> bool:
    """End a key of this user; False when there is none."""
    mine = (api_tokens.c.pk == pk) & (api_tokens.c.user_pk == user.pk) & api_tokens.c.revoked_at.is_(None)
    if connection.execute(update(api_tokens).where(mine).values(revoked_at=now)).rowcount != 1:
        return False
    note(connection, "token.revoke", user.name, now=now, who=who, details={"token": pk})
    return True


# links


def invite(
    connection: Connection, role: str, *, email: str, stations: Iterable[str] | None, now: datetime, who: str
) -> str:
    """The secret of a link that makes a user of this role, once, within 7 days. Raises UserRefused."""
    role, email = checked_role(role), checked_email(email)
    _forget_spent(connection, now)
    scope = scope_of(role, stations)
    secret = _add_link(connection, "invite", now=now, who=who, email=email, role=role, stations=scope)
    note(connection, "user.invite", email or "–", now=now, who=who, details={"role": role, "stations": scope})
    return secret


def reset(connection: Connection, user: User, *, now: datetime, who: str, life: timedelta = RESET_LIFE) -> str:
    """The secret of a link that sets a new password, once. Links that were made before for this user end."""
    open_ones = (invitations.c.user_pk == user.pk) & invitations.c.used_at.is_(None)
    connection.execute(delete(invitations).where(open_ones))
    _forget_spent(connection, now)
    secret = _add_link(connection, "reset", now=now, who=who, email=user.email, user_pk=user.pk, life=life)
    note(connection, "user.reset", user.name, now=now, who=who)
    return secret


def invitation_of(connection: Connection, secret: str, now: datetime) -> Invitation | None:
    """The link with this secret; None when it was used, is over, or never was."""
    good = (invitations.c.token == hash_of(secret)) & invitations.c.used_at.is_(None)
    query = select(invitations).where(good, invitations.c.expires_at > now)
    row = connection.execute(query).mappings().first()
    return _invitation(row) if row else None


def use_invitation(connection: Connection, pk: int, now: datetime) -> bool:
    """Spend a link; False when somebody was quicker."""
    unused = (invitations.c.pk == pk) & invitations.c.used_at.is_(None)
    return connection.execute(update(invitations).where(unused).values(used_at=now)).rowcount == 1


def open_invitations(connection: Connection, now: datetime) -> list[Invitation]:
    """Invitations that nobody has used yet, the newest first."""
    query = select(invitations).where(
        invitations.c.kind == "invite", invitations.c.used_at.is_(None), invitations.c.expires_at > now
    )
    return [_invitation(row) for row in connection.execute(query.order_by(invitations.c.pk.desc())).mappings()]


def revoke_invitation(connection: Connection, pk: int, *, now: datetime, who: str) -> bool:
    """End an invitation; False when there is none."""
    same = (invitations.c.pk == pk) & (invitations.c.kind == "invite") & invitations.c.used_at.is_(None)
    email = connection.scalar(select(invitations.c.email).where(same))
    if email is None:
        return False
    connection.execute(delete(invitations).where(same))
    note(connection, "user.uninvite", email or "–", now=now, who=who)
    return True


def _add_link(
    connection: Connection, kind: str, *, now: datetime, who: str, life: timedelta = INVITE_LIFE, **values: Any
) -> str:
    secret = new_secret()
    row = {"token": hash_of(secret), "kind": kind, "created_by": who[:64], "created_at": now, "expires_at": now + life}
    connection.execute(insert(invitations).values(**row, **values))
    return secret


def _forget_spent(connection: Connection, now: datetime) -> None:
    connection.execute(delete(invitations).where(invitations.c.expires_at <= now - SPENT_LIFE))


def _labelled() -> list[Any]:
    """The columns of `users` beside another table's, which has some of the same names."""
    return [
        column.label(f"user_{column.name}") if column.name != "pk" else column.label("user__pk") for column in users.c
    ]


def _user_of(row: RowMapping) -> User:
    found = {column.name: row[f"user_{column.name}"] for column in users.c if column.name != "pk"}
    return user_from({**found, "pk": row["user__pk"]})


def _session(row: RowMapping) -> Session:
    return Session(
        row["pk"], row["user_pk"], row["created_at"], row["seen_at"], row["expires_at"], row["address"], row["agent"]
    )


def _token(row: RowMapping) -> ApiToken:
    return ApiToken(
        row["pk"],
        row["name"],
        row["user_pk"],
        frozenset(row["scopes"]),
        row["created_at"],
        row["expires_at"],
        row["used_at"],
        row["revoked_at"],
    )


def _invitation(row: RowMapping) -> Invitation:
    return Invitation(
        row["pk"],
        row["kind"],
        row["user_pk"],
        row["email"],
        row["role"],
        None if row["stations"] is None else frozenset(row["stations"]),
        row["created_by"],
        row["created_at"],
        row["expires_at"],
    )
