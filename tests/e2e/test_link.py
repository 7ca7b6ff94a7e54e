"""One MQTT connection against a real mosquitto, over good and bad networks."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from edge.link import Broker, Link, LinkLost, Message


class Wire:
    """A proxy before the broker: slow upwards, or a black hole when `dead` is set."""

    def __init__(self, target: int, *, bytes_per_s: float) -> None:
        self.dead = False
        self._target = target
        self._bytes_per_s = bytes_per_s
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._carry)]
        self._threads[0].start()

    def _carry(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(("127.0.0.1", self._target))
        self._ends = [near, far]
        down = threading.Thread(target=self._pump, args=(far, near, 0.0))
        self._threads.append(down)
        down.start()
        self._pump(near, far, self._bytes_per_s)

    def _pump(self, source: socket.socket, sink: socket.socket, bytes_per_s: float) -> None:
        try:
            while data := source.recv(8192):
                if self.dead:
                    continue
                sink.sendall(data)
                if bytes_per_s:
                    time.sleep(len(data) / bytes_per_s)
        except OSError:
            return

    def close(self) -> None:
        for end in self._ends:
            with suppress(OSError):  # the other side may have gone by itself
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for end in (*self._ends, self._listener):
            end.close()


@contextmanager
def connected(port: int, **options) -> Iterator[tuple[Link, list[Message], dict[int, str]]]:
    heard: list[Message] = []
    taken: dict[int, str] = {}
    options = {"client_id": "me", "subscribe": "here/#", "on_message": heard.append, **options}
    keepalive_s = options.pop("keepalive_s", 5)
    with Link(Broker("127.0.0.1", port, keepalive_s=keepalive_s), on_sent=taken.__setitem__, **options) as link:
        link.connect()
        turn_until(link, lambda: link.ready)
        yield link, heard, taken


def turn_until(link: Link, condition, timeout_s: float = 15.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until
        link.turn(0.1)


def test_a_message_comes_with_its_body_and_properties_in_order(broker):
    pairs = [("id", "1"), ("name", "Año"), ("id", "2")]

    with connected(broker.port) as (link, heard, taken):
        mid = link.publish("here/now", b"\x00body", properties=pairs)
        turn_until(link, lambda: heard and mid in taken)

    assert (heard[0].topic, heard[0].body, list(heard[0].properties)) == ("here/now", b"\x00body", pairs)
    assert taken == {mid: ""}


def test_a_broker_that_is_not_there_is_named(broker):
    broker.kill()

    with pytest.raises(LinkLost, match=f"127.0.0.1:{broker.port}: Connection refused"), connected(broker.port):
        pass


def test_a_broker_that_dies_ends_the_link(broker):
    with connected(broker.port) as (link, _, _):
        broker.kill()

        with pytest.raises(LinkLost, match="connection lost"):
            turn_until(link, lambda: False)
        with pytest.raises(LinkLost):
            link.turn(0.1)


def test_a_refused_login_is_said(broker):
    broker.kill()
    broker.config.write_text(broker.config.read_text().replace("true", "false", 1))
    broker.start()

    with pytest.raises(LinkLost, match="refused the connection: Not authorized"), connected(broker.port):
        pass


def test_a_refused_subscription_is_said():
    # A broker of four lines: mosquitto's access lists refuse what is delivered, never the subscription itself.
    def answer(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(1000)
            peer.sendall(bytes.fromhex("20 03 00 00 00"))  # CONNACK: success
            peer.sendall(bytes.fromhex("90 04") + peer.recv(1000)[2:4] + bytes.fromhex("00 87"))  # SUBACK: no
            peer.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        with pytest.raises(LinkLost, match="refused the subscription to here/#"), connected(listener.getsockname()[1]):
            pass
        thread.join(5)


def test_the_largest_packet_that_the_broker_takes_is_known(broker):
    with connected(broker.port) as (link, _, _):
        without = link.most_bytes
    broker.kill()
    broker.config.write_text(broker.config.read_text() + "max_packet_size 100000\n")
    broker.start()

    with connected(broker.port) as (link, _, _):
        assert (without, link.most_bytes) == (268_435_455, 100_000)


def test_what_a_callback_raises_comes_out_of_turn(broker):
    def fail(message: Message) -> None:
        raise ZeroDivisionError(message.topic)

    with connected(broker.port, on_message=fail) as (link, _, _):
        link.publish("here/now", b"x")

        with pytest.raises(ZeroDivisionError, match="here/now"):
            turn_until(link, lambda: False)


def test_an_unacknowledged_message_comes_again_on_the_next_link_of_the_session(broker):
    session = {"manual_ack": True, "session_expiry_s": 60, "client_id": "keeper"}
    with connected(broker.port, **session) as (link, heard, _):
        link.publish("here/now", b"x")
        turn_until(link, lambda: heard)

    with connected(broker.port, **session) as (link, heard, _):
        turn_until(link, lambda: heard)
        link.ack(heard[0])
        link.turn(0.1)
    with connected(broker.port, **session) as (link, heard, _):
        link.turn(0.3)

    assert heard == []


def test_a_slow_network_is_not_taken_for_a_dead_one(broker):
    wire = Wire(broker.port, bytes_per_s=600_000)
    try:
        with connected(wire.port, keepalive_s=2) as (link, _, taken):
            mid = link.publish("elsewhere", bytes(4_000_000))  # 7 s: paho's ping would wait behind it and time out
            turn_until(link, lambda: mid in taken)
    finally:
        wire.close()

    assert taken == {mid: ""}


def test_a_dead_network_is_noticed(broker):
    wire = Wire(broker.port, bytes_per_s=0)
    try:
        with connected(wire.port, keepalive_s=1) as (link, _, _):
            wire.dead = True
            link.publish("elsewhere", bytes(800_000))

            with pytest.raises(LinkLost):
                turn_until(link, lambda: False, timeout_s=10)
    finally:
        wire.close()
