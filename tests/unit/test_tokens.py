"""The token that a person types on a Pi."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.tokens import Token, TokenError, make_token, read_token

HOSTS = st.one_of(st.ip_addresses(v=4).map(str), st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,60}[a-z0-9])?", fullmatch=True))
TOKENS = st.builds(
    Token, HOSTS, st.integers(1, 65_535), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10)
)


@given(TOKENS)
def test_what_is_printed_is_read_back(token):
    assert read_token(token.text) == token


def test_a_token_for_an_address_is_twelve_groups():
    text = make_token("192.168.100.200", 8884, bytes(32)).text

    assert re.fullmatch(r"([A-Z2-7]{4}-){11}[A-Z2-7]{1,4}", text)


def test_case_spaces_and_letters_that_look_alike_do_not_matter():
    token = Token("10.0.0.1", 8884, b"0123456789", b"9876543210")

    typed = token.text.lower().replace("-", "  ").replace("o", "0").replace("i", "1").replace("b", "8")

    assert read_token(typed) == token


@given(TOKENS, st.data())
def test_a_wrong_letter_is_found(token, data):
    letters = list(token.text)
    at = data.draw(st.sampled_from([index for index, letter in enumerate(letters[:-1]) if letter != "-"]))
    letters[at] = data.draw(
        st.sampled_from([letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" if letter != letters[at]])
    )

    try:
        read = read_token("".join(letters))
    except TokenError:
        return
    assert read != token  # 16 bits of check let one in 65,536 through; the server does not know it


@pytest.mark.parametrize("text", ["", "ABCD", "ñandú", "A" * 500, "=", "1" * 47])
def test_what_is_no_token_is_refused(text):
    with pytest.raises(TokenError):
        read_token(text)


def test_a_token_trusts_its_own_authority_alone():
    token = make_token("a", 1, hashlib.sha256(b"certificate").digest())

    assert token.trusts(b"certificate")
    assert not token.trusts(b"another")


@pytest.mark.parametrize("host", ["", "x" * 64, "cámara.example"])
def test_a_host_that_does_not_fit_is_refused(host):
    with pytest.raises(TokenError, match="host"):
        make_token(host, 1, bytes(32))
