"""Cursors: what was made comes back, what was made up is refused."""

import stat
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from server.api import keys
from server.api.cursor import decode, encode
from tests.web_rig import WebRig


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    with WebRig(tmp_path_factory.mktemp("site")) as rig:
        yield rig.web


def test_a_key_comes_back_with_its_types(web):
    key = [datetime(2026, 3, 10, 15, 0, 0, 123456, tzinfo=UTC), 7, "ñ \0'", 0.5, True, None]

    assert decode(web, "sequences", encode(web, "sequences", key)) == key


def test_the_cursor_of_one_list_is_none_of_another(web):
    with pytest.raises(HTTPException) as refused:
        decode(web, "alerts", encode(web, "sequences", [1]))
    assert refused.value.status_code == 400


@given(st.text(max_size=80))
def test_what_is_made_up_is_refused(web, text):
    with pytest.raises(HTTPException):
        decode(web, "sequences", text)


def test_every_changed_character_is_refused(web):
    cursor = encode(web, "sequences", [1, 2])

    for at in range(len(cursor)):
        other = "A" if cursor[at] != "A" else "Q"
        changed = cursor[:at] + other + cursor[at + 1 :]
        with pytest.raises(HTTPException):
            decode(web, "sequences", changed)


def test_the_key_is_for_our_eyes_only_and_stays(web):
    encode(web, "sequences", [1])
    file = web.own_dir / "key"
    before = file.read_bytes()

    keys._key.cache_clear()
    assert decode(web, "sequences", encode(web, "sequences", [1])) == [1]
    assert file.read_bytes() == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in web.own_dir.iterdir()] == ["key"]
