"""Packages that are imported only when AGENT.yaml asks for what they do."""

import importlib
import shutil
from types import ModuleType

from edge.i18n import _

# What a Pi installs. From apt where the package must fit the system's own libraries.
INSTALL = {
    "picamera2": "sudo apt install python3-picamera2",
    "gpiozero": "sudo apt install python3-gpiozero python3-lgpio",
    "smbus2": "sudo apt install python3-smbus2",
    "astral": "sudo /usr/local/lib/tigrillo/bin/python -m pip install 'astral>=3,<4'",
    "av": "sudo apt install python3-av",
    "PIL": "sudo apt install python3-pil",
    "ffmpeg": "sudo apt install ffmpeg",
}


class HardwareError(Exception):
    """Something that AGENT.yaml asks for is not there; the text says what, and what to do. Ends the start with 78."""


def load(name: str, *, wanted_by: str) -> ModuleType:
    """Import a package. Raises HardwareError with the line that installs it. wanted_by: the setting that needs it."""
    try:
        return importlib.import_module(name)
    except ImportError as exc:
        top = name.partition(".")[0]
        what = _("{setting}: Python's {package} is needed and can't be imported ({reason}); install it: {how}")
        raise HardwareError(
            what.format(setting=wanted_by, package=top, reason=exc, how=INSTALL.get(top, f"pip install {top}"))
        ) from exc


def program(name: str, *, wanted_by: str) -> str:
    """The path of a program. Raises HardwareError with the line that installs it."""
    found = shutil.which(name)
    if found is None:
        what = _("{setting}: the program {name} is needed and is not there; install it: {how}")
        raise HardwareError(what.format(setting=wanted_by, name=name, how=INSTALL.get(name, name)))
    return found
