"""The probe with children that behave as bad drivers make them behave."""

import json
import re
import sys
from dataclasses import asdict

import pytest

from edge.compute.capability import RX580_8GB
from edge.compute.choice import FoundDevice
from edge.compute.probe import probe_devices

GOOD = FoundDevice("AMD", 0, 0, RX580_8GB)
OTHER = FoundDevice("Mesa", 1, 0, RX580_8GB)
LISTING = json.dumps({"found": [asdict(GOOD), asdict(OTHER)], "problem": ""})


def child(code):
    return (sys.executable, "-c", code)


@pytest.fixture
def one_driver(tmp_path, monkeypatch):
    """A folder of drivers with one in it."""
    (tmp_path / "bad.icd").write_text("libbad.so\n")
    monkeypatch.setenv("OCL_ICD_VENDORS", str(tmp_path))
    return tmp_path / "bad.icd"


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"crashed \(SIGSEGV\)"),
        (
            "import os, sys; print('x.c:7: Assertion failed', file=sys.stderr, flush=True); os.abort()",
            r"crashed \(SIGABRT\): x.c:7: Assertion failed",
        ),
        ("raise SystemExit(3)", r"failed \(exit 3\)"),
        ("print('hello')", "gave an unreadable answer"),
        ("print('[1]')", "gave an unreadable answer"),
        ('print(\'{"found": [{}], "problem": ""}\')', "gave an unreadable answer"),
        ("import time; time.sleep(60)", "hung for 1 s"),
    ],
    ids=["segfault", "abort", "exit", "noise", "no-object", "empty-device", "hang"],
)
def test_a_bad_driver_ends_a_child_and_is_one_line_with_its_name(one_driver, code, how):
    probe = probe_devices(child=child(code), timeout_s=1)

    assert probe.found == ()
    assert len(probe.problem.splitlines()) == 1
    assert probe.problem.startswith(f"the OpenCL driver of {one_driver} ")
    assert re.search(how, probe.problem)
    assert "set OCL_ICD_VENDORS" in probe.problem


def test_of_several_drivers_the_guilty_one_is_named(one_driver):
    (one_driver.parent / "good.icd").write_text("libgood.so\n")
    code = (
        "import os, json\n"
        "if not os.environ['OCL_ICD_VENDORS'].endswith('good.icd'): os.abort()\n"
        "print(json.dumps({'found': [], 'problem': ''}))"
    )

    probe = probe_devices(child=child(code), timeout_s=10)

    assert "bad.icd" in probe.problem
    assert "good.icd" not in probe.problem


def test_a_compiler_that_crashes_breaks_its_own_device_only():
    code = (
        f"import sys, os\nif len(sys.argv) < 2: print({LISTING!r})\n"
        "elif sys.argv[1] == '0': os.abort()\nelse: print('{\"broken\": \"\"}')"
    )

    probe = probe_devices(child=child(code), timeout_s=10)

    assert probe.problem == ""
    assert [each.broken for each in probe.found] == [
        "its driver crashed (SIGABRT) when it built and ran a small kernel",
        "",
    ]


def test_a_compiler_that_hangs_breaks_its_device():
    code = f"import sys, time\nif len(sys.argv) < 2: print({LISTING!r})\nelse: time.sleep(60)"

    probe = probe_devices(child=child(code), timeout_s=1)

    assert all("hung for 1 s" in each.broken for each in probe.found)


def test_what_a_driver_says_of_a_device_is_kept_and_kernels_are_tried_on_demand():
    code = f"import sys\nassert len(sys.argv) < 2\nprint({LISTING!r})"

    assert probe_devices(child=child(code), try_kernels=False).found == (GOOD, OTHER)


def test_a_python_that_is_not_there_is_a_problem_and_no_traceback(one_driver):
    assert "could not be asked" in probe_devices(child=("/nonexistent/python",)).problem
