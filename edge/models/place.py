"""Put a model's folder in place: whole or not at all, one pull or import at a time."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ModelError
from ..foreign import foreign
from ..i18n import _
from ..paths import sync_dir

WORK_PREFIX = ".work-"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the models folder, making it first; a second process waits here. Raises ModelError if it can't be made.

    Working folders that a killed process left behind are removed: while the lock is held nobody can own them.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as exc:
        raise ModelError(
            _("{folder}: can't be used for models: {reason}; set TIGRILLO_MODELS").format(
                folder=folder, reason=foreign(exc.strerror)
            )
        ) from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left_over in folder.glob(f"{WORK_PREFIX}*"):
            shutil.rmtree(left_over, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def installing(name: str, folder: Path) -> Iterator[Path]:
    """A working folder that becomes `folder`/`name` when the block ends well, and vanishes when it does not.

    Call it inside `only_one`. Raises ModelError when the disk is full or the folder can't be written.
    """
    try:
        work = Path(tempfile.mkdtemp(prefix=WORK_PREFIX, dir=folder))
        try:
            yield work
            work.chmod(0o755)  # mkdtemp makes it private; the daemon runs as another user than the one who pulls
            sync_dir(work)
            work.rename(folder / name)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        sync_dir(folder)
    except OSError as exc:
        raise ModelError(
            _("{path}: can't be written: {reason}").format(path=folder / name, reason=foreign(exc.strerror or exc))
        ) from exc
