"""Every export of one site beside what a validator says of it.

Usage: python benchmarks/exports_shown.py SITE.yaml [--specs ../shared/specs/camtrap-dp-1.0.2]

Each format is written by the real `tigrillo export` and read back: Camtrap DP by its published schemas and by
frictionless, and once more after `tigrillo import` into an empty site; MegaDetector results, Wildlife Insights, Darwin
Core, GPX, KML, camtrapR's tables and YOLO by validators that the tests have written from the specifications; GeoJSON,
COCO and CSV by a reader of JSON or CSV. A fault ends it with exit 1.
"""

import argparse
import filecmp
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from kit import REPO

sys.path.insert(0, str(REPO))

from edge.testing_megadetector import check_results
from tests.parts.test_camtrap_export import check_package
from tests.unit.export_rules import (
    check_darwin_core,
    check_gpx,
    check_kml,
    check_matrices,
    check_wildlife_insights,
    check_yolo,
    rows_of,
)

TABLES = ("deployments.csv", "media.csv", "observations.csv")


def tigrillo(*words: str) -> str:
    """What the command prints last. Ends the benchmark when it fails."""
    ended = subprocess.run([sys.executable, "-m", "edge.cli", *words], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"tigrillo {' '.join(words)}: exit {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return ended.stdout.strip().splitlines()[-1]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def camtrap(path: Path, specs: Path, site: Path, folder: Path) -> str:
    """The package by schemas and frictionless; then in and out of an empty site."""
    check_package(path, specs)
    other = yaml.safe_load(site.read_text("utf-8")) | {"state_dir": str(folder / "empty")}
    copy = site.with_name(".exports-shown.yaml")  # beside the site, because its paths begin there
    try:
        copy.write_text(yaml.safe_dump(other), "utf-8")
        (folder / "empty").mkdir()
        tigrillo("import", "camtrap-dp", str(path), "--site", str(copy))
        tigrillo("export", "camtrap-dp", "--site", str(copy), "--out", str(folder / "again"))
    finally:
        copy.unlink(missing_ok=True)
    _same, other_tables, missing = filecmp.cmpfiles(path, folder / "again", TABLES, shallow=False)
    assert not other_tables + missing, f"not the same after import: {other_tables + missing}"
    described = [read_json(each / "datapackage.json") | {"created": ""} for each in (path, folder / "again")]
    assert described[0] == described[1], "datapackage.json is another after import"
    rows = ", ".join(f"{len(rows_of(path / name))} {name.removesuffix('.csv')}" for name in TABLES)
    return f"profile, schemas and frictionless: 0 errors ({rows}); export → import → export: the same"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path)
    parser.add_argument("--specs", type=Path, default=REPO.parent / "shared/specs/camtrap-dp-1.0.2")
    chosen = parser.parse_args()
    print(f"$ python benchmarks/{Path(__file__).name} {chosen.site.name}")
    with tempfile.TemporaryDirectory(prefix="tigrillo-exports-") as name:
        folder = Path(name)
        checks: dict[str, tuple[str, Callable[[Path], object]]] = {
            "camtrap-dp": ("dp", lambda path: camtrap(path, chosen.specs, chosen.site, folder)),
            "megadetector": ("md.json", lambda path: check_results(read_json(path)) or "rules of format 1.6: 0 faults"),
            "wildlife-insights": (
                "wi",
                lambda path: f"{len(check_wildlife_insights(path)['images'])} images, by the template",
            ),
            "darwin-core": (
                "dwc",
                lambda path: f"{len(check_darwin_core(path))} occurrences, by meta.xml and the terms",
            ),
            "matrices": (
                "m",
                lambda path: f"{len(check_matrices(path)['record_table'])} records, as camtrapR reads them",
            ),
            "csv": ("a.csv", lambda path: f"{len(rows_of(path))} rows"),
            "coco": ("coco.json", lambda path: f"{len(read_json(path)['annotations'])} annotations"),
            "geojson": ("a.geojson", lambda path: f"{len(read_json(path)['features'])} features"),
            "gpx": ("a.gpx", lambda path: f"GPX 1.1, {len(check_gpx(path))} waypoints"),
            "kml": ("a.kml", lambda path: f"KML 2.2, {sum(map(len, check_kml(path).values()))} placemarks"),
            "yolo": ("yolo", lambda path: f"{len(check_yolo(path))} pictures with labels"),
            "report": ("report.html", lambda path: f"{path.stat().st_size / 1000:.0f} kB"),
        }
        for format_name, (out, check) in checks.items():
            said = tigrillo("export", format_name, "--site", str(chosen.site), "--out", str(folder / out))
            try:
                verdict = check(folder / out)
            except AssertionError as exc:
                raise SystemExit(f"{format_name}: {exc}") from exc
            print(f"{format_name:<18}{said.partition(' in ')[0]}: {verdict}", flush=True)


if __name__ == "__main__":
    main()
