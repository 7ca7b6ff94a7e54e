"""What an SMS says and costs: alphabet, segments, templates, cutting, telephone numbers."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.notices import Wording
from edge.testing import notice
from plugins.notifiers.gsm7 import BASIC, EXTENSION, clip, cut, measure, to_gsm7
from plugins.notifiers.sms_text import LONGEST, check_budget, check_number, write_sms

LINK = "https://trampas.example.org/a/" + "x" * 40
KINDS = ("alert", "update", "digest", "health", "answer", "test")


def told(**overrides):
    """A notice whose fields are as given."""
    base = notice(language=overrides.pop("language", "en"))
    fields = {**base.words.fields, **overrides.pop("fields", {})}
    return replace(base, words=replace(base.words, fields=fields), **overrides)


# ── what a text takes ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"),
    [
        ("", "GSM-7", 0, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("ñüé¿¡ÑÜÉ", "GSM-7", 8, 1),
        ("á" * 70, "UCS-2", 70, 1),
        ("á" * 71, "UCS-2", 71, 2),
        ("á" * 134, "UCS-2", 134, 2),
        ("á" * 135, "UCS-2", 135, 3),
        ("🐆" * 35, "UCS-2", 70, 1),
        ("🐆" * 36, "UCS-2", 72, 2),
    ],
)
def test_segments_are_those_of_the_standard(text, encoding, units, segments):
    size = measure(text)

    assert (size.encoding, size.units, size.segments) == (encoding, units, segments)


def test_a_character_of_two_units_is_not_split_between_segments():
    """152 letters and a euro sign: its second half would be the 154th septet, so it goes to the next segment whole."""
    assert measure("a" * 152 + "€" + "a" * 152).segments == 3  # 306 septets, which would be two
    assert measure("á" * 66 + "🐆" + "á" * 66).segments == 3  # 134 units


def test_the_alphabet_has_128_codes_and_an_extension():
    assert len(set(BASIC)) == len(BASIC) == 128
    assert (BASIC.index("@"), BASIC.index("A"), BASIC.index("ñ"), BASIC.index("¿")) == (0x00, 0x41, 0x7D, 0x60)
    assert not set(BASIC) & set(EXTENSION)


@given(st.text(alphabet=BASIC.replace("\x1b", "") + EXTENSION, max_size=700))
@example("a" * 152 + "€")
def test_gsm_segments_hold_what_they_can_and_no_more(text):
    size = measure(text)

    assert size.encoding == "GSM-7"
    assert size.units == sum(2 if each in EXTENSION else 1 for each in text)
    if size.units <= 160:
        assert size.segments == 1
    else:
        # each segment but the last may lose one septet before a character of two
        assert size.units <= size.segments * 153
        assert size.units > (size.segments - 1) * 152


@given(st.text(max_size=300))
def test_other_texts_go_by_utf_16_units(text):
    size = measure(text + "я")

    units = len((text + "я").encode("utf-16-le", "surrogatepass")) // 2
    assert size.encoding == "UCS-2"
    assert size.units == units
    assert size.segments == 1 if units <= 70 else -(-units // 67) <= size.segments <= -(-units // 66)


# ── letters ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("yaguareté", "yaguareté"),
        ("¿Murciélago ñato, pingüino? ¡Sí!", "¿Murciélago ñato, pingüino? ¡Si!"),
        ("Cámara Río Ñandú – «Él»", 'Camara Rio Ñandu - "Él"'),
        ("ÁÍÓÚ áíóú", "AIOU aiou"),
        ("São João, ça va", "Sao Joao, ca va"),
        ("cam-03 · 02:14 …", "cam-03 - 02:14 ..."),
        ("93\u00a0%", "93 %"),
        ("e\u0301", "é"),
        ("🐆 Jaguar", "Jaguar"),
        ("4°35′", "4 35'"),
        ("Łódź", "Lodz"),
    ],
)
def test_spanish_stays_readable_in_the_alphabet(text, sent):
    assert to_gsm7(text) == sent
    assert measure(sent).encoding == "GSM-7"


def test_a_name_in_another_script_is_not_turned_into_question_marks():
    assert to_gsm7("Тигр, cámara 3") == "Тигр, cámara 3"


@given(st.text(max_size=200))
def test_letters_are_turned_once_and_for_all(text):
    once = to_gsm7(text)

    assert to_gsm7(once) == once


# ── cutting ───────────────────────────────────────────────────────────────────────────────────────────────────────────

WORDS = st.lists(st.text(alphabet="abcé€ñ", min_size=1, max_size=40), max_size=80)


@given(WORDS, st.integers(0, 80), st.integers(1, 3))
def test_a_cut_text_fits_and_keeps_link_and_code(words, place, most):
    words.insert(min(place, len(words)), LINK)
    words.insert(min(place // 2, len(words)), "7F2K.")

    shown = cut(" ".join(words), max_segments=most, keep=(LINK, "7F2K"))

    assert measure(shown).segments <= most
    assert LINK in shown.split()
    assert "7F2K." in shown.split()


def test_the_dots_of_a_cut_never_touch_a_link():
    shown = cut(" ".join(("x", LINK, "b" * 100, "c" * 100)), max_segments=1, keep=(LINK,))

    assert shown.split() == ["x", LINK, "..."]


def test_a_cut_falls_between_words_and_says_so():
    text = " ".join(f"palabra{number}" for number in range(40))

    shown = cut(text, max_segments=1)

    assert text.startswith(shown.removesuffix("..."))
    assert text[len(shown.removesuffix("..."))] == " "
    assert len(shown) > 145


def test_one_endless_word_is_cut_within():
    assert cut("x" * 500, max_segments=1) == "x" * 157 + "..."


def test_names_are_clipped_behind_a_word_where_one_ends_late():
    assert clip("quebrada honda norte", 18) == "quebrada honda..."
    assert clip("quebrada-honda-norte", 14) == "quebrada-ho..."
    assert clip("corta", 14) == "corta"


# ── the message ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_alert_is_one_segment_in_both_languages():
    english, spanish = write_sms(notice()), write_sms(notice(language="es"))

    assert english == "Jaguar (93%), cam-03, 12:00. Reply ACK 7F2K"
    assert spanish == "Yaguareté (93 %), cam-03, 12:00. Responda ACK 7F2K"


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("severity", ["info", "warning", "critical"])
def test_our_own_words_take_one_segment_with_the_longest_names(language, kind, severity):
    rows = (("Battery", "12.4 V"), ("", "7 stations were heard today"), ("Stations that are silent", "a" * 300))
    words = Wording("All is well at the stations of Quebrada Honda", rows)
    if kind in {"alert", "update"}:
        words = Wording(LONGEST["headline"], rows, LONGEST)
    asked = notice(language=language, kind=kind, severity=severity, words=words)

    text = write_sms(asked, max_segments=1)

    assert len(text) <= 160
    assert measure(text).segments == 1
    assert "7F2K" in text


def test_with_a_link_an_alert_takes_two_segments_and_keeps_all():
    text = write_sms(told(link=LINK, fields={"station": "quebrada-honda-norte-03"}))

    assert measure(text).segments == 1
    assert LINK in text.split()
    assert "quebrada-honda-norte-03" in text


def test_an_alert_of_another_day_tells_the_day():
    old = told(fields={"date": "2026-05-30"})
    old = replace(old, words=replace(old.words, headline="Jaguar · cam-03 · 2026-05-30 12:00"))

    assert "2026-05-30 12:00" in write_sms(old)
    assert "2026" not in write_sms(told())


def test_an_unknown_time_leaves_no_hole():
    assert write_sms(told(fields={"time": "", "date": ""}, code="")) == "Jaguar (93%), cam-03."


def test_several_animals_updates_and_critical_ones_are_told():
    text = write_sms(told(kind="update", severity="critical", fields={"count": "3"}, language="es"))

    assert text.startswith("URGENTE: Novedad: Yaguareté x3 (93 %)")


def test_what_has_no_animal_is_headline_and_rows():
    words = Wording("All is well", (("Battery", "12.4 V"), ("", "7 stations")))
    text = write_sms(notice(kind="health", words=words, alert=None, code="", severity="info"))

    assert text == "All is well: Battery: 12.4 V; 7 stations"


def test_what_the_headline_says_is_not_said_again():
    words = Wording("Server: the disk is full", (("Server", "the disk is full"), ("cam-03", "silent")))
    text = write_sms(notice(kind="health", words=words, alert=None, code="", severity="info"))

    assert text == "Server: the disk is full: cam-03: silent"


def test_rows_that_do_not_fit_are_counted():
    words = Wording("Digest", tuple((f"cam-{number:02}", "Jaguar 02:14") for number in range(30)))

    text = write_sms(notice(kind="digest", words=words, alert=None, code="", link=LINK), max_segments=2)

    shown = text.count("Jaguar")
    assert 5 < shown < 30
    assert f"and {30 - shown} more" in text
    assert text.endswith(LINK)
    assert measure(text).segments <= 2


def test_a_digest_of_one_endless_headline_keeps_its_link():
    words = Wording("x" * 900, ())

    text = write_sms(notice(kind="digest", words=words, link=LINK), max_segments=1)

    assert LINK in text
    assert measure(text).segments == 1


def test_control_characters_of_a_name_do_not_reach_the_message():
    text = write_sms(told(fields={"station": "cam\r\nTo: +1\x00\x1b[31m"}))

    assert text.isprintable()
    assert "\n" not in text


FIELD = st.text(max_size=120)


@given(FIELD, FIELD, FIELD, st.integers(1, 4))
def test_any_names_fit_the_budget(what, station, rule, most):
    asked = told(link=LINK, fields={"what": what, "station": station, "rule": rule})

    text = write_sms(asked, template="{what} {station} {rule} {link} ACK {code}", max_segments=most)

    if measure(text).encoding == "GSM-7":
        assert measure(text).segments <= most
    assert LINK in text
    assert "7F2K" in text


# ── a site's template ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_template_is_taken_in_its_language_and_our_words_in_others():
    template = {"es": "{what} en {station}, {time}. {code}"}

    assert write_sms(notice(language="es"), template=template) == "Yaguareté en cam-03, 12:00. 7F2K"
    assert write_sms(notice(), template=template) == write_sms(notice())


def test_a_template_that_goes_over_the_budget_is_refused_with_both_numbers():
    template = "{headline} " * 4 + "{link}"

    with pytest.raises(ValueError, match=r"takes 3 SMS of GSM-7 .* `max_segments` is 2"):
        check_budget(template, max_segments=2)

    check_budget(template, max_segments=3)


def test_a_template_in_another_script_counts_as_such():
    with pytest.raises(ValueError, match="UCS-2"):
        check_budget({"en": "Тигр {headline} {station} {link}"}, max_segments=2)


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["+57 300 1234567", "+57-300-123.45.67", "+57 (300) 1234567", "+57\u00a03001234567"])
def test_numbers_are_tidied(text):
    assert check_number(text) == "+573001234567"


@pytest.mark.parametrize(
    "text",
    ["", "300 1234567", "0057 300 1234567", "+57", "+0573001234567", "+1234567890123456", "+57 (0)300 123456",
     "+57300abc4567", "+٥٧٣٠٠١٢٣٤٥٦٧", "ana@example.org", "+573001234567; DROP"],
)  # fmt: skip
def test_what_is_no_number_with_its_country_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"\+573001234567"):
        check_number(text)
