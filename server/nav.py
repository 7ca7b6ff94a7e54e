"""The page's parts, as its navigation lists them."""

from dataclasses import dataclass

from edge.i18n import mark

from .rights import Principal, Right


@dataclass(frozen=True, slots=True)
class Entry:
    """path: its address. text: marked for translation. right: who sees it. icon: a symbol of static/icons.svg."""

    path: str
    text: str
    right: Right
    icon: str


ENTRIES = (
    Entry("/", mark("Now"), "see", "now"),
    Entry("/review", mark("Review"), "see", "review"),
    Entry("/species", mark("Species"), "see", "species"),
    Entry("/stations", mark("Stations"), "see", "stations"),
    Entry("/alerts", mark("Alerts"), "see", "alerts"),
    Entry("/export", mark("Export"), "export", "export"),
    Entry("/upload", mark("Upload"), "upload", "upload"),
    Entry("/system", mark("System"), "manage", "system"),
    Entry("/users", mark("Users"), "administer", "users"),
)


def nav_for(principal: Principal | None) -> tuple[Entry, ...]:
    """What this person may open; nothing for nobody."""
    return tuple(entry for entry in ENTRIES if principal is not None and principal.may(entry.right))
