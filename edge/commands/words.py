"""typer's own words (Usage, Options, Missing argument …) in the reader's language.

typer writes them in English and offers no switch. What it has by name is replaced by name, and where a later typer has
another name its English stays. English readers get typer as it is.
"""

from typing import Any

from typer import rich_utils
from typer.core import TyperCommand, TyperGroup

from ..foreign import foreign
from ..i18n import _, mark, user_language

WORDS = {
    "ARGUMENTS_PANEL_TITLE": mark("Arguments"),
    "OPTIONS_PANEL_TITLE": mark("Options"),
    "COMMANDS_PANEL_TITLE": mark("Commands"),
    "ERRORS_PANEL_TITLE": mark("Error"),
    "ABORTED_TEXT": mark("Aborted."),
    "REQUIRED_LONG_STRING": mark("[required]"),
    "DEFAULT_STRING": mark("[default: {}]"),
    "RICH_HELP": mark("Try [blue]'{command_path} {help_option}'[/] for help."),
}
USAGE = (mark("Usage:"), mark("[OPTIONS]"), mark("COMMAND [ARGS]..."))


class Command(TyperCommand):
    """A command whose usage line and `--help` are in the reader's language."""

    def get_usage(self, ctx: Any) -> str:
        """The line that begins with "Usage:"."""
        return _usage(super().get_usage(ctx))

    def get_help_option(self, ctx: Any) -> Any:
        """The option `--help`."""
        return _translated(super().get_help_option(ctx))


class Group(TyperGroup):
    """The same for a command that has subcommands."""

    def get_usage(self, ctx: Any) -> str:
        """The line that begins with "Usage:"."""
        return _usage(super().get_usage(ctx))

    def get_help_option(self, ctx: Any) -> Any:
        """The option `--help`."""
        return _translated(super().get_help_option(ctx))


def _usage(line: str) -> str:
    for word in USAGE:
        line = line.replace(word, _(word), 1)
    return line


def _translated(option: Any) -> Any:
    if option is not None:
        option.help = foreign(option.help)
    return option


def use_reader_language() -> None:
    """Put typer's panels and errors into the reader's language, for this process."""
    if user_language() == "en":
        return
    for name, word in WORDS.items():
        if getattr(rich_utils, name, None) == word:
            setattr(rich_utils, name, _(word))
    show = rich_utils.rich_format_error

    def show_translated(error: Any) -> None:
        text = foreign(error.format_message())
        error.format_message = lambda: text
        show(error)

    setattr(rich_utils, "rich_format_error", show_translated)  # noqa: B010  # because mypy takes a function for a constant
