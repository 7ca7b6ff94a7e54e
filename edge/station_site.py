"""A site's YAML → its desk, where its broker is, and the parts of both that run beside the daemon."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .clock import Clock
from .errors import FatalError
from .i18n import _
from .services import Emit, Log
from .site_file import BrokerConfig, EnrollConfig, SiteFile
from .stations.addresses import best_address, own_names
from .stations.broker import BrokerPlace, PrivateBroker, reload, write_config
from .stations.desk import Desk, open_desk
from .stations.enrolment import open_enrolment
from .stations.folders import Folders
from .stations.overheard import Overheard


def broker_place(file: SiteFile) -> BrokerPlace:
    """Where the site's broker is; this machine's own where the YAML says nothing."""
    broker = file.broker or BrokerConfig()
    return BrokerPlace(broker.host or best_address(), broker.port, broker.listen, broker.external)


def site_desk(file: SiteFile, state_dir: Path, clock: Clock) -> Desk:
    """The site's desk; makes the authority where there is none yet. Raises FatalError."""
    broker, folders = file.broker or BrokerConfig(), Folders.of(state_dir)
    names = {*own_names(), *broker.names, *([broker.host] if broker.host else [])}
    return open_desk(
        state_dir, site=file.site.name, names=names, clock=clock, list_changed=lambda: _tell_broker(folders)
    )


@contextmanager
def station_parts(
    file: SiteFile,
    state_dir: Path,
    *,
    log: Log,
    clock: Clock,
    emit: Emit = lambda _event: None,
    ended: Callable[[str], None] = lambda _reason: None,
) -> Iterator[Callable[[threading.Event], None] | None]:
    """What a site with a `broker:` section needs beside its sources, while the context lasts. Raises FatalError.

    Gives what keeps the private broker running until an event is set, None where the site has none to run. The
    enrolment answers from here on, where the YAML asks for it. emit: told of what the private broker refuses. ended:
    told each time that it ends by itself.
    """
    if file.broker is None:
        yield None
        return
    desk, place = site_desk(file, state_dir, clock), broker_place(file)
    if file.broker.run:
        write_config(desk.folders, place, overheard=True)
    broker = PrivateBroker(desk.folders, log, Overheard(emit, clock, log), ended, place)
    run = broker.run if file.broker.run else None
    if file.broker.enroll is None:
        yield run
        return
    with enrolment_of(file, desk, log=log) as port:
        log.info("enrolment.started", port=port)
        yield run


@contextmanager
def enrolment_of(file: SiteFile, desk: Desk, *, log: Log) -> Iterator[int]:
    """The site's enrolment while the context lasts; gives its port. Raises FatalError when the port is taken."""
    enroll, place = enroll_settings(file), broker_place(file)
    with open_enrolment(desk, listen=enroll.listen, port=enroll.port, broker=(place.host, place.port), log=log) as port:
        yield port


def enroll_settings(file: SiteFile) -> EnrollConfig:
    """Where the enrolment answers, whether the daemon has it or `tigrillo station add --wait`."""
    return (file.broker and file.broker.enroll) or EnrollConfig()


def require_private(file: SiteFile, path: Path) -> None:
    """Raises FatalError when the site names somebody else's broker."""
    if file.broker is not None and file.broker.external:
        raise FatalError(
            _("{path}: broker.external: this broker is somebody else's, and tigrillo does not run it").format(path=path)
        )


def _tell_broker(folders: Folders) -> None:
    reload(folders)
