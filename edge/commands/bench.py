"""`tigrillo bench`: how fast models run on this machine; thin, the work is in edge.inference.opencl.measure."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from ..errors import ConfigError, EdgeError, FatalError, ModelError, NoDeviceError
from ..foreign import foreign
from ..i18n import _

if TYPE_CHECKING:
    from ..compute.choice import FoundDevice
    from ..compute.device import Device
    from ..compute.peak import Peak
    from ..inference.opencl.layers import LayerRow
    from ..inference.opencl.plan import Choose
    from ..inference.subject import Subject
    from ..inference.timing import Row

BATCHES = "1,4,8,16"
BUSY = 0.75  # load a core; above, ONNX Runtime's spinning threads lose more than OpenCL's


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(help=_("An installed model, one of the zoo such as yolov5s, or FILE.onnx; default: installed.")),
    ] = None,
    device: Annotated[str, typer.Option(help=_("auto, cpu, opencl or opencl:PLATFORM/DEVICE."))] = "auto",
    batch: Annotated[str, typer.Option(help=_("Pictures a run, several with commas."))] = BATCHES,
    layers: Annotated[bool, typer.Option("--layers", help=_("Print every launch with its time and rates."))] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help=_("Find the fastest kernels first; kept for installed models."))
    ] = False,
    seconds: Annotated[float, typer.Option(min=0.01, max=600, help=_("How long each side of a row is run."))] = 1.0,
    storage: Annotated[Literal["fp32", "fp16", "int8"], typer.Option(help=_("How the zoo's models are stored."))] = (
        "fp32"
    ),
    as_json: Annotated[bool, typer.Option("--json", help=_("Print as JSON."))] = False,
) -> None:
    """Measure models; exit as the first failure says, when the device was asked for by name."""
    from ..compute.choice import parse_choice
    from .bench_tables import print_tables

    choice = parse_choice(device)
    batches = _numbers(batch)
    if choice.kind == "cpu" and (tune or layers):
        raise ConfigError(_("--tune and --layers look into OpenCL kernels: use --device opencl"))
    subjects = _subjects(models, storage)
    notes = _Notes(len(subjects) * len(batches))
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if load > BUSY * cores:
        text = _("this machine is busy (load {load:.1f} on {cores} cores): the ratios are worth little")
        notes.say(text.format(load=load, cores=cores))
    found = None
    if choice.kind != "cpu":
        found = _find(device, notes, must=choice.kind == "opencl")
    run = _Run(notes, batches, seconds, must=choice.kind == "opencl", layers=layers)
    if tune:
        run.tuned_for = [1] if batch == BATCHES else batches
    document = run.on_device(found, subjects) if found else run.on_cpu(subjects)
    _keep(document)
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        print_tables(document)
    if run.exit_code:
        raise typer.Exit(run.exit_code)


def _numbers(text: str) -> list[int]:
    parts = [each.strip() for each in text.split(",")]
    if not all(each.isascii() and each.isdigit() and 0 < int(each) <= 1024 for each in parts):
        raise ConfigError(_("--batch {text!r}: write numbers from 1 to 1024, as 1,4,8").format(text=text[:40]))
    return list(dict.fromkeys(map(int, parts)))


def _keep(document: dict[str, Any]) -> None:
    """Leave what was measured where the web page finds it; a cache that can't be written costs that page a table."""
    from ..clock import SystemClock
    from ..paths import cache_dir, write_atomically

    kept = {"at": SystemClock().now().isoformat()} | {
        name: document[name] for name in ("device", "driver", "models") if name in document
    }
    with suppress(OSError):
        cache_dir().mkdir(parents=True, exist_ok=True)
        write_atomically(cache_dir() / "bench.json", json.dumps(kept).encode())


def _subjects(names: Sequence[str] | None, storage: Literal["fp32", "fp16", "int8"]) -> "list[Subject]":
    from ..inference.subject import from_card, from_file, from_zoo
    from ..models.installed import InstalledModels
    from ..models.zoo.zoo import ZOO
    from ..paths import models_dir

    installed = InstalledModels(models_dir())
    there = installed.names()
    if not names and not there:
        text = _("no model is installed in {folder}: name one of the zoo, as: tigrillo bench yolov5s")
        raise ModelError(text.format(folder=installed.folder))
    found = []
    for name in names or there:
        if name in there:
            found.append(from_card(installed.card(name)))
        elif name in ZOO:
            found.append(from_zoo(name, storage=storage))
        elif Path(name).is_file():
            found.append(from_file(Path(name)))
        else:
            text = _("model {name!r} is no file, not installed ({installed}) and not in the zoo ({zoo})")
            raise ModelError(text.format(name=name[:200], installed=", ".join(there), zoo=", ".join(ZOO)))
    return found


