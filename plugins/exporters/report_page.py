"""The report as one HTML file: words in one language, numbers, tables, plots; nothing is fetched from anywhere."""

import base64
import io
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from html import escape
from pathlib import Path

from edge.api import Box, Services, mark, translate

from .found import local, models_used
from .report_charts import COLOURS, Bar, rose, share_bar, stacked, timeline
from .report_tally import Kind, Tally
from .stays import Stay

PICTURE_PX, MARGIN, ROSES, STACKED = 360, 0.15, 12, 5
CATEGORIES = {
    "animal": mark("animal, no finer answer"),
    "person": mark("person"),
    "vehicle": mark("vehicle"),
}
# (heading, whether it stands left)
SPECIES = (
    (mark("kind"), True), (mark("captures"), False), ("", True), (mark("individuals"), False),
    (mark("stations"), False), (mark("per 100 trap-nights"), False), (mark("first"), False), (mark("last"), False),
)  # fmt: skip
EFFORT = (
    (mark("station"), True), (mark("deployment"), True), (mark("from"), False), (mark("until"), False),
    (mark("trap-nights"), False), (mark("days it worked"), False), (mark("days it failed"), False),
    (mark("days unknown"), False), (mark("frames"), False),
)  # fmt: skip
WORKED = ((mark("worked"), "var(--mark)"), (mark("failed"), "#c2571a"), (mark("unknown"), "var(--line)"))
STYLE = Path(__file__).with_name("report.css")


def write_page(tally: Tally, services: Services, *, language: str, gap_min: int) -> Iterator[str]:
    """The page, piece by piece. gap_min: the pause that ended a capture."""
    page = _Page(tally, services, language, gap_min)
    title = escape(page.title)
    style = STYLE.read_text("utf-8")
    yield (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{style}</style></head><body>"
    )
    yield from (page.head(), page.species(), page.pictures(), page.roses(), page.months(), page.effort(), page.foot())
    yield "</body></html>\n"


