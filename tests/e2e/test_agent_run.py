"""The agent without a broker: it captures, keeps, counts, tells systemd, and ends when told."""

import json
import signal
import socket
import threading

import pytest

from edge.sd_notify import notify, watchdog_s
from raspberry_pi import agent


@pytest.fixture
def site(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(b"a" * 500)
    with socket.socket() as probe:  # bound, never listening: connections are refused
        probe.bind(("127.0.0.1", 0))
        path = tmp_path / "agent.yaml"
        path.write_text(
            f"station: cam-1\nbroker: {{host: 127.0.0.1, port: {probe.getsockname()[1]}}}\n"
            "spool: {folder: spool, max_bytes: 4_000}\n"
            "camera: {use: replay, path: pictures, loop: true}\n"
            "trigger: {use: interval, every_s: 0.01}\nmax_frames: 12\n"
        )
        yield path


def run_until(path, condition, timeout_s=10.0):
    """Run the agent in this process until `condition(status)`; returns (exit code, status as it ended)."""
    stop, codes = threading.Event(), []
    thread = threading.Thread(target=lambda: codes.append(agent.run(path, stop)))
    thread.start()
    status = path.parent / "spool" / "status.json"
    for _ in range(int(timeout_s / 0.02)):
        if status.exists() and condition(json.loads(status.read_text())):
            break
        threading.Event().wait(0.02)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    return codes[0], json.loads(status.read_text())


def test_without_a_broker_frames_are_kept_until_the_spool_is_full_and_drops_are_counted_and_said(site, caplog):
    code, status = run_until(site, lambda status: status["captured"] == 12)

    assert code == 0
    assert (status["captured"], status["acked"], status["connected"], status["done"]) == (12, 0, False, False)
    assert status["dropped"] > 0
    assert status["spooled"] == len(list((site.parent / "spool").glob("*.frame"))) == 12 - status["dropped"]
    assert "spool.full" in caplog.text
    assert "uplink.lost" in caplog.text


def test_a_restart_goes_on_counting(site):
    run_until(site, lambda status: status["captured"] >= 3)
    (site.parent / "agent.yaml").write_text(site.read_text().replace("max_frames: 12", "max_frames: 20"))

    _, status = run_until(site, lambda status: status["captured"] == 20)

    assert status["seq"] == 20
    assert status["acked"] == 0


def test_systemd_hears_ready_alive_and_stopping(site, monkeypatch, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        run_until(site, lambda status: status["captured"] >= 1)
        manager.setblocking(False)
        said = []
        try:
            while True:
                said.append(manager.recv(100).decode())
        except BlockingIOError:
            pass

    assert (said[0], said[-1]) == ("READY=1", "STOPPING=1")
    assert "WATCHDOG=1" in said


def test_without_systemd_nobody_is_told(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    assert notify("READY=1") is False


def test_an_abstract_socket_is_reached(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0tigrillo-test-notify")
        monkeypatch.setenv("NOTIFY_SOCKET", "@tigrillo-test-notify")

        assert notify("READY=1") is True
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize(("usec", "pid", "seconds"), [("60000000", "", 60.0), ("60000000", "1", None), ("", "", None)])
def test_the_watchdog_time_is_read(monkeypatch, usec, pid, seconds):
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid)

    assert watchdog_s() == seconds


def test_a_bug_in_the_uplink_ends_the_agent_aloud(site, monkeypatch):
    def broken(self, stop):
        raise RuntimeError("a bug, in this test")

    monkeypatch.setattr(agent.Uplink, "run", broken)

    with pytest.raises(RuntimeError, match="a bug"):
        agent.run(site, threading.Event())


def test_a_signal_that_comes_within_event_wait_ends_the_agent_too():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stop = agent._stop_on_signal()

    with stop._cond:  # as Event.wait holds it for an instant, twice each call
        signal.raise_signal(signal.SIGTERM)
    ended = stop.wait(5)

    for number, handler in before.items():
        signal.signal(number, handler)
    assert ended


def test_two_agents_on_one_spool_end_with_a_line(site, capsys):
    with agent.Spool(site.parent / "spool", max_bytes=1):
        code = agent.run(site, threading.Event())

    assert code == 1
    assert "another agent" in capsys.readouterr().err