def _find(device: str, notes: "_Notes", *, must: bool) -> "FoundDevice | None":
    from ..inference.select import find

    try:
        return find(device, tell=notes.say)
    except NoDeviceError as exc:
        if must:
            raise
        notes.say(_("no OpenCL GPU, so ONNX Runtime on the CPU alone is measured ({reason})").format(reason=exc))
        return None


@dataclass(slots=True)
class _Run:
    """One call of the command. must: the device was asked for by name, so nothing else is measured in its place."""

    notes: "_Notes"
    batches: Sequence[int]
    seconds: float
    must: bool
    layers: bool
    tuned_for: Sequence[int] = ()
    exit_code: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def on_cpu(self, subjects: "Sequence[Subject]") -> dict[str, Any]:
        """The document of ONNX Runtime alone."""
        from importlib.metadata import version

        for subject in subjects:
            for size in self._sizes(subject):
                with self.notes.step(f"{subject.name}, {size}"), self._failing(subject, size, must=True):
                    self._onnxruntime(subject, size)
        cores = len(os.sched_getaffinity(0))
        driver = f"onnxruntime {version('onnxruntime')}"
        return {"device": _("CPU, {cores} cores").format(cores=cores), "driver": driver, "models": self.rows}

    def on_device(self, found: "FoundDevice", subjects: "Sequence[Subject]") -> dict[str, Any]:
        """The document of an OpenCL device. Raises what opening and measuring it raises."""
        from ..compute.device import Device
        from ..compute.peak import measure_peak
        from ..paths import cache_dir

        self.notes.say(_("{device}: measuring what it can do at most").format(device=found.label))
        document: dict[str, Any] = {"device": found.label, "driver": found.capability.driver}
        with Device.open(found, cache_dir=cache_dir()) as device:
            peak = measure_peak(device)
            document |= {"peak": asdict(peak), "models": self.rows}
            for subject in subjects:
                self._model(subject, device, peak, document)
                device.programs.save()
        if self.layers:
            document["layers"] = list(self._layers(found, subjects))
        return document

    def _model(self, subject: "Subject", device: "Device", peak: "Peak", document: dict[str, Any]) -> None:
        from ..inference.opencl.measure import measure
        from ..inference.timing import row_values

        sizes = self._sizes(subject)
        chosen: dict[int, Choose] = {}
        for size in self.tuned_for:
            with self._failing(subject, size, must=self.must):
                chosen[size] = self._tune(subject, device, size, document)
        for size in sizes:
            choose = chosen.get(size) or _kept(subject, device, size, self.notes)
            with self.notes.step(f"{subject.name}, {size}"), self._failing(subject, size, must=self.must):
                row = measure(
                    subject, device, peak, batch=size, seconds=self.seconds, choose=choose, on_wait=self._tell_waiting
                )
                self.rows.append(row_values(row))

    def _tell_waiting(self) -> None:
        self.notes.say(_("another process builds the same kernels: waiting for it, two minutes at most"))

    def _tune(self, subject: "Subject", device: "Device", size: int, document: dict[str, Any]) -> "Choose":
        from ..inference.opencl.measure import graph_of, inputs_of
        from ..inference.opencl.plan import pick
        from ..inference.opencl.tune import save_choices, tune
        from ..paths import cache_dir

        model = subject.make(size)
        graph, inputs = graph_of(subject, model, size), inputs_of(subject, model, size)
        tuned = tune(graph, device, inputs, on_progress=self.notes.part(subject.name))
        text = _("{name}, batch {size}: {before:.2f} ms before, {after:.2f} ms after; {kept} of {tried} proposals kept")
        figures = {"before": tuned.ms_before, "after": tuned.ms_after, "kept": tuned.kept, "tried": tuned.tried}
        self.notes.say(text.format(name=subject.name, size=size, **figures))
        document.setdefault("tuned", []).append({"name": subject.name, "batch": size, **figures})
        if subject.card:
            try:
                save_choices(cache_dir(), subject.card, device.capability, size, tuned)
            except OSError as exc:  # what was measured is worth more than its place on a full disk
                self.notes.say(
                    _("{name}: what was found is not kept ({reason})").format(name=subject.name, reason=foreign(exc))
                )
        return lambda problem, candidates: pick(tuned.choices, problem, candidates)

    def _layers(self, found: "FoundDevice", subjects: "Sequence[Subject]") -> Iterator[dict[str, Any]]:
        from ..compute.device import Device
        from ..inference.opencl.layers import profile_layers, total, total_families
        from ..inference.opencl.measure import make_ready
        from ..paths import cache_dir

        with Device.open(found, cache_dir=cache_dir(), profile=True) as device:
            for subject in subjects:
                for size in self._sizes(subject)[:1]:
                    with self._failing(subject, size, must=self.must, quiet=True):
                        model, choose = subject.make(size), _kept(subject, device, size, self.notes)
                        with make_ready(subject, model, device, batch=size, choose=choose) as ready:
                            rows: list[LayerRow] = profile_layers(ready)
                        yield {
                            "name": subject.name,
                            "batch": size,
                            "launches": [_rounded(asdict(row)) for row in rows],
                            "kernels": [_rounded(asdict(row)) for row in total_families(rows)],
                            "all": _rounded(asdict(total(rows))),
                        }

    def _sizes(self, subject: "Subject") -> list[int]:
        """The batches to measure: those that were asked for, or the one that the file is fixed to."""
        fixed = subject.fixed_batch()
        return [fixed] if fixed else list(self.batches)

    def _onnxruntime(self, subject: "Subject", size: int, failure: str = "") -> None:
        from ..inference.timing import measure_onnxruntime, row_values

        row: Row = measure_onnxruntime(subject, batch=size, seconds=self.seconds, failure=failure)
        self.rows.append(row_values(row))

    @contextmanager
    def _failing(self, subject: "Subject", size: int, *, must: bool, quiet: bool = False) -> Iterator[None]:
        """One line for what goes wrong; the CPU's figures instead unless the device must be it."""
        try:
            yield
        except (EdgeError, MemoryError) as exc:
            if quiet:
                return
            self.notes.say(f"{subject.name}, {size}: {exc}")
            if must:
                self.rows.append({"name": subject.name, "batch": size, "failure": str(exc)})
                self.exit_code = self.exit_code or (exc.exit_code if isinstance(exc, FatalError) else 1)
            else:
                self._onnxruntime(subject, size, str(exc))


