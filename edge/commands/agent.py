"""`tigrillo agent`: the Pi's side; the same as `python -m raspberry_pi.agent`, `.status` and `.test_link`."""

import importlib
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ..i18n import _
from .words import Command, Group


class AgentGroup(Group):
    """`tigrillo agent AGENT.yaml` is short for `tigrillo agent run AGENT.yaml`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `run` in front of what is no subcommand and no option."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["run", *args]
        return list(super().parse_args(ctx, args))


app = typer.Typer(no_args_is_help=True, cls=AgentGroup)
command = partial(app.command, cls=Command)
ConfigArgument = Annotated[Path, typer.Argument(metavar="AGENT.yaml", help=_("The agent's YAML file."))]


@command(
    "run",
    short_help=_("Take pictures, keep them on disk, send them. Also: tigrillo agent AGENT.yaml."),
    help=_(
        "Run the agent of a Raspberry Pi: take pictures, keep them on its own disk, send them.\n\n"
        "Each picture is deleted only when the server has said that it is safe there. Without a network they wait and "
        "are sent later; when the disk's limit is reached, pictures are dropped by spool.policy, and counted.\n\n"
        "On a bare Pi, with nothing but paho-mqtt and PyYAML: python -m raspberry_pi.agent agent.yaml"
    ),
)
def run(config: ConfigArgument) -> None:
    """Take pictures, keep them on disk, send them until the server says each is safe."""
    # by name, so that no arrow leads from the runtime to the agent: they only share edge.wire
    main = importlib.import_module("raspberry_pi.agent").main
    raise typer.Exit(main([str(config)]))


@command(
    "status",
    short_help=_("Say how the agent on this Pi is: link, spool, last ack, clock, health."),
    help=_(
        "Say how the agent on this Pi is: link, what waits and what was dropped and why, last ack, clock, health.\n\n"
        "Without AGENT.yaml it looks for agent.yaml here and in /etc/tigrillo. Exit 1 when the agent does not run.\n\n"
        "On a bare Pi: python -m raspberry_pi.status"
    ),
)
def status(
    config: Annotated[
        Path | None, typer.Argument(metavar="[AGENT.yaml]", help=_("The agent's YAML file."), show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print what the agent wrote, as JSON."))] = False,
) -> None:
    """Print what the agent wrote last."""
    show = importlib.import_module("raspberry_pi.status").run
    raise typer.Exit(show(config, as_json=as_json))


@command(
    "test",
    short_help=_("Take one picture, send it, and say where it failed."),
    help=_(
        "Take one picture and follow it to the server: camera, spool, name, TCP, TLS, MQTT, ack. It ends at the first "
        "that fails, with the reason.\n\n"
        "The agent must not run meanwhile: sudo systemctl stop tigrillo-agent. The picture is an ordinary one; when it "
        "does not arrive now, the agent sends it later. Exit 1 when it did not arrive.\n\n"
        "On a bare Pi: python -m raspberry_pi.test_link agent.yaml"
    ),
)
def follow(
    config: ConfigArgument,
    wait_s: Annotated[float, typer.Option("--wait", metavar="S", help=_("Seconds to wait for the ack."))] = 20.0,
) -> None:
    """Take one picture and follow it to the server."""
    take = importlib.import_module("raspberry_pi.test_link").run
    raise typer.Exit(take(config, wait_s=wait_s))
