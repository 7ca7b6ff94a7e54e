"""The composition root: everything a site needs is opened in one `with` ladder, and runs in one task group.

Reading it upwards is the shutdown: sources stop first, frames in hand are finished, the store closes last.
"""

import fcntl
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from pydantic import BaseModel

from . import __version__, arenas
from .alerts.answers import Answers
from .alerts.cooldowns import Cooldowns
from .alerts.desk import AlertDesk, AlertSettings
from .alerts.digest import Digests
from .alerts.heartbeat import HeartbeatConfig
from .clock import Clock
from .config import Plan
from .errors import FatalError
from .foreign import foreign
from .hookspecs import NotifierSpec, SourceSpec, StageSpec
from .i18n import _
from .inference.select import TellsWhere, open_compute
from .links import open_signer
from .media.opener import FileMedia
from .models.installed import InstalledModels
from .paths import models_dir
from .pipeline.built import built
from .pipeline.compose import Composer
from .pipeline.control import Control
from .pipeline.ears import check_all, hearing, listen, watchers_of
from .pipeline.housekeeping import Housekeeper, handlers
from .pipeline.lanes import Outlet
from .pipeline.outbox import Outbox, Post
from .pipeline.pulse import Pulse
from .pipeline.requests import Requests
from .pipeline.roster import StoreRoster
from .pipeline.runner import Failed, Runner, attempt
from .pipeline.spool import Spool
from .pipeline.steady import Steady
from .pipeline.tally import Observers, Tally, write_status
from .pipeline.watchman import Around, Failures, Watchman
from .pipeline.web_child import WebChild
from .pipeline.worker import Worker
from .privacy.originals import Originals
from .privacy.second import second_name
from .registry import Registry
from .sd_notify import ALIVE, READY, STOPPING, notify, reloading
from .services import Log, Services, Sink, Source, Station, VisionCompute
from .site_file import Channel
from .station_site import station_parts
from .stations.book import Book
from .stations.folders import Folders
from .stations.known import KnownStations
from .store.notices import Notices
from .store.sql import Store

BEAT_S = 1.0  # heartbeat, status file; the unit's WatchdogSec is a multiple of it
LOOK_S = 0.2  # for a site that is to be loaded anew
UPLOADS = "upload"  # the source that takes in what people send through the page
RESTART_S = 5.0  # pause before a source that failed is started again


@dataclass(frozen=True, slots=True)
class Site:
    """A site with everything open and nothing running yet.

    broker, web: keep the private broker and the page's process running, if the site has them.
    """

    services: Services
    store: Store
    sink: Sink
    tally: Tally
    sources: tuple[tuple[str, Source], ...]
    runner: Runner
    desk: AlertDesk
    outbox: Outbox
    answers: Answers
    broker: Callable[[threading.Event], None] | None = None
    failures: Failures = field(default_factory=Failures)  # of sources
    parts: Failures = field(default_factory=Failures)  # of what runs beside them: broker, web page
    web: WebChild | None = None
    started_at: str = ""


@contextmanager
def open_services(
    plan: Plan, registry: Registry, *, log: Log, clock: Clock, tally: Tally, sample_fps: float | None = None
) -> Iterator[Services]:
    """What plugins are handed, for as long as the context lasts. Raises FatalError.

    sample_fps: overrides the site's, and its bound of pictures a clip; 0 for every picture of a clip.
    """
    file = plan.file
    fps = file.media.sample_fps if sample_fps is None else sample_fps
    # who asks for pictures a second gets them, however long the clip
    most = file.media.clip_pictures if sample_fps is None else 0
    threads, jobs = file.compute.threads, file.limits.compute_jobs
    folders = Folders.of(plan.state_dir)
    enforce = file.broker is not None and file.broker.enforce
    named = {
        each.name: Station(each.name, each.timezone or "", each.latitude, each.longitude, each.species_list)
        for each in file.stations
    }
    known = KnownStations(Book(folders.book), named, file.site.timezone, clock, enforce=enforce)
    with open_compute(file.compute.device, threads=threads, jobs=jobs, log=log) as compute:
        yield Services(
            compute=compute,
            models=InstalledModels(models_dir()),
            media=FileMedia(max_pixels=file.media.max_pixels, sample_fps=fps or None, clip_pictures=most or None),
            log=log,
            state_dir=plan.state_dir,
            clock=clock,
            decoders=registry.decoders,
            stations=known,
            is_allowed=known.is_allowed,
            identity=folders.identity if file.broker is not None else None,
            default_timezone=file.site.timezone,
            language=file.site.language,
            site_name=file.site.name,
            emit=Observers(tally, log, registry.manager),
            used_models=_used_models(plan),
        )


def _used_models(plan: Plan) -> dict[str, str]:
    """Stage → model; a stage is named after the task of its model. "people": the second detector, if one is needed."""
    used = {spec.name: str(config.model) for spec, config in plan.stages if hasattr(config, "model")}
    if second := second_name(plan.file.people, used.get("detect", ""), InstalledModels(models_dir())):
        used["people"] = second
    return used


@contextmanager
def open_runner(plan: Plan, services: Services) -> Iterator[Runner]:
    """The site's stages, built in YAML order. Raises FatalError."""
    with ExitStack() as stack:
        stages = [
            (spec.name, stack.enter_context(built(spec.name, spec.build, config, services)))
            for spec, config in plan.stages
        ]
        compute = services.compute
        answering = stages[answering_from([spec for spec, _config in plan.stages]) :]
        runner = Runner(services.media, stages, answering=answering)
        yield replace(runner, looking_at=compute.looking_at) if isinstance(compute, VisionCompute) else runner