class _Page:
    def __init__(self, tally: Tally, services: Services, language: str, gap_min: int) -> None:
        self._tally, self._services, self._language, self._gap_min = tally, services, language, gap_min
        dataset = services.exporting.dataset
        self.title = (dataset.title if dataset else "") or services.site_name
        self._about = dataset.description if dataset else ""
        kinds = sorted(tally.kinds.items(), key=lambda each: (-each[1].captures, each[0]))
        self._animals = [each for each in kinds if each[1].category == "animal"]
        self._kinds = [*self._animals, *(each for each in kinds if each[1].category != "animal")]
        self._nights, self._all_noted = self._trap_nights()

    def head(self) -> str:
        """What, when, and the sums."""
        tally = self._tally
        span = "–"
        if tally.first and tally.last:
            zone = self._services.default_timezone
            span = f"{local(tally.first, zone)[:10]} – {local(tally.last, zone)[:10]}"
        animals = [kind for _name, kind in self._animals]
        tiles = (
            (sum(tally.frames.values()), self._t(mark("frames"))),
            (len(tally.frames), self._t(mark("stations"))),
            (self._nights_told(), self._t(mark("trap-nights"))),
            (len({name for name, kind in self._animals if kind.taxon}), self._t(mark("animal taxa"))),
            (sum(kind.captures for kind in animals), self._t(mark("animal captures"))),
            (tally.blank, self._t(mark("blank frames"))),
            (tally.with_people, self._t(mark("frames with people or vehicles"))),
        )
        made = "".join(f'<div class="tile"><b>{value}</b>{escape(name)}</div>' for value, name in tiles)
        about = f"<p>{escape(self._about)}</p>" if self._about else ""
        title = f'<h1>{escape(self.title)}</h1><p class="soft">{span}</p>'
        return f'<header>{title}{about}<div class="tiles">{made}</div></header>'

    def species(self) -> str:
        """The table of kinds."""
        if not self._kinds:
            nothing = self._t(mark("Nothing matched: there is no record to show."))
            return self._section(mark("Species"), f"<p>{nothing}</p>")
        most = max(kind.captures for _name, kind in self._kinds) or 1
        rows = []
        for name, kind in self._kinds:
            rate = self._number(100 * kind.captures / self._nights) if self._nights else "–"
            numbers = (kind.individuals, len(kind.stations), rate, kind.first or "–", kind.last or "–")
            rows.append(
                f'<tr><td>{self._name(name, kind)}</td><td class="n">{kind.captures}</td>'
                f'<td class="wide">{share_bar(kind.captures / most)}</td>'
                + "".join(f'<td class="n">{value}</td>' for value in numbers)
                + "</tr>"
            )
        note = self._t(
            mark(
                "A capture is one kind at one station with no pause longer than {minutes} min; individuals: the most "
                "in one picture, summed over captures."
            )
        )
        body = f"<p>{escape(note.format(minutes=self._gap_min))}</p>" + self._table(SPECIES, rows)
        return self._section(mark("Species"), body)

    def pictures(self) -> str:
        """The best picture of each kind of animal, cut to the animal."""
        cards = []
        for name, kind in self._animals:
            if kind.best is not None and kind.taxon is not None and (jpeg := cut(Path(kind.best.path), kind.best.box)):
                source = base64.b64encode(jpeg).decode()
                where = escape(" · ".join(filter(None, (kind.best.station, kind.best.at))))
                alt = escape(self._plain(name, kind))
                cards.append(
                    f'<figure class="card"><img alt="{alt}" src="data:image/jpeg;base64,{source}">'
                    f"<figcaption>{self._name(name, kind)}<br>{where}</figcaption></figure>"
                )
        return self._section(mark("Best pictures"), f'<div class="cards">{"".join(cards)}</div>') if cards else ""

    def roses(self) -> str:
        """When in the day each kind was there."""
        cards = []
        for name, kind in self._animals[:ROSES]:
            if kind.captures:
                title = self._t(mark("{kind}: captures by hour")).format(kind=self._plain(name, kind))
                cards.append(
                    f'<figure class="card">{rose(kind.hours, title)}'
                    f"<figcaption>{self._name(name, kind)} · {kind.captures}</figcaption></figure>"
                )
        if not cards:
            return ""
        note = self._t(
            mark(
                "Captures by local hour; midnight is on top, the area of a sector says the number. No correction for "
                "effort or for the length of the day."
            )
        )
        return self._section(mark("Activity"), f'<p>{escape(note)}</p><div class="cards">{"".join(cards)}</div>')

    def months(self) -> str:
        """Captures a month, the most frequent kinds apart."""
        shown = self._animals[:STACKED]
        rest = self._t(mark("others"))
        months: dict[str, Counter[str]] = {}
        labels = [self._plain(name, kind) for name, kind in shown]
        for number, (_name, kind) in enumerate(self._animals):
            label = labels[number] if number < STACKED else rest
            for month, count in kind.months.items():
                months.setdefault(month, Counter())[label] += count
        if len(self._animals) > STACKED:
            labels.append(rest)
        plot = stacked(months, labels, self._t(mark("Captures by month")))
        if not plot:
            return ""
        key = "".join(
            f'<i style="background:{COLOURS[number % len(COLOURS)]}"></i>{escape(label)}'
            for number, label in enumerate(labels)
        )
        return self._section(mark("Captures by month"), f'{plot}<p class="key">{key}</p>')

    def effort(self) -> str:
        """When each camera stood and worked."""
        stays = list(self._tally.stays)
        if not stays:
            return ""
        bars: dict[str, list[Bar]] = {}
        rows = []
        for stay in stays:
            bars.setdefault(stay.station, []).extend(self._bars(stay))
            rows.append(self._effort_row(stay))
        key = "".join(f'<i style="background:{colour}"></i>{self._t(name)}' for name, colour in WORKED)
        plot = timeline(list(bars.items()), self._t(mark("When each camera stood and worked")))
        note = ""
        if not self._all_noted:
            told = self._t(mark("Deployments marked * were not noted down: first and last frame stand for them."))
            note = f"<p>{escape(told)}</p>"
        return self._section(mark("Effort"), f'{plot}<p class="key">{key}</p>{note}{self._table(EFFORT, rows)}')

    def foot(self) -> str:
        """What the numbers do not say."""
        tally = self._tally
        lines = [
            self._t(mark("Made by tigrillo {when}; models: {models}.")).format(
                when=local(self._services.clock.now(), self._services.default_timezone)[:16].replace("T", " "),
                models=models_used(self._services),
            ),
            self._t(mark("The machine's answers are not all right; a taxon above species says how far it was sure.")),
        ]
        told = (
            (tally.unlooked, mark("{count} frames were not looked at or damaged.")),
            (tally.unknown_times, mark("{count} frames of unknown time are in no capture.")),
            (tally.failures, mark("{count} files could not be processed.")),
        )
        lines += [self._t(text).format(count=count) for count, text in told if count]
        return f"<footer>{'<br>'.join(map(escape, lines))}</footer>"

    def _section(self, title: str, body: str) -> str:
        return f"<h2>{escape(self._t(title))}</h2>{body}"

    def _table(self, columns: tuple[tuple[str, bool], ...], rows: list[str]) -> str:
        head = "".join(
            f"<th{'' if left else ' class=n'}>{escape(self._t(name)) if name else ''}</th>" for name, left in columns
        )
        return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'

    def _t(self, text: str) -> str:
        return translate(text, self._language)

    def _number(self, value: float) -> str:
        text = f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}"
        return text.replace(".", ",") if self._language == "es" else text

    def _plain(self, name: str, kind: Kind) -> str:
        if kind.taxon is None:
            return self._t(CATEGORIES.get(name, name))
        common = kind.taxon.name(self._language)
        return common[:1].upper() + common[1:]

    def _name(self, name: str, kind: Kind) -> str:
        plain = escape(self._plain(name, kind))
        if kind.taxon is None or kind.taxon.scientific_name == kind.taxon.name(self._language):
            return plain
        return f'{plain} <span class="soft"><em>{escape(kind.taxon.scientific_name)}</em></span>'

    def _trap_nights(self) -> tuple[int, bool]:
        stays = list(self._tally.stays)
        effort = self._services.exporting.effort
        nights = sum(
            effort[stay.id].trap_nights
            if stay.noted and stay.id in effort
            else _nights(stay.start, self._tally.stays.end_of(stay), stay.timezone)
            for stay in stays
        )
        return nights, all(stay.noted for stay in stays)

    def _nights_told(self) -> str:
        return f"{'' if self._all_noted else '≈ '}{self._nights}" if self._nights else "–"

    def _bars(self, stay: Stay) -> list[Bar]:
        end = self._tally.stays.end_of(stay)
        effort = self._services.exporting.effort.get(stay.id) if stay.noted else None
        made = [
            Bar(
                stay.start,
                end,
                "worked" if stay.noted else "inferred",
                f"{stay.id}: {stay.start:%Y-%m-%d} – {end:%Y-%m-%d}",
            )
        ]
        made += [
            Bar(gap.start, gap.end, gap.kind, f"{self._t(gap.why)}: {gap.start:%Y-%m-%d} – {gap.end:%Y-%m-%d}")
            for gap in (effort.gaps if effort else ())
        ]
        return made

    def _effort_row(self, stay: Stay) -> str:
        end = self._tally.stays.end_of(stay)
        effort = self._services.exporting.effort.get(stay.id) if stay.noted else None
        nights = effort.trap_nights if effort else _nights(stay.start, end, stay.timezone)
        days = (effort.active_days, effort.failed_days, effort.unknown_days) if effort else (None, None, None)
        until = local(stay.end, stay.timezone)[:10] if stay.end else self._t(mark("goes on"))
        numbers = (
            local(stay.start, stay.timezone)[:10],
            until,
            nights,
            *("–" if each is None else self._number(each) for each in days),
            stay.frames,
        )
        name = escape(stay.id) if stay.noted else "*"
        return (
            f"<tr><td>{escape(stay.station)}</td><td>{name}</td>"
            + "".join(f'<td class="n">{value}</td>' for value in numbers)
            + "</tr>"
        )


