"""Where a form leads when it is done: `next=` is followed only inside this page."""

import re

LONGEST = 1000
# A path of our own: one slash, then neither a slash nor a backslash, which browsers take for one; nothing that they
# leave out of addresses (tabs, line ends) and nothing that would end a header.
LOCAL = re.compile(r"/(?:(?![/\\])[\x21-\x5b\x5d-\x7e]+)?")
FORMS = ("/login", "/setup", "/invitation", "/forgot")  # which lead nowhere once somebody is logged in
CHANGES = ("/logout", "/language")  # which can only be posted to


def local_path(wanted: str, otherwise: str = "/", *, forms: bool = False) -> str:
    """`wanted`, when it is a path on this page that can be loaded; else `otherwise`.

    forms: also those before log-in.
    """
    nowhere = CHANGES if forms else CHANGES + FORMS
    if len(wanted) > LONGEST or not LOCAL.fullmatch(wanted) or wanted.startswith(nowhere):
        return otherwise
    return wanted
