"""What these tests share: a compiler that reads only the declarations that there is a use for.

PoCL 3.1 reads the 18,000 lines of Clang's opencl-c.h again for each program: 0.13 s of 0.26 s, 1,400 times (2026-11).
So the tests load Debian's PoCL from a folder of links in .cache, whose opencl-c.h leaves out the functions whose names
stand in no source of ours; 0.04 s are left. What stays is word for word the same, so that the code that is made of it
is, too; a name that were missing would be an error of the compiler.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
VENDORS = Path("/etc/OpenCL/vendors")
SHARE = Path("/usr/share/pocl")
HEADER = SHARE / "include" / "opencl-c.h"
SOURCES = ("kernels/*.cl", "edge/compute/*.py", "edge/inference/opencl/**/*.py", "tests/kernels/*.py")
PASTED = ("vload", "vstore")  # kernels put these names together with ##


def declarations(header: str) -> Iterator[str]:
    """Directives and declarations of a C header, each whole."""
    lines = iter(header.splitlines())
    for line in lines:
        whole = line
        while whole.endswith("\\") or ("__ovld" in whole and not whole.startswith("#") and ";" not in whole):
            whole += "\n" + next(lines)
        yield whole


def is_used(declaration: str, names: set[str]) -> bool:
    """Whether it has to stay: all but functions that nobody names."""
    if "__ovld" not in declaration or declaration.startswith("#"):
        return True
    return any(name in names or name.startswith(PASTED) for name in re.findall(r"(\w+) ?\(", declaration))


def short_header() -> bytes:
    """opencl-c.h as far as there is a use for it."""
    sources = [path.read_text("utf-8") for pattern in SOURCES for path in sorted(REPO.glob(pattern))]
    names = set(re.findall(r"\w+", "\n".join(sources)))
    return "".join(f"{each}\n" for each in declarations(HEADER.read_text("utf-8")) if is_used(each, names)).encode()


def link_all(folder: Path, originals: Path, *, but: str = "") -> None:
    folder.mkdir(parents=True)
    for path in originals.iterdir():
        if path.name != but:
            (folder / path.name).symlink_to(path)


def quick_pocl(library: Path) -> Path:
    """A folder for $OCL_ICD_VENDORS with this machine's drivers, of which PoCL has the short header."""
    header = short_header()
    key = hashlib.sha256(f"{library}\n{__file__}\n".encode() + header).hexdigest()[:16]
    home = REPO / ".cache" / "pocl" / key
    if not home.is_dir():
        home.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=home.parent))
        # the library looks for the rest from where it lies itself
        (made / "lib" / "any").mkdir(parents=True)
        for part in (library, library.parent / "pocl"):
            (made / "lib" / "any" / part.name).symlink_to(part)
        link_all(made / "share" / "pocl", SHARE, but="include")
        link_all(made / "share" / "pocl" / "include", SHARE / "include", but=HEADER.name)
        (made / "share" / "pocl" / "include" / HEADER.name).write_bytes(header)
        shutil.copytree(VENDORS, made / "vendors")
        (made / "vendors" / "pocl.icd").write_text(f"{home / 'lib' / 'any' / library.name}\n", "utf-8")
        try:
            made.rename(home)
        except OSError:  # another process was quicker
            shutil.rmtree(made)
    return home / "vendors"


# Elsewhere than on Debian the whole header is read, which takes longer and changes nothing else.
LIBRARIES = sorted(Path("/usr/lib").glob("*/libpocl.so.2.*"))
if len(LIBRARIES) == 1 and HEADER.is_file() and (VENDORS / "pocl.icd").is_file() and not os.getenv("OCL_ICD_VENDORS"):
    os.environ["OCL_ICD_VENDORS"] = str(quick_pocl(LIBRARIES[0]))  # for processes that tests start, too