def _kept(subject: "Subject", device: "Device", size: int, notes: "_Notes") -> "Choose":
    """What the tuner found earlier for an installed model, else the first guess."""
    from ..inference.opencl.plan import first_guess, pick
    from ..inference.opencl.tune import load_choices
    from ..paths import cache_dir

    if subject.card is None:
        return first_guess

    def tell(_event: str, fields: Mapping[str, str]) -> None:
        text = _("{file} is left out ({reason}): delete it, or let --tune make it anew")
        notes.say(text.format(file=fields["file"], reason=foreign(fields["reason"])))

    choices = load_choices(cache_dir(), subject.card, device.capability, size, tell=tell)
    return lambda problem, candidates: pick(choices, problem, candidates)


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in values.items()}


class _Notes:
    """What is going on, on standard error, with the time that is left."""

    def __init__(self, steps: int) -> None:
        self._console = Console(stderr=True, markup=False, highlight=False)
        self._steps, self._done, self._took_s = steps, 0, 0.0

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, soft_wrap=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Announce a step; how long it takes tells how long the rest will."""
        left = _("about {seconds:.0f} s left").format(
            seconds=self._took_s / max(self._done, 1) * (self._steps - self._done)
        )
        self.say(f"{self._done + 1}/{self._steps} {what}" + (f"; {left}" if self._done else ""))
        start = time.monotonic()
        yield
        self._took_s += time.monotonic() - start
        self._done += 1

    def part(self, name: str) -> Callable[[str, int, int], None]:
        """A progress function for the tuner: a line every ten seconds."""
        begun = told = time.monotonic()
        words = {"kernels": _("kernels built"), "layers": _("layers timed"), "proposals": _("proposals tried")}
        current = ""

        def tell(what: str, done: int, count: int) -> None:
            nonlocal begun, told, current
            now = time.monotonic()
            if what != current:
                begun, current = now, what
            elif now - told < 10 and done < count:
                return
            told = now
            left = (now - begun) / max(done - 1, 1) * (count - done + 1)
            line = _("{name}: {what} {done}/{count}; about {seconds:.0f} s left")
            self.say(line.format(name=name, what=words.get(what, what), done=done, count=count, seconds=left))

        return tell
