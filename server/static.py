"""Files of server/static, under an address that has their hash: kept by browsers for good."""

import mimetypes
from functools import cache
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from .needs import unasked
from .page import STATIC, asset

router = APIRouter()
FOR_GOOD = "public, max-age=31536000, immutable"
mimetypes.add_type("image/svg+xml", ".svg")


@router.get("/static/{version}/{name:path}", dependencies=[Depends(unasked)])
def file(version: Annotated[str, Path(max_length=64)], name: Annotated[str, Path(max_length=200)]) -> FileResponse:
    """A file as it is; 404 for what is not there or outside, 404 for another version than ours."""
    if name not in _names() or asset(name) != f"/static/{version}/{name}":
        raise HTTPException(404, "no such file")
    return FileResponse(STATIC / name, headers={"cache-control": FOR_GOOD})


@cache
def _names() -> frozenset[str]:
    """What may be asked for: the files that are there at the first request, by their path below the folder."""
    return frozenset(each.relative_to(STATIC).as_posix() for each in STATIC.rglob("*") if each.is_file())
