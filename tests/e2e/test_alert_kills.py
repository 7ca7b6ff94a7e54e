"""Alerts while the daemon is killed: a real agent, broker, daemon and mail server; the short form of alert_kills.py."""

import pytest

from benchmarks.alert_kit.kills import Kills, Wish

pytestmark = pytest.mark.timeout(120)


def test_every_alert_arrives_though_the_daemon_is_killed_and_a_kill_doubles_one_mail_at_most(tmp_path):
    ended = Kills(tmp_path, Wish(alerts=60, kills=5, seed=5, armed=0.4, limit_s=90)).run()

    assert ended.faults == ()
    assert ended.kills >= 5, ended
    assert (ended.lost, ended.strays, ended.quarantined) == (0, 0, 0), ended
    assert ended.duplicates <= ended.kills, ended
    assert ended.same_id == 0, "never two mails with the same Message-ID"
    assert (ended.shared, ended.split) == (0, 0), "one key is one alert, and the other way round"
