"""ONNX's backend test suite on an OpenCL device: which cases of our models' operator families pass, and which can't.

    python scripts/onnx_conformance.py --device opencl:0/0 [--family gpu|cpu] [--expanded] [--plain] [--json]
    python scripts/onnx_conformance.py --only 'conv|matmul'

Cases whose name ends in _expanded are functions of ONNX written out as small operators (attention, losses …): their
operators are tested one by one already, so they run only when asked for. --plain runs each case without fusion too.
--family takes the other family of kernels than the device's own. --part 0/2 runs every second case, so that two
processes can share the work. Exits 1 when a case fails. The cases and the exclusion list lie in tests/kernels.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO), str(REPO / "tests" / "kernels")]

import onnx  # noqa: E402  # because the repository has to be on the path first
from onnx_cases import Case, Verdict, family_cases, idle_patterns, judge  # noqa: E402  # because it lies there

from edge.compute.capability import Capability  # noqa: E402  # because it lies there
from edge.compute.device import Device  # noqa: E402  # because it lies there

GPU_LIKE = {"family": "gpu", "local_bytes": 32 * 1024, "wave": 64}  # an RX 580, for a CPU that plays one


def main() -> int:
    """Run the cases and print the summary."""
    arguments = _arguments()
    cases = _chosen(arguments)
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as fresh,
        Device.open(arguments.device, cache_dir=arguments.cache or Path(fresh)) as device,
    ):
        device.capability = _as_family(device.capability, arguments.family)
        verdicts = {case.name: judge(case, device, plain=arguments.plain) for case in cases}
        document = _document(device.capability, verdicts, time.monotonic() - started)
    print(json.dumps(document) if arguments.json else "\n".join(summary(document)))
    return 1 if document["counts"]["failed"] or document["idle_patterns"] else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="opencl", help="opencl or opencl:PLATFORM/DEVICE")
    parser.add_argument("--family", choices=["gpu", "cpu"], help="kernel family (default: the device's own)")
    parser.add_argument("--only", default="", help="regular expression that a case's name has to contain")
    parser.add_argument("--expanded", action="store_true", help="functions written out as operators too")
    parser.add_argument("--plain", action="store_true", help="without fusion too, where that gives another plan")
    parser.add_argument("--part", default="0/1", help="I/N: every N-th case from the I-th on")
    parser.add_argument("--cache", type=Path, help="folder for built programs (default: a fresh one)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    return parser.parse_args()


def _chosen(arguments: argparse.Namespace) -> list[Case]:
    first, step = map(int, arguments.part.split("/"))
    found = [case for name, case in family_cases().items() if arguments.expanded or "_expanded" not in name]
    return [case for case in found if re.search(arguments.only, case.name)][first::step]


def _as_family(capability: Capability, family: str | None) -> Capability:
    if family in {None, capability.family}:
        return capability
    return replace(capability, **GPU_LIKE) if family == "gpu" else replace(capability, family="cpu", wave=1)


def _document(capability: Capability, verdicts: dict[str, Verdict], seconds: float) -> dict:
    counts = Counter(each.outcome for each in verdicts.values())
    return {
        "device": capability.name,
        "driver": capability.driver,
        "family": capability.family,
        "onnx": onnx.__version__,
        "seconds": round(seconds, 1),
        "counts": {outcome: counts[outcome] for outcome in ("passed", "folded", "excluded", "failed")},
        "excluded": dict(Counter(each.detail for each in verdicts.values() if each.outcome == "excluded")),
        "failed": {name: each.detail for name, each in verdicts.items() if each.outcome == "failed"},
        "idle_patterns": idle_patterns(),
        "cases": {name: asdict(each) for name, each in verdicts.items()},
    }


def summary(document: dict) -> list[str]:
    """Lines for people."""
    counts = document["counts"]
    lines = [
        f"device    {document['device']} ({document['driver']}), {document['family']} kernels, onnx {document['onnx']}",
        f"cases     {sum(counts.values())} of the models' operator families, {document['seconds']} s",
        f"passed    {counts['passed'] + counts['folded']} ({counts['folded']} of them folded: nothing left to compute)",
        f"excluded  {counts['excluded']}",
        *(f"          {count:4}  {reason}" for reason, count in sorted(document["excluded"].items())),
        f"failed    {counts['failed']}",
        *(f"          {name}: {detail}" for name, detail in document["failed"].items()),
    ]
    idle = document["idle_patterns"]
    return [*lines, *([f"exclusions that match no case: {' '.join(idle)}"] if idle else [])]


if __name__ == "__main__":
    sys.exit(main())
