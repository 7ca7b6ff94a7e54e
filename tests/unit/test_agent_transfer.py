"""One large frame in chunks: the server's offset always sets it right. Time is stepped."""

from raspberry_pi.transfer import AHEAD_BYTES, LONGEST_WAIT_S, Step, Transfer

MB = 1_000_000


def began(size: int = 10 * MB, at: int = 0) -> Transfer:
    """A transfer that was offered, and answered with the offset `at`."""
    transfer = Transfer("a-1", size)
    transfer.went(transfer.next(chunk_bytes=MB))
    transfer.taken(now_s=0.0)
    transfer.progress(at, now_s=0.0)
    return transfer


def send_all(transfer: Transfer) -> list[Step]:
    steps = []
    while (step := transfer.next(chunk_bytes=MB)) is not None:
        transfer.went(step)
        steps.append(step)
    return steps


def test_nothing_is_sent_before_the_offer_is_answered():
    transfer = Transfer("a-1", 10 * MB)

    assert send_all(transfer) == [Step()]
    transfer.progress(0, now_s=0.0)
    assert send_all(transfer)[0] == Step(0, MB)


def test_at_most_four_megabytes_are_ahead_of_what_is_durable():
    transfer = began()

    assert sum(step.size for step in send_all(transfer)) == AHEAD_BYTES
    transfer.progress(MB, now_s=0.1)
    assert send_all(transfer) == [Step(AHEAD_BYTES, MB)]


def test_it_begins_where_the_server_says():
    assert send_all(began(at=7 * MB + 5)) == [Step(7 * MB + 5, MB), Step(8 * MB + 5, MB), Step(9 * MB + 5, MB - 5)]


def test_a_chunk_out_of_turn_goes_back_once():
    transfer = began()
    send_all(transfer)
    transfer.progress(MB, now_s=0.1)
    for _ in range(3):  # the three behind a lost chunk, each answered with what is durable
        transfer.progress(MB, now_s=0.1)
        resent = send_all(transfer)
        if resent:
            first = resent

    assert first[0] == Step(MB, MB)
    assert resent == []


def test_a_server_that_forgot_is_offered_it_again():
    transfer = began()
    send_all(transfer)
    transfer.progress(-1, now_s=0.1)

    assert send_all(transfer) == [Step()]
    transfer.progress(0, now_s=0.2)
    assert transfer.next(chunk_bytes=MB) == Step(0, MB)


def test_silence_after_the_last_chunk_asks_again_ever_more_slowly():
    transfer = began(size=MB)
    send_all(transfer)
    assert transfer.due_at_s() == float("inf"), "TCP looks after what the broker has not taken"
    now_s, waits = 10.0, []
    for _ in range(7):
        transfer.taken(now_s=now_s)
        waits.append(transfer.due_at_s() - now_s)
        assert not transfer.overdue(now_s=now_s + waits[-1] - 0.1)
        now_s += waits[-1]
        assert transfer.overdue(now_s=now_s)
        assert send_all(transfer) == [Step()]

    assert waits == [2.0, 4.0, 8.0, 16.0, 30.0, LONGEST_WAIT_S, LONGEST_WAIT_S]


def test_a_busy_link_is_no_silence():
    transfer = began()

    assert not transfer.overdue(now_s=1_000.0), "nothing is under way that could be answered"
    transfer.went(transfer.next(chunk_bytes=MB))
    assert not transfer.overdue(now_s=2_000.0), "the broker has not taken it yet"


def test_offsets_that_can_not_be_are_ignored():
    transfer = began(size=MB)
    transfer.progress(2 * MB, now_s=0.1)

    assert transfer.next(chunk_bytes=MB) == Step(0, MB)


def test_a_server_that_lost_its_part_is_sent_it_again():
    transfer = began()
    send_all(transfer)
    transfer.progress(3 * MB, now_s=0.1)
    transfer.progress(MB, now_s=0.2)

    assert transfer.next(chunk_bytes=MB) == Step(MB, MB)
