"""Every route says what right it needs: `Depends(Needs("see"))`, or is public: `Depends(public)`, `Depends(unasked)`.

The table of tests/parts/test_authorisation.py has a row for each route; one without `Needs` or `public` fails there.
`server/auth` answers who asks; tests hand `create_app` an answer of their own.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from edge.i18n import speak

from .rights import Principal, Right
from .speech import language_of
from .web import web_of

# Asynchronous, because a form's CSRF field is read from the body. Raises HTTPException 403 for a forged change.
Knows = Callable[[Request], Awaitable[Principal | None]]


class NotKnown(HTTPException):
    """Nobody is logged in: pages answer with the log-in page, the API with 401."""

    def __init__(self) -> None:
        super().__init__(401, "not logged in")


class Forged(HTTPException):
    """A change that did not come from one of our own pages, as far as we can tell. why: marked, one sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(403, why)


class Lacks(HTTPException):
    """Who asks may not do this: the right is missing."""

    def __init__(self, right: Right) -> None:
        super().__init__(403, f"needs the right {right}")
        self.right = right


async def known(request: Request) -> Principal | None:
    """Who asks, if anybody is known; from here on `_` speaks their language, and English to a program with a token."""
    knows: Knows = request.app.state.knows
    usual = web_of(request).plan.file.site.language
    speak(language_of(request, usual))  # before, too: what is forged is refused in there
    principal = await knows(request)
    request.state.principal = principal
    is_program = principal is not None and principal.via == "token"
    speak("en" if is_program else language_of(request, usual))
    return principal


@dataclass(frozen=True, slots=True)
class Needs:
    """A dependency that gives the Principal when they have the right. Raises NotKnown, HTTPException 403."""

    right: Right

    async def __call__(self, request: Request) -> Principal:
        """Who asks, when they may."""
        request.state.wanted = self.right  # for `Knows`: of a form that is refused anyway nothing need be read
        principal = await known(request)
        if principal is None:
            raise NotKnown
        if not principal.may(self.right):
            raise Lacks(self.right)
        return principal


async def public(request: Request) -> Principal | None:
    """Who asks, if anybody is known; for pages that everybody may see."""
    return await known(request)


async def unasked() -> None:
    """Nobody is looked up: for what is the same for all, and answers while the database does not."""


Viewer = Annotated[Principal, Depends(Needs("see"))]
Reviewer = Annotated[Principal, Depends(Needs("review"))]
Unblurring = Annotated[Principal, Depends(Needs("unblur"))]
WithOriginals = Annotated[Principal, Depends(Needs("originals"))]
Exporter = Annotated[Principal, Depends(Needs("export"))]
Uploader = Annotated[Principal, Depends(Needs("upload"))]
Manager = Annotated[Principal, Depends(Needs("manage"))]
Admin = Annotated[Principal, Depends(Needs("administer"))]
Anyone = Annotated[Principal | None, Depends(public)]
