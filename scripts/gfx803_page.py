"""The tables of docs/hardware.md that scripts/gfx803.py writes: variants → rows, launches → a projection."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.compute.gcn import IDEAL, RX580, Work, faults, projected_s, waves_per_simd
from edge.compute.kernel import Kernel
from edge.compute.offline import Resources
from edge.paths import data_dir

START, END = "<!-- gfx803:start -->", "<!-- gfx803:end -->"
# Macros that say how large pictures and layers are and what is applied to a result, not how a kernel is cut.
SIZES: Final = frozenset(
    "HI WI HO WO CI CO XS YS RS NP KP XB XC LOOPS CG OG PLANES PH PW ACT(v) POST(v)".split()  # noqa: SIM905  # because it reads better
)
GRIDS: Final = {"wino_input": {"TH", "TW"}, "wino_output": {"TH", "TW"}}  # counts of tiles there
# Macros that name a row of the table, for kernels that come in tiles.
TILES: Final = {
    "conv_gemm": ("BM", "BN", "BK", "TM", "TN", "KS", "BUFFERS"),
    "conv_first": ("TW", "TH", "PX", "TN"),
    "conv_depthwise": ("KH", "PY", "PX", "VY"),
    "wino_input": ("F", "VW"),
    "wino_output": ("F", "VW"),
}
CONVOLUTIONS: Final = frozenset({*TILES, "conv_reduce", "conv_any"})
LAUNCH_US: Final = (10, 80)
GIB: Final = 1024**3
CARDS_GIB: Final = (4, 8)


@dataclass(frozen=True, slots=True)
class Variant:
    """A compiled kernel. mesa: as Mesa's target has it, where it was compiled for that. items: of its largest group.

    chosen: whether a plan has it without the tuner.
    """

    kernel: Kernel
    resources: Resources
    mesa: Resources | None
    items: int
    chosen: bool = True

    def faults(self) -> list[str]:
        """What is beyond the gate, on either target; empty when all is well."""
        of_mesa = [f"Mesa: {each}" for each in faults(self.mesa)] if self.mesa else []
        return faults(self.resources) + of_mesa


@dataclass(frozen=True, slots=True)
class ModelRow:
    """What is said of a model: its launches, the bytes of its plan, what share of peak its products should reach."""

    label: str
    works: tuple[Work, ...]
    const_bytes: int
    arena_bytes: int
    io_bytes: int
    total_bytes: int
    product_share: float


@dataclass(frozen=True, slots=True)
class Page:
    """All that the tables show. unplanned: model → why. seen: distinct kernels, of which `variants` were compiled."""

    variants: Sequence[Variant]
    models: Sequence[ModelRow]
    unplanned: Mapping[str, str]
    seen: int


def variant_class(kernel: Kernel) -> tuple[object, ...]:
    """What kernels share that are of one kind: convolutions, all but SIZES; others, all but the numbers in macros."""
    if kernel.entry in CONVOLUTIONS:
        left_out = SIZES | GRIDS.get(kernel.entry, set())
        return (kernel.entry, *_tails(kernel), *(pair for pair in kernel.defines if pair[0] not in left_out))
    return (kernel.file, kernel.entry, *((name, re.sub(r"[\d.]+", "", text)) for name, text in kernel.defines))


def _tails(kernel: Kernel) -> tuple[bool, ...]:
    """Where sizes change the code of conv_gemm: whether a K tile lies within one tap, and whether the last is whole."""
    if kernel.entry != "conv_gemm":
        return ()
    values = dict(kernel.defines)
    ci, bk, taps = int(values["CI"]), int(values["BK"]), int(values["KH"]) * int(values["KW"])
    return ci % bk == 0, taps * ci % bk == 0


def tile_of(kernel: Kernel) -> str:
    """The macros that name its row: "BM=128 BN=64 …", "" for a kernel without tiles."""
    values = dict(kernel.defines)
    return " ".join(f"{name}={values[name]}" for name in TILES.get(kernel.entry, ()) if name in values)


def resource_table(variants: Iterable[Variant]) -> list[str]:
    """Worst figures for each kernel and tile."""
    rows: dict[tuple[str, str, str], list[Variant]] = defaultdict(list)
    for each in variants:
        rows[each.kernel.file, each.kernel.entry, tile_of(each.kernel)].append(each)
    lines = [
        "| file | kernel | tile | variants | VGPR | SGPR | LDS | scratch | waves | VGPR, Mesa |",
        "| --- | --- | --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for (file, entry, tile), each in sorted(rows.items(), key=lambda row: [_natural(part) for part in row[0]]):
        waves = min(waves_per_simd(one.resources, one.items) for one in each)
        mesa = max((one.mesa.vgprs for one in each if one.mesa), default="–")
        lines.append(
            f"| {file} | {entry} | {tile} | {len(each)} | {max(one.resources.vgprs for one in each)} "
            f"| {max(one.resources.sgprs for one in each)} | {max(one.resources.lds_bytes for one in each)} "
            f"| {max(one.resources.scratch_bytes for one in each)} | {waves:.3g} | {mesa} |"
        )
    return lines


def _natural(text: str) -> list[tuple[int, str]]:
    """Digits as numbers, for sorting."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text)]


