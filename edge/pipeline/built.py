"""What plugins build for a site, opened and closed so that one that fails is named, and no other suffers."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from ..errors import ConfigError, FatalError
from ..i18n import _
from ..services import Services
from .runner import Failed, attempt

C = TypeVar("C")
Part = TypeVar("Part")


@contextmanager
def built(
    name: str, build: Callable[[C, Services], AbstractContextManager[Part]], config: C, services: Services
) -> Iterator[Part]:
    """A stage, source or notifier for as long as the context lasts.

    name: as the site calls it. Raises FatalError when it can't be built; one that fails at its end is only logged.
    """
    opened = attempt(lambda: _entered(build(config, services)))
    if isinstance(opened, Failed):
        error = ConfigError if opened.reaction == "bug" else FatalError
        raise error(
            _("{name!r} can't be built: {reason}: mend its settings or its plugin").format(
                name=name, reason=opened.reason
            )
        )
    context, part = opened.value
    try:
        yield part
    finally:
        closed = attempt(lambda: context.__exit__(None, None, None))
        if isinstance(closed, Failed):
            services.log.error("plugin.close_failed", plugin=name, reason=closed.reason)


def _entered(context: AbstractContextManager[Part]) -> tuple[AbstractContextManager[Part], Part]:
    return context, context.__enter__()
