"""The figures of `tigrillo bench` as tables for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ..i18n import _

WIDE = 120  # characters of a line where standard output is no terminal

Values = Mapping[str, Any]


def print_tables(document: Values) -> None:
    """Device, limits, one row a model and batch of its speed and one of its costs; with --layers each launch."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=WIDE)
    console.print(f"{document['device']} ({document['driver']})", soft_wrap=True)
    if peak := document.get("peak"):
        text = _(
            "limits as measured: {gflops:.0f} GFLOP/s fp32, {read_gb_s:.0f} GB/s read, {launch_us:.1f} µs a launch, "
            "{upload_gb_s:.1f} GB/s to it, {download_gb_s:.1f} GB/s back"
        )
        console.print(text.format(**peak), soft_wrap=True)
    for each in document.get("tuned", ()):
        text = _("tuned: {name}, batch {batch}: {before:.2f} → {after:.2f} ms")
        console.print(text.format(**each), soft_wrap=True)
    console.print(_speeds(document["models"]))
    if on_device := [row for row in document["models"] if "build_s" in row]:
        console.print()
        console.print(_costs(on_device))
    for each in document.get("layers", ()):
        console.print(_("{name}, batch {batch}: each launch").format(**each), soft_wrap=True)
        console.print(_launches(each))
        console.print(_kernels(each))


def _speeds(rows: Sequence[Values]) -> Table:
    table = _of_models(
        _("ms/image"), _("images/s"), "GFLOP/s", _("of limit"), _("device ms"), _("device share"),
        "ONNX Runtime ms", _("ratio"), _("difference"),
    )  # fmt: skip
    figures = (
        ("ms_opencl", "{:.2f}"), ("images_per_s", "{:.1f}"), ("gflop_s", "{:.0f}"), ("share", "{:.0%}"),
        ("device_ms", "{:.2f}"), ("device_share", "{:.0%}"), ("ms_onnxruntime", "{:.2f}"), ("ratio", "{:.2f}"),
        ("error", "{:.0e}"),
    )  # fmt: skip
    for row in rows:
        failed = "failure" in row and "ms_onnxruntime" not in row
        texts = [_("failed")] if failed else [_text(row, *each) for each in figures]
        table.add_row(row["name"], str(row["batch"]), *texts)
    return table


def _costs(rows: Sequence[Values]) -> Table:
    table = _of_models(_("build s"), _("memory MB"), _("launches"), _("enqueue ms"), _("of it host"))
    figures = (("memory_mb", "{:.0f}"), ("launches", "{}"), ("enqueue_ms", "{:.2f}"), ("host_ms", "{:.2f}"))
    for row in rows:
        build = f"{row['build_s']:.1f} ({row['programs_built']}+{row['programs_loaded']})"
        table.add_row(row["name"], str(row["batch"]), build, *(_text(row, *each) for each in figures))
    return table


def _of_models(*heads: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))  # one space between columns, for 120 characters
    table.add_column(_("model"), no_wrap=True)
    for head in (_("batch"), *heads):
        table.add_column(head, justify="right")
    return table


def _text(row: Values, key: str, form: str) -> str:
    return form.format(row[key]) if key in row else ""


def _launches(profile: Values) -> Table:
    table = _rates(_("node"), _("kernel"), _("algorithm"), _("shape"))
    for row in profile["launches"]:
        shape = "×".join(map(str, row["shape"]))
        table.add_row(str(row["number"]), row["node"], row["kernel"], row["algorithm"], shape, *_rate_texts(row))
    return table


def _kernels(profile: Values) -> Table:
    table = _rates(_("kernel"))
    for row in (*profile["kernels"], profile["all"] | {"kernel": _("all")}):
        table.add_row(str(row["launches"]), row["kernel"], *_rate_texts(row))
    return table


def _rates(*names: str) -> Table:
    table = Table(box=None)
    table.add_column("", justify="right")
    for name in names:
        table.add_column(name, overflow="fold")
    for name in ("µs", "GFLOP/s", "GB/s", _("share")):
        table.add_column(name, justify="right")
    return table


def _rate_texts(row: Values) -> list[str]:
    return [f"{row['us']:.1f}", f"{row['gflop_s']:.1f}", f"{row['gb_s']:.1f}", f"{row['share']:.1%}"]