def answering_from(specs: Sequence[StageSpec[Any]]) -> int:
    """Index of the first of the last stages that read and write nothing of a frame but its detections.

    They can be asked again about a track. A stage that does not say what it reads may read everything.
    """
    only = frozenset({"detections"})
    asked = takewhile(lambda spec: spec.reads == spec.writes == only, reversed(specs))
    return len(specs) - sum(1 for _spec in asked)


@contextmanager
def open_site(plan: Plan, registry: Registry, *, log: Log, clock: Clock, locked: bool = False) -> Iterator[Site]:
    """Open all parts of a site, in the order in which they need each other. Raises FatalError.

    locked: the caller holds the site's lock already.
    """
    tally, parts = Tally(), Failures()
    with ExitStack() as stack:
        if not locked:
            stack.enter_context(only_one(plan.state_dir))
        refusals = Observers(tally, log, registry.manager)
        ended = _noting(parts, "broker", clock)
        broker = stack.enter_context(
            station_parts(plan.file, plan.state_dir, log=log, clock=clock, emit=refusals, ended=ended)
        )
        services = stack.enter_context(open_services(plan, registry, log=log, clock=clock, tally=tally))
        store = stack.enter_context(Store(plan.database_url))
        roster = StoreRoster(store, state_dir=plan.state_dir, clock=clock, emit=services.emit, log=log)
        services = replace(services, roster=roster)
        runner = stack.enter_context(open_runner(plan, services))
        outlets = {
            channel.name: stack.enter_context(_open_outlet(channel, *plan.channels[channel.name], services))
            for channel in plan.file.channels
        }
        observers = services.emit
        assert isinstance(observers, Observers)
        observers.watchers.extend(watchers_of(outlets, clock))
        outbox = open_outbox(plan, store, services, outlets)
        answers = Answers(store, plan.directory, clock, services.emit)
        sources = tuple(
            (spec.name, stack.enter_context(built(spec.name, spec.build, config, services)))
            for spec, config in _sources_of(plan, registry)
        )
        limits = plan.file.limits
        spool = Spool(
            store,
            services,
            limit_bytes=limits.spool_bytes,
            drop_when_full=limits.when_full == "drop_newest",
        )
        desk, web = alert_desk(plan, services), _web_child(plan, log, _noting(parts, "web", clock))
        beside: dict[str, Any] = {"parts": parts, "web": web, "started_at": clock.now().isoformat()}
        yield Site(services, store, spool, tally, sources, runner, desk, outbox, answers, broker, **beside)


def _sources_of(plan: Plan, registry: Registry) -> list[tuple[SourceSpec[Any], BaseModel]]:
    """The site's, and what people send through its page, if it has one."""
    named = list(plan.sources)
    upload = registry.sources.get(UPLOADS)
    if plan.file.web is not None and upload is not None and all(spec is not upload for spec, _config in named):
        named.append((upload, upload.config()))
    return named


def _noting(parts: Failures, name: str, clock: Clock) -> Callable[[str], None]:
    """What notes that a part has ended by itself."""
    return lambda reason: parts.note(name, reason, clock.monotonic_s())


def _web_child(plan: Plan, log: Log, ended: Callable[[str], None]) -> WebChild | None:
    """The page's process, not running yet; None where the site has no page."""
    web = plan.file.web
    return None if web is None else WebChild(plan.path, web.port, log, ended, listen=web.listen)


@contextmanager
def _open_outlet(channel: Channel, spec: NotifierSpec[Any], config: BaseModel, services: Services) -> Iterator[Outlet]:
    with built(channel.name, spec.build, config, services) as notifier:
        yield Outlet(notifier, spec.picture if spec.shows(config) else None, channel.per_minute)


def alert_desk(plan: Plan, services: Services) -> AlertDesk:
    """What looks at recorded frames with the site's rules."""
    alerts = plan.file.alerts
    settings = AlertSettings(
        gap=timedelta(minutes=alerts.gap_min),
        max_age=timedelta(minutes=alerts.max_age_min),
        updates=alerts.updates,
        queue=alerts.queue,
    )
    rules = tuple(rule for rule in plan.rules if rule.enabled)
    return AlertDesk(rules, plan.directory, services.stations, settings, plan.file.site.timezone)


def open_outbox(plan: Plan, store: Store, services: Services, outlets: Mapping[str, Outlet]) -> Outbox:
    """What sends the site's messages through these outlets."""
    alerts = plan.file.alerts
    signer = open_signer(plan.state_dir, alerts.page) if alerts.page else None
    lengths = {rule.name: timedelta(minutes=rule.cooldown_min) for rule in plan.rules if rule.cooldown_min}
    composer = Composer(store, services, signer, alerts.link_days)
    post = Post(
        plan.directory,
        composer,
        Cooldowns(lengths, services.clock),
        Digests(plan.directory, composer.line),
        give_up_after=timedelta(hours=alerts.give_up_h),
    )
    return Outbox(Notices(store), outlets, post, services.clock, services.emit)


@contextmanager
def only_one(state_dir: Path) -> Iterator[None]:
    """Hold the site's lock. Raises FatalError when another process runs this site, or the folder can't be written."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        file = (state_dir / "lock").open("w")
    except OSError as exc:
        raise FatalError(
            _("{folder}: can't be written ({reason}): check `state_dir` and its owner").format(
                folder=state_dir, reason=foreign(exc.strerror)
            )
        ) from exc
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise FatalError(
                _("{folder}: another tigrillo runs this site: stop it first").format(folder=state_dir)
            ) from exc
        yield


def is_running(state_dir: Path) -> bool:
    """Whether a process holds the site's lock."""
    try:
        with (state_dir / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # there is none, or it is not ours: who writes says so
    return False


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
