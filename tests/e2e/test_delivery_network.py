"""Delivery over a broken network: real interfaces in network namespaces, real processes; see benchmarks/faults.

Most of what these do is wait, so two networks suffer at a time.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from benchmarks.faults import network
from benchmarks.faults.network import KEEPALIVE_S

pytestmark = pytest.mark.timeout(180)


NETWORKS = (("half_open", "slow_link"), ("unplugged", "broker_restart", "loss"))  # one after the other in each


@pytest.fixture(scope="module")
def suffered(need, tmp_path_factory):
    need(not network.missing_tools(), f"Debian packages {network.missing_tools()} (make test installs them)")
    need(network.allowed(), "permission to make network namespaces (root with CAP_NET_ADMIN)")
    found = {}
    with ExitStack() as stack:
        for number, faults in enumerate(NETWORKS):
            bench = stack.enter_context(network.bench(tmp_path_factory.mktemp("network"), number))
            line = stack.enter_context(ThreadPoolExecutor(1))  # its end waits, before the bench's
            found |= {fault: line.submit(getattr(bench, fault)) for fault in faults}
    return found


def check(figures: network.Figures) -> None:
    assert (figures.arrived, figures.wrong) == (figures.frames, 0), figures
    assert figures.duplicates < 0.10, figures
    assert figures.back_s is None or figures.back_s < 2 * KEEPALIVE_S, figures


def test_with_a_fifth_of_the_packets_lost_all_arrives_once(suffered):
    figures = suffered["loss"].result()

    check(figures)
    assert figures.dropped > 10


def test_on_a_link_of_1_mbit_a_large_clip_and_stills_arrive_once(suffered):
    figures = suffered["slow_link"].result()

    check(figures)
    assert figures.seconds > 8  # 1.4 MB at 1 Mbit/s take 11 s: the link was slow indeed


def test_a_half_open_connection_is_replaced_within_two_keepalives(suffered):
    check(suffered["half_open"].result())


def test_a_cable_that_was_out_is_noticed_when_it_is_back(suffered):
    check(suffered["unplugged"].result())


def test_a_broker_that_was_killed_is_found_again(suffered):
    check(suffered["broker_restart"].result())
