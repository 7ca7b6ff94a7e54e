"""The cookies of log-in: who somebody is; before that, which form is theirs; and who logged in here before.

Over https they are named `__Host-…`: browsers then take them only with Secure, from this very host and for all of it,
so that no neighbour's page can plant one. Over http (a PC in the station's own network) they can't be.
"""

import hmac

from fastapi import Request, Response

from edge.store.keys import new_secret

from ..api.keys import mac
from ..web import web_of

SESSION, FORM, DEVICE = "tigrillo", "tigrillo_form", "tigrillo_device"
# Of a session the server says when it is over (web.session_days); the cookie only must not end before.
AGES_S = {SESSION: 366 * 86_400, FORM: 86_400, DEVICE: 366 * 86_400}


def is_https(request: Request) -> bool:
    """Whether the browser came over TLS: ours, or that of a proxy which the site names in web.proxies."""
    return request.url.scheme == "https"


def name_of(request: Request, name: str) -> str:
    """The cookie's name on this connection."""
    return f"__Host-{name}" if is_https(request) else name


def read(request: Request, name: str) -> str:
    """The cookie's text, "" for none."""
    return request.cookies.get(name_of(request, name), "")


def put(request: Request, response: Response, name: str, value: str) -> None:
    """Set one of them: no script reads it, no other site's form sends it."""
    response.set_cookie(
        name_of(request, name),
        value,
        max_age=AGES_S[name],
        path="/",
        secure=is_https(request),
        httponly=True,
        samesite="lax",
    )


def drop(request: Request, response: Response, name: str) -> None:
    """Take it back."""
    response.delete_cookie(name_of(request, name), path="/", secure=is_https(request), httponly=True, samesite="lax")


def form_secret(request: Request) -> str:
    """What the form's cookie has, or a new one, which the answer then must set (`put`)."""
    found = read(request, FORM)
    return found if len(found) == len(new_secret()) and found.isascii() else new_secret()


def put_device(request: Request, response: Response, user_pk: int) -> None:
    """Note that this user has logged in with this browser: nobody else's failures slow it down."""
    nonce = new_secret()
    put(request, response, DEVICE, f"{user_pk}.{nonce}.{_device_mac(request, user_pk, nonce)}")


def device_of(request: Request, user_pk: int) -> str:
    """A name for the browser, when this user has logged in with it; else ""."""
    pk, _dot, rest = read(request, DEVICE).partition(".")
    nonce, _dot, signed = rest.partition(".")
    if pk != str(user_pk) or not hmac.compare_digest(signed.encode(), _device_mac(request, user_pk, nonce).encode()):
        return ""
    return nonce


def _device_mac(request: Request, user_pk: int, nonce: str) -> str:
    return mac(web_of(request), b"device", f"{user_pk}.{nonce}".encode()).hex()
