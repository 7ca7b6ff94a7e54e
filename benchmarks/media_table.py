"""What `tigrillo process` finds on labelled stills and on clips, as a Markdown table for the README.

tigrillo process ../shared/media --out results.json
python benchmarks/media_table.py results.json ../shared/media/labels.csv
"""

import argparse
import csv
import json
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="MegaDetector results of `tigrillo process`")
    parser.add_argument("labels", type=Path, help="CSV with file, observation_type, common_name")
    options = parser.parse_args()
    document = json.loads(options.results.read_text("utf-8"))
    with options.labels.open(encoding="utf-8") as file:
        labels = {row["file"]: row["common_name"] or row["observation_type"] for row in csv.DictReader(file)}
    names = document["classification_categories"]
    print(
        "| file | what it is | boxes | best box | answer | most likely class |\n| --- | --- | --- | --- | --- | --- |"
    )
    for image in document["images"]:
        print(row_of(image, labels.get(image["file"], "–"), names))


def row_of(image: dict[str, Any], label: str, names: dict[str, str]) -> str:
    detections = image["detections"]
    if detections is None:
        return f"| {image['file']} | {label} | failure | | {image['failure']} | |"
    if not detections:
        return f"| {image['file']} | {label} | 0 | | | |"
    best = max(detections, key=lambda each: each["conf"])
    classes = [f"{names[number]} {score:.2f}" for number, score in best.get("classifications", [])]
    is_answer = bool(classes) and names[best["classifications"][0][0]][0].isupper()
    answer, rest = (classes[0], classes[1:]) if is_answer else ("animal", classes)
    return (
        f"| {image['file']} | {label} | {len(detections)} | {best['conf']:.2f} | {answer} | {rest[0] if rest else ''} |"
    )


if __name__ == "__main__":
    main()
