"""Delivery over a broken network: real interfaces in a network namespace, real processes; see benchmarks/faults."""

import pytest

from benchmarks.faults import network
from benchmarks.faults.network import KEEPALIVE_S

pytestmark = [pytest.mark.timeout(180), pytest.mark.alone]


@pytest.fixture(scope="module")
def bench(need, tmp_path_factory):
    need(not network.missing_tools(), f"Debian packages {network.missing_tools()} (make test installs them)")
    need(network.allowed(), "permission to make network namespaces (root with CAP_NET_ADMIN)")
    with network.bench(tmp_path_factory.mktemp("network")) as made:
        yield made


def check(figures: network.Figures) -> None:
    assert (figures.arrived, figures.wrong) == (figures.frames, 0), figures
    assert figures.duplicates < 0.10, figures
    assert figures.back_s is None or figures.back_s < 2 * KEEPALIVE_S, figures


def test_with_a_fifth_of_the_packets_lost_all_arrives_once(bench):
    figures = bench.loss()

    check(figures)
    assert figures.dropped > 10


def test_on_a_link_of_1_mbit_a_large_clip_and_stills_arrive_once(bench):
    figures = bench.slow_link()

    check(figures)
    assert figures.seconds > 8  # 1.4 MB at 1 Mbit/s take 11 s: the link was slow indeed


def test_a_half_open_connection_is_replaced_within_two_keepalives(bench):
    check(bench.half_open())


def test_a_cable_that_was_out_is_noticed_when_it_is_back(bench):
    check(bench.unplugged())


def test_a_broker_that_was_killed_is_found_again(bench):
    check(bench.broker_restart())
