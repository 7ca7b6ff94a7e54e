"""Who may do what: roles, the rights that each has, and the person behind a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Role = Literal["viewer", "reviewer", "manager", "admin"]
# see: pages and blurred pictures. review: say what a picture shows. unblur: look at people, which is written down.
# originals: files as they came. export: data sets out. upload: cards in. manage: stations, deployments, rules,
# quarantine, the system page. administer: users, configuration, audit.
Right = Literal["see", "review", "unblur", "originals", "export", "upload", "manage", "administer"]

ROLES: tuple[Role, ...] = ("viewer", "reviewer", "manager", "admin")  # least first; each may do what the one before may
RIGHTS: Mapping[Role, frozenset[Right]] = {
    "viewer": frozenset({"see"}),
    "reviewer": frozenset({"see", "review", "export"}),
    "manager": frozenset({"see", "review", "export", "upload", "manage"}),
    "admin": frozenset({"see", "review", "export", "upload", "manage", "administer"}),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. stations: those they see, None for all. via: how they were known. language: "" for the browser's.

    csrf: what a form of theirs must carry; "" where none is needed (tokens).
    """

    name: str
    role: Role
    rights: frozenset[Right]
    stations: frozenset[str] | None = None
    language: str = ""
    via: Literal["session", "token", "link"] = "session"
    user_pk: int = 0
    csrf: str = ""

    def may(self, right: Right) -> bool:
        """Whether they have this right."""
        return right in self.rights

    def sees(self, station: str) -> bool:
        """Whether this station is one of theirs."""
        return self.stations is None or station in self.stations


def rights_of(role: Role, *, sees_people: Role, sees_originals: Role) -> frozenset[Right]:
    """The rights of a role on a site; the last two are the least roles that may unblur and have originals."""
    extra: set[Right] = set()
    if ROLES.index(role) >= ROLES.index(sees_people):
        extra.add("unblur")
    if ROLES.index(role) >= ROLES.index(sees_originals):
        extra.add("originals")
    return RIGHTS[role] | extra
