"""People who log in: rows of `users`, for the page and the command line alike.

What takes a connection takes part in the caller's transaction. Every change leaves a row of `audit`, and one that takes
rights or the password ends what the person is logged in to. Keys, sessions and links: keys.py beside this file.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, func, insert, select, update

from ..errors import FatalError
from ..i18n import _, mark
from .schema import audit, frames, station_state
from .web_schema import invitations, sessions, throttle, users

ROLES = ("viewer", "reviewer", "manager", "admin")  # least first
LONGEST_NAME, LONGEST_EMAIL = 64, 254  # RFC 5321, 4.5.3.1: of a path
# Letters of Cyrillic and Greek that show as Latin ones, small or capital (Unicode, UTS 39, confusables).
CYRILLIC, ITS_LATIN = "авсԁеһнгіјкӏморԛѕтухѵԝз", "abcdehhrijklmopqstyxvw3"
GREEK, GREEKS_LATIN = "αβεζηικμνορτυχ", "abezhikmnoptyx"
AS_LATIN = str.maketrans(CYRILLIC + GREEK, ITS_LATIN + GREEKS_LATIN)


class UserRefused(FatalError):
    """A change that can't be made. text, values: marked, so that the page says it in its reader's language."""

    def __init__(self, text: str, **values: object) -> None:
        super().__init__(_(text).format(**values))
        self.text, self.values = text, values


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in. stations: those they see, None for all. password: Argon2id, "" for none."""

    pk: int
    name: str
    email: str
    role: str
    stations: frozenset[str] | None
    language: str
    active: bool
    password: str
    created_at: datetime
    password_at: datetime | None
    seen_at: datetime | None


def key_of(name: str) -> str:
    """What two spellings of one name have in common; without NUL, which PostgreSQL takes in no text.

    Of a text that is far too long for a name only its beginning: a million accents take long to put in order.
    """
    name = name[: 4 * LONGEST_EMAIL]
    return unicodedata.normalize("NFKC", name).replace("\0", "\N{REPLACEMENT CHARACTER}").strip().casefold()


def _seen(name: str) -> str:
    """What two names that look the same have in common, such as those of Ana and of one with a Cyrillic A."""
    return key_of(name).translate(AS_LATIN)


def checked_name(name: str) -> str:
    """The name as it is kept. Raises UserRefused for one that is empty, long, or shows as another."""
    name = unicodedata.normalize("NFC", name[: 4 * LONGEST_NAME]).strip()
    name = " ".join(filter(None, name.split(" ")))  # two blanks look like one
    if not name or len(name) > LONGEST_NAME or len(key_of(name)) > LONGEST_NAME:
        raise UserRefused(mark("A name has 1 to 64 letters."))
    if not name.isprintable() or not key_of(name).isprintable() or set(name) & set('<>"/\\'):
        raise UserRefused(mark("{name}: a name has letters, digits, blanks and marks such as . - _ @ only."), name=name)
    if not key_of(name)[0].isalnum():  # “@mail” are the addressees of a channel: nobody speaks for them
        raise UserRefused(mark("{name}: a name begins with a letter or a digit."), name=name)
    return name


def checked_email(email: str) -> str:
    """The address as it is kept, "" for none. Raises UserRefused for what no mail can go to."""
    email = email.strip()
    host = email.rpartition("@")[2]
    well = "@" in email[1:] and host and email.isascii() and email.isprintable() and not set(email) & set(' <>,;:"()')
    if email and (not well or len(email) > LONGEST_EMAIL):
        raise UserRefused(mark("{email!r} is no mail address: write name@example.org."), email=email[:80])
    return email


def checked_role(role: str) -> str:
    """The role. Raises UserRefused for a word that is none."""
    if role not in ROLES:
        raise UserRefused(mark("{role!r} is no role: there are {roles}."), role=role[:40], roles=", ".join(ROLES))
    return role


def any_user(connection: Connection) -> bool:
    """Whether there is anybody yet; until then the page asks for its first admin."""
    return connection.scalar(select(users.c.pk).limit(1)) is not None


def all_users(connection: Connection) -> list[User]:
    """Everybody, by name."""
    return [user_from(row) for row in connection.execute(select(users).order_by(users.c.key)).mappings()]


def by_pk(connection: Connection, pk: int) -> User | None:
    """The user of this number."""
    return _one(connection, users.c.pk == pk)


def by_name(connection: Connection, name: str) -> User | None:
    """The user of this name, in any spelling."""
    return _one(connection, users.c.key == key_of(name))


def by_email(connection: Connection, email: str) -> User | None:
    """The one active user with this address; None where two have it, because then nobody knows who asks."""
    found = connection.execute(_with_email(email).limit(2)).mappings().all()
    return user_from(found[0]) if len(found) == 1 else None


def add(
    connection: Connection,
    name: str,
    role: str,
    *,
    now: datetime,
    who: str,
    password: str = "",
    email: str = "",
    stations: Iterable[str] | None = None,
    language: str = "",
) -> User:
    """Add somebody. password: a hash. Raises UserRefused for a name that is taken or wrong."""
    name, role, email = checked_name(name), checked_role(role), checked_email(email)
    if by_name(connection, name) is not None:
        raise UserRefused(mark("{name}: there is somebody of this name already."), name=name)
    if any(_seen(each.name) == _seen(name) for each in all_users(connection)):
        raise UserRefused(mark("{name}: looks like the name of somebody else here: take another one."), name=name)
    values: dict[str, Any] = {"name": name, "key": key_of(name), "role": role, "email": email, "language": language}
    values |= {"password": password, "password_at": now if password else None, "created_at": now, "active": True}
    values["stations"] = scope_of(role, stations)
    pk = connection.execute(insert(users).values(values)).inserted_primary_key
    note(connection, "user.add", name, now=now, who=who, details={"role": role, "stations": values["stations"]})
    assert pk is not None
    found = by_pk(connection, pk[0])
    assert found is not None
    return found


