"""Run groups of tests, each in a process of its own, and close with one line of totals.

    python scripts/run_tests.py fast kernels e2e browser

A group of its own process: a driver that crashes in `kernels` takes no other group's results with it. A group whose
folder is empty or absent counts as done. Exits 1 when a test failed or a group broke off.
"""

import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
RESULTS = REPO / ".cache" / "test-results"
NO_TESTS = 5  # pytest's exit code when it collected nothing

GROUPS = {
    "check": [
        "tests/unit/test_layers.py",
        "tests/unit/test_docs.py",
        "tests/unit/test_dependencies_doc.py",
        "tests/contract",
    ],
    "fast": ["tests/unit", "tests/contract"],
    "kernels": ["tests/kernels"],
    "e2e": ["tests/e2e"],
    "browser": ["tests/browser"],
}
# Tests and compilers of OpenCL use one core: two files at a time take little more than half as long. What starts
# processes that wait for each other has the machine to itself.
AT_ONCE = {"fast": 2, "kernels": 2}


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one group. broken: pytest ended without a report of its own, so nothing else here counts."""

    group: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    broken: bool = False


def run_group(group: str) -> Result:
    """Run one group of tests in a pytest of its own, its output passed through."""
    report = RESULTS / f"{group}.xml"
    report.unlink(missing_ok=True)
    present = [path for path in GROUPS[group] if (REPO / path).exists()]
    started = time.monotonic()
    code = NO_TESTS
    if present:
        print(f"== tests: {group}", flush=True)
        parallel = ["-n", str(AT_ONCE[group]), "--dist", "loadfile"] if group in AT_ONCE else []
        command = [sys.executable, "-m", "pytest", "-q", "--durations=5", f"--junitxml={report}", *parallel, *present]
        code = subprocess.run(command, cwd=REPO, check=False).returncode
    seconds = time.monotonic() - started
    if code == NO_TESTS:
        return Result(group, 0, 0, 0, seconds)
    if code not in (0, 1) or not report.is_file():
        return Result(group, 0, 0, 0, seconds, broken=True)
    return read_report(group, report, seconds)


def read_report(group: str, report: Path, seconds: float) -> Result:
    """Count what pytest's own JUnit file says."""
    suite = next(ET.parse(report).iter("testsuite"))  # noqa: S314  # because pytest has just written this file
    total, failures, errors, skipped = (int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped"))
    failed = failures + errors
    return Result(group, total - failed - skipped, failed, skipped, seconds)


def main(groups: list[str]) -> int:
    """Run the groups in order and print the totals."""
    if unknown := [group for group in groups if group not in GROUPS]:
        print(f"no group is called {unknown[0]!r}; there are: {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    RESULTS.mkdir(parents=True, exist_ok=True)
    results = [run_group(group) for group in groups]
    print()
    for each in results:
        verdict = "broke off" if each.broken else f"{each.passed} passed, {each.failed} failed, {each.skipped} skipped"
        print(f"  {each.group:<8} {verdict}, {each.seconds:.0f} s")
    bad = sum(each.failed for each in results) + sum(each.broken for each in results)
    print(f"total: {sum(e.passed for e in results)} passed, {bad} failed, {sum(e.skipped for e in results)} skipped")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
