"""The `tigrillo` command: names the subcommands and turns errors into one line and an exit code."""

import sys
from typing import Annotated

import typer

from . import __version__
from .commands import agent, check, demo, doctor, init, models, plugins, process, replay, run
from .errors import EdgeError, FatalError
from .i18n import _

app = typer.Typer(
    name="tigrillo",
    help=_("Wildlife monitoring: frames from camera traps in; species, alerts and field data out."),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"tigrillo {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help=_("Print the version and leave."))
    ] = False,
) -> None:
    """Options that go before the subcommand."""
    del version


app.command("init", help=_("Write a commented starter site into a new folder."))(init.init)
app.command("check", help=_("Check a site; print every fault with its place. Exit 78 when there is one."))(check.check)
app.command("run", help=_("Run a site: the daemon."))(run.run)
app.command("process", help=_("Find animals in files and folders, once; write MegaDetector results 1.6."))(
    process.process
)
app.command("agent", help=_("Run the agent of a Raspberry Pi."))(agent.agent)
app.command("demo", help=_("Show the whole way of a frame, on this machine, in about a minute."))(demo.demo)
app.command("plugins", help=_("List what the installed plugins offer."))(plugins.plugins)
app.command("replay", help=_("Look at one recorded frame again and tell what each stage does."))(replay.replay)
app.command("doctor", help=_("Say what is installed and what is missing. Exit 1 when the daemon could not run."))(
    doctor.doctor
)
app.add_typer(models.app, name="models", help=_("List, fetch, verify and import models."))


def main() -> None:
    """Entry point: errors raised on purpose end as their own text and exit code, without a traceback."""
    try:
        app()
    except FatalError as exc:
        typer.echo(str(exc), err=True)
        sys.exit(exc.exit_code)
    except EdgeError as exc:
        typer.echo(str(exc), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
