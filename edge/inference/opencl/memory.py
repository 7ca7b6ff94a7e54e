"""What a plan may take, decided before the first allocation: as it is, leaner, with weights streamed, or not at all."""

from collections.abc import Callable
from dataclasses import dataclass

from ...errors import ModelError
from ...i18n import _
from .launch import Array
from .plan import Plan

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Fitted:
    """A plan that fits. how: "" as planned, else what was given up for it."""

    plan: Plan
    how: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """Memory of a device, bytes. free: all that may still be taken. largest: of one buffer.

    resident: which constants lie there already, for another plan of the same model, and need no room.
    """

    free: int
    largest: int
    resident: Callable[[Array], bool] = lambda _array: False

    def holds(self, plan: Plan) -> bool:
        """Whether the plan's buffers fit, each and all of them, and kernels can count through the arena."""
        constants = [each for each in plan.storages if each.kind == "const"]
        largest = max((each.nbytes for each in constants), default=0)
        if not plan.is_countable or max(plan.arena_bytes, largest) > self.largest:
            return False
        there = sum(each.nbytes for each in constants if each.array is not None and self.resident(each.array))
        return plan.total_bytes - there <= self.free


def fit(make: Callable[[bool, bool], Plan], room: Room, *, name: str) -> Fitted:
    """The first plan that fits. make(lean, stream): lean plans use no scratch memory, streaming ones keep no weights.

    A streamed plan copies every weight at each run: slower by what the bus takes, and no answer differs. Raises
    ModelError with the figures when not even that fits.
    """
    plan = make(False, False)
    if room.holds(plan):
        return Fitted(plan)
    lean = make(True, False)
    if room.holds(lean):
        return Fitted(lean, "lean")
    streamed = make(True, True)
    if room.holds(streamed):
        return Fitted(streamed, "streamed")
    text = _(
        "model {name!r} needs {wanted} MB on the device ({least} MB with its weights streamed from the host), "
        "{free} MB are free, {largest} MB at most in one piece: use a smaller model, a smaller input_hw, or "
        "compute.device cpu"
    )
    figures = (plan.total_bytes, streamed.total_bytes, room.free, room.largest)
    wanted, least, free, largest = (round(each / MB) for each in figures)
    raise ModelError(text.format(name=name, wanted=wanted, least=least, free=free, largest=largest))
