"""Passwords of people who log in: which are good enough, and how they are kept (Argon2id).

A password is checked against as slow a function as a small PC can bear, never more than two at once: each takes 19 MiB
for some 50 ms. A name that nobody has costs as much as a wrong password, so that the time tells no names.
"""

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from .errors import RetryableError
from .i18n import _, mark

# OWASP's password storage cheat sheet, "Argon2id": the smallest memory it names first, for PCs with 2 GB.
MEMORY_KIB, ROUNDS, LANES = 19_456, 2, 1
AT_ONCE = 2  # so that a flood of log-ins takes 40 MB and two cores at most
MOST_WAITING = 8  # beside them; the others are sent away, so that they don't take all threads
SHORTEST, LONGEST = 10, 200  # characters; NIST SP 800-63B asks for 8 and for no rules about which letters
# What is tried first everywhere, of 10 letters and more, and the words of this place. Compared without case, blanks.
COMMON = frozenset(
    """
    1234567890 0123456789 0987654321 9876543210 12345678910 1234567891 123456789a a123456789 q123456789 1234567890q
    1111111111 0000000000 1212121212 1122334455 1231231231 1q2w3e4r5t 1qaz2wsx3e qwertyuiop qwerty12345 qwerty123456
    qwerty1234 asdfghjkl1 asdfghjklñ zxcvbnm123 password12 password123 password1234 passw0rd123 p@ssword123 p@ssw0rd123
    contraseña contrasena contraseña1 contraseña123 contrasena1 contrasena12 contrasena123 contrasenia micontraseña
    iloveyou12 iloveyou123 teamomucho teamo12345 administrator administrador admin12345 admin123456 changeme123
    letmein123 welcome123 welcome1234 bienvenido bienvenidos bienvenido1 superman123 football123 colombia123 colombia10
    mexico12345 argentina1 argentina123 barcelona1 barcelona10 realmadrid millonarios estrellita princesa123
    tigrillo123 tigrillo1234 tigrillo12345 tigrillotigrillo cameratrap cameratrap1 cameratraps camaratrampa
    camaratrampa1 fototrampeo jaguar12345 secretsecret testtest12 test123456 default123 raspberry1 raspberrypi
    """.split()  # noqa: SIM905  # because a list of them is ten times as long
)


def fault_of(password: str, name: str = "") -> str:
    """What is wrong with a new password, as a marked text to be translated; "" when it will do. name: whose it is."""
    plain = "".join(normal(password).casefold().split())
    if len(password) < SHORTEST:
        return mark("A password has 10 characters at least; a few words are easier to remember than signs.")
    if len(password) > LONGEST:
        return mark("A password has 200 characters at most.")
    if plain in COMMON or len(set(plain)) < 4:
        return mark("This password is one of the first that anybody tries. Take another one.")
    if len(name) > 2 and plain.replace("".join(name.casefold().split()), "").strip("0123456789!.-_*") == "":
        return mark("This password is the name. Take another one.")
    return ""


def normal(password: str) -> str:
    """The same letters however a keyboard sends them (NFC); of a longer one than is taken, as many as make no work."""
    return unicodedata.normalize("NFC", password[: 4 * LONGEST])


class TooManyLogIns(RetryableError):
    """More passwords are being looked at than this machine can; again in a moment."""


class Hasher:
    """Makes and checks hashes; raises TooManyLogIns. Tests hand in cheaper costs."""

    def __init__(self, *, memory_kib: int = MEMORY_KIB, rounds: int = ROUNDS) -> None:
        self._argon = PasswordHasher(time_cost=rounds, memory_cost=memory_kib, parallelism=LANES)
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._places = threading.BoundedSemaphore(AT_ONCE + MOST_WAITING)

    def hash(self, password: str) -> str:
        """The text to keep."""
        with self._turn():
            return self._argon.hash(normal(password))

    def verify(self, kept: str, password: str) -> bool:
        """Whether this is the password; with kept "" (nobody, or no password set) False after the same work."""
        with self._turn():
            try:
                return self._argon.verify(kept or self._nobody, normal(password)) and bool(kept)
            except (VerificationError, InvalidHashError):
                return False

    def is_old(self, kept: str) -> bool:
        """Whether it was made with other costs than today's, and is to be made again at the next log-in."""
        return self._argon.check_needs_rehash(kept)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise TooManyLogIns(_("too many people log in at once: try again in a moment"))
        try:
            with self._turns:
                yield
        finally:
            self._places.release()

    @cached_property
    def _nobody(self) -> str:
        return self._argon.hash("nobody has this password")
