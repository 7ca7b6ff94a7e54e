"""Which device a site asks for: `auto | cpu | opencl | opencl:PLATFORM/DEVICE` → one of those that were found."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError, NoDeviceError
from ..i18n import _
from .capability import Capability


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device as the probe found it.

    platform: the platform's name. platform_number, number: places in the lists of the drivers, from 0. board: what the
    maker calls the card, "" when the driver does not tell. broken: why it can't be used, "" when it can.
    """

    platform: str
    platform_number: int
    number: int
    capability: Capability
    board: str = ""
    broken: str = ""

    @property
    def address(self) -> str:
        """What to write into a site's `compute.device` to get this one."""
        return f"opencl:{self.platform_number}/{self.number}"

    @property
    def label(self) -> str:
        """Platform and name, for people."""
        return f"{self.platform}: {' '.join((self.board or self.capability.name).split())}"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a site asks for. platform, device: a number or a part of the name, in small letters; "" for any."""

    kind: Literal["auto", "cpu", "opencl"]
    platform: str = ""
    device: str = ""

    def __str__(self) -> str:
        if not self.platform:
            return self.kind
        return f"{self.kind}:{self.platform}" + (f"/{self.device}" if self.device else "")


def parse_choice(text: str) -> Choice:
    """Read a site's `compute.device`. Raises ConfigError, which says what may be written."""
    kind, colon, rest = text.strip().lower().partition(":")
    platform, slash, device = (part.strip() for part in rest.partition("/"))
    wrong = (colon and not platform) or (slash and not device)
    if kind == "opencl" and not wrong:
        return Choice("opencl", platform, device)
    if kind == "auto" and not colon:
        return Choice("auto")
    if kind == "cpu" and not colon:
        return Choice("cpu")
    raise ConfigError(
        _(
            "device {text!r}: use auto, cpu, opencl or opencl:PLATFORM/DEVICE, where PLATFORM and DEVICE are numbers "
            "or parts of names (tigrillo doctor lists them); /DEVICE may be left out"
        ).format(text=text)
    )


def match(choice: Choice, found: Iterable[FoundDevice], *, problem: str = "") -> FoundDevice:
    """The device that is asked for; of several, a GPU before a CPU, then the order of the drivers.

    "auto" takes GPUs only, since ONNX Runtime is at home on the CPU. problem: why the probe found nothing. Raises
    NoDeviceError when none fits or the fitting ones are broken; it lists what is there. Raises ValueError for "cpu".
    """
    if choice.kind == "cpu":
        raise ValueError("cpu is ONNX Runtime, no OpenCL device")
    there = list(found)
    fitting = list(_fitting(choice, there))
    usable = sorted((each for each in fitting if not each.broken), key=lambda each: each.capability.family != "gpu")
    if usable:
        return usable[0]
    if fitting:
        text = _("device {choice}: {label} is broken: {reason}")
        raise NoDeviceError(text.format(choice=choice, label=fitting[0].label, reason=fitting[0].broken))
    if not there:
        reason = problem or _("no driver offers a device")
        raise NoDeviceError(_("device {choice}: no OpenCL device ({reason})").format(choice=choice, reason=reason))
    names = ", ".join(f"{each.address} ({each.label})" for each in there)
    raise NoDeviceError(_("device {choice} is not there; there are {names}").format(choice=choice, names=names))


def _fitting(choice: Choice, there: list[FoundDevice]) -> Iterator[FoundDevice]:
    if choice.kind == "auto":
        yield from (each for each in there if each.capability.family == "gpu")
        return
    of_platform = _narrow(choice.platform, there, lambda each: each.platform_number, lambda each: each.platform)
    yield from _narrow(
        choice.device, of_platform, lambda each: each.number, lambda each: f"{each.capability.name} {each.board}"
    )


def _narrow(
    part: str,
    there: list[FoundDevice],
    number_of: Callable[[FoundDevice], int],
    name_of: Callable[[FoundDevice], str],
) -> list[FoundDevice]:
    by_number = [each for each in there if part.isdecimal() and number_of(each) == int(part)]
    # "580" is no 581st device but a part of "Radeon RX 580"
    return by_number or [each for each in there if part in name_of(each).lower()]
