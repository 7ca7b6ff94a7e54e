"""One thread that holds a connection to a broker and publishes, and tells when the broker has what it was given.

What waits on a board goes ahead of deliveries. A lost connection is replaced, and then the board is published anew: a
broker may have forgotten it.
"""

import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from edge.api import Broker, Event, Link, LinkLost, Message, NotifyError, RetryableError, Services, Will

from .home_assistant import Topics
from .mqtt_board import Board, Post

TURN_S = 0.5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0  # between two attempts to connect; a message that is to go waits for none
RECONCILE_S = 30.0  # how soon a station that was added or revoked is seen
MOST_EVENTS = 1_000  # that wait while the thread connects, which takes 10 s at most; the oldest go
GOODBYE_S = 2.0
END_S = 5.0
OVERHEAD_BYTES = 1_000  # of a packet beside its body: header and topic


class Refused(NotifyError):
    """The broker is there and does not want the message, or us; the text says why."""


@dataclass(slots=True, eq=False)
class Delivery:
    """Messages that count as delivered when the broker has them all. prepare: called in the thread, before the first.

    open: how many the broker was given and has not taken yet. left_out: why an optional one is missing.
    """

    left: deque[Post]
    prepare: Callable[[], None] | None = None
    open: int = 0
    given_up: bool = False
    left_out: str = ""
    error: NotifyError | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def end_if_complete(self) -> None:
        """Tell whoever waits, when nothing is left."""
        if not self.left and not self.open:
            self.done.set()

    def fail(self, error: NotifyError) -> None:
        """Tell whoever waits."""
        self.error = self.error or error
        self.left.clear()
        self.done.set()


