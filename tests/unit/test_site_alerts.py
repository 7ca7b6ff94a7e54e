"""A wrong `recipients:`, `rules:`, `groups:` or `zones:`: every fault in one run, with its place and what is right."""

from pathlib import Path

import pytest

from edge.config import plan_from, plan_with
from edge.errors import ConfigError
from edge.registry import load_registry

REGISTRY = load_registry()
HERE = Path("site.yaml")
TOP = """
sources: [{use: watch, folder: inbox}]
stages: [{use: detect}, {use: classify}, {use: rollup}]
channels:
  - {name: screen, use: console}
  - {name: mail, use: email, host: localhost, security: none, sender: traps@example.org}
  - name: sms
    use: sms
    account_sid: AC0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a
    auth_token: {env: TWILIO_TOKEN}
    sender: "+573000000001"
"""
GOOD = f"""{TOP}
groups: {{big: [felinos]}}
zones: {{river: [ridge]}}
recipients:
  - {{name: ana, reach: {{mail: ana@example.org, sms: "+573001234567"}}, digest_channel: sms}}
rules:
  - {{name: r1, group: big, zones: [river], to: [ana/sms], channels: [screen]}}
"""


def faults_of(text, path=HERE):
    with pytest.raises(ConfigError) as caught:
        plan_from(text, path, REGISTRY)
    return str(caught.value).splitlines()


def rest_of(section):
    """The faults of a site that ends in this, without the file's name; lines count from its first."""
    first = len(TOP.splitlines())
    found = []
    for line in faults_of(TOP + section):
        place, _, told = line.partition(" ")
        _file, row, column = place.split(":")
        found.append(f"{int(row) - first}:{column} {told}")
    return found


def test_a_good_one_is_good():
    plan = plan_from(GOOD, HERE, REGISTRY)

    assert plan.directory.find("ana").name == "ana/mail"
    assert plan.directory.find("ana").digest_to == "ana/sms"


RULE = "rules: [{name: r, category: animal, channels: [screen]}]\n"


@pytest.mark.parametrize(
    ("recipient", "fault"),
    [
        ("{name: ana}", "recipients[0].reach: is missing: add `reach: …`"),
        ("{name: ana, reach: {}}", "recipients[0].reach: is empty: name one at least"),
        (
            "{name: ana, reach: {pager: 7}}",
            "recipients[0].reach.pager: 7 is not text: put it in quotes",
        ),
        (
            "{name: ana, reach: {mial: ana@example.org}}",
            "recipients[0].reach.mial: no channel is called 'mial'; did you mean 'mail'?",
        ),
        (
            "{name: ana, reach: {pager: '7'}}",
            "recipients[0].reach.pager: no channel is called 'pager'; channels are: screen, mail, sms",
        ),
        (
            "{name: ana, reach: {screen: ana}}",
            "recipients[0].reach.screen: channel 'screen' takes no addresses: name it under a rule's `channels:`",
        ),
        (
            "{name: ana, reach: {mail: ana}}",
            "recipients[0].reach.mail: 'ana' is no mail address: write name@example.org or 'Name <name@example.org>'",
        ),
        (
            "{name: ana, reach: {sms: '3001234567'}}",
            "recipients[0].reach.sms: '3001234567' is no telephone number with its country: write it like",
        ),
        (
            "{name: ana, reach: {sms: '+573001234567'}, digest_channel: mail}",
            "recipients[0].digest_channel: 'mail' is none of the channels in `reach:` of ana",
        ),
        (
            "{name: ana, reach: {sms: '+573001234567'}, timezone: America/Bogta}",
            "recipients[0].timezone: 'America/Bogta' is no IANA time zone; did you mean 'America/Bogota'?",
        ),
        (
            "{name: ana, reach: {sms: '+573001234567'}, quiet: {hours: ['25:00-06:00']}}",
            "recipients[0].quiet.hours[0]: '25:00-06:00': a day's hours are 00:00 to 24:00",
        ),
        (
            "{name: ana, reach: {sms: '+573001234567'}, quiet: {hours: ['06:00-06:00']}}",
            "recipients[0].quiet.hours[0]: '06:00-06:00' begins and ends at once: write",
        ),
        (
            "{name: ana, reach: {sms: '+573001234567'}, quiet: {hours: []}}",
            "recipients[0].quiet.hours: is empty: name one at least",
        ),
        (
            "{name: ana, reach: {sms: '+573001234567'}, quiet: {hours: ['21:00-06:00'], override: loud}}",
            "recipients[0].quiet.override: 'loud' is not one of 'info', 'warning', 'critical' or 'never'",
        ),
        (
            "{name: ana, reach: {sms: '+573001234567'}, digest: '7:61'}",
            "recipients[0].digest: '7:61' is no time of day: write '07:00', in quotes",
        ),
        (
            "{name: ana/b, reach: {sms: '+573001234567'}}",
            "recipients[0].name: 'ana/b': letters, digits, '_', '-' and '.' only, at most 64",
        ),
        (
            "{name: ana, reach: {sms: '+573001234567'}, per_dya: 3}",
            "recipients[0].per_dya: nothing is called 'per_dya' here; did you mean 'per_day'?",
        ),
    ],
)
def test_what_is_wrong_with_a_recipient(recipient, fault):
    (line,) = rest_of(f"recipients:\n  - {recipient}\n{RULE}")

    place, _, told = line.partition(" ")
    assert place.startswith("2:")
    assert told.startswith(fault)


