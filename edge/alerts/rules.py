"""Rules: which detections are worth a message, how urgent it is, and who gets it."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ..i18n import _
from ..model import Severity
from .conditions import Condition

MAX_NAME = 80  # a rule's name stands in subjects and on telephones
A_WEEK_MIN = 7 * 24 * 60


def _printable(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > MAX_NAME:
        raise ValueError(
            _("{name!r}: one line of 1 to {most} printable characters").format(name=name[:MAX_NAME], most=MAX_NAME)
        )
    return name


class Escalation(BaseModel):
    """Who is told when nobody has answered ACK so many minutes after the frame was recorded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after_min: float = Field(gt=0, le=A_WEEK_MIN)
    to: tuple[str, ...] = Field(min_length=1)


class Rule(Condition):
    """When to tell whom: an entry of the site's `rules:`. What it asks for is a Condition.

    channels: names of the site's `channels:`, whose own addressees are told. to: recipients: `ana`, or `ana/sms` for
    one of her ways. cooldown_min: after a message of this rule about a station was sent, the same addressee gets no
    other for so long. escalate: one step or several. shows_people: people are not blurred for those who may see them.
    max_age_min: what came later than this after it was taken is not told as if it were live; the site's when left out.
    enabled: false lets the rule rest; it is checked all the same.
    """

    name: Annotated[str, AfterValidator(_printable)]
    severity: Severity = "warning"
    channels: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    cooldown_min: float = Field(default=0.0, ge=0, le=A_WEEK_MIN)
    escalate: tuple[Escalation, ...] = ()
    shows_people: bool = False
    max_age_min: float | None = Field(default=None, gt=0)
    enabled: bool = True

    @model_validator(mode="after")
    def _says_what_and_whom(self) -> "Rule":
        if not any(each.says_what for each in _all_in(self)):
            raise ValueError(_("a rule needs `taxon:` (such as Felidae), `group:` or `category:`"))
        if not self.channels and not self.to:
            raise ValueError(_("a rule needs `to:` (recipients) or `channels:`: whom is it to tell?"))
        return self

    @property
    def names(self) -> list[str]:
        """All it tells at once, as the site's Directory knows them; nobody twice."""
        return list(dict.fromkeys((*(f"@{each}" for each in self.channels), *self.to)))


def _all_in(condition: Condition) -> Iterator[Condition]:
    yield condition
    for _path, each in condition.nested():
        yield from _all_in(each)
