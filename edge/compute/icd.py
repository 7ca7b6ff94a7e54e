"""Where the OpenCL loader looks for drivers (.icd files), and what is wrong with them, in one line.

`icd_problem` loads the drivers, which may crash: the probe's child calls it, not the daemon.
"""

import atexit
import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ..foreign import foreign
from ..i18n import _

VENDORS: Final = "OCL_ICD_VENDORS"
SYSTEM_FOLDER: Final = Path("/etc/OpenCL/vendors")
ENTRY: Final = "clGetExtensionFunctionAddress"  # through which the loader finds a driver's platforms (cl_khr_icd)


def icd_place() -> Path:
    """The folder, or the one file, that the loader looks at: $OCL_ICD_VENDORS or the system's."""
    return Path(os.environ.get(VENDORS) or SYSTEM_FOLDER)


def icd_files() -> list[Path]:
    """The .icd files that the loader reads; $OCL_ICD_VENDORS may also name one of them, or a driver itself."""
    place = icd_place()
    if place.is_dir():
        return sorted(place.glob("*.icd"))
    return [place] if place.is_file() else []


def copy_icds(files: Iterable[Path]) -> Path:
    """A folder with copies of these .icd files, for $OCL_ICD_VENDORS, until this process ends. Raises OSError."""
    folder = Path(tempfile.mkdtemp(prefix="tigrillo-icd-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for file in files:
        shutil.copy(file, folder)
    return folder


def icd_problem() -> str:
    """Why the loader finds no platform, with the next step; to be asked when it has found none."""
    files = icd_files()
    if not files:
        text = _("no driver is registered in {place}: install one (docs/hardware.md), for a CPU pocl-opencl-icd")
        return text.format(place=icd_place())
    faults = [fault for file in files if (fault := _fault(file))]
    if faults:
        return "; ".join(faults)
    text = _("the drivers of {files} offer no device: see clinfo, and whether this user may open /dev/dri and /dev/kfd")
    return text.format(files=", ".join(map(str, files)))


def _fault(file: Path) -> str:
    try:
        library = file.read_text("utf-8").split("\n")[0].strip() if file.suffix == ".icd" else str(file)
        driver = ctypes.CDLL(library)
    except (OSError, UnicodeDecodeError) as exc:
        text = _("{file} names a driver that does not load ({reason}): install it again or remove that file")
        return text.format(file=file, reason=foreign(exc))
    if hasattr(driver, ENTRY):
        return ""
    text = _("{file} names {library}, which is no OpenCL driver: name the driver there or remove that file")
    return text.format(file=file, library=library)