def other_files(variants: Iterable[Variant]) -> list[str]:
    """Files of kernels/ that have no row of their own, and why."""
    shown = {each.kernel.file for each in variants}
    texts = {path.name: path.read_text("utf-8") for path in sorted(data_dir("kernels").glob("*.cl"))}
    lines = ["| file | why it has no row |", "| --- | --- |"]
    for name, text in texts.items():
        if name in shown:
            continue
        users = [other for other, code in texts.items() if f'#include "{name}"' in code]
        if "__kernel" not in text:
            reason = f"part of {', '.join(users) or 'no file'}"
        elif name.startswith("cpu_"):
            reason = "for CPU devices"
        else:
            reason = "nothing uses it on this card"
        lines.append(f"| {name} | {reason} |")
    return lines


def beyond_gate(variants: Iterable[Variant]) -> list[str]:
    """A list of the kernels and tiles that are beyond the gate, with their worst figures."""
    worst: dict[tuple[str, str, bool], list[Variant]] = defaultdict(list)
    for each in variants:
        if each.faults():
            worst[each.kernel.entry, tile_of(each.kernel), each.chosen].append(each)
    lines = []
    for (entry, tile, chosen), each in sorted(worst.items(), key=lambda row: [_natural(part) for part in row[0][:2]]):
        figures = max((one.faults()[0] for one in each), key=_natural)
        name = f"`{entry}`" + (f" {tile}" if tile else "")
        who = "used by a plan" if chosen else "only the tuner may take it"
        lines.append(f"- {name}: {figures}; in {len(each)} of its variants, {who}.")
    return ["Beyond the gate now, to be mended:", "", *lines, ""] if lines else []


def projection_table(models: Iterable[ModelRow]) -> list[str]:
    """Times that the launches of a plan would take."""
    heads = " | ".join(f"ms at {launch} µs" for launch in LAUNCH_US)
    lines = [f"| model | launches | GFLOP | MB moved | ms at the limits | {heads} | products reach |"]
    lines.append(f"| --- |{' --: |' * 7}")
    for each in models:
        ideal = 1e3 * projected_s(each.works, RX580, launch_s=0, assumed=IDEAL)
        times = " | ".join(_ms(1e3 * projected_s(each.works, RX580, launch_s=us * 1e-6)) for us in LAUNCH_US)
        flops, moved = sum(work.flops for work in each.works) / 1e9, sum(work.nbytes for work in each.works) / 1e6
        lines.append(
            f"| {each.label} | {len(each.works)} | {flops:.3g} | {moved:.0f} | {_ms(ideal)} | {times} "
            f"| {100 * each.product_share:.0f} % |"
        )
    return lines


def _ms(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def memory_table(models: Iterable[ModelRow]) -> list[str]:
    """Device memory of each plan."""
    heads = " | ".join(f"of {size} GB" for size in CARDS_GIB)
    lines = [
        f"| model | weights, MB | intermediate, MB | in and out, MB | all, MB | {heads} |",
        f"| --- |{' --: |' * 6}",
    ]
    for each in models:
        shares = " | ".join(f"{100 * each.total_bytes / (size * GIB):.1f} %" for size in CARDS_GIB)
        parts = " | ".join(
            f"{part / 1e6:.1f}" for part in (each.const_bytes, each.arena_bytes, each.io_bytes, each.total_bytes)
        )
        lines.append(f"| {each.label} | {parts} | {shares} |")
    return lines


def rendered(page: Page) -> str:
    """All that stands between the marks."""
    unplanned = [f"Not planned yet: {name} ({reason})." for name, reason in page.unplanned.items()]
    said = (
        f"{len(page.variants)} variants, compiled out of the {page.seen} that plans and tuner may ask for; a row shows "
        "its worst. LDS: bytes of a group. Scratch: bytes of a lane. Waves: on a SIMD, 10 at most."
    )
    return "\n".join(
        [
            START,
            "",
            "### Registers and local memory",
            "",
            said,
            "",
            *resource_table(page.variants),
            "",
            *other_files(page.variants),
            "",
            *beyond_gate(page.variants),
            "### Projection, not a measurement",
            "",
            *projection_table(page.models),
            "",
            "### Memory",
            "",
            *memory_table(page.models),
            *(["", *unplanned] if unplanned else []),
            "",
            END,
        ]
    )


def update_page(path: Path, page: Page) -> None:
    """Put the tables between the marks. Raises ValueError when a mark is not there."""
    text = path.read_text("utf-8")
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"{path} has no {START} … {END}")
    temporary = path.with_suffix(f".{os.getpid()}.part")
    temporary.write_text(before + rendered(page) + after, "utf-8")
    temporary.replace(path)
