"""By which names and addresses this machine can be reached."""

import fcntl
import ipaddress
import socket
import struct

from ..foreign import foreign

SIOCGIFADDR = 0x8915  # Linux, netdevice(7): the IPv4 address of an interface
ELSEWHERE = ("192.0.2.1", 9)  # RFC 5737: nobody; nothing is sent, the route alone is asked for


def own_names() -> list[str]:
    """Host names and IPv4 addresses of this machine, the loopback's too, without asking a name server."""
    host = socket.gethostname()
    names = {host, f"{host.partition('.')[0]}.local", "localhost", "127.0.0.1"}
    return sorted({name for name in names if name and name.isascii()} | set(_addresses()))


def best_address() -> str:
    """The address that stations most likely reach: that of the default route, else the host's name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)
            found = str(probe.getsockname()[0])
        except OSError:
            found = ""
    if found:
        return found
    outward = [each for each in _addresses() if not ipaddress.ip_address(each).is_loopback]
    return outward[0] if outward else socket.gethostname()


def why_not_listening(address: str, port: int) -> str:
    """Why nobody could listen there now, "" when somebody could. address: "" for all of this machine."""
    try:
        found = socket.getaddrinfo(address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with socket.socket(found[0][0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[0][4])
            probe.listen(1)
    except OSError as exc:
        return f"{address}:{port}: {foreign(exc.strerror or exc)}"
    return ""


def _addresses() -> list[str]:
    """The first IPv4 address of each interface that has one."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _index, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asked.fileno(), SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue
            found.append(socket.inet_ntoa(answer[20:24]))
    return found
