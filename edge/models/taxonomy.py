"""Which taxa the classes of a model stand for, and what a list of class probabilities says about them."""

import csv
from functools import cache
from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"


@cache
def class_labels(name: str) -> tuple[str, ...]:
    """The class names of a table in the order of the model's outputs: 1000 for "imagenet". No two are equal.

    Raises ValueError naming the tables there are, when there is none of this name.
    """
    table = DATA / f"{name}.csv"
    if not name.isalnum() or name == "taxa" or not table.is_file():
        known = sorted(path.stem for path in DATA.glob("*.csv") if path.stem != "taxa")
        raise ValueError(f"no taxonomy table {name[:80]!r}: there is {', '.join(known)}")
    with table.open(encoding="utf-8", newline="") as file:
        return tuple(row["label"] for row in csv.DictReader(file))
