"""When and how much is sent: shares, hours, the day's budget, the order of what waits. Time is stepped."""

import errno
from datetime import UTC, datetime, timedelta

import pytest

from raspberry_pi import schedule
from raspberry_pi.queues import Queues, Waiting, victims
from raspberry_pi.schedule import Budget, Hours, Shares

DAY = datetime(2026, 5, 1, tzinfo=UTC)


def test_three_quarters_of_the_bytes_go_to_fresh_frames_while_both_wait():
    shares, sent = Shares(0.75), {True: 0, False: 0}
    for _ in range(400):
        fresh = shares.fresh_is_next(fresh_waits=True, rest_waits=True)
        size = 200 if fresh else 1_000  # the backlog's frames are larger
        shares.sent(size, fresh=fresh)
        sent[fresh] += size

    assert sent[True] / sum(sent.values()) == pytest.approx(0.75, abs=0.02)


def test_who_is_alone_gets_everything_and_saves_nothing_up():
    shares = Shares(0.75)
    for _ in range(100):
        assert not shares.fresh_is_next(fresh_waits=False, rest_waits=True)
        shares.sent(1_000, fresh=False)

    assert shares.fresh_is_next(fresh_waits=True, rest_waits=True)
    shares.sent(1_000, fresh=True)
    assert not shares.fresh_is_next(fresh_waits=True, rest_waits=True)


@pytest.mark.parametrize(
    ("spans", "at", "is_open"),
    [
        (["06:00-07:30"], "05:59", False),
        (["06:00-07:30"], "06:00", True),
        (["06:00-07:30"], "07:30", False),
        (["22:00-02:00"], "23:00", True),
        (["22:00-02:00"], "01:59", True),
        (["22:00-02:00"], "02:00", False),
        (["06:00-06:10", "18:00-18:10"], "07:00", False),
        ([], "12:00", True),
    ],
)
def test_sending_is_allowed_within_the_hours(spans, at, is_open):
    hours = Hours.parse(spans)
    second = hours.second_of_day(datetime.strptime(at, "%H:%M").replace(tzinfo=UTC), uptime_s=0)

    assert hours.open_at(second) == is_open


def test_without_a_clock_the_first_span_begins_at_the_start_and_comes_back_a_day_later():
    hours = Hours.parse(["06:00-07:00"])
    open_at = [
        hours.open_at(hours.second_of_day(None, uptime_s=uptime_s)) for uptime_s in (0, 3599, 3600, 86_399, 86_400)
    ]

    assert open_at == [True, True, False, False, True]


@pytest.mark.parametrize("text", ["6:00-7:00", "06:00", "24:00-01:00", "06:00-07:60", "06:00 - 07:00"])
def test_what_is_no_part_of_a_day_is_refused(text):
    with pytest.raises(ValueError, match="06:00-07:30"):
        Hours.parse([text])


def budget_in(folder, per_day=1_000) -> Budget:
    budget = Budget(folder / "budget.json", per_day)
    budget.load()
    return budget


def test_a_days_budget_is_not_renewed_by_a_restart(tmp_path):
    budget = budget_in(tmp_path)
    budget.begin(DAY, now_s=0.0)
    budget.spend(900)

    again = budget_in(tmp_path)
    again.begin(DAY + timedelta(hours=5), now_s=7.0)

    assert not again.allows(101)
    again.begin(DAY + timedelta(days=1), now_s=8.0)
    assert again.allows(1_000)


def test_a_kill_costs_a_hundredth_of_the_budget_and_a_clean_end_nothing(tmp_path):
    killed = budget_in(tmp_path)
    killed.begin(DAY, now_s=0.0)
    killed.spend(500)
    again = budget_in(tmp_path)
    assert again.spent == 510

    again.begin(DAY, now_s=0.0)
    again.spend(100)
    again.close()
    assert budget_in(tmp_path).spent == 610


