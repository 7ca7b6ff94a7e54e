"""The methods of an address, for `Allow` in 405: routers name those of the first route that fits the path only."""

from fastapi import Request
from starlette.routing import Match

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def methods_of(request: Request) -> str:
    """As in "GET, PUT"; in a fixed order."""
    found = []
    for method in METHODS:
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes):
            found.append(method)
    return ", ".join(found)
