"""The composition root: everything a site needs is opened in one `with` ladder; running.py runs it in one task group.

Reading it upwards is the shutdown: sources stop first, frames in hand are finished, the store closes last.
"""

import fcntl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from .alerts.answers import Answers
from .alerts.cooldowns import Cooldowns
from .alerts.desk import AlertDesk, AlertSettings
from .alerts.digest import Digests
from .clock import Clock
from .config import Plan
from .errors import FatalError
from .foreign import foreign
from .hookspecs import NotifierSpec, SourceSpec, StageSpec
from .i18n import _
from .inference.select import open_compute
from .links import open_signer
from .media.opener import FileMedia
from .models.installed import InstalledModels
from .paths import models_dir
from .pipeline.built import built
from .pipeline.compose import Composer
from .pipeline.ears import watchers_of
from .pipeline.lanes import Outlet
from .pipeline.outbox import Outbox, Post
from .pipeline.roster import StoreRoster
from .pipeline.runner import Runner
from .pipeline.spool import Spool
from .pipeline.tally import Observers, Tally
from .pipeline.watchman import Failures
from .pipeline.web_child import WebChild
from .privacy.second import second_name
from .registry import Registry
from .services import Log, Services, Sink, Source, Station, VisionCompute
from .site_file import Channel
from .station_site import station_parts
from .stations.book import Book
from .stations.folders import Folders
from .stations.known import KnownStations
from .store.notices import Notices
from .store.sql import Store

UPLOADS = "upload"  # the source that takes in what people send through the page


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
        store = stack.enter_context(Store(plan.database_url, alone=True))
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
    return None if web is None else WebChild(plan.path, web.port, log, ended, listen=web.listen, tls=web.tls)


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
