"""The `tigrillo` command: names the subcommands, says what each is for, and turns errors into one line and a code."""

import errno
import sys
from functools import partial
from typing import Annotated

import typer

from . import __version__
from .commands import (
    agent,
    alerts,
    apply,
    bench,
    broker,
    calibrate,
    chaos,
    check,
    clock,
    database,
    demo,
    deployments,
    doctor,
    export,
    import_,
    init,
    models,
    people,
    plugins,
    process,
    quarantine,
    repeats,
    replay,
    run,
    species,
    station,
    station_command,
    users,
    video,
    web,
)
from .commands.words import Command, Group, use_reader_language
from .errors import EdgeError, FatalError
from .foreign import foreign
from .i18n import _
from .redaction import guard

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # which a write names no file for

use_reader_language()
app = typer.Typer(
    name="tigrillo",
    cls=Group,
    help=_("Wildlife monitoring: frames from camera traps in; species, alerts and field data out."),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
command = partial(app.command, cls=Command)


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


command(
    "init",
    short_help=_("Write a commented starter site into a new folder."),
    help=_(
        "Write a commented starter site into a new folder.\n\n"
        "It gets site.yaml (where frames come from, what is done with them, who is told), agent.yaml for a Raspberry "
        "Pi, a folder inbox to copy SD cards into, and in state/stations the authority that signs stations' "
        "certificates. Nothing that is there is overwritten.\n\n"
        "Then: edit site.yaml, `tigrillo models pull`, `tigrillo check site.yaml`, `tigrillo run site.yaml`."
    ),
)(init.init)
command(
    "check",
    short_help=_("Check a site; print every fault with its place. Exit 78 when there is one."),
    help=_(
        "Check a site without running it.\n\n"
        "Every fault goes to standard error, one line each: file:line:col, the key, what is wrong and what would be "
        "right. Exit 0 when all is good, 78 when there is a fault.\n\n"
        "Whether models, broker and folders are there is for `tigrillo doctor site.yaml` to say."
    ),
)(check.check)
command(
    "run",
    short_help=_("Run a site: the daemon."),
    help=_(
        "Run a site until SIGTERM or Ctrl-C: receive frames, look at them, record, alert.\n\n"
        "One process a site; a second one is refused. When it stops, frames in hand are finished first "
        "(limits.grace_s). What is unfinished after that, or after a power cut, is taken up at the next start: "
        "nothing is lost and nothing is recorded twice.\n\n"
        "Exit 78 when the site or a model is wrong, so that systemd does not start it again and again."
    ),
)(run.run)
command(
    "apply",
    short_help=_("Put another text of site.yaml into force; it is rolled back when it does not come up."),
    help=_(
        "Put another text of site.yaml into force.\n\n"
        "It is checked, compared, and written; the running daemon finishes what it has in hand, starts again with it, "
        "and keeps it when everything stays up for ten seconds. When something does not come up, the text before is "
        "put back, and that runs again. Both texts are kept in state/configuration. Without a running daemon it is "
        "only written.\n\n"
        "Exit 0 when it was kept, 1 when it was rolled back or refused, 78 when it has faults."
    ),
)(apply.apply)
command(
    "web",
    short_help=_("Serve the web page of a site, and nothing else."),
    help=_(
        "Serve the web page of a site until SIGTERM or Ctrl-C, where the section `web:` says; 127.0.0.1:8080 without "
        "one.\n\n"
        "`tigrillo run` does this itself when the site has that section: this is for looking at a record while no "
        "daemon runs, or beside one that has none."
    ),
)(web.web)
command(
    "process",
    short_help=_("Find animals in files and folders, once; write MegaDetector results 1.6."),
    help=_(
        "Find animals in files and folders, once; write MegaDetector results 1.6, which other tools open.\n\n"
        "Folders are searched through for stills and clips; the originals are never changed. Without --site the two "
        "default models are used (`tigrillo models pull`). A file that can't be looked at stands in the results with "
        "the reason; it never counts as blank.\n\n"
        "Ctrl-C leaves a valid file and ends with 130; the same command with --resume goes on from there."
    ),
)(process.process)
command(
    "calibrate",
    short_help=_("Fit the classifier's probabilities to what people said of its boxes."),
    help=_(
        "Fit the classifier's probabilities to what people said of its boxes, and draw how well they hold.\n\n"
        "Writes a temperature for the classifier and thresholds for single taxa (calibration.toml), which the stage "
        "rollup takes as `calibration:`, and a reliability plot (SVG). --from takes a table of files (file, "
        "observation_type, scientific_name) that are looked at now, --reviews the record of a site.\n\n"
        "Needs 100 reviewed boxes of three kinds of animals at least, and says so, with numbers, when there are fewer."
    ),
)(calibrate.calibrate)
command(
    "video",
    short_help=_("Say who is in clips, animal by animal, with times; cut each one out."),
    help=_(
        "Say who is in clips, animal by animal, with times; on request cut each one out, write a copy with boxes and "
        "names, and a contact sheet.\n\n"
        "tigrillo video card/ --out seen --clips --sheet. Each animal is one track, and gets one answer from its best "
        "pictures. Clips are cut by copying, from the key picture before; where that can't be done they are encoded "
        "anew, and it is said why. People are blurred unless --show-people is given.\n\n"
        "All that is found stands in OUT/tracks.json. A clip that can't be looked at is named with the reason."
    ),
)(video.video)
command(
    "export",
    short_help=_("Write what was recorded in a format that other tools open."),
    help=_(
        "Write what was recorded in a format that other tools open: Camtrap DP, CSV, COCO, YOLO, Darwin Core, KML, …; "
        "--list names them all and their options.\n\n"
        "tigrillo export camtrap-dp --out package.zip --since 2026-11-01 --category animal. May run beside the daemon; "
        "what was at --out is replaced once the new one is whole. With --taxon, --category, --min-score or "
        "--independent only frames on which something is left are written: the others are no blanks.\n\n"
        "A filter that matches nothing is said, and gives a valid file with nothing in it. Which column comes from "
        "where: docs/exports.md."
    ),
)(export.export)
command(
    "import",
    short_help=_("Take into the record what another program found."),
    help=_(
        "Take into the record what another program found.\n\n"
        "tigrillo import megadetector results.json --images /media/card --station cam-03. Pictures stay where they "
        "are; of those that are found, time, size and hash are read, and nothing is looked at again. Without "
        "--station the first folder of each name is the station.\n\n"
        "What is wrong in the file is named, entry by entry, and the rest is taken in. Importing twice doubles "
        "nothing. Not while `tigrillo run` works on the same site.\n\n"
        "tigrillo import camtrap-dp package.zip takes deployments, media, observations and events; a package that does "
        "not hold by its format is refused whole, with its first faults: docs/exports.md."
    ),
)(import_.import_)
command(
    "demo",
    short_help=_("Show the whole way of a frame, on this machine, in about a minute."),
    help=_(
        "Show the whole way of a frame, on this machine, in about a minute.\n\n"
        "Starts a broker, an agent with a camera that replays stills, the daemon and a mailbox, and counts the frames "
        "at each of the eight steps. Needs no camera; the two default models are pulled with `tigrillo models pull`. "
        "In the end it says where pictures, results and mails lie.\n\n"
        "Exit 1 when the counts don't agree."
    ),
)(demo.demo)
command(
    "plugins",
    short_help=_("List what the installed plugins offer."),
    help=_(
        "List what the installed plugins offer: sources, stages, decoders, notifiers and exporters.\n\n"
        "Sources, stages and notifiers are what can stand behind `use:` in a site. Exit 1 when a plugin could not be "
        "imported; then the reason is printed."
    ),
)(plugins.plugins)
command(
    "replay",
    short_help=_("Look at one recorded frame again and tell what each stage does."),
    help=_(
        "Look at one recorded frame again, with the site's stages as they are now, and compare with what was "
        "recorded.\n\n"
        "With --trace: what each stage found in each picture, and how long it took. Writes nothing, and may run beside "
        "the daemon."
    ),
)(replay.replay)
command(
    "doctor",
    short_help=_("Say what is installed and what is missing. Exit 1 when the daemon could not run."),
    help=_(
        "Say what is installed and what is missing: packages, plugins, devices, models; with a site also its folders, "
        "broker and mail server.\n\n"
        "One line each: a verdict, what was found, and what to do next. ✓ is good, ! works but should be looked at, "
        "✗ keeps the daemon from running. Exit 1 when there is a ✗."
    ),
)(doctor.doctor)
command(
    "bench",
    short_help=_("Measure how fast models run here, on OpenCL and in ONNX Runtime."),
    help=_(
        "Measure how fast models run on this machine: an OpenCL device against ONNX Runtime on the CPU, in turns.\n\n"
        "Random input; milliseconds a picture from the host's memory to the host's memory, the median; the share of "
        "what the device was measured to do at most; memory, build time (programs built + loaded from the cache) and "
        "the largest difference between the two answers. MODEL is an installed model, one of the zoo with random "
        "weights (mobilenetv2, yolov5s, yolov8n, yolov5x6, …) or an ONNX file.\n\n"
        "auto takes an OpenCL GPU, else measures ONNX Runtime alone. With --device opencl nothing else is measured in "
        "the device's place: exit 78 when it is not there, and not 0 when a model can't run on it. --layers adds a "
        "profile of every launch, for the first batch size. --tune tries the kernels' variants on the device, for one "
        "picture or for the sizes given with --batch; the daemon uses what it found for installed models."
    ),
)(bench.bench)
command(
    "broker",
    short_help=_("Run the broker that stations with certificates talk to."),
    help=_(
        "Write mosquitto's configuration (TLS, access list, bounds) and run it in the foreground.\n\n"
        "Stations show the certificate that `tigrillo station add` gave them; a new one needs no change here. Needs "
        "mosquitto (apt install mosquitto). With broker: {run: true} in the site, `tigrillo run` does the same, and "
        "starts it again when it ends.\n\n"
        "Another broker can be named in the site: broker: {external: true, host: …}; what it needs: docs/stations.md."
    ),
)(broker.broker)
command(
    "chaos",
    short_help=_("Kill agents, broker and server again and again; say whether a frame is lost or doubled."),
    help=_(
        "Kill agents, broker and server again and again, and hold together in the end what the cameras took and what "
        "the server has.\n\n"
        "Starts a broker that keeps nothing on disk, a server and agents whose camera replays pictures, all on this "
        "machine and in a folder of their own. About half of the kills come from outside at any moment; the others "
        "are stops at the most awkward places, right after a file was synced or renamed, a row committed or an answer "
        "sent. Needs no camera, no models and no network.\n\n"
        "Exit 1 when a frame is lost, recorded twice or not what the camera took, when the agents' counts are wrong, "
        "or when a process ended by itself; then everything is kept and the place is said. 200 kills take about five "
        "minutes."
    ),
)(chaos.chaos)
station.command(
    "command",
    short_help=_("Ask a station to take a picture, send a full image, change its schedule, reboot."),
    help=_(
        "Ask a station's agent to do something, once. `tigrillo run` sends it within two seconds when the station is "
        "connected, else when it connects.\n\n"
        "capture: take what the trigger would take. snapshot: one picture, now. want frame=ID: send the full image of "
        "this thumbnail first. schedule at=06:00,18:30 windows=06:00-07:30 fresh_share=0.9: other times for pictures "
        "and for sending; without arguments as in AGENT.yaml again. reboot: only where AGENT.yaml allows it.\n\n"
        "Exit 1 with --wait when it failed or was not answered in time."
    ),
)(station_command.send)
app.add_typer(station.app, name="station", help=_("Add, list, show, revoke, enrol and command stations."))
app.add_typer(
    agent.app,
    name="agent",
    short_help=_("Run the agent of a Raspberry Pi, look at it, test its way."),
    help=_(
        "Run the agent of a Raspberry Pi, look at it, test its way to the server.\n\n"
        "`tigrillo agent AGENT.yaml` is short for `tigrillo agent run AGENT.yaml`."
    ),
)
app.add_typer(alerts.app, name="alerts", help=_("Explain, simulate, watch and try alerts."))
app.add_typer(quarantine.app, name="quarantine", help=_("List what could not be looked at; try it again."))
app.add_typer(people.app, name="people", help=_("Show, release and sweep originals that show people or vehicles."))
app.add_typer(users.app, name="users", help=_("Let people in to the web page: add, invite, roles, keys."))
app.add_typer(repeats.app, name="repeats", help=_("Find stones and branches that pass for animals; leave them out."))
app.add_typer(
    deployments.app, name="deployments", help=_("When which camera stood where; trap-nights, failures, imports.")
)
app.add_typer(clock.app, name="clock", help=_("Show, check and put right the clocks of cameras."))
app.add_typer(database.app, name="database", help=_("Copy the record into another database."))
app.add_typer(models.app, name="models", help=_("List, fetch, verify and import models."))
app.add_typer(species.app, name="species", help=_("Check species lists; list the animals that are known."))


def main() -> None:
    """Entry point: errors raised on purpose end as their own text and exit code, without a traceback.

    So does what the system says of a file: no such folder, no permission, no space left. No secret that was read gets
    out on standard output or standard error.
    """
    guard(sys.stdout)
    guard(sys.stderr)
    try:
        app()
    except FatalError as exc:
        typer.echo(str(exc), err=True)
        sys.exit(exc.exit_code)
    except EdgeError as exc:
        typer.echo(str(exc), err=True)
        sys.exit(1)
    except OSError as exc:
        if exc.filename is None and exc.errno not in NO_ROOM:
            raise  # no place is named: the traceback is all there is to find it by
        typer.echo(foreign(exc), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
