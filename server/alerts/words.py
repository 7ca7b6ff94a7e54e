"""A rule in words: label and value, in the order in which people ask."""

from collections.abc import Iterator

from edge.alerts.conditions import DEFAULT_MIN_SCORE, Condition
from edge.alerts.hours import WEEKDAY_NAMES
from edge.alerts.rules import Rule
from edge.i18n import mark
from edge.models.taxa import taxon_named

from ..speech import Speech

SUN = {"day": mark("day"), "night": mark("night"), "twilight": mark("twilight")}


def tell_rule(rule: Rule, speech: Speech) -> list[tuple[str, str]]:
    """(label, value) of all that a rule says."""
    say = speech.text
    rows = [
        (say(mark("What")), _what(rule, speech)),
        (say(mark("Where")), _where(rule, speech)),
        (say(mark("When")), _when(rule, speech)),
        (say(mark("How sure")), _how_sure(rule, speech)),
        *_past(rule, speech),
        (say(mark("Also")), _nested(rule, speech)),
        (say(mark("Tells")), ", ".join((*rule.to, *(f"@{each}" for each in rule.channels)))),
        *_escalation(rule, speech),
        (say(mark("Pause")), _pause(rule, speech)),
        (say(mark("People")), say(mark("shown to those who may see them")) if rule.shows_people else ""),
    ]
    if rule.max_age_min is not None:
        text = say(mark("not told as live when older than {minutes} min"))
        rows.append((say(mark("Late pictures")), text.format(minutes=speech.number(rule.max_age_min))))
    return [(label, value) for label, value in rows if value]


def named(taxon: str, speech: Speech) -> str:
    """A taxon as the rule has it, with its name in the reader's language."""
    known = taxon_named(taxon)
    if known is None or known.name(speech.language).casefold() == taxon.casefold():
        return taxon
    return f"{taxon} ({known.name(speech.language)})"


def _what(rule: Condition, speech: Speech) -> str:
    parts = [named(each, speech) for each in rule.taxon]
    parts += [speech.text(mark("group {name}")).format(name=each) for each in rule.group]
    parts += [speech.text(each) for each in rule.category]
    return ", ".join(parts)


def _where(rule: Condition, speech: Speech) -> str:
    parts = list(rule.stations) + [speech.text(mark("zone {name}")).format(name=each) for each in rule.zones]
    if rule.polygon:
        parts.append(speech.text(mark("within a polygon")))
    return ", ".join(parts) or speech.text(mark("all stations"))


def _when(rule: Condition, speech: Speech) -> str:
    parts = list(rule.hours) + [speech.text(SUN[each]) for each in rule.sun]
    parts += [speech.text(WEEKDAY_NAMES[each]) for each in rule.weekdays]
    return ", ".join(parts) or speech.text(mark("at any time"))


def _how_sure(rule: Condition, speech: Speech) -> str:
    score = speech.percent(DEFAULT_MIN_SCORE if rule.min_score is None else rule.min_score)
    text = speech.text(mark("{score} at least")).format(score=score)
    if rule.min_count is not None:
        count = speech.text(mark("{count} or more in the picture")).format(count=rule.min_count)
        text = f"{text}, {count}"
    return text


def _past(rule: Condition, speech: Speech) -> Iterator[tuple[str, str]]:
    if rule.first_in_days is not None:
        text = speech.text(mark("the first at its station in {days} days"))
        yield speech.text(mark("News")), text.format(days=speech.number(rule.first_in_days))
    if rule.seen_times is not None:
        text = speech.text(mark("seen {times} times within {days} days"))
        times, length = speech.number(rule.seen_times.times), speech.number(rule.seen_times.days)
        yield speech.text(mark("Again")), text.format(times=times, days=length)
    if rule.direction:
        ways = {
            "toward": mark("toward"),
            "away": mark("away"),
            "left": mark("to the left"),
            "right": mark("to the right"),
        }
        yield speech.text(mark("Direction")), ", ".join(speech.text(ways[each]) for each in rule.direction)


def _nested(rule: Condition, speech: Speech) -> str:
    count = len(list(rule.nested()))
    if not count:
        return ""
    return speech.text(mark("{count} more conditions, see the YAML")).format(count=count)


def _escalation(rule: Rule, speech: Speech) -> Iterator[tuple[str, str]]:
    for step in rule.escalate:
        label = speech.text(mark("After {minutes} min without ACK")).format(minutes=speech.number(step.after_min))
        yield label, ", ".join(step.to)


def _pause(rule: Rule, speech: Speech) -> str:
    if not rule.cooldown_min:
        return ""
    return speech.text(mark("{minutes} min for the same station and addressee")).format(
        minutes=speech.number(rule.cooldown_min)
    )
