"""What the agent takes for the time: with and without a clock, before and after the server has told."""

from datetime import UTC, datetime, timedelta

import pytest

from raspberry_pi.agent_clock import AgentClock, is_synchronised

NOW = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)


class Pi:
    """A clock that can be set, and one that only runs. slow: parts per million that the second is slow."""

    def __init__(self, at: datetime = NOW, *, ntp: bool = False, newest: datetime | None = None) -> None:
        self.at, self.mono_s, self.ntp = at, 50.0, ntp
        self.clock = AgentClock(
            newest=newest, now=lambda: self.at, monotonic_s=lambda: self.mono_s, synchronised=lambda: self.ntp
        )

    def step(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.mono_s += seconds


@pytest.mark.parametrize(
    ("at", "ntp", "newest", "state"),
    [
        (NOW, False, None, "guessed"),
        (NOW, True, None, "ok"),
        (NOW.replace(year=1970), False, None, "unknown"),
        (NOW.replace(year=2024), True, None, "unknown"),
        (NOW, False, NOW + timedelta(hours=1), "unknown"),
        (NOW, True, NOW + timedelta(hours=1), "unknown"),
        (NOW, False, NOW + timedelta(seconds=30), "guessed"),
        (NOW, False, NOW - timedelta(days=300), "guessed"),
    ],
)
def test_before_the_server_has_told(at, ntp, newest, state):
    assert Pi(at, ntp=ntp, newest=newest).clock.state == state


@pytest.mark.parametrize(
    ("ahead_s", "state"), [(0, "ok"), (4, "ok"), (-4, "ok"), (3600, "guessed"), (-3600, "guessed")]
)
def test_the_server_is_believed_more_than_the_network(ahead_s, state):
    pi = Pi(ntp=True)
    pi.clock.tell(pi.at + timedelta(seconds=ahead_s), asked_at_s=pi.mono_s)

    assert pi.clock.state == state
    assert pi.clock.offset_s == pytest.approx(ahead_s)


def test_a_clock_behind_the_newest_frame_is_right_when_the_server_agrees():
    pi = Pi(newest=NOW.replace(year=2037))
    assert pi.clock.state == "unknown"
    assert pi.clock.best_now() is None

    pi.clock.tell(pi.at, asked_at_s=pi.mono_s)

    assert pi.clock.state == "ok"
    assert pi.clock.best_now() == NOW


def test_a_jump_after_the_server_has_told_is_noticed():
    pi = Pi()
    pi.clock.tell(pi.at, asked_at_s=pi.mono_s)
    pi.step(3_600)
    assert pi.clock.state == "ok"

    pi.at += timedelta(days=365)

    assert pi.clock.state == "guessed"
    assert pi.clock.best_now() == NOW + timedelta(hours=1)


def test_half_the_way_to_the_server_and_back_is_taken_into_account():
    pi = Pi()
    asked_at_s = pi.mono_s
    pi.step(4.0)

    pi.clock.tell(NOW + timedelta(seconds=2), asked_at_s=asked_at_s)

    assert pi.clock.offset_s == pytest.approx(0.0)


def test_earlier_times_are_corrected_once_the_server_has_told_and_only_where_needed():
    pi = Pi(NOW.replace(year=1970))
    taken_s = pi.mono_s
    assert pi.clock.corrected(clock="unknown", monotonic_s=taken_s) is None
    pi.step(600)
    pi.clock.tell(NOW, asked_at_s=pi.mono_s)

    assert pi.clock.corrected(clock="unknown", monotonic_s=taken_s) == NOW - timedelta(minutes=10)
    assert pi.clock.corrected(clock="guessed", monotonic_s=taken_s) == NOW - timedelta(minutes=10)
    assert pi.clock.corrected(clock="ok", monotonic_s=taken_s) is None


def test_drift_is_measured_against_the_server():
    pi = Pi()
    pi.clock.tell(NOW, asked_at_s=pi.mono_s)
    pi.step(60)
    pi.clock.tell(NOW + timedelta(seconds=60.1), asked_at_s=pi.mono_s)
    assert pi.clock.drift_ppm is None, "a minute is too short"
    pi.step(9_940)
    pi.clock.tell(NOW + timedelta(seconds=10_000.5), asked_at_s=pi.mono_s)

    assert pi.clock.drift_ppm == pytest.approx(-50.0, abs=0.1)
    assert pi.clock.offset_s == pytest.approx(0.5)


def test_the_system_can_be_asked():
    assert is_synchronised() in (True, False)
