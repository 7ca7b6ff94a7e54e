"""Run groups of tests, each in a process of its own, and close with one line of totals.

    python scripts/run_tests.py fast parts kernels e2e browser

A process for each group: a driver that crashes in `kernels` takes no other group's results with it. A group whose
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
    "parts": ["tests/parts"],
    "kernels": ["tests/kernels"],
    "e2e": ["tests/e2e"],
    "browser": ["tests/browser"],
}
# Two files at a time: tests and compilers of OpenCL use one core each, processes wait for each other half of the time.
AT_ONCE = {"fast": 2, "parts": 2, "kernels": 2, "e2e": 2}
# Here what is marked `alone` comes first, a test at a time: seconds are bounded there, and a busy machine takes longer.
WITH_ALONE = "e2e"
# A file goes to one process as a whole. Where one of them takes a minute it is among the first, or the other process is
# done long before it. What is not named comes after, by name.
LONGEST = {
    "kernels": ("layer_parity", "index_ops", "gfx803", "conv_gpu", "onnx_backend", "session", "conv_cpu"),
    "e2e": (
        "demo",
        "process",
        "install",
        "delivery_network",
        "commands",
        "chaos",
        "daemon",
        "station_commands",
        "alerts_command",
        "mqtt_protocol",
        "alert_kills",
        "agent_delivery",
        "agent_to_server",
        "agent_tools",
        "wheel",
    ),
}


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one group. broken: pytest ended without a report of its own, so nothing else here counts."""

    group: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    broken: bool = False

    def __add__(self, other: "Result") -> "Result":
        """Both, as one group."""
        return Result(
            self.group,
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.seconds + other.seconds,
            self.broken or other.broken,
        )


def run_group(group: str) -> Result:
    """Run one group of tests in a pytest of its own, or two, their output passed through."""
    present = [path for path in GROUPS[group] if (REPO / path).exists()]
    if not present:
        return Result(group, 0, 0, 0, 0.0)
    options = [*side_by_side(group), *longest_first(group, present)]
    if group != WITH_ALONE:
        return run_pytest(group, group, options)
    alone = run_pytest(group, f"{group}-alone", ["-m", "alone", *present])
    return run_pytest(group, group, ["-m", "not alone", *options]) + alone


def side_by_side(group: str) -> list[str]:
    """Options for pytest, for a group of which several files may run at a time."""
    if group not in AT_ONCE:
        return []
    return ["-n", str(AT_ONCE[group]), "--dist", "loadfile", *(["--no-loadscope-reorder"] if group in LONGEST else [])]


def longest_first(group: str, folders: list[str]) -> list[str]:
    """What to hand to pytest, in the order in which it is to be begun."""
    if group not in LONGEST:
        return folders
    [folder] = folders
    first = [f"{folder}/test_{name}.py" for name in LONGEST[group]]
    rest = sorted(str(path.relative_to(REPO)) for path in (REPO / folder).glob("test_*.py"))
    return [*first, *(path for path in rest if path not in first)]


def run_pytest(group: str, name: str, options: list[str]) -> Result:
    """One pytest. name: of its report."""
    report = RESULTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    print(f"== tests: {name}", flush=True)
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "--durations=5", f"--junitxml={report}", *options]
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
