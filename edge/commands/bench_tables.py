"""The figures of `tigrillo bench` as tables for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ..i18n import _

WIDE = 160  # columns of the tables where standard output is no terminal

Values = Mapping[str, Any]


def print_tables(document: Values) -> None:
    """Device, limits, one row a model and batch; with --layers each launch."""
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
    console.print(_models(document["models"]))
    for each in document.get("layers", ()):
        console.print(_("{name}, batch {batch}: each launch").format(**each), soft_wrap=True)
        console.print(_launches(each))
        console.print(_kernels(each))


def _models(rows: Sequence[Values]) -> Table:
    table = Table(box=None)
    table.add_column(_("model"), no_wrap=True)
    heads = (
        _("batch"), _("ms/image"), _("images/s"), "GFLOP/s", _("of limit"), "ONNX Runtime ms", _("ratio"), _("build s"),
        _("memory MB"), _("launches"), _("enqueue ms"), _("of it host"), _("difference"),
    )  # fmt: skip
    for head in heads:
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(row["name"], str(row["batch"]), *_figures(row))
    return table


def _figures(row: Values) -> list[str]:
    if "failure" in row and "ms_onnxruntime" not in row:
        return [_("failed")]
    build = ""
    if "build_s" in row:
        build = f"{row['build_s']:.1f} ({row['programs_built']}+{row['programs_loaded']})"
    wanted = (
        ("ms_opencl", "{:.2f}"), ("images_per_s", "{:.1f}"), ("gflop_s", "{:.0f}"), ("share", "{:.0%}"),
        ("ms_onnxruntime", "{:.2f}"), ("ratio", "{:.2f}"),
    )  # fmt: skip
    rest = (
        ("memory_mb", "{:.0f}"), ("launches", "{}"), ("enqueue_ms", "{:.2f}"), ("host_ms", "{:.2f}"),
        ("error", "{:.0e}"),
    )  # fmt: skip
    return [*(_text(row, *each) for each in wanted), build, *(_text(row, *each) for each in rest)]


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
