"""Parameters of the API that several areas have, bounded so that nothing else reaches a query.

Numbers fit the database's 8 bytes; texts have no NUL, which PostgreSQL refuses, and (by pydantic) no lone surrogate.
"""

from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, StringConstraints

MOST = 2**63 - 1  # what a column of SQLite or PostgreSQL holds
NO_NUL = r"^[^\x00]*$"
NAMED = r"^[A-Za-z0-9ÁÉÍÓÚÜÑáéíóúüñ_][A-Za-z0-9ÁÉÍÓÚÜÑáéíóúüñ_.\-]{0,63}$"  # edge.wire.NAME

StationName = Annotated[str, StringConstraints(pattern=NAMED, max_length=64)]
InPath = Annotated[StationName, Path(description="A station's name.")]
Key = Annotated[int, Path(ge=1, le=MOST)]
After = Annotated[
    str,
    Query(
        max_length=2000, pattern=r"^[A-Za-z0-9_-]*$", description="`next` of the answer before; empty for the first."
    ),
]
Limit = Annotated[int, Query(ge=1, le=500, description="Most items in one answer.")]


class Problem(BaseModel):
    """What went wrong, as of RFC 9457 (application/problem+json)."""

    model_config = ConfigDict(json_schema_extra={"example": {"title": "There is nothing here", "status": 404}})

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