def test_two_of_one_name_are_one_too_many():
    two = "  - {name: ana, reach: {sms: '+573001234567'}}\n" * 2

    assert rest_of(f"recipients:\n{two}{RULE}") == ["3:6 recipients[1].name: 'ana' is there twice: rename one"]


def test_names_in_rules_that_nobody_has_are_told_where_they_stand():
    section = """recipients: [{name: ana, reach: {mail: ana@example.org}}]
rules:
  - {name: r1, category: animal, channels: [mail, scren]}
  - {name: r2, category: animal, to: [anna], escalate: [{after_min: 5, to: [ana/sms, zoe]}]}
  - name: r3
    channels: [screen]
    any:
      - group: felins
      - all:
          - taxon: [Felidae, Pantera]
          - zones: rivr
      - not: {not: {taxon: Pumma}}
groups: {spotted: [felinoss], a: [b], b: [a], none: []}
zones: {river: [ridge]}
"""

    expected = [
        "3:45 rules[0].channels[0]: channel 'mail' has no addressees of its own: give it some",
        "3:51 rules[0].channels[1]: no channel is called 'scren'; did you mean 'screen'?",
        "4:39 rules[1].to[0]: no recipient is called 'anna'; did you mean 'ana'?",
        "4:77 rules[1].escalate[0].to[0]: no recipient is called 'ana/sms'; did you mean 'ana/mail'?",
        "4:86 rules[1].escalate[0].to[1]: no recipient is called 'zoe'; there are: ana, ana/mail",
        "8:9 rules[2].any[0].group: no group is called 'felins'; did you mean 'felinos'?",
        "10:30 rules[2].any[1].all[0].taxon[1]: no model of this site knows a taxon 'Pantera'; did you mean 'Panthera'",
        "11:13 rules[2].any[1].all[1].zones: no zone is called 'rivr'; did you mean 'river'?",
        "12:21 rules[2].any[2].not.not.taxon: no model of this site knows a taxon 'Pumma'; did you mean 'puma'",
        "13:20 groups.spotted[0]: 'felinoss' is no taxon, category or group; did you mean 'felinos'?",
        "13:35 groups.a[0]: a group that contains itself: b → a → b",
        "13:43 groups.b[0]: a group that contains itself: a → b → a",
        "13:47 groups.none: a group needs a member at least",
    ]
    found = rest_of(section)
    assert [line[: len(begin)] for line, begin in zip(found, expected, strict=True)] == expected


def test_one_wrong_channel_hides_no_fault_of_the_others():
    text = (
        TOP.replace("security: none", "secureity: none")
        + """recipients:
  - {name: ana, reach: {mail: ana, sms: '300', mial: x}}
rules: [{name: r, category: animal, channels: [sms], to: [anna]}]
"""
    )

    found = [line.split(" ", 2)[1] for line in faults_of(text)]
    assert found == [
        "channels[1].secureity:", "recipients[0].reach.sms:", "recipients[0].reach.mial:", "rules[0].channels[0]:",
        "rules[0].to[0]:",
    ]  # fmt: skip


def test_a_fault_in_the_general_part_hides_none_of_the_alerts():
    section = """site: {timezone: Mars}
alerts: {page: 'ftp://x', digest: '25:00', gap_min: -1}
zones: {lake: {latitude: 1}}
recipients:
  - {name: ana, reach: {mail: ana}}
  - {name: beto, reach: {sms: '+573001234567'}, quiet: {hours: [noon]}}
rules: [{name: r, taxon: Felidea, to: [anna, beto/sms]}]
"""

    assert [line.split(" ", 1)[1].partition(":")[0] for line in rest_of(section)] == [
        "site.timezone", "alerts.page", "alerts.digest", "alerts.gap_min", "zones.lake", "recipients[0].reach.mail",
        "recipients[1].quiet.hours[0]", "rules[0].taxon", "rules[0].to[0]",
    ]  # fmt: skip


def test_faults_of_other_rules_are_placed_in_their_own_file(tmp_path):
    site, rules = tmp_path / "site.yaml", tmp_path / "RULES.yaml"
    site.write_text(GOOD, "utf-8")
    rules.write_text("# to be tried\nrules:\n  - {name: r, taxon: Felidea, to: [anna]}\n", "utf-8")

    with pytest.raises(ConfigError) as caught:
        plan_with(site, rules, REGISTRY)

    lines = str(caught.value).splitlines()
    assert [line.partition(" ")[0] for line in lines] == [f"{rules}:3:15", f"{rules}:3:36"]


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("", "1:1", "no rules in it"), ("- a\n", "1:1", "no rules in it"), ("ruels: []\n", "1:1", "'ruels'"),
        ("rules: [\n", "2:1", ""), ("rules:\n  - {name: r, taxon: Felidae, cooldown_min: 22:30, to: [ana]}\n", "3", ""),
    ],
)  # fmt: skip
def test_what_is_no_rules_file_is_one_line_that_names_it(tmp_path, text, place, told):
    site, rules = tmp_path / "site.yaml", tmp_path / "RULES.yaml"
    site.write_text(GOOD, "utf-8")
    rules.write_text(text, "utf-8")

    with pytest.raises(ConfigError) as caught:
        plan_with(site, rules, REGISTRY)

    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{rules}:")
    assert told in line


def test_a_fault_is_told_in_spanish(monkeypatch):
    monkeypatch.setenv("TIGRILLO_LANG", "es")
    (line,) = rest_of(f"recipients: [{{name: ana, reach: {{}}}}]\n{RULE}")

    assert line == "1:26 recipients[0].reach: está vacío: nombre al menos uno"