def test_without_a_clock_a_day_is_the_running_time_of_all_starts(tmp_path):
    for _run in range(3):
        budget = budget_in(tmp_path)
        for now_s in range(0, 28_801, 600):  # eight hours
            budget.begin(None, now_s=float(now_s))
            if now_s == 0:
                budget.spend(200)
        spent = budget.spent

    assert spent < 400
    assert budget_in(tmp_path).spent == spent


def test_when_the_clock_comes_what_was_spent_without_one_counts(tmp_path):
    budget = budget_in(tmp_path)
    budget.begin(None, now_s=0.0)
    budget.spend(900)
    budget.begin(DAY, now_s=10.0)

    assert not budget.allows(200)


def test_a_frame_larger_than_a_days_budget_still_goes_one_a_day(tmp_path):
    budget = budget_in(tmp_path)
    budget.begin(DAY, now_s=0.0)

    assert budget.allows(5_000)
    budget.spend(5_000)
    assert not budget.allows(1)


def test_a_full_disk_leaves_the_budget_in_memory(tmp_path, monkeypatch, caplog):
    def full(path, body):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(schedule, "write_atomically", full)
    budget = budget_in(tmp_path)
    budget.begin(DAY, now_s=0.0)
    budget.spend(900)

    assert not budget.allows(200)
    assert "budget.not_saved" in caplog.text


def frame(name: str, *, taken_s=0.0, kind="still", thumbnail=False, announced_by="") -> Waiting:
    return Waiting(name, 100, kind, taken_s, thumbnail, announced_by)


def order(queues: Queues, *, now_s: float) -> list[str]:
    """All that would be sent, one class after the other."""
    found: list[str] = []
    for pick in (queues.next_fresh, queues.next_rest):
        while (waiting := pick(now_s=now_s, but=found)) is not None:
            found.append(waiting.id)
    return found


def test_a_fresh_frame_becomes_backlog_as_time_passes():
    queues = Queues(fresh_s=120)
    for each in (frame("old", taken_s=0.0), frame("young", taken_s=100.0)):
        queues.add(each)

    assert queues.next_fresh(now_s=119.0).id == "old"
    assert queues.next_fresh(now_s=121.0).id == "young"
    assert queues.next_rest(now_s=121.0).id == "old"
    assert queues.next_fresh(now_s=300.0) is None


def test_a_frame_of_an_earlier_start_is_backlog():
    queues = Queues()
    queues.add(frame("before", taken_s=float("-inf")))

    assert queues.next_fresh(now_s=0.0) is None
    assert queues.next_rest(now_s=0.0).id == "before"


def test_rules_can_change_while_frames_wait():
    queues = Queues()
    for each in (frame("t", thumbnail=True), frame("full", announced_by="t"), frame("plain")):
        queues.add(each)
    queues.want("full")

    queues.rule(fresh_s=120, only_wanted=True)
    assert order(queues, now_s=1_000.0) == ["t", "full", "plain"]
    queues.remove("full")
    queues.add(frame("full2", announced_by="t"))
    assert order(queues, now_s=1_000.0) == ["t", "plain"]
    assert list(queues.held) == ["full2"]

    queues.rule(fresh_s=120, only_wanted=False)
    assert order(queues, now_s=1_000.0) == ["t", "plain", "full2"]


def test_what_is_asked_for_and_not_there_is_said():
    assert not Queues().want("nothing")


def test_thumbnails_are_given_up_last():
    queues = Queues()
    for each in (frame("t1", thumbnail=True), frame("a", announced_by="t1"), frame("t2", thumbnail=True), frame("b")):
        queues.add(each)

    assert list(victims("keep_newest", queues, now_s=9_999.0)) == ["a", "b"]
    assert list(victims("keep_oldest", queues, now_s=9_999.0)) == []
    queues.remove("a")
    queues.remove("b")
    assert list(victims("keep_newest", queues, now_s=9_999.0)) == ["t1", "t2"]
