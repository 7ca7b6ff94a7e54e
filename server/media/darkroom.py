"""Where derived pictures are made: two at once, each only once however many ask, the others wait without a thread."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from fastapi import Request
from starlette.exceptions import HTTPException

from edge.i18n import mark
from edge.media.opener import FileMedia

from ..web import web_of
from .clips import Projector
from .derive import derived, key_of
from .kept import Kept
from .known import Known

AT_ONCE = 2  # decoding takes a core and up to 360 MB each; the daemon needs the others
MOST_WAITING = 200


class Darkroom:
    """Makes pictures and keeps them; projector: the same for clips. One for an application."""

    def __init__(self, folder: Path, media: FileMedia) -> None:
        self.media = media
        self.kept = Kept(folder)
        self.projector = Projector(self.kept, media.max_pixels)
        self._threads = ThreadPoolExecutor(AT_ONCE, "pictures")
        self._lock = threading.Lock()
        self._making: dict[object, Future[bytes]] = {}

    def ready(self, known: Known, size: str, number: int) -> bytes | None:
        """A picture that was made before."""
        return self.kept.read(self._path(known, size, number))

    async def made(self, known: Known, size: str, number: int) -> bytes:
        """A picture, made now. Raises DecodeError, HTTPException 503 when too many wait."""

        def make() -> bytes:
            # another may have made it since it was looked for
            if (kept := self.ready(known, size, number)) is not None:
                return kept
            body = derived(known, size, number, media=self.media)
            self.kept.keep(self._path(known, size, number), body)
            return body

        return await self._once(self._path(known, size, number), make)

    async def made_open(self, known: Known, size: str, number: int) -> bytes:
        """A picture with its people to be seen, which is kept nowhere. Raises as `made`."""
        return await self._once(object(), lambda: derived(known, size, number, media=self.media, open_=True))

    async def _once(self, key: object, make: Callable[[], bytes]) -> bytes:
        with self._lock:
            future = self._making.get(key)
            if future is None:
                if len(self._making) >= MOST_WAITING:
                    raise HTTPException(503, mark("too many pictures are being made"), {"retry-after": "5"})
                try:
                    future = self._making[key] = self._threads.submit(make)
                except RuntimeError as exc:  # the page ends
                    raise HTTPException(503, "", {"retry-after": "5"}) from exc
                future.add_done_callback(lambda _done: self._making.pop(key, None))
        # one that goes away takes the picture from nobody else
        return await asyncio.shield(asyncio.wrap_future(future))

    def close(self) -> None:
        """Make no more than what is in hand, and of a clip not even that: a page that ends has seconds for it."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.projector.close()

    def _path(self, known: Known, size: str, number: int) -> Path:
        return self.kept.path_of(known.pk, f"{size}-{number}", key_of(known, size, number))


_opening = threading.Lock()


def darkroom_of(request: Request) -> Darkroom:
    """The application's, made at its first picture."""
    state = request.app.state
    with _opening:
        if not hasattr(state, "darkroom"):
            web = web_of(request)
            settings = web.plan.file.media
            media = FileMedia(max_pixels=settings.max_pixels, sample_fps=None, clip_pictures=None)
            state.darkroom = Darkroom(web.own_dir / "pictures", media)
        room: Darkroom = state.darkroom
        return room


def close_darkroom(app: object) -> None:
    """Close that of an application, if it has made pictures."""
    room = getattr(getattr(app, "state", None), "darkroom", None)
    if isinstance(room, Darkroom):
        room.close()
