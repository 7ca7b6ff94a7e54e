"""Files of server/static, under an address that has their hash: kept by browsers for good."""

import mimetypes
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from .needs import Anyone
from .page import STATIC, asset

router = APIRouter()
FOR_GOOD = "public, max-age=31536000, immutable"
mimetypes.add_type("image/svg+xml", ".svg")


@router.get("/static/{version}/{name:path}")
def file(
    version: Annotated[str, Path(max_length=64)], name: Annotated[str, Path(max_length=200)], principal: Anyone
) -> FileResponse:
    """A file as it is; 404 for what is not there or outside, 404 for another version than ours."""
    del principal
    path = (STATIC / name).resolve()
    if (
        "\0" in name
        or not path.is_relative_to(STATIC)
        or not path.is_file()
        or asset(name) != f"/static/{version}/{name}"
    ):
        raise HTTPException(404, "no such file")
    return FileResponse(path, headers={"cache-control": FOR_GOOD})
