"""One run of a site: its parts side by side in one task group, until a signal, or until it is to be loaded anew."""

import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from . import __version__, arenas
from .alerts.heartbeat import HeartbeatConfig
from .clock import Clock
from .config import Plan
from .daemon import Site, open_site
from .errors import FatalError
from .i18n import _
from .inference.select import TellsWhere
from .pipeline.control import Control
from .pipeline.ears import check_all, hearing, listen
from .pipeline.housekeeping import Housekeeper, handlers
from .pipeline.pulse import Pulse
from .pipeline.requests import Requests
from .pipeline.runner import Failed, attempt
from .pipeline.steady import Steady
from .pipeline.tally import write_status
from .pipeline.watchman import Around, Watchman
from .pipeline.web_child import WebChild
from .pipeline.worker import Worker
from .privacy.originals import Originals
from .registry import Registry
from .sd_notify import ALIVE, READY, STOPPING, notify, reloading
from .services import Log, Source

BEAT_S = 1.0  # heartbeat, status file; the unit's WatchdogSec is a multiple of it
LOOK_S = 0.2  # for a site that is to be loaded anew
RESTART_S = 5.0  # pause before a source that failed is started again


def run_site(plan: Plan, registry: Registry, *, log: Log, clock: Clock, control: Control | None = None) -> None:
    """Run a site until SIGTERM or SIGINT, or until it is to be loaded anew. Raises FatalError when it can't go on.

    control: of a caller who holds the site's lock, and loads it anew when it says so.
    """
    arenas.keep_few()
    control, locked = control or Control(), control is not None
    with open_site(plan, registry, log=log, clock=clock, locked=locked) as site:
        given_back = site.store.reclaim_all(clock.now())
        log.info("site.started", version=__version__, site=str(plan.path), reclaimed=given_back)
        try:
            anyio.run(_run, plan, site, control)
        except* FatalError as group:
            raise _first(group) from group
        finally:
            control.failing = frozenset(site.failures.reasons()) | frozenset(site.parts.reasons())
        log.info("site.stopped", **site.tally.as_dict())


def _first(group: BaseExceptionGroup[FatalError]) -> FatalError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, FatalError)
    return error


async def _run(plan: Plan, site: Site, control: Control) -> None:
    """One task group; each blocking part has a thread. The order of `stop` and `halt` is the drain."""
    stop, halt = threading.Event(), threading.Event()
    lanes = [f"worker-{number + 1}" for number in range(plan.file.limits.inbox_frames)]
    pulse = Pulse(lanes)
    limiter = anyio.CapacityLimiter(len(lanes) + len(site.sources) + len(site.outbox.outlets) + 8)

    async def in_thread(work: Callable[[], None]) -> None:
        try:
            await anyio.to_thread.run_sync(work, limiter=limiter)
        except BaseException:
            stop.set()
            halt.set()
            raise

    async with anyio.create_task_group() as tasks:
        for lane in lanes:
            tasks.start_soon(
                in_thread,
                Worker(
                    lane, site.store, site.services, site.runner, site.desk, pulse, stop, halt, site.outbox.wake
                ).run,
            )
        if site.broker is not None:
            tasks.start_soon(in_thread, partial(site.broker, stop))
        if site.web is not None:
            tasks.start_soon(in_thread, partial(_keep_page, site.web, site, stop))
        for name, source in site.sources:
            tasks.start_soon(in_thread, partial(_keep_running, name, source, site, stop))
        tasks.start_soon(in_thread, partial(site.outbox.run, stop))
        tasks.start_soon(in_thread, partial(_housekeeper(plan, site, control).run, stop))
        if (heartbeat := plan.file.alerts.heartbeat) is not None:
            tasks.start_soon(in_thread, partial(_watchman(plan, site, heartbeat, pulse).run, stop))
        log, outlets = site.services.log, site.outbox.outlets
        tasks.start_soon(in_thread, partial(check_all, outlets, log, stop))
        for name, notifier in hearing(outlets):
            tasks.start_soon(in_thread, partial(listen, name, notifier, site.answers, log, stop))
        steady = _steady(site, pulse, control) if control.trial else None
        tasks.start_soon(_heartbeat, plan, site, pulse, stop, control, steady)
        tasks.start_soon(_stop_on_signal, stop, halt, plan.file.limits.grace_s, control)


def _watchman(plan: Plan, site: Site, heartbeat: HeartbeatConfig, pulse: Pulse) -> Watchman:
    """What tells people when the site itself is unwell."""
    names = [name for name, _source in site.sources]
    around = Around(plan.file.limits.spool_bytes, site.outbox, pulse, site.failures, names)
    return Watchman(site.store, site.services, plan.directory, heartbeat, around)


def _housekeeper(plan: Plan, site: Site, control: Control) -> Housekeeper:
    """What does the work beside the frames."""
    log, clock = site.services.log, site.services.clock
    originals = Originals(site.store, plan.state_dir, plan.file.people, clock, log)
    desk = control.desk(site.store) if control.desk is not None else None
    handled = handlers(site.store, clock, originals, desk, changed=control.reload.set)
    return Housekeeper(Requests(plan.state_dir, handled, log), originals, clock, log)