class Publisher:
    """Connects when it is started, and stays connected until `close`.

    board: None publishes deliveries only, for a look whether the broker is there. All its methods may be called from
    any thread.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str,
        topics: Topics,
        services: Services,
        board: Board | None,
        birth: str = "",
    ) -> None:
        """birth: the topic on which Home Assistant says that it is there, "" when nobody listens for it."""
        self._broker = broker
        self._client_id = client_id
        self._topics = topics
        self._services = services
        self._board = board
        self._birth = birth
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._deliveries: deque[Delivery] = deque()  # bounded: `deliver` is called by one thread at a time
        self._under_way: dict[int, tuple[Post, Delivery | None]] = {}  # bounded by what a Link has in flight
        self._born = False
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake, self._alarm = socket.socketpair()
        self._wake.setblocking(False)
        self._alarm.setblocking(False)
        self._last_reason = ""
        self._told_refused: set[str] = set()

    # called by anyone

    def start(self) -> None:
        """Connect, if that has not begun yet; returns at once."""
        if self._thread is None:
            self._ring()

    def note(self, event: Event) -> None:
        """Have the board take note of an event; returns at once."""
        self._events.append(event)
        self._ring()

    def deliver(self, delivery: Delivery, *, timeout_s: float) -> str:
        """Returns when the broker has every message; what it returns is why an optional one was left out, or "".

        Raises NotifyError within timeout_s; Refused when it is the broker that does not want it.
        """
        self._deliveries.append(delivery)
        self._ring()
        if not delivery.done.wait(timeout_s):
            delivery.given_up = True
            self._ring()
            raise NotifyError(f"broker {self._place}: no answer within {timeout_s:g} s")
        if delivery.error is not None:
            raise delivery.error
        return delivery.left_out

    def close(self) -> None:
        """Say goodbye and end; a thread that hangs in a look-up of a name is left behind."""
        self._stop.set()
        thread = self._thread
        if thread is not None:
            self._ring()
            thread.join(END_S)
            if thread.is_alive():
                return
        self._wake.close()
        self._alarm.close()

    @property
    def _place(self) -> str:
        return f"{self._broker.host}:{self._broker.port}"

    def _ring(self) -> None:
        with self._lock:
            # also after a fault that nobody foresaw, which has ended the thread aloud
            if not self._stop.is_set() and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name=f"mqtt-{self._client_id}", daemon=True)
                self._thread.start()
            with suppress(BlockingIOError, OSError):  # full: it is going to wake up; closed: it has ended
                self._alarm.send(b"x")

    # the thread

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            began_s = time.monotonic()
            try:
                self._serve()
            except LinkLost as exc:
                self._lost(str(exc))
            finally:
                self._under_way.clear()
            pause_s = FIRST_PAUSE_S if time.monotonic() - began_s > LONGEST_PAUSE_S else pause_s
            self._pause(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        self._fail_all(f"broker {self._place}: the channel was closed")

    def _serve(self) -> None:
        """One connection, from its beginning until it is lost or we are to stop. Raises LinkLost."""
        link = Link(
            self._broker,
            client_id=self._client_id,
            subscribe=self._birth or self._topics.availability,
            on_message=self._heard,
            on_sent=self._sent,
            will=Will(self._topics.availability, b"offline", retain=True) if self._board else None,
        )
        reconciled_s, said = float("-inf"), self._board is None
        self._born = True  # a broker without a disk has forgotten everything
        with link:
            link.connect()
            while not self._stop.is_set():
                link.turn(TURN_S, wake=self._wake)
                self._take_events()
                if any(delivery is not None and delivery.given_up for _post, delivery in self._under_way.values()):
                    raise LinkLost(f"broker {self._place}: no answer in time, connecting anew")
                if not link.ready:
                    continue
                self._last_reason = ""
                if not said:
                    said = True
                    self._services.log.info("mqtt_alerts.connected", broker=self._place)
                if self._board is not None and time.monotonic() - reconciled_s > RECONCILE_S:
                    reconciled_s = time.monotonic()
                    self._reconcile(self._board)
                if self._board is not None and self._born:
                    self._board.say_all()
                self._born = False
                self._publish(link)
            self._say_goodbye(link)

    def _pause(self, pause_s: float) -> None:
        """Wait, but not when there is something to deliver."""
        until_s = time.monotonic() + pause_s
        while not self._stop.is_set() and not self._deliveries and (left_s := until_s - time.monotonic()) > 0:
            select.select([self._wake], [], [], left_s)
            with suppress(BlockingIOError):
                self._wake.recv(4096)
            self._take_events()

    def _take_events(self) -> None:
        while self._events:
            event = self._events.popleft()
            if self._board is not None:
                self._board.note(event)

    def _reconcile(self, board: Board) -> None:
        try:
            board.reconcile()
            board.save()
        except (RetryableError, OSError) as exc:
            self._services.log.warning("mqtt_alerts.stations_unknown", reason=str(exc))

    def _publish(self, link: Link) -> None:
        """Hand over what the broker can take now; one that is overrun hangs up."""
        while not link.busy and (found := self._next(link.most_bytes)) is not None:
            post, delivery = found
            self._under_way[link.publish(post.topic, post.body, retain=post.retain)] = found
            if delivery is not None:
                delivery.open += 1
        if self._board is not None and not self._under_way:
            self._board.forget_gone()

    def _next(self, most_bytes: int) -> tuple[Post, Delivery | None] | None:
        """The next message; the board's first, which has the device that a message is for."""
        while self._deliveries and (self._deliveries[0].given_up or not self._deliveries[0].left):
            self._deliveries.popleft()
        delivery = self._deliveries[0] if self._deliveries else None
        if delivery is not None and delivery.prepare is not None:
            delivery.prepare()
            delivery.prepare = None
        if self._board is not None and (post := self._board.take()) is not None:
            return post, None
        if delivery is None:
            return None
        post = delivery.left.popleft()
        if len(post.body) + OVERHEAD_BYTES <= most_bytes:
            return post, delivery
        reason = f"{len(post.body)} bytes on {post.topic}, and the broker takes packets of {most_bytes} at most"
        self._not_taken(post, delivery, reason)
        return self._next(most_bytes)

    def _sent(self, mid: int, reason: str) -> None:
        """The broker has a message, or refuses it."""
        post, delivery = self._under_way.pop(mid, (None, None))
        if delivery is not None:
            delivery.open -= 1
        if post is not None and reason:
            self._not_taken(post, delivery, f"{post.topic} was refused: {reason}")
        if delivery is not None:
            delivery.end_if_complete()

    def _not_taken(self, post: Post, delivery: Delivery | None, reason: str) -> None:
        if delivery is not None and not post.optional:
            delivery.fail(Refused(f"broker {self._place}: {reason}"))
            return
        if delivery is not None:
            delivery.left_out = reason
            delivery.end_if_complete()
        if len(self._told_refused) < MOST_EVENTS and post.topic not in self._told_refused:
            self._told_refused.add(post.topic)
            self._services.log.warning("mqtt_alerts.not_taken", broker=self._place, reason=reason)

    def _heard(self, message: Message) -> None:
        if message.topic == self._birth and message.body == b"online":
            self._born = True

    def _lost(self, reason: str) -> None:
        self._fail_all(reason)
        if reason != self._last_reason and self._board is not None:
            self._services.log.warning("mqtt_alerts.lost", reason=reason)
        self._last_reason = reason

    def _fail_all(self, reason: str) -> None:
        error = Refused if ": refused the connection" in reason else NotifyError
        for delivery in {id(each): each for _post, each in self._under_way.values() if each is not None}.values():
            delivery.fail(error(reason))
        while self._deliveries:
            self._deliveries.popleft().fail(error(reason))

    def _say_goodbye(self, link: Link) -> None:
        """The will is for those who go without a word."""
        if self._board is None or not link.ready:
            return
        until_s = time.monotonic() + GOODBYE_S
        with suppress(LinkLost):
            mid = link.publish(self._topics.availability, b"offline", retain=True)
            self._under_way[mid] = (Post(self._topics.availability, b"offline"), None)
            while mid in self._under_way and time.monotonic() < until_s:
                link.turn(0.05)
