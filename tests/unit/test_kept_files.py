"""Verdicts and tuned choices that a hand or a disk has damaged."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from edge.compute.capability import RX580_8GB
from edge.inference.opencl.check import Verdict, load_verdict, save_verdict
from edge.inference.opencl.launch import Algorithm, ConvProblem
from edge.inference.opencl.tune import Tuned, choices_path, load_choices, save_choices
from edge.testing import fake_card

CARD = fake_card(sha256="0" * 64)
PROBLEM = ConvProblem(1, 8, 8, 4, 8, 8, 4, kernel=(1, 1), strides=(1, 1), pads=(0, 0))
CHOICES = {PROBLEM: Algorithm("gemm", (("mt", 4), ("nt", 8)))}
VERDICT = Verdict("m", "d", float("inf"), float("inf"), 2.5, "no room")

Told = list[tuple[str, Mapping[str, str]]]


def told_into(told: Told) -> Any:
    return lambda event, fields: told.append((event, fields))


def tuned_file(folder: Path, size: int = 1) -> Path:
    return save_choices(folder, CARD, RX580_8GB, size, Tuned(CHOICES, 2.0, 1.0, 3, 1))


def test_choices_come_back_as_they_were_kept_also_for_another_batch_size(tmp_path: Path) -> None:
    told: Told = []
    tuned_file(tmp_path)

    assert load_choices(tmp_path, CARD, RX580_8GB, 1, tell=told_into(told)) == CHOICES
    assert load_choices(tmp_path, CARD, RX580_8GB, 4, tell=told_into(told)) == {
        replace(PROBLEM, batch=4): CHOICES[PROBLEM]
    }
    assert told == []


def with_row(**changes: Any) -> dict[str, Any]:
    problem, algorithm = next(iter(CHOICES.items()))
    return {"rows": [{"problem": asdict(problem), "algorithm": asdict(algorithm)} | changes]}


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        None,
        {"rows": 3},
        {"rows": [1]},
        {"rows": [{"problem": {}, "algorithm": {}}]},
        with_row(problem=asdict(PROBLEM) | {"batch": "1"}),
        with_row(problem=asdict(PROBLEM) | {"hi": [8]}),
        with_row(problem=asdict(PROBLEM) | {"kernel": [1]}),
        with_row(problem=[]),
        with_row(algorithm={"name": 5, "params": []}),
        with_row(algorithm={"name": "gemm", "params": [["mt", float("inf")]]}),
        with_row(algorithm=None),
    ],
    ids=repr,
)
def test_a_tuned_file_of_wrong_types_is_left_out_with_its_name_and_the_next_step(tmp_path: Path, body: object) -> None:
    told: Told = []
    path = tuned_file(tmp_path)
    path.write_text(json.dumps(body))

    assert load_choices(tmp_path, CARD, RX580_8GB, 4, tell=told_into(told)) == {}
    [(event, fields)] = told
    assert event == "compute.file_ignored"
    assert fields["file"] == str(path)
    assert f"bench {CARD.name} --device opencl --tune" in fields["next_step"]


def test_a_damaged_tuned_file_of_one_batch_size_leaves_that_of_one_picture(tmp_path: Path) -> None:
    tuned_file(tmp_path)
    tuned_file(tmp_path, size=4).write_bytes(b"\0" * 100)

    assert load_choices(tmp_path, CARD, RX580_8GB, 4) == {replace(PROBLEM, batch=4): CHOICES[PROBLEM]}


def test_no_tuned_file_is_nothing_to_tell(tmp_path: Path) -> None:
    told: Told = []

    assert load_choices(tmp_path, CARD, RX580_8GB, 1, tell=told_into(told)) == {}
    assert not choices_path(tmp_path, CARD, RX580_8GB, 1).exists()
    assert told == []


def test_a_verdict_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    save_verdict(tmp_path, "key", VERDICT)

    assert load_verdict(tmp_path, "key") == VERDICT


@pytest.mark.parametrize(
    "body",
    [[], None, {}, *(asdict(VERDICT) | wrong for wrong in ({"error": "0.1"}, {"ms_opencl": [1]}, {"failure": 0}))],
    ids=repr,
)
def test_a_verdict_of_wrong_types_is_no_verdict_and_told_with_its_name(tmp_path: Path, body: object) -> None:
    told: Told = []
    path = tmp_path / "key.json"
    path.write_text(json.dumps(body))

    assert load_verdict(tmp_path, "key", tell=told_into(told)) is None
    [(event, fields)] = told
    assert event == "compute.file_ignored"
    assert fields["file"] == str(path)
    assert "delete it" in fields["next_step"]
