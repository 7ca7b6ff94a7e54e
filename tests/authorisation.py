"""Who may do what: a row for each route of the page. A new route needs one line here, else test_authorisation.py fails.

    "GET /review": "see",        method and path as in the code: the right it needs, or "public"

Then `python -m tests.authorisation` writes the table of docs/authorisation.md anew. That each row is true is requested,
cell by cell, in tests/parts/test_authorisation.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from server.rights import ROLES, Right, Role, rights_of

PAGE = Path(__file__).resolve().parents[1] / "docs" / "authorisation.md"
PUBLIC = "public"
BELOW_KEYS = ("/api/v1/", "/metrics")  # where keys of programs count
PERSONAS = ("nobody", *ROLES, "key")
ROUTES: Mapping[str, str] = {
    # log-in, accounts, people
    "GET /login": "public",
    "POST /login": "public",
    "GET /login/{name}/start": "public",
    "GET /login/{name}/back": "public",
    "POST /logout": "public",
    "POST /language": "public",
    "GET /forgot": "public",
    "POST /forgot": "public",
    "GET /setup": "public",
    "POST /setup": "public",
    "GET /invitation/{secret}": "public",
    "POST /invitation/{secret}": "public",
    "GET /account": "see",
    "POST /account": "see",
    "POST /account/password": "see",
    "POST /account/sessions/end": "see",
    "POST /account/sessions/{pk}/end": "see",
    "POST /account/tokens": "see",
    "POST /account/tokens/{pk}/revoke": "see",
    "GET /users": "administer",
    "POST /users/invite": "administer",
    "POST /users/invitations/{pk}/revoke": "administer",
    "POST /users/{pk}/role": "administer",
    "POST /users/{pk}/active": "administer",
    "POST /users/{pk}/reset": "administer",
    "GET /api/v1/me": "see",
    # pictures
    "GET /media/{frame_pk}/{size}-{number}.webp": "see",
    "GET /media/{frame_pk}/clip.mp4": "see",
    "GET /media/{frame_pk}/open-{size}-{number}.webp": "unblur",
    "GET /media/{frame_pk}/original": "originals",
    "GET /v/{signed}": "public",
    "GET /v/{signed}/picture.webp": "public",
    "GET /static/{version}/{name:path}": "public",
    # now, encounters, live
    "GET /": "see",
    "GET /now/matters": "see",
    "GET /events": "see",
    "GET /api/v1/events": "see",
    "GET /encounters/{name}": "see",
    "POST /encounters/{uid}/ack": "review",
    "POST /encounters/{uid}/mute": "review",
    "GET /api/v1/encounters": "see",
    "GET /api/v1/encounters/{uid}": "see",
    "POST /api/v1/encounters/{uid}/ack": "review",
    # review
    "GET /review": "see",
    "GET /review/progress": "see",
    "GET /review/names.json": "see",
    "GET /review/{pk}": "see",
    "POST /review/answer": "review",
    "POST /review/undo": "review",
    "POST /review/favourite": "review",
    "GET /api/v1/sequences": "see",
    "GET /api/v1/sequences/{pk}": "see",
    "GET /api/v1/frames": "see",
    "GET /api/v1/frames/{frame_pk}": "see",
    "GET /api/v1/frames/{frame_pk}/tracks": "see",
    "POST /api/v1/reviews": "review",
    "DELETE /api/v1/reviews/{action}": "review",
    "PUT /api/v1/favourites/{frame_pk}": "review",
    "DELETE /api/v1/favourites/{frame_pk}": "review",
    # species
    "GET /species": "see",
    "GET /species/{taxon}": "see",
    "GET /api/v1/species": "see",
    "GET /api/v1/species/{taxon}": "see",
    # stations
    "GET /stations": "see",
    "GET /stations/{name}": "see",
    "GET /tiles.pmtiles": "see",
    "POST /stations/{name}/command": "manage",
    "GET /stations/{name}/deployment": "see",
    "POST /stations/{name}/deployment": "manage",
    "GET /api/v1/stations": "see",
    "GET /api/v1/stations/{name}": "see",
    "GET /api/v1/stations/{name}/health": "see",
    "GET /api/v1/stations/{name}/days": "see",
    "GET /api/v1/stations/{name}/commands": "see",
    "POST /api/v1/stations/{name}/commands": "manage",
    "GET /api/v1/stations/{name}/deployments": "see",
    "POST /api/v1/stations/{name}/deployments": "manage",
    "GET /api/v1/stations/{name}/deployments/{number:path}": "see",
    "PUT /api/v1/stations/{name}/deployments/{number:path}": "manage",
    "DELETE /api/v1/stations/{name}/deployments/{number:path}": "manage",
    "GET /api/v1/stations/{name}/effort/{number:path}": "see",
    # alerts
    "GET /alerts": "see",
    "POST /alerts/{pk}/again": "manage",
    "POST /alerts/mutes/{pk}/end": "manage",
    "GET /alerts/rules": "see",
    "GET /alerts/rules/edit": "manage",
    "POST /alerts/rules/edit": "manage",
    "POST /alerts/rules/remove": "manage",
    "POST /alerts/rules/rest": "manage",
    "GET /alerts/rules/drafts/{draft_id}": "manage",
    "POST /alerts/rules/drafts/{draft_id}/simulate": "manage",
    "GET /alerts/rules/drafts/{draft_id}/simulation": "manage",
    "POST /alerts/rules/drafts/{draft_id}/save": "manage",
    "GET /alerts/rules/changes/{change_id}": "see",
    "GET /api/v1/alerts": "see",
    "GET /api/v1/rules": "see",
    "GET /api/v1/rules/{name}": "see",
    "POST /api/v1/rules": "manage",
    "PUT /api/v1/rules/{name}": "manage",
    "DELETE /api/v1/rules/{name}": "manage",
    "POST /api/v1/rules/simulate": "manage",
    # system
    "GET /system": "manage",
    "GET /system/quarantine": "manage",
    "POST /system/quarantine/retry": "manage",
    "POST /system/quarantine/{pk}/retry": "manage",
    "GET /system/configuration": "administer",
    "POST /system/configuration/check": "administer",
    "POST /system/configuration/apply": "administer",
    "GET /system/configuration/changes/{change_id}": "administer",
    "GET /system/audit": "administer",
    "GET /api/v1/system": "manage",
    "GET /api/v1/system/quarantine": "manage",
    "POST /api/v1/system/quarantine/retry": "manage",
    "POST /api/v1/system/quarantine/{pk}/retry": "manage",
    "GET /api/v1/system/audit": "administer",
    "GET /api/v1/system/configuration": "administer",
    "POST /api/v1/system/configuration": "administer",
    "POST /api/v1/system/configuration/check": "administer",
    "GET /api/v1/system/configuration/changes": "administer",
    "GET /api/v1/system/configuration/changes/{change_id}": "administer",
    "GET /healthz": "public",
    "HEAD /healthz": "public",
    "GET /readyz": "public",
    "HEAD /readyz": "public",
    "GET /metrics": "manage",
    "GET /api": "see",
    "GET /api/v1/openapi.json": "see",
    # upload
    "GET /upload": "upload",
    "GET /upload/list": "upload",
    "GET /upload/{upload_id}": "upload",
    "POST /upload/{upload_id}/cancel": "upload",
    "POST /upload/{upload_id}/finish": "upload",
    "POST /api/v1/uploads/form": "upload",
    "GET /api/v1/uploads": "upload",
    "POST /api/v1/uploads": "upload",
    "GET /api/v1/uploads/{upload_id}": "upload",
    "POST /api/v1/uploads/{upload_id}/files": "upload",
    "GET /api/v1/uploads/{upload_id}/files": "upload",
    "GET /api/v1/uploads/{upload_id}/files/{number}": "upload",
    "HEAD /api/v1/uploads/{upload_id}/files/{number}": "upload",
    "PUT /api/v1/uploads/{upload_id}/files/{number}": "upload",
    "POST /api/v1/uploads/{upload_id}/known": "upload",
    "POST /api/v1/uploads/{upload_id}/finish": "upload",
    "DELETE /api/v1/uploads/{upload_id}": "upload",
    # export
    "GET /export": "export",
    "GET /export/list": "export",
    "POST /export": "export",
    "GET /export/{number}/file": "export",
    "POST /export/{number}/cancel": "export",
    "POST /export/{number}/remove": "export",
    "GET /api/v1/export-formats": "export",
    "GET /api/v1/exports": "export",
    "POST /api/v1/exports": "export",
    "GET /api/v1/exports/{number}": "export",
    "GET /api/v1/exports/{number}/file": "export",
    "DELETE /api/v1/exports/{number}": "export",
}

HEAD = """\
# Who may do what on the web page

