"""What stands where a picture can't: a neutral one with the reason in words; an <img> shows it whatever the status."""

from html import escape

from fastapi import Request
from fastapi.responses import Response

from edge.i18n import mark

from ..page import speech_of

GONE = mark("The original was deleted")
MISSING = mark("The file is not where it was")
UNREADABLE = mark("The file can't be read")
UNKNOWN = mark("There is no such picture")
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 240" width="320" height="240" role="img" aria-label="{text}">
<title>{text}</title><rect width="320" height="240" fill="#7c857e"/>
<path d="M112 78h20l10-14h36l10 14h20a10 10 0 0 1 10 10v62a10 10 0 0 1-10 10h-96a10 10 0 0 1-10-10V88a10 10 0 0 1 \
10-10z" fill="none" stroke="#ffffff" stroke-width="6"/>
<path d="M106 170L214 62" stroke="#ffffff" stroke-width="6"/>
<text x="160" y="204" fill="#ffffff" font-family="sans-serif" font-size="15" text-anchor="middle">{text}</text></svg>
"""


def placeholder(request: Request, text: str, status: int) -> Response:
    """The picture; text: one of the marked ones above."""
    body = SVG.format(text=escape(speech_of(request).text(text)))
    headers = {"cache-control": "private, max-age=60", "vary": "cookie, accept-language"}
    return Response(body, status, headers, "image/svg+xml")
