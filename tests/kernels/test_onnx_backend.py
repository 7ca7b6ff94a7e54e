"""ONNX's own backend suite on a real OpenCL device, by both kernel families. See scripts/onnx_conformance.py.

PoCL compiles one program at a time in a process (0.2 s each), so the cases are shared by two processes.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SCRIPT = REPO / "scripts" / "onnx_conformance.py"
MUST_PASS = 500
PARTS = 2
# The GPU family differs in these; all its cases pass in `onnx_conformance.py --family gpu`.
GPU_SAMPLE = r"[Cc]onv|gemm|matmul|softmax|layer_normalization_[34]d|reduce_(sum|max|mean|l2)_.*random|Linear|Pool2d"


def _start(cache: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-W", "ignore", SCRIPT, "--json", "--cache", cache, *options]
    # PoCL writes compiler warnings to stderr, so only stdout is read as JSON
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _document(process: subprocess.Popen) -> dict:
    out, err = process.communicate()
    assert process.returncode in {0, 1}, f"ended with {process.returncode}: {err[-2000:]}"
    return json.loads(out)


def _merged(documents: list[dict]) -> dict:
    counts = Counter()
    for each in documents:
        counts.update(each["counts"])
    failed = {name: detail for each in documents for name, detail in each["failed"].items()}
    excluded = Counter()
    for each in documents:
        excluded.update(each["excluded"])
    return documents[0] | {"counts": dict(counts), "failed": failed, "excluded": dict(excluded)}


def _tell(document: dict) -> str:
    counts = document["counts"]
    passed = counts["passed"] + counts["folded"]
    return (
        f"onnx {document['onnx']} on {document['device']}, {document['family']} kernels: {passed} passed "
        f"({counts['folded']} folded), {counts['excluded']} excluded, {counts['failed']} failed"
    )


@pytest.mark.timeout(600)
def test_every_case_of_the_models_operator_families_passes_or_is_excluded_with_a_reason(tmp_path):
    runs = [_start(tmp_path / f"{part}", "--plain", "--part", f"{part}/{PARTS}") for part in range(PARTS)]

    document = _merged([_document(each) for each in runs])

    print(_tell(document))
    assert document["failed"] == {}
    assert document["idle_patterns"] == []
    assert document["counts"]["passed"] >= MUST_PASS


@pytest.mark.timeout(600)
def test_the_gpu_kernels_pass_where_they_are_others(tmp_path):
    options = ("--family", "gpu", "--only", GPU_SAMPLE)
    runs = [_start(tmp_path / f"{part}", *options, "--part", f"{part}/{PARTS}") for part in range(PARTS)]

    document = _merged([_document(each) for each in runs])

    print(_tell(document))
    assert document["failed"] == {}
    assert document["family"] == "gpu"
    assert document["counts"]["passed"] >= 90
