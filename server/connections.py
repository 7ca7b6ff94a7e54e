"""What one connection may cost: a stranger who opens many and says nothing must not keep the others out.

uvicorn counts a connection as soon as it is open and waits for its first request for ever, so some hundred that send a
header a minute ("slowloris") would be all there is. Bodies that trickle: guard.py.
"""

import asyncio
import ipaddress
from collections.abc import Iterable

from uvicorn.protocols.http.h11_impl import H11Protocol

from .auth.throttle import network_of

MOST = 500  # open at once; each takes a file descriptor, of which a service has 1024
MOST_OF_ONE = MOST // 2  # from one address, so that none has them all; 40 browsers of a station behind one line fit
PATIENCE_S = 30.0  # for a whole request's head; and idle between two


class Connection(H11Protocol):
    """HTTP/1.1 with an end to waiting: closed when no request is in work for PATIENCE_S, whatever trickles in."""

    _ends: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # because uvicorn's is so
        """A new one; closed at once where its address has too many."""
        super().connection_made(transport)
        if self._is_one_too_many():
            transport.close()
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        super().connection_lost(exc)
        self._calm()

    def data_received(self, data: bytes) -> None:
        """Some bytes: a whole request, or less."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """An answer is out; the next request may come."""
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """The clock runs while they owe us something: a request's head, or the rest of a body that was answered."""
        is_in_work = self.cycle is not None and not self.cycle.response_complete
        if is_in_work or self.transport.is_closing():
            self._calm()
        elif self._ends is None:
            self._ends = self.loop.call_later(PATIENCE_S, self.transport.close)

    def _calm(self) -> None:
        if self._ends is not None:
            self._ends.cancel()
            self._ends = None

    def _is_one_too_many(self) -> bool:
        host = _host_of(self)
        said = self.config.forwarded_allow_ips
        if _is_ours(host, said if isinstance(said, list) else ()):  # uvicorn's own word, when we said none, is a text
            return False
        here = network_of(host)
        return sum(network_of(each) == here for each in map(_host_of, self.connections)) > MOST_OF_ONE


def _host_of(connection: object) -> str:
    client: tuple[str, int] | None = getattr(connection, "client", None)
    return client[0] if client else ""


def _is_ours(host: str, proxies: Iterable[str]) -> bool:
    """Whether everybody may come from there: this machine, or a proxy that the site names."""
    try:
        return host in proxies or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True  # a socket without addresses
