"""A motion stage's background on the device, behind the Scene protocol; it begins anew when the device was lost."""

from typing import TYPE_CHECKING

from ...compute.device import Device
from ...compute.frames import Shown
from ...compute.motion import DeviceMotion
from ...errors import EdgeError
from ...model import Picture
from ...services import MotionRule, Seen

if TYPE_CHECKING:
    from .session import OpenclCompute


class OpenclScene:
    """The background of one scene. Its memory on the device is given back when nobody refers to the scene any more."""

    def __init__(self, compute: "OpenclCompute", rule: MotionRule) -> None:
        self._compute, self._rule = compute, rule
        self._device: Device | None = None
        self._motion: DeviceMotion | None = None
        self._forgotten = False

    def forget(self) -> None:
        """Start anew with the next picture."""
        self._forgotten = True

    def look(self, picture: Picture, *, at_s: float) -> Seen | None:
        """See Scene.look."""
        shown = self._compute.passing.show_luma(picture)
        return self._compute.worker.submit(lambda device: self._look(device, shown, at_s)).result()

    def _look(self, device: Device, shown: Shown, at_s: float) -> Seen | None:
        hop = self._compute.hop(device)
        motion = self._motion
        if motion is None or device is not self._device:
            motion = DeviceMotion(hop.vision, self._rule)
        self._motion = None  # unless the look succeeds: what a failed one left behind is no background
        if self._forgotten:
            motion.forget()
        try:
            with hop.frames.on_device(shown) as frame:
                seen = motion.look(frame, at_s=at_s)
        except EdgeError:
            motion.__exit__(None, None, None)
            raise
        self._device, self._motion, self._forgotten = device, motion, False
        return seen
