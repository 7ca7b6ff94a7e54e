"""Signed links: who was sent one gets in, for a while; nobody else does, and no letter of it can be changed."""

import stat
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import FatalError
from edge.links import LinkRefused, Signer, frame_of, frame_path, in_base36, open_signer, rotate_key

NOW = datetime(2026, 3, 4, 5, 6, 30, tzinfo=UTC)
WEEK = timedelta(days=7)
BASE = "https://traps.example.org"
SIGNER = Signer(bytes(range(32)), BASE)
paths = st.from_regex(r"(/[A-Za-z0-9_.~-]{1,8}){1,3}", fullmatch=True)
letters = "ABCXYZabcxyz0189-_/.~% \n\0é"


def refusal(signer: Signer, url_path: str, query: str = "", now: datetime = NOW) -> str:
    with pytest.raises(LinkRefused) as refused:
        signer.check(url_path, query, now)
    return refused.value.why


def made(path: str, signer: Signer = SIGNER, life: timedelta = WEEK) -> str:
    return urlsplit(signer.link(path, expires_at=NOW + life)).path


@given(paths, st.integers(0, 10**12))
def test_a_link_opens_the_path_it_was_made_for_and_a_frame_is_found_again(path, pk):
    assert SIGNER.check(made(path), "", NOW) == path
    assert frame_of(SIGNER.check(made(frame_path(pk + 1)), "", NOW)) == pk + 1
    assert int(in_base36(pk), 36) == pk


def test_a_link_leaves_room_in_an_sms_and_ends_in_a_letter_or_digit():
    link = SIGNER.link(frame_path(47_873), expires_at=NOW + WEEK)

    assert link.startswith(f"{BASE}/v/10xt-")
    assert len(link) - len(BASE) <= 31
    assert link[-1].isalnum()


@given(paths, st.data())
def test_no_letter_of_a_link_can_be_another_one_left_out_or_added(path, data):
    link = made(path)
    at = data.draw(st.integers(0, len(link) - 1))
    letter = data.draw(st.sampled_from(letters).filter(lambda each: each != link[at]))

    for forged in (link[:at] + letter + link[at + 1 :], link[:at] + link[at + 1 :], link[:at] + letter + link[at:]):
        if forged != link:
            assert refusal(SIGNER, forged) == "forged"


def test_each_bit_of_the_signature_counts():
    link = made("/v/1a2b")
    head, mac, end = link[: len("/v/1a2b")], link[len("/v/1a2b-") :][:16], link.rpartition("-")[2]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    for at in range(len(mac)):
        for letter in alphabet.replace(mac[at], ""):
            assert refusal(SIGNER, f"{head}-{mac[:at]}{letter}{mac[at + 1 :]}-{end}") == "forged"


def test_a_link_is_good_until_its_end_which_is_rounded_up():
    link = made("/v/1", life=timedelta(minutes=10))  # NOW is half past a minute

    assert SIGNER.check(link, "", NOW + timedelta(minutes=10, seconds=29)) == "/v/1"
    assert refusal(SIGNER, link, now=NOW + timedelta(minutes=10, seconds=30)) == "expired"


def test_a_later_end_is_a_forgery_and_so_is_the_signature_of_another_path():
    path, mac, end = "/v/1", made("/v/1")[len("/v/1-") :][:16], made("/v/1").rpartition("-")[2]

    assert refusal(SIGNER, f"{path}-{mac}-{in_base36(int(end, 36) + 1)}") == "forged"
    assert refusal(SIGNER, f"/v/2-{mac}-{end}") == "forged"
    assert refusal(SIGNER, f"{path}-{mac}-0{end}") == "forged"
    # an old link that is not ours is forged, not expired
    assert refusal(SIGNER, f"{path}-{mac}-1") == "forged"


def test_what_is_not_signed_is_refused():
    assert refusal(SIGNER, made("/v/1"), query="as=admin") == "forged"
    for nothing in ("", "/", "/v/1", "/v/1--", "/v/1-AAAAAAAAAAAAAAAA-", "/v/1-ñAAAAAAAAAAAAAAA-1", "/" * 5000):
        assert refusal(SIGNER, nothing) == "forged"


