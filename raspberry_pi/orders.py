"""What each command does. The texts go to the server and are English, as all that is stored."""

import logging
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edge.messages import Command

from .commands import Journal
from .delivery import Delivery
from .hardware import Hardware
from .needs import HardwareError
from .schedule import Budget
from .shutter import Shutter
from .spool import Spool
from .triggers.moments import PlanError
from .uplink import Uplink
from .uplink_config import THUMBNAILS, UplinkSettings

log = logging.getLogger(__name__)
REBOOT_AFTER_S = 5.0  # so that the answer and what is under way still leave
REBOOT = ("systemctl", "reboot")
SENDING = ("windows", "bytes_per_day", "fresh_s", "fresh_share", "thumbnails")


class Orders:
    """Runs commands in the camera's thread. allow: those that AGENT.yaml has to permit."""

    def __init__(
        self,
        *,
        allow: tuple[str, ...],
        settings: UplinkSettings,
        spool: Spool,
        shutter: Shutter,
        hardware: Hardware,
        delivery: Delivery,
        uplink: Uplink,
        budget: Budget,
        journal: Journal,
    ) -> None:
        self._allow = allow
        self._settings = settings
        self._spool = spool
        self._shutter = shutter
        self._hardware = hardware
        self._delivery = delivery
        self._uplink = uplink
        self._budget = budget
        self._journal = journal

    def resume(self) -> None:
        """Take up what an earlier run was told and what lasts."""
        for frame_id in self._journal.wanted:
            self._spool.want(frame_id)
        if self._journal.schedule:
            ok, text = self._schedule(self._journal.schedule)
            if not ok:
                log.warning("schedule.not_taken_up reason=%r", text)

    def run(self, command: Command) -> tuple[bool, str]:
        """Do it; (whether it was done, what a person should know)."""
        match command.name:
            case "capture":
                return self._capture(only_first=False)
            case "snapshot":
                return self._capture(only_first=True)
            case "want":
                return self._want(command.args.get("frame"))
            case "schedule":
                return self._schedule(command.args)
            case "reboot":
                return self._reboot()
        return False, f"this agent knows no {command.name!r}"

    def _capture(self, *, only_first: bool) -> tuple[bool, str]:
        kept = self._shutter.release("command", only_first=only_first)
        if not kept:
            return False, "no picture: the camera failed or the spool is full; health says which"
        if only_first:
            self._remember_wanted(kept[0].id)  # the whole image, whatever uplink.thumbnails says
        return True, " ".join(each.id for each in kept)[:500]

    def _want(self, frame_id: object) -> tuple[bool, str]:
        if not isinstance(frame_id, str):
            return False, "want: args.frame is no frame id"
        if not self._spool.want(frame_id):
            return False, f"{frame_id} is not here: sent, dropped, or never taken"
        self._remember_wanted(frame_id)
        return True, f"{frame_id} goes before the backlog"

    def _remember_wanted(self, frame_id: str) -> None:
        self._spool.want(frame_id)
        self._journal.wanted.append(frame_id)
        self._uplink.wake()

    def _schedule(self, args: Mapping[str, Any]) -> tuple[bool, str]:
        """Other times for pictures (`at`) and other rules for sending; no args: as in AGENT.yaml again."""
        unknown = sorted(set(args) - {"at", *SENDING})
        if unknown:
            return False, f"schedule: unknown args: {', '.join(unknown)}; known: at, {', '.join(SENDING)}"
        try:
            settings = _changed(self._settings, args)
            if "at" in args:
                self._hardware.set_schedule(_texts(args["at"]))
        except (ValueError, TypeError, HardwareError, PlanError) as exc:
            return False, f"schedule: {exc}"
        self.apply(settings)
        self._journal.schedule = dict(args)
        return True, "as in AGENT.yaml" if not args else f"changed: {', '.join(sorted(args))}"

    def apply(self, settings: UplinkSettings) -> None:
        """Send by these rules from now on."""
        self._uplink.hours = settings.hours
        self._budget.per_day = settings.bytes_per_day
        self._delivery.shares.fresh_share = settings.fresh_share
        self._shutter.thumbnails = settings.thumbnails
        self._spool.rule(fresh_s=settings.fresh_s, only_wanted=settings.thumbnails == "only_wanted")

    def _reboot(self) -> tuple[bool, str]:
        if "reboot" not in self._allow:
            return False, "not allowed here; AGENT.yaml needs commands: {allow: [reboot]}"
        threading.Timer(REBOOT_AFTER_S, _reboot_machine).start()
        return True, f"in {REBOOT_AFTER_S:.0f} s"


def _changed(settings: UplinkSettings, args: Mapping[str, Any]) -> UplinkSettings:
    """The settings with what `args` says of them. Raises ValueError or TypeError."""
    changes: dict[str, Any] = {}
    if "windows" in args:
        changes["windows"] = tuple(_texts(args["windows"]))
    if "bytes_per_day" in args:
        given = args["bytes_per_day"]
        if given is not None and not (isinstance(given, int) and given > 0):
            raise ValueError(f"bytes_per_day {given!r} is no whole number of at least 1")
        changes["bytes_per_day"] = given
    for key, most in (("fresh_s", 86_400), ("fresh_share", 1)):
        if key in args:
            if not 0 <= float(args[key]) <= most:
                raise ValueError(f"{key} {args[key]!r} is not 0 to {most}")
            changes[key] = float(args[key])
    if "thumbnails" in args:
        if args["thumbnails"] not in THUMBNAILS:
            raise ValueError(f"thumbnails {args['thumbnails']!r} is none of {', '.join(THUMBNAILS)}")
        changes["thumbnails"] = args["thumbnails"]
    return replace(settings, **changes)


def _texts(given: object) -> list[str]:
    """A list of texts, also from one text. Raises ValueError."""
    if isinstance(given, str):
        return [each.strip() for each in given.split(",") if each.strip()]
    if not isinstance(given, list | tuple):
        raise ValueError(f"{given!r} is no list of times")  # noqa: TRY004  # because all faults of args are one kind
    return [str(each) for each in given]


def _reboot_machine() -> None:
    done = subprocess.run(REBOOT, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        log.error("reboot.failed reason=%r", done.stderr.strip())
