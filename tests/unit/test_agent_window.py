"""What is sent, how much at once, and when it is sent again; time is stepped, nothing sleeps."""

import pytest

from raspberry_pi.window import BYTES, FRAMES, Window


def test_at_most_eight_frames_are_under_way():
    window = Window()
    for number in range(FRAMES):
        assert window.has_room(1_000)
        window.sent(f"a-{number}", size=1_000)

    assert not window.has_room(1_000)
    window.acked("a-3", now_s=0.0)
    assert window.has_room(1_000)


def test_a_frame_larger_than_the_window_goes_alone():
    window = Window()

    assert window.has_room(10 * BYTES)
    window.sent("large", size=10 * BYTES)

    assert not window.has_room(1)


def test_the_wait_starts_when_the_broker_has_the_frame():
    window = Window()
    window.sent("a", size=1)

    assert window.overdue(now_s=1_000.0) is None
    assert window.wait_s(now_s=1_000.0) is None
    window.taken("a", now_s=1_000.0)
    assert window.wait_s(now_s=1_000.5) == pytest.approx(1.5)
    assert window.overdue(now_s=1_001.9) is None
    assert window.overdue(now_s=1_002.0) == "a"


def test_a_copy_waits_twice_as_long_and_half_a_minute_at_most():
    window, now_s, waits = Window(), 0.0, []
    for _ in range(40):
        window.sent("a", size=1)
        window.taken("a", now_s=now_s)
        waits.append(window.wait_s(now_s=now_s))
        now_s += waits[-1]
        assert window.overdue(now_s=now_s) == "a"

    assert waits[:5] == [2.0, 4.0, 8.0, 16.0, 30.0]
    assert set(waits[5:]) == {30.0}


def test_a_slow_server_is_waited_for_and_a_fast_one_trusted_again():
    window = Window()

    def wait_after(delay_s: float, times: int) -> float:
        for _ in range(times):
            window.sent("a", size=1)
            window.taken("a", now_s=0.0)
            window.acked("a", now_s=delay_s)
        window.sent("b", size=1)
        window.taken("b", now_s=0.0)
        wait_s = window.wait_s(now_s=0.0)
        window.forget("b")
        return wait_s

    assert wait_after(3.0, 20) == pytest.approx(9.0, abs=0.2)
    assert wait_after(0.01, 20) == 2.0
    assert wait_after(600.0, 1) < 10.0


def test_what_is_acked_or_forgotten_is_not_sent_again():
    window = Window()
    for frame_id in ("a", "b"):
        window.sent(frame_id, size=1)
        window.taken(frame_id, now_s=0.0)

    window.acked("a", now_s=0.1)
    window.forget("b")
    window.taken("b", now_s=0.2)
    window.acked("stranger", now_s=0.2)

    assert window.overdue(now_s=1e9) is None
    assert list(window.ids) == []
