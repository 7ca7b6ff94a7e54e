"""GET /api/v1/openapi.json: the API describes itself."""

from typing import Any

from fastapi import APIRouter, Request

from ..needs import Viewer
from .describe import openapi_of

router = APIRouter()


@router.get("/openapi.json", summary="This description", description="OpenAPI 3.1, as JSON.")
def openapi(request: Request, principal: Viewer) -> dict[str, Any]:
    """The description of all areas."""
    del principal
    return openapi_of(request.app)