def test_another_key_is_refused_and_a_previous_one_is_taken():
    old, new = bytes(32), bytes(range(32))
    link = made("/v/1", Signer(old, BASE))

    assert refusal(Signer(new, BASE), link) == "forged"
    assert Signer(new, BASE, (old,)).check(link, "", NOW) == "/v/1"


@pytest.mark.parametrize("path", ["v/1", "/v//1", "/v/1?x=1", "/v/ñ", "/v/a b", "/v/%2e", "/v/1\n", ""])
def test_a_path_that_a_program_may_rewrite_gets_no_link(path):
    with pytest.raises(ValueError, match="path must"):
        SIGNER.link(path, expires_at=NOW)


@pytest.mark.parametrize("base_url", ["traps.example.org", "ftp://x", "https://", "https://x/?a=1", "https://x/#y"])
def test_a_base_that_is_no_web_address_is_refused(base_url):
    with pytest.raises(ValueError, match="base_url"):
        Signer(bytes(32), base_url)


def test_a_page_below_a_path_of_its_host_is_linked_there():
    link = Signer(bytes(32), "https://example.org/traps/").link("/v/1", expires_at=NOW + WEEK)

    assert link.startswith("https://example.org/traps/v/1-")
    assert Signer(bytes(32), BASE).check(link.removeprefix("https://example.org/traps"), "", NOW) == "/v/1"


@pytest.mark.parametrize("path", ["/v/", "/v/0", "/v/01", "/v/A", "/w/1", "/v/1/2", "/v/" + "z" * 14])
def test_a_path_that_is_no_frames_is_refused(path):
    with pytest.raises(LinkRefused):
        frame_of(path)


def test_the_key_is_in_no_representation():
    assert "00" not in repr(Signer(bytes(32), BASE, (bytes(32),)))
    with pytest.raises(ValueError, match="32 bytes"):
        Signer(b"short", BASE)


def test_the_key_is_made_once_and_is_the_owners_alone(tmp_path):
    state = tmp_path / "state"
    link = made("/v/1", open_signer(state, BASE))

    assert open_signer(state, BASE).check(link, "", NOW) == "/v/1"
    assert stat.S_IMODE((state / "link-key").stat().st_mode) == 0o600
    assert [each.name for each in state.iterdir()] == ["link-key"]


def key_of(state: Path) -> bytes:
    return open_signer(state, BASE).key


def test_of_many_that_start_at_once_all_have_the_same_key(tmp_path):
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        for turn in range(10):
            keys = list(pool.map(key_of, [tmp_path / str(turn)] * 8))

            assert len(set(keys)) == 1
            assert [each.name for each in (tmp_path / str(turn)).iterdir()] == ["link-key"]


def test_after_a_rotation_links_of_the_last_key_are_taken_and_older_ones_are_not(tmp_path):
    first = made("/v/1", open_signer(tmp_path, BASE))
    rotate_key(tmp_path)
    second = made("/v/2", open_signer(tmp_path, BASE))

    assert open_signer(tmp_path, BASE).check(first, "", NOW) == "/v/1"
    rotate_key(tmp_path)

    assert open_signer(tmp_path, BASE).check(second, "", NOW) == "/v/2"
    assert refusal(open_signer(tmp_path, BASE), first) == "forged"
    assert stat.S_IMODE((tmp_path / "link-key.previous").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["link-key", "link-key.previous"])
def test_a_damaged_key_is_named_and_never_replaced(tmp_path, name):
    open_signer(tmp_path, BASE)
    (tmp_path / name).write_bytes(b"cut short")

    with pytest.raises(FatalError, match=name):
        open_signer(tmp_path, BASE)

    assert (tmp_path / name).read_bytes() == b"cut short"


def test_a_folder_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "state").write_text("a file")

    with pytest.raises(FatalError, match="the key of links can't be read or made"):
        open_signer(tmp_path / "state", BASE)
