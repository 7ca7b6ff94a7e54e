"""The web page's process is kept running, ended with its daemon, and told apart from a stranger at its port."""

import socket
import sys
import threading

from edge.fakes import MemoryLog
from edge.pipeline import web_child
from edge.pipeline.web_child import WebChild, listens
from edge.site_web import TlsConfig
from tests.e2e.waiting import free_port, wait_until

SERVES = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1")
ENDS = (sys.executable, "-c", "import sys; sys.exit(3)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); time.sleep(60)",
)


def running(child, stop):
    thread = threading.Thread(target=child.run, args=(stop,), daemon=True)
    thread.start()
    return thread


def test_it_listens_itself_and_ends_when_the_daemon_stops(tmp_path):
    port, stop = free_port(), threading.Event()
    child = WebChild(tmp_path / "site.yaml", port, MemoryLog(), command=(*SERVES, str(port)))
    thread = running(child, stop)
    wait_until(child.listens)
    pid = child.snapshot()["pid"]

    stop.set()
    thread.join(10)

    assert pid is not None
    assert child.snapshot() == {"pid": None, "port": port, "endings": 0}
    assert not listens(pid, port)


def test_a_stranger_at_the_port_is_not_taken_for_the_page(tmp_path):
    port, stop = free_port(), threading.Event()
    stranger = WebChild(tmp_path / "site.yaml", port, MemoryLog(), command=(*SERVES, str(port)))
    child = WebChild(
        tmp_path / "site.yaml", port, MemoryLog(), command=(sys.executable, "-c", "import time; time.sleep(60)")
    )
    threads = [running(each, stop) for each in (stranger, child)]
    wait_until(stranger.listens)
    wait_until(lambda: child.snapshot()["pid"])

    assert not child.listens()
    stop.set()
    for thread in threads:
        thread.join(10)


def test_one_that_ends_is_started_again_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(web_child, "AGAIN_S", 0.05)
    log, reasons, stop = MemoryLog(), [], threading.Event()
    thread = running(WebChild(tmp_path / "site.yaml", free_port(), log, reasons.append, command=ENDS), stop)

    wait_until(lambda: len(reasons) == 2)
    stop.set()
    thread.join(10)

    assert reasons == ["exit code 3; its log says why"] * 2
    assert [fields["again_in_s"] for _level, event, fields in log.entries if event == "web.ended"] == [0.1, 0.2]


def test_a_port_that_is_taken_is_said_to_be_the_reason(tmp_path):
    reasons, stop = [], threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        thread = running(WebChild(tmp_path / "site.yaml", port, MemoryLog(), reasons.append, command=ENDS), stop)
        wait_until(lambda: reasons)
    stop.set()
    thread.join(10)

    assert reasons == [f"exit code 3; 127.0.0.1:{port}: Address already in use"]


def test_one_that_can_not_be_started_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(web_child, "AGAIN_S", 0.05)
    reasons, stop = [], threading.Event()
    thread = running(WebChild(tmp_path / "site.yaml", 1, MemoryLog(), reasons.append, command=("/nowhere",)), stop)

    wait_until(lambda: reasons)
    stop.set()
    thread.join(10)

    assert reasons[0] == "can't be started: No such file or directory"


def test_one_that_does_not_end_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(web_child, "END_S", 0.3)
    stop = threading.Event()
    child = WebChild(tmp_path / "site.yaml", 1, MemoryLog(), command=STUBBORN)
    thread = running(child, stop)
    wait_until(lambda: child.snapshot()["pid"])

    stop.set()
    thread.join(10)

    assert not thread.is_alive()
    assert child.snapshot()["pid"] is None


def test_a_certificate_that_can_not_be_used_is_said_to_be_the_reason(tmp_path):
    reasons, stop, files = [], threading.Event(), TlsConfig(certificate=tmp_path / "a.crt", key=tmp_path / "a.key")
    child = WebChild(tmp_path / "site.yaml", free_port(), MemoryLog(), reasons.append, command=ENDS, tls=files)

    thread = running(child, stop)
    wait_until(lambda: reasons)
    stop.set()
    thread.join(10)

    assert reasons == [f"exit code 3; web.tls: {tmp_path}/a.crt can't be read: No such file or directory"]
