"""Notifier `whatsapp`: an alert through Twilio to WhatsApp, as text while somebody's 24 hours run, else as a template.

WhatsApp lets a business write freely to a person only within 24 hours of that person's last message; at any other time
only a template that WhatsApp has approved. Source: twilio.com/docs/api/errors/63016.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, model_validator

from edge.api import Notice, NotifierSpec, Services, Wording, _, check_template, fill_template, hookimpl, translate

from .sms_text import check_number, write_sms
from .twilio_account import Account, ContentSid, TwilioConfig
from .twilio_channel import Letter, TwilioChannel, memory_of

PREFIX = "whatsapp:"
WINDOW = timedelta(hours=24)
MARGIN = timedelta(minutes=10)  # a message that is under way when the window closes is lost
MOST_CHARACTERS = 1600  # of a body, twilio.com/docs/api/errors/21617
MOST_OF_A_VARIABLE = 6  # segments; WhatsApp takes 1024 characters with the template's own
EMPTY = "-"  # WhatsApp refuses a variable without a text


def _checked(variables: dict[str, str]) -> dict[str, str]:
    for name, text in variables.items():
        if not (name.isascii() and name.isdigit()):
            raise ValueError(_("variables of a template are called '1', '2' and so on, not {name!r}").format(name=name))
        check_template(text)
    if not any("{headline}" in text for text in variables.values()):
        raise ValueError(_("one variable must have {{headline}}: it is all that a notice about no animal has").format())
    return variables


class WhatsappConfig(TwilioConfig):
    """An account at Twilio with a WhatsApp sender.

    template_sid: an approved template, one or one a language. template_variables: number → text with fields; left out,
    variable 1 is the whole message.
    """

    template_sid: ContentSid | dict[Literal["en", "es"], ContentSid] | None = None
    template_variables: Annotated[dict[str, str], AfterValidator(_checked)] | None = None

    @model_validator(mode="after")
    def _variables_have_a_template(self) -> "WhatsappConfig":
        if self.template_variables and not self.template_sid:
            raise ValueError(_("`template_variables` are those of a template: give `template_sid` too"))
        return self


def check_address(text: str) -> str:
    """A WhatsApp number, with or without "whatsapp:" → E.164. Raises ValueError with what is right."""
    return check_number(text.strip().removeprefix(PREFIX))


@dataclass(slots=True)
class Composer:
    """Chooses between text and template. open_until: number → when its window closes, as far as we know."""

    config: WhatsappConfig
    account: Account
    services: Services
    open_until: dict[str, datetime] = field(default_factory=dict)

    def compose(self, notice: Notice, number: str, shown: str) -> Letter:
        """The letter. Raises NotifyError when Twilio can't be asked about the window."""
        sid = self._template(notice.language)
        if sid and not self._is_open(number):
            variables = self._variables(notice)
            fields = {"content_sid": sid, "content_variables": json.dumps(variables, ensure_ascii=False)}
            return Letter("", fields, tuple(variables.values()))
        body = write_body(notice)
        media: dict[str, Any] = {"media_url": [shown]} if shown else {}
        return Letter(body, {"body": body, **media}, tuple(body.split("\n")))

    def _template(self, language: str) -> str:
        sid = self.config.template_sid
        return (sid.get("es" if language == "es" else "en", "") if isinstance(sid, Mapping) else sid) or ""

    def _is_open(self, number: str) -> bool:
        now = self.services.clock.now()
        if self.open_until.get(number, now) > now:
            return True
        for message in self.account.received(since=now - WINDOW, limit=1, number=number):
            if message.date_sent:
                self.open_until[number] = message.date_sent + WINDOW - MARGIN
        return self.open_until.get(number, now) > now

    def _variables(self, notice: Notice) -> dict[str, str]:
        if self.config.template_variables is None:
            return {"1": write_sms(notice, max_segments=MOST_OF_A_VARIABLE)}
        fields = {**notice.words.fields, "headline": notice.words.headline, "link": notice.link, "code": notice.code}
        words = Wording(notice.words.headline, (), fields)
        return {name: fill_template(text, words) or EMPTY for name, text in self.config.template_variables.items()}


def write_body(notice: Notice) -> str:
    """Headline in bold, one row a line, link, and how to answer; at most 1600 characters, rows going first."""
    rows = [f"{label}: {value}" if label else value for label, value in notice.words.rows]
    answer = translate("Reply ACK {code}", notice.language).format(code=notice.code) if notice.code else ""
    ends = [each for each in (notice.link, answer) if each]
    headline = f"*{notice.words.headline.replace('*', ' ').strip()[:300]}*"
    while len("\n".join([headline, *rows, *ends])) > MOST_CHARACTERS and rows:
        rows.pop()
    return "\n".join([headline, *rows, *ends])


@contextmanager
def build(config: WhatsappConfig, services: Services) -> Iterator[TwilioChannel]:
    """Read the secrets, so that a site without them does not start; nothing is sent. Raises ConfigError."""
    account = Account(config, PREFIX)
    composer = Composer(config, account, services)
    with closing(memory_of(account, services)) as memory:
        yield TwilioChannel("whatsapp", account, services, composer.compose, lambda text: text, memory)


SPEC = NotifierSpec(
    "whatsapp",
    WhatsappConfig,
    build,
    address=check_address,
    has_own=lambda config: bool(config.recipients),
    shows=lambda config: config.pictures,
)


@hookimpl
def tigrillo_notifiers() -> list[NotifierSpec[WhatsappConfig]]:
    """Name this channel."""
    return [SPEC]
