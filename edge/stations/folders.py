"""Where the stations' files lie in the state folder, and who may read them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..paths import write_atomically
from ..tls import Tls

PRIVATE = 0o600
PUBLIC = 0o644


@dataclass(frozen=True, slots=True)
class Folders:
    """The files below `<state_dir>/stations`."""

    folder: Path

    @classmethod
    def of(cls, state_dir: Path) -> "Folders":
        """Those of a site."""
        return cls(state_dir / "stations")

    @property
    def book(self) -> Path:
        """The rows; see book.py."""
        return self.folder / "stations.sqlite"

    @property
    def ca(self) -> Path:
        """The authority's certificate: what stations believe."""
        return self.folder / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """The authority's key: who has it can make stations."""
        return self.folder / "ca-key.pem"

    @property
    def crl(self) -> Path:
        """The list of revoked certificates, for the broker."""
        return self.folder / "crl.pem"

    @property
    def broker_certificate(self) -> Path:
        """What the broker and the enrolment show to those who connect."""
        return self.folder / "broker.pem"

    @property
    def broker_key(self) -> Path:
        """Its key."""
        return self.folder / "broker-key.pem"

    @property
    def server_certificate(self) -> Path:
        """What the daemon shows to the broker; its name there is `server`."""
        return self.folder / "server.pem"

    @property
    def server_key(self) -> Path:
        """Its key."""
        return self.folder / "server-key.pem"

    @property
    def broker_config(self) -> Path:
        """mosquitto.conf of the private broker."""
        return self.folder / "mosquitto.conf"

    @property
    def broker_acl(self) -> Path:
        """Who may read and write which topics."""
        return self.folder / "acl.txt"

    @property
    def broker_pid(self) -> Path:
        """The process of the private broker, while it runs."""
        return self.folder / "mosquitto.pid"

    @property
    def identity(self) -> Tls:
        """Who the server is at the broker."""
        return Tls(self.ca, self.server_certificate, self.server_key)


def write_file(path: Path, body: bytes, *, mode: int) -> None:
    """Write a file whole or not at all, with this mode, for the owner of its folder."""
    write_atomically(path, body, mode=mode)
    give_to_owner(path)


def make_folder(folder: Path) -> None:
    """Make the folder, readable by its owner alone, for the owner of the one above."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    give_to_owner(folder)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file until the end of the block; another process, or thread, waits for its turn."""
    with path.open("w") as file:
        give_to_owner(path)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def give_to_owner(path: Path) -> None:
    """What root makes in a service's folder (`sudo tigrillo station add`) belongs to that service."""
    above = path.parent.stat()
    if os.geteuid() == 0 and above.st_uid != path.stat().st_uid:
        os.chown(path, above.st_uid, above.st_gid)
