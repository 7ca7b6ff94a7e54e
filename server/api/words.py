"""Parameters of the API that several areas have, bounded so that nothing else reaches a query.

Numbers fit the database's 8 bytes; texts have no NUL, which PostgreSQL refuses, and (by pydantic) no lone surrogate.
"""

import re
from datetime import date
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

MOST = 2**63 - 1  # what a column of SQLite or PostgreSQL holds
NO_NUL = r"^[^\x00]*$"
NAMED = r"^[A-Za-z0-9ÁÉÍÓÚÜÑáéíóúüñ_][A-Za-z0-9ÁÉÍÓÚÜÑáéíóúüñ_.\-]{0,63}$"  # edge.wire.NAME

StationName = Annotated[str, StringConstraints(pattern=NAMED, max_length=64)]
InPath = Annotated[StationName, Path(description="A station's name.", examples=["cam-01"])]
Key = Annotated[int, Path(ge=1, le=MOST)]
After = Annotated[
    str,
    Query(
        alias="cursor",
        max_length=2000,
        pattern=r"^[A-Za-z0-9_-]*$",
        description="`next` of the answer before; empty for the first.",
    ),
]
Limit = Annotated[int, Query(ge=1, le=500, description="Most items in one answer.")]


def _is_day(value: Any) -> Any:
    """Pydantic takes "0" for a day of 1970; nobody who writes it means that."""
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("write a day such as 2026-11-22")
    return value


def _is_text(value: Any) -> Any:
    """The same with numbers, which it takes for seconds of 1970."""
    if isinstance(value, int | float):
        raise ValueError("write a time such as 2026-11-22T18:30:00Z")  # noqa: TRY004  # because pydantic wants this one
    return value


Day = Annotated[date, BeforeValidator(_is_day)]
Moment = Annotated[AwareDatetime, BeforeValidator(_is_text)]


class Problem(BaseModel):
    """What went wrong, as of RFC 9457 (application/problem+json)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Something in this form is not right",
                "status": 422,
                "detail": "limit: Input should be less than or equal to 500",
            }
        }
    )

    type: str = Field("about:blank", description="Always about:blank: `status` says what kind it is.")
    title: str = Field(description="What happened, in a few words.")
    status: int = Field(description="The answer's status once more.")
    detail: str = Field("", description="More, for people; empty where there is no more to say.")
