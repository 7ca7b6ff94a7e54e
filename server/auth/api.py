"""Who asks, for programs."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ..needs import Viewer

router = APIRouter()


class Me(BaseModel):
    """Whose key or session this is, and what it may."""

    name: str = Field(description="The user.")
    role: str = Field(description="viewer, reviewer, manager or admin.")
    rights: list[str] = Field(description="What this key or session may; of a key never more than its scopes.")
    stations: list[str] | None = Field(description="The stations that are seen; null for all.")
    via: str = Field(description="session, token or link.")


@router.get("/me", summary="Who asks")
def me(principal: Viewer) -> Me:
    """Whose key this is, what it may, and which stations it sees."""
    stations = None if principal.stations is None else sorted(principal.stations)
    return Me(
        name=principal.name,
        role=principal.role,
        rights=sorted(principal.rights),
        stations=stations,
        via=principal.via,
    )
