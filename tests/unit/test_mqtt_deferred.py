"""A server without room asks for what it could not take: one frame now and then, all of them when there is room."""

from plugins.sources.mqtt_deferred import ASK_S, MOST, Deferred
from raspberry_pi.window import Window


def test_one_frame_of_all_stations_is_asked_for_at_a_time():
    deferred = Deferred()
    for number in range(3):
        deferred.add(f"cam-{number}", "a-1", now_s=0.0)

    asked = [deferred.due(now_s=second) for second in (0.0, ASK_S, ASK_S + 1, 2 * ASK_S)]

    assert asked == [[], [("cam-0", "a-1")], [], [("cam-1", "a-1")]]


def test_when_one_was_taken_all_the_others_are_asked_for():
    deferred = Deferred()
    for number in range(3):
        deferred.add("cam-1", f"a-{number}", now_s=0.0)

    deferred.taken("cam-1", "a-1")

    assert deferred.due(now_s=0.1) == [("cam-1", "a-0"), ("cam-1", "a-2")]
    assert deferred.due(now_s=100.0) == []


def test_a_batch_that_ends_without_room_asks_for_nothing_at_once():
    deferred = Deferred()
    deferred.add("cam-1", "a-1", now_s=0.0)
    deferred.taken("cam-1", "a-0")
    deferred.add("cam-1", "a-2", now_s=0.0)

    assert deferred.due(now_s=0.1) == []


def test_a_smaller_frame_that_never_had_to_wait_says_nothing_about_room():
    deferred = Deferred()
    deferred.add("cam-1", "large", now_s=0.0)
    deferred.taken("cam-1", "small")

    assert deferred.due(now_s=0.1) == []


def test_one_that_was_asked_for_and_taken_brings_the_others():
    deferred = Deferred()
    deferred.add("cam-1", "a-1", now_s=0.0)
    deferred.add("cam-2", "a-1", now_s=0.0)
    assert deferred.due(now_s=ASK_S) == [("cam-1", "a-1")]

    deferred.taken("cam-1", "a-1")

    assert deferred.due(now_s=ASK_S + 0.1) == [("cam-2", "a-1")]


def test_what_is_kept_in_mind_is_bounded():
    deferred = Deferred()
    for number in range(MOST + 5):
        deferred.add("cam-1", f"a-{number}", now_s=0.0)
    deferred.taken("cam-1", "a-100")

    assert len(deferred.due(now_s=0.1)) == MOST - 1


def test_an_agent_sends_at_once_what_it_is_asked_for_and_once():
    window, now_s = Window(), 0.0
    for _copy in range(4):  # the next would go 16 s later
        window.sent("a", size=1)
        window.taken("a", now_s=now_s)
        now_s += 8.0 if _copy < 3 else 0.0
    assert window.overdue(now_s=now_s + 1) is None

    window.again("a")
    window.again("unknown")

    assert window.wait_s(now_s=now_s + 1) == 0.0
    assert window.overdue(now_s=now_s + 1) == "a"
    window.sent("a", size=1)
    window.taken("a", now_s=now_s + 1)
    assert window.overdue(now_s=now_s + 2) is None
