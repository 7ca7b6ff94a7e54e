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
    print("| file | what it is | boxes | best box | answers |\n| --- | --- | --- | --- | --- |")
    for image in document["images"]:
        print(row_of(image, labels.get(image["file"], "–"), names))


def row_of(image: dict[str, Any], label: str, names: dict[str, str]) -> str:
    """One line: the answers of all boxes, surest box first, each name once; at most three."""
    detections = image["detections"]
    if detections is None:
        return f"| {image['file']} | {label} | failure | | {image['failure']} |"
    detections = sorted(detections, key=lambda each: -each["conf"])
    answers: dict[str, float] = {}
    for each in detections:
        name, score = answer_of(each, names)
        answers.setdefault(name, score)
    said = ", ".join(f"{name} {score:.2f}" for name, score in list(answers.items())[:3])
    best = f"{detections[0]['conf']:.2f}" if detections else ""
    return f"| {image['file']} | {label} | {len(detections)} | {best} | {said} |"


def answer_of(detection: dict[str, Any], names: dict[str, str]) -> tuple[str, float]:
    """The rolled-up taxon, which stands first and is written with a capital; else the box's category."""
    number, score = detection.get("classifications", [["", 0.0]])[0]
    name = names.get(number, "")
    return (name, score) if name[:1].isupper() else ("animal", detection["conf"])


if __name__ == "__main__":
    main()