def _keep_running(name: str, source: Source, site: Site, stop: threading.Event) -> None:
    """Run a source; when it fails say so and start it again after a pause."""
    while not stop.is_set():
        ended = attempt(lambda: source.run(site.sink, stop))
        if isinstance(ended, Failed):
            site.services.log.error("source.failed", source=name, reason=ended.reason, again_in_s=RESTART_S)
            site.failures.note(name, ended.reason, site.services.clock.monotonic_s())
            stop.wait(RESTART_S)
        elif not stop.is_set():
            site.services.log.info("source.finished", source=name)
            return


def _keep_page(web: WebChild, site: Site, stop: threading.Event) -> None:
    """Keep the page's process running; a bug in that stops no frame."""
    while not stop.is_set():
        ended = attempt(partial(web.run, stop))
        if isinstance(ended, Failed):
            site.services.log.error("web.failed", reason=ended.reason, again_in_s=RESTART_S)
            web.ended(ended.reason)
            stop.wait(RESTART_S)


def _steady(site: Site, pulse: Pulse, control: Control) -> Steady:
    """What decides whether a new configuration is kept."""
    now_s = site.services.clock.monotonic_s()
    return Steady(now_s, pulse, site.failures, site.parts, site.web, control.excused)


async def _heartbeat(
    plan: Plan, site: Site, pulse: Pulse, stop: threading.Event, control: Control, steady: Steady | None
) -> None:
    """Feed the watchdog only while every worker answers and the store does; write the status file.

    steady: decides about the configuration that is being tried.
    """
    _tell_systemd(site, READY)
    control.opened.set()
    while not stop.is_set():
        if not (plan.state_dir / "lock").exists():
            # SQLite goes on in the removed file: what is acknowledged now would be forgotten at the end
            stop.set()
            raise FatalError(
                _("{folder}: was removed while the site ran: put it back and start again").format(folder=plan.state_dir)
            )
        # in a thread: a locked database or a slow disk takes seconds, and a signal must not wait for them
        answers = await anyio.to_thread.run_sync(_beat, plan, site, pulse)
        if steady is not None and await anyio.to_thread.run_sync(_judge, site, control, steady, answers):
            steady = None
        await anyio.sleep(BEAT_S)
    if control.reload.is_set():
        _tell_systemd(site, reloading())
        _write_status(plan, site, reloading=True)
    else:
        _tell_systemd(site, STOPPING)
        _write_status(plan, site, stopped=True)


def _judge(site: Site, control: Control, steady: Steady, answers: bool) -> bool:
    """Whether the configuration that is tried was judged: kept, or given up, whereupon the site is loaded anew."""
    verdict, reason = steady.look(site.services.clock.monotonic_s(), store=answers)
    if verdict == "bad":
        control.failed = reason
        control.reload.set()
    elif verdict == "well":
        kept = attempt(control.keep)
        if isinstance(kept, Failed):  # a full disk: the next look tries again
            site.services.log.error("configuration.unwritable", reason=kept.reason)
            return False
    return verdict != "wait"


def _beat(plan: Plan, site: Site, pulse: Pulse) -> bool:
    """Whether the store answers."""
    answered = attempt(site.store.ping)
    if isinstance(answered, Failed):
        site.services.log.error("store.silent", reason=answered.reason)
    elif pulse.ping():
        _tell_systemd(site, ALIVE)
    elif silent := pulse.silent():
        site.services.log.debug("worker.silent", workers=silent)
    _write_status(plan, site)
    return not isinstance(answered, Failed)


def _tell_systemd(site: Site, state: str) -> None:
    """Say it, or say in the log that nobody takes it: that is no reason to stop looking at frames."""
    told = attempt(partial(notify, state))
    if isinstance(told, Failed):
        site.services.log.error("systemd.silent", state=state, reason=told.reason)


def _write_status(plan: Plan, site: Site, **fields: Any) -> None:
    now = site.services.clock.now().isoformat()
    status = plan.state_dir / "status.json"
    channels = site.outbox.snapshot()
    compute = site.services.compute
    fields |= {"started_at": site.started_at, "models": dict(site.services.used_models)}
    if isinstance(compute, TellsWhere):
        fields["runs"] = dict(compute.runs())
    if site.web is not None:
        fields["web"] = site.web.snapshot()
    written = attempt(
        partial(write_status, status, site.tally, at=now, version=__version__, channels=channels, **fields)
    )
    if isinstance(written, Failed):
        site.services.log.error("status.unwritable", reason=written.reason)


async def _stop_on_signal(stop: threading.Event, halt: threading.Event, grace_s: float, control: Control) -> None:
    """SIGTERM, SIGINT, or to be loaded anew: no new frame; after `grace_s` the one in hand is given back too."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as either:

            async def look() -> None:
                while not control.reload.is_set():  # noqa: ASYNC110  # because threads set it
                    await anyio.sleep(LOOK_S)
                either.cancel_scope.cancel()

            either.start_soon(look)
            async for _signal in signals:
                control.signalled = True
                break
            either.cancel_scope.cancel()
    stop.set()
    timer = threading.Timer(grace_s, halt.set)
    timer.daemon = True
    timer.start()
