"""`python -m server SITE.yaml`: the web page of a site, until SIGTERM. `tigrillo run` keeps one running."""

import gc
import logging
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from edge.clock import Clock, SystemClock
from edge.config import Plan, load_plan
from edge.errors import EdgeError, FatalError
from edge.i18n import _
from edge.logs import make_log
from edge.redaction import guard
from edge.registry import Registry, load_registry
from edge.services import Log
from edge.site_database import SQLITE_FILE
from edge.site_web import WebConfig, tls_fault
from edge.store.readers import Readers
from edge.store.sql import Store
from edge.summaries.work import Summariser

from .app import create_app
from .auth.setup_code import announce
from .connections import MOST, PATIENCE_S, Connection
from .live.watch import watch
from .media.darkroom import close_darkroom
from .web import Web

GRACE_S = 3  # event streams never end by themselves


@contextmanager
def open_web(plan: Plan, registry: Registry, *, log: Log, clock: Clock) -> Iterator[Web]:
    """Everything the page needs, for as long as the context lasts. Raises FatalError, StoreBusy."""
    (plan.state_dir / "web").mkdir(parents=True, exist_ok=True, mode=0o700)
    with Store(plan.database_url, beside=True) as store, Readers(plan.database_url) as readers:
        _keep_private(plan.state_dir)
        yield Web(plan, registry, store, readers, clock, log)


def _keep_private(state_dir: Path) -> None:
    """Take what the page keeps from this machine's other users: passwords' hashes, addresses, pictures, exports.

    As a service it is theirs from the start (UMask); who runs it by hand, or began before it had a page, may have made
    files that everybody reads.
    """
    for path in (state_dir / "web", *state_dir.glob(f"{SQLITE_FILE}*")):
        with suppress(OSError):  # another user's: theirs to say
            path.chmod(path.stat().st_mode & ~0o007)


def serve(plan: Plan, registry: Registry, *, log: Log) -> None:
    """Serve the page until SIGTERM or SIGINT. Raises FatalError when the address can't be had, or the certificate."""
    config = plan.file.web or WebConfig()
    if fault := tls_fault(config.tls):
        raise FatalError(fault)
    stop = threading.Event()
    with open_web(plan, registry, log=log, clock=SystemClock()) as web, background(web, stop) as threads:
        server = _Server(_uvicorn(config, web, threads), web)
        # what is here by now stays: looking through all of it again and again would hold every request up
        gc.collect()
        gc.freeze()
        log.info("web.started", listen=config.listen, port=config.port)
        announce(web)
        try:
            server.run()
        except SystemExit as exc:  # uvicorn's way to say that the port is taken, after it said so in its log
            raise FatalError(
                _("{listen}:{port}: the web page can't listen there: is another program there already?").format(
                    listen=config.listen, port=config.port
                )
            ) from exc
        finally:
            stop.set()
    log.info("web.stopped")


@contextmanager
def background(web: Web, stop: threading.Event) -> Iterator[list[threading.Thread]]:
    """The threads beside the requests; ended when the context is left."""
    zone = web.plan.file.site.timezone
    summariser = Summariser(web.store, web.readers, web.plan.stations, zone, web.clock, web.log)
    threads = [
        threading.Thread(target=watch, args=(web, stop), name="live", daemon=True),
        threading.Thread(target=summariser.run, args=(stop,), name="summaries", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=10)


class _Server(uvicorn.Server):
    """One whose event streams end when it is told to stop: they never do by themselves."""

    def __init__(self, config: uvicorn.Config, web: Web) -> None:
        super().__init__(config)
        self._web = web

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams and what makes pictures, then the rest in good order."""
        self._web.live.close()
        close_darkroom(self.config.app)
        await super().shutdown(sockets)


def _uvicorn(config: WebConfig, web: Web, threads: list[threading.Thread]) -> uvicorn.Config:
    tls, app = config.tls, create_app(web)
    app.state.threads = threads  # /readyz looks whether they live
    return uvicorn.Config(
        app,
        host=config.listen,
        port=config.port,
        ssl_certfile=str(tls.certificate) if tls else None,
        ssl_keyfile=str(tls.key) if tls else None,
        proxy_headers=bool(config.proxies),
        forwarded_allow_ips=list(config.proxies) or None,
        server_header=False,
        access_log=False,
        log_level="error",  # warnings tell of strangers' broken requests, a line each
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=int(PATIENCE_S),
        limit_concurrency=MOST,
        http=Connection,
        h11_max_incomplete_event_size=32_768,
        lifespan="off",
    )


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 after SIGTERM, 1 when it can't start, 78 for a wrong configuration."""
    log = make_log(json_lines=not sys.stderr.isatty())
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # as uvicorn: warnings tell of strangers' forms
    try:
        if len(arguments) != 1:
            raise FatalError(_("write: python -m server SITE.yaml"))
        registry = load_registry()
        serve(load_plan(Path(arguments[0]), registry), registry, log=log)
    except EdgeError as exc:
        print(f"{exc}", file=sys.stderr)
        return exc.exit_code if isinstance(exc, FatalError) else 1
    return 0


if __name__ == "__main__":
    guard(sys.stdout)
    guard(sys.stderr)
    sys.exit(main(sys.argv[1:]))