Made by `python -m tests.authorisation` from the table that `tests/parts/test_authorisation.py` requests, cell by cell,
of the running app; a route without a row fails there. *log in*: led to the log-in page, or 401; *no*: 403; *key*: a
program's key that has the scope `see` alone, which counts below `/api/v1` and for `/metrics` only. A link of a message
(`/v/…`) opens that one page and its picture, signed, and gives no right. Which role may see people unblurred and fetch
originals is the site's to say (`web: {sees_people: …, sees_originals: …}`); here it is as without a word. Station scope
is beside all this: a station that is not somebody's is not there for them (404).

| route | needs | nobody | viewer | reviewer | manager | admin | key |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""
SHOWN = {"in": "yes", "log in": "log in", "no": "no"}


def expected(route: str, persona: str) -> str:
    """ "in", "log in" or "no": what this persona must get."""
    right = ROUTES[route]
    if right == PUBLIC:
        return "in"
    if persona == "nobody":
        return "log in"
    if persona == "key":
        path = route.split(" ", 1)[1]
        if not path.startswith(BELOW_KEYS):
            return "log in"
        return "in" if right == "see" else "no"
    role: Role = persona  # type: ignore[assignment]  # because the other two are dealt with
    return "in" if right in rights_of(role, sees_people="reviewer", sees_originals="reviewer") else "no"


def page() -> str:
    """The text of docs/authorisation.md."""
    rows = []
    for route, right in ROUTES.items():
        assert right == PUBLIC or right in get_args(Right), route
        cells = " | ".join(SHOWN[expected(route, persona)] for persona in PERSONAS)
        rows.append(f"| `{route}` | {right} | {cells} |\n")
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
