"""Notifier `modem`: an alert as a text message through a stick of our own, where there is no internet."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from edge.api import ConfigError, Notice, NotifierSpec, Services, _, hookimpl

from .gsm7 import cut, to_gsm7
from .modem_channel import ModemChannel
from .modem_gammu import Gammu
from .modem_mmcli import Mmcli
from .modem_stick import Stick, find_tool
from .sms_memory import Memory
from .sms_text import MAX_SEGMENTS, MOST_SEGMENTS, PhoneNumber, SmsTemplate, check_budget, check_number, write_sms

PATH_PREFIX = "/org/freedesktop/ModemManager1/Modem/"


def _modem(text: str) -> str:
    number = text.removeprefix(PATH_PREFIX)
    if text != "any" and not (number.isascii() and number.isdigit() and len(number) < 6):
        raise ValueError(
            _("{text!r} is no modem: write any, a number, or a path, as `mmcli -L` shows them").format(text=text[:80])
        )
    return text


class ModemConfig(BaseModel):
    """Which stick, through which program, and how an SMS is worded; docs/alerts.md says what each key means."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    by: Literal["mmcli", "gammu"]
    modem: Annotated[str, AfterValidator(_modem)] = "any"
    config: Path | None = None
    recipients: tuple[PhoneNumber, ...] = ()
    language: Literal["en", "es"] | None = None
    template: SmsTemplate | None = None
    max_segments: int = Field(default=MAX_SEGMENTS, ge=1, le=MOST_SEGMENTS)
    answers: float = Field(default=30.0, ge=0, le=3600)
    reports: bool = True
    timeout_s: float = Field(default=60.0, ge=2, le=300)

    @model_validator(mode="after")
    def _fits(self) -> "ModemConfig":
        if self.by == "gammu" and self.config is None:
            raise ValueError(_("`by: gammu` needs `config`, gammu's own file with `device` and `connection`"))
        if self.by == "gammu" and self.modem != "any":
            raise ValueError(_("`modem` is for `by: mmcli`; for gammu it stands in its file, as `device`"))
        if self.by == "mmcli" and self.config is not None:
            raise ValueError(_("`config` is for `by: gammu`"))
        check_budget(self.template, max_segments=self.max_segments)
        return self


def _stick(config: ModemConfig) -> Stick:
    tool = find_tool(config.by, shutil.which(config.by), config.timeout_s)
    if config.config is None:
        return Mmcli(tool, config.modem, config.reports)
    if not config.config.is_file():
        raise ConfigError(_("modem: {path} is not there: gammu-config makes such a file").format(path=config.config))
    return Gammu(tool, config.config.absolute(), config.reports)


@contextmanager
def build(config: ModemConfig, services: Services) -> Iterator[ModemChannel]:
    """Find the program, so that a site without it does not start; the modem may come later. Raises ConfigError."""

    def compose(notice: Notice) -> str:
        return write_sms(notice, template=config.template, max_segments=config.max_segments)

    def write(text: str) -> str:
        return cut(to_gsm7(text), max_segments=config.max_segments)

    stick = _stick(config)
    name = "gammu" if config.config else f"mmcli-{config.modem.removeprefix(PATH_PREFIX)}"
    with closing(Memory(services.state_dir / "modem" / f"{name}.sqlite", services)) as memory:
        yield ModemChannel(stick, services, config.recipients, compose, write, memory, config.answers, config.reports)


SPEC = NotifierSpec(
    "modem", ModemConfig, build, address=check_number, picture=None, has_own=lambda config: bool(config.recipients)
)


@hookimpl
def tigrillo_notifiers() -> list[NotifierSpec[ModemConfig]]:
    """Name this channel."""
    return [SPEC]
