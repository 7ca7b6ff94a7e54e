"""Notifier `sms`: an alert as a text message through Twilio, with its picture (MMS) where that can be."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from pydantic import Field, model_validator

from edge.api import Notice, NotifierSpec, PictureLimits, Services, hookimpl

from .gsm7 import cut, to_gsm7
from .sms_text import MAX_SEGMENTS, MOST_SEGMENTS, SmsTemplate, check_budget, check_number, write_sms
from .twilio_account import Account, TwilioConfig
from .twilio_channel import Letter, TwilioChannel, memory_of

# Networks of the USA take 600 kB from every kind of number (help.twilio.com, article 360018832773).
MMS = PictureLimits(max_bytes=600_000, max_side_px=1280)


class SmsConfig(TwilioConfig):
    """An account at Twilio, and how an SMS is worded."""

    template: SmsTemplate | None = None
    max_segments: int = Field(default=MAX_SEGMENTS, ge=1, le=MOST_SEGMENTS)

    @model_validator(mode="after")
    def _template_fits(self) -> "SmsConfig":
        check_budget(self.template, max_segments=self.max_segments)
        return self


@contextmanager
def build(config: SmsConfig, services: Services) -> Iterator[TwilioChannel]:
    """Read the secrets, so that a site without them does not start; nothing is sent. Raises ConfigError."""

    def compose(notice: Notice, _number: str, shown: str) -> Letter:
        body = write_sms(notice, template=config.template, max_segments=config.max_segments)
        fields: dict[str, Any] = {"body": body, **({"media_url": [shown]} if shown else {})}
        return Letter(body, fields)

    def write(text: str) -> str:
        return cut(to_gsm7(text), max_segments=config.max_segments)

    account = Account(config)
    with closing(memory_of(account, services)) as memory:
        yield TwilioChannel("sms", account, services, compose, write, memory)


SPEC = NotifierSpec(
    "sms",
    SmsConfig,
    build,
    address=check_number,
    picture=MMS,
    has_own=lambda config: bool(config.recipients),
    shows=lambda config: config.pictures,
)


@hookimpl
def tigrillo_notifiers() -> list[NotifierSpec[SmsConfig]]:
    """Name this channel."""
    return [SPEC]