def scope_of(role: str, stations: Iterable[str] | None) -> list[str] | None:
    """What is kept in `stations`; an admin sees all, as the configuration that they edit names all."""
    return None if stations is None or role == "admin" else sorted(set(stations))


def change_role(
    connection: Connection, user: User, role: str, *, stations: Iterable[str] | None, now: datetime, who: str
) -> None:
    """Another role or other stations; they have to log in again. Raises UserRefused for the last active admin."""
    role, scope = checked_role(role), scope_of(role, stations)
    if role == user.role and scope == scope_of(role, user.stations):
        return
    if role != "admin":
        _keep_an_admin(connection, user)
    connection.execute(update(users).where(users.c.pk == user.pk).values(role=role, stations=scope))
    end_sessions(connection, user.pk)
    _end_links_of(connection, user)
    note(connection, "user.role", user.name, now=now, who=who, details={"role": role, "stations": scope})


def change_active(connection: Connection, user: User, *, active: bool, now: datetime, who: str) -> None:
    """Let somebody in again, or no more. Raises UserRefused for the last active admin."""
    if not active:
        _keep_an_admin(connection, user)
        end_sessions(connection, user.pk)
        _end_links_of(connection, user)
    connection.execute(update(users).where(users.c.pk == user.pk).values(active=active))
    note(connection, "user.enable" if active else "user.disable", user.name, now=now, who=who)


def change_password(connection: Connection, user: User, password: str, *, now: datetime, who: str) -> None:
    """Another hash; every log-in ends, links for a new password end, and who was slowed down is no more."""
    connection.execute(update(users).where(users.c.pk == user.pk).values(password=password, password_at=now))
    end_sessions(connection, user.pk)
    connection.execute(delete(invitations).where(invitations.c.user_pk == user.pk, invitations.c.used_at.is_(None)))
    connection.execute(delete(throttle).where(throttle.c.name == f"user/{key_of(user.name)}"))
    note(connection, "user.password", user.name, now=now, who=who)


def rehash(connection: Connection, user: User, password: str) -> None:
    """The same password, kept with today's costs; unless it was changed meanwhile."""
    same = (users.c.pk == user.pk) & (users.c.password == user.password)
    connection.execute(update(users).where(same).values(password=password))


def change_own(connection: Connection, pk: int, *, language: str | None = None, email: str | None = None) -> None:
    """What people change themselves and nobody has to know about. Raises UserRefused for somebody else's address."""
    if email and connection.scalar(_with_email(email).where(users.c.pk != pk).limit(1)) is not None:
        raise UserRefused(mark("{email}: somebody else here has this address."), email=email.strip()[:80])
    values = {"language": language, "email": None if email is None else checked_email(email)}
    said = {name: value for name, value in values.items() if value is not None}
    if said:
        connection.execute(update(users).where(users.c.pk == pk).values(said))


def has_sent(connection: Connection, station: str) -> bool:
    """Whether a station of this name has ever sent anything, whatever the site names."""
    sent = select(frames.c.pk).where(frames.c.station == station).limit(1)
    heard = select(station_state.c.station).where(station_state.c.station == station)
    return any(connection.scalar(query) is not None for query in (heard, sent))


def end_sessions(connection: Connection, user_pk: int, *, but: int = 0) -> int:
    """End what somebody is logged in to; but: the pk of the session that stays. Returns how many there were."""
    query = delete(sessions).where(sessions.c.user_pk == user_pk, sessions.c.pk != but)
    return int(connection.execute(query).rowcount)


def _end_links_of(connection: Connection, user: User) -> None:
    """End the links that they made: who lets people in no more must not come back by one that was kept aside."""
    unused = (invitations.c.created_by == user.name) & invitations.c.used_at.is_(None)
    connection.execute(delete(invitations).where(unused))


def note(
    connection: Connection,
    action: str,
    subject: str,
    *,
    now: datetime,
    who: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """A row of the audit: who did what to whom."""
    row = {"at": now, "who": who, "action": action, "subject": f"user {subject}", "details": details and dict(details)}
    connection.execute(insert(audit).values(row))


def user_from(row: RowMapping | Mapping[str, Any]) -> User:
    """A row of `users`."""
    return User(
        row["pk"],
        row["name"],
        row["email"],
        row["role"],
        None if row["stations"] is None else frozenset(row["stations"]),
        row["language"],
        bool(row["active"]),
        row["password"],
        row["created_at"],
        row["password_at"],
        row["seen_at"],
    )


def _with_email(email: str) -> Select[Any]:
    """Active users with this address, in any case."""
    return select(users).where(func.lower(users.c.email) == key_of(email), users.c.email != "", users.c.active)


def _one(connection: Connection, condition: Any) -> User | None:
    row = connection.execute(select(users).where(condition)).mappings().first()
    return user_from(row) if row else None


def _keep_an_admin(connection: Connection, user: User) -> None:
    if user.role != "admin" or not user.active:
        return
    others = (users.c.role == "admin") & users.c.active & (users.c.pk != user.pk) & (users.c.password != "")
    if connection.scalar(select(users.c.pk).where(others).limit(1)) is None:
        raise UserRefused(
            mark("{name} is the last admin: make somebody else one first, else nobody could let anybody in."),
            name=user.name,
        )