def _nights(start: datetime, end: datetime, timezone: str) -> int:
    """Local midnights between two moments."""
    first, last = (datetime.fromisoformat(local(each, timezone)).date() for each in (start, end))
    return max(0, (last - first).days)


def cut(path: Path, box: Box) -> bytes:
    """The part of a picture around a box, as a small JPEG; b"" when it can't be read."""
    from PIL import Image, ImageOps  # noqa: PLC0415  # because `tigrillo --help` and other formats do without

    try:
        with Image.open(path) as opened:
            opened.draft("RGB", (PICTURE_PX * 6, PICTURE_PX * 6))
            picture = ImageOps.exif_transpose(opened).convert("RGB")
            x, y, width, height = box
            margin = MARGIN * max(width, height)
            left, top = max(0.0, x - margin), max(0.0, y - margin)
            right, bottom = min(1.0, x + width + margin), min(1.0, y + height + margin)
            across, down = picture.size
            part = picture.crop(
                (int(left * across), int(top * down), max(1, int(right * across)), max(1, int(bottom * down)))
            )
            part.thumbnail((PICTURE_PX, PICTURE_PX))
            out = io.BytesIO()
            part.save(out, "JPEG", quality=78)
            return out.getvalue()
    except (OSError, ValueError, SyntaxError):
        return b""
