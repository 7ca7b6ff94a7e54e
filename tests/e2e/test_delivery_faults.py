"""Delivery with full disks, wrong clocks, a poisoned frame and hostile senders: real processes; see benchmarks/faults.

Most of what these do is wait, so those that may run side by side do.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.faults import clocks, disk, hostile, poison

pytestmark = [pytest.mark.timeout(180), pytest.mark.alone]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def disks_and_poison(folder, need):
    need(disk.allowed(folder / "try"), "permission to mount a tmpfs (root with CAP_SYS_ADMIN)")
    faults = (disk.at_the_agent, disk.below_the_spool, disk.below_the_database, poison.poison)
    with ThreadPoolExecutor() as threads:  # its end waits for all
        return {fault.__name__: threads.submit(fault, folder / fault.__name__) for fault in faults}


@pytest.fixture(scope="module")
def turned_clocks(folder, need):
    need(bool(clocks.library()), "libfaketime (Debian package faketime; make test installs it)")
    faults = (clocks.agent_jumps, clocks.no_clock_at_boot, clocks.server_jumps, clocks.cooldown_jumps)
    with ThreadPoolExecutor() as threads:  # its end waits for all
        return {fault.__name__: threads.submit(fault, folder / fault.__name__) for fault in faults}


@pytest.mark.parametrize(
    ("where", "state"),
    [
        ("at_the_agent", "'full'"),
        ("below_the_spool", "No space left on device; status.json: "),
        ("below_the_database", "disk is full"),
    ],
)
def test_a_full_disk_loses_nothing_says_so_and_delivery_resumes_within_5_s(disks_and_poison, where, state):
    figures = disks_and_poison[where].result()

    assert figures.damage == ()
    assert state.strip("'") in figures.said, figures
    assert figures.back_s < 5, figures
    assert figures.rows >= figures.acked > 5, figures
    assert (figures.dropped > 0) == (where == "at_the_agent"), figures


@pytest.mark.parametrize("fault", ["agent_jumps", "no_clock_at_boot"])
def test_a_wrong_clock_at_the_station_costs_neither_order_nor_time_and_is_flagged(turned_clocks, fault):
    figures = turned_clocks[fault].result()

    assert figures.arrived == figures.recorded == figures.right == figures.frames, figures
    assert figures.in_order, figures
    assert figures.flagged, figures
    assert figures.said_wrong > 30, figures  # the clock was wrong indeed


def test_a_server_clock_that_jumps_by_a_year_makes_nothing_wait(turned_clocks):
    figures = turned_clocks["server_jumps"].result()

    assert figures.recorded == figures.arrived == figures.frames, figures
    assert figures.in_order, figures
    assert figures.longest_s < 3, figures


def test_a_cooldown_lasts_as_long_as_it_says_while_the_servers_clock_jumps_by_a_year(turned_clocks):
    figures = turned_clocks["cooldown_jumps"].result()

    assert figures.sent == 6, figures
    assert all(clocks.COOLDOWN_S - 0.5 < each < clocks.COOLDOWN_S + 3 for each in figures.pauses_s), figures
    assert figures.held_back > 100, figures


def test_a_poisoned_frame_is_put_aside_after_three_deaths_and_holds_nobody_up(disks_and_poison):
    figures = disks_and_poison["poison"].result()

    assert figures.deaths == 3
    assert list(figures.quarantined) == ["cam-1/poison.jpg"], figures
    assert "given up after 3 attempts" in figures.quarantined["cam-1/poison.jpg"]
    assert figures.recorded == figures.others, figures
    assert figures.longest_s < 1, figures
    assert figures.beside <= 2, figures


def test_hostile_senders_are_refused_counted_said_once_and_disturb_nobody(folder):
    figures = hostile.hostile(folder / "hostile")

    assert figures.let_in == 0, figures
    each = hostile.TIMES
    assert figures.counted == {"certificate": 3 * each, "topic": 2 * each, "packet": 2 * each, "payload": each}
    assert set(figures.lines.values()) == {1}, figures
    assert len(figures.lines) == 5, figures
    assert figures.good_arrived == figures.good_frames > 5, figures
    assert figures.good_s < 2, figures
