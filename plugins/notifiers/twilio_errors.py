"""What Twilio's error codes mean for a message: never (NoticeRefused), not now (NotifyError), wrong login.

Twilio keeps splitting its codes (changelog of 2024-07-10), so only those that surely speak of the addressee refuse a
message; an unknown code is tried again until the outbox gives up, and its number stands in the reason.
Source: twilio.com/docs/api/errors.
"""

from typing import TYPE_CHECKING

from edge.api import NoticeRefused, NotifyError, one_line

if TYPE_CHECKING:
    from twilio.base.exceptions import TwilioRestException, TwilioServiceException

UNAUTHORIZED, NOT_FOUND = 401, 404

# No other attempt would reach this addressee, or take this text.
NEVER = {
    21211: "is no valid number",
    21214: "can't be reached from this sender",
    21217: "is no valid number",
    21265: "is a short code, which can't be written to",
    21266: "is the sender itself",
    21268: "is a premium number, which can't be written to",
    21610: "has opted out by STOP and must write START to the sender first",
    21614: "is no mobile number",
    21617: "was sent too long a text",
    21635: "is a landline, which takes no SMS",
    63003: "has no WhatsApp",
    63024: "has no WhatsApp",
}
# Something to set right at Twilio, after which the same message goes out.
TO_MEND = {
    20003: "wrong credentials: check account_sid and auth_token (or api_key and api_secret)",
    20005: "the account is not active: see the Twilio console",
    20404: "no such account, or none that this login may use: check account_sid",
    21212: "the sender is no valid number: check `sender`",
    21408: "messages to that country are not allowed: Twilio console, Messaging, Geo permissions",
    21606: "the sender may not send such messages to that number: check `sender`",
    21608: "a trial account writes to verified numbers only: verify it in the Twilio console, or upgrade",
    21612: "the sender can't reach that number: check `sender`",
    21659: "the sender is no number of this account: check `sender`",
    21703: "the messaging service has no sender: add one in the Twilio console",
    63007: "the sender has no WhatsApp: check `sender`",
}
# Of messages that Twilio took and could not deliver.
UNDELIVERED = {
    30001: "Twilio's queue was full",
    30002: "the account is suspended",
    30003: "the phone is off or out of reach",
    30004: "the phone or its network blocks messages",
    30005: "the number is not known any more",
    30006: "a landline, or a network that takes no SMS",
    30007: "filtered as unwanted by the network",
    30008: "not delivered, the network says no reason",
    30034: "the sender is not registered for messages to the USA (A2P 10DLC)",
    63016: "outside WhatsApp's 24 hours: set `template_sid`",
    63024: "has no WhatsApp",
}


class WrongLogin(NotifyError):
    """Twilio does not know these credentials."""


class AboutOne(NotifyError):
    """Twilio did not take this message; others may pass."""


def told(exc: "TwilioRestException | TwilioServiceException", *, to: str) -> NotifyError | NoticeRefused:
    """What to raise for an answer with status 400 to 499. to: the addressee, "" when it is about none."""
    code = exc.code or exc.status
    if exc.status == UNAUTHORIZED:
        return WrongLogin(f"Twilio: {TO_MEND[20003]}")
    if to and code in NEVER:
        return NoticeRefused(f"Twilio: {to} {NEVER[code]} ({code})")
    text = TO_MEND.get(code) or one_line(str(getattr(exc, "msg", "") or getattr(exc, "title", "")))
    where = f"{to}: " if to else ""
    return AboutOne(f"Twilio: {where}{text} ({code})")


def undelivered(code: int | None, message: str | None) -> str:
    """Why a message was not delivered, one line."""
    text = UNDELIVERED.get(code or 0) or one_line(message or "") or "no reason given"
    return f"{text} ({code})" if code else text
