"""The code without which nobody becomes the first admin: whoever can read the log, or the state folder, has it."""

import os
import secrets
from pathlib import Path

from edge.errors import FatalError
from edge.foreign import foreign
from edge.i18n import _
from edge.store.users import any_user

from ..web import Web

FILE = "setup-code"
LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # without those that are taken for one another
LENGTH = 8  # 31^8: 40 bits, behind a server that counts tries and is asked for the first minutes of a site


def announce(web: Web) -> None:
    """Say the code in the log, while there is nobody who could log in. Raises FatalError."""
    with web.store.reading() as connection:
        if any_user(connection):
            forget(web)
            return
    config = web.config
    here = config.address or f"{'https' if config.tls else 'http'}://{config.listen}:{config.port}"
    web.log.info("web.first_run", open=f"{here}/setup", setup_code=code_of(web), kept_in=str(_path(web)))


def code_of(web: Web) -> str:
    """The code, such as K7QD-9F2M; made when there is none. Raises FatalError when it can't be kept."""
    path = _path(web)
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            code = "".join(secrets.choice(LETTERS) for _letter in range(LENGTH))
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{code[:4]}-{code[4:]}\n")
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise FatalError(_("{path}: can't be read or made: {reason}").format(path=path, reason=foreign(exc))) from exc


def is_code(web: Web, said: str) -> bool:
    """Whether somebody has it; blanks, dashes and small letters don't matter."""
    return secrets.compare_digest(_bare(said).encode(), _bare(code_of(web)).encode())


def forget(web: Web) -> None:
    """It is of no use any more."""
    _path(web).unlink(missing_ok=True)


def _bare(text: str) -> str:
    return "".join(each for each in text[:40].upper() if each.isalnum())


def _path(web: Web) -> Path:
    return web.own_dir / FILE
