"""The probe with children that behave as bad drivers make them behave."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from edge.compute.capability import RX580_8GB
from edge.compute.choice import FoundDevice
from edge.compute.icd import icd_files
from edge.compute.probe import probe_devices
from edge.doctor import examine
from edge.registry import load_registry

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


@pytest.fixture
def aborting_driver(tmp_path, monkeypatch, need):
    """This machine's drivers, and one that ends every process that loads it."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang-16"))), None)
    need(compiler is not None, "a C compiler")
    source, library, folder = tmp_path / "bad.c", tmp_path / "libbad.so", tmp_path / "vendors"
    source.write_text(
        "#include <stdio.h>\n#include <stdlib.h>\n"
        '__attribute__((constructor)) static void begin(void) { fputs("no card\\n", stderr); abort(); }\n'
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    folder.mkdir()
    for file in icd_files():
        shutil.copy(file, folder)
    (folder / "bad.icd").write_text(f"{library}\n")
    monkeypatch.setenv("OCL_ICD_VENDORS", str(folder))
    return folder / "bad.icd"


def test_a_driver_that_aborts_is_named_and_hides_no_other(aborting_driver):
    probe = probe_devices()

    assert [each.broken for each in probe.found] == [""]
    assert probe.problem.startswith(
        f"the OpenCL driver of {aborting_driver} crashed (SIGABRT): no card and is left out"
    )
    assert not (Path(os.environ["OCL_ICD_VENDORS"]) / aborting_driver.name).exists()


def test_the_folder_of_the_other_drivers_goes_with_the_process(aborting_driver):
    code = (
        "import os; from edge.compute.probe import probe_devices; probe_devices(); print(os.environ['OCL_ICD_VENDORS'])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() != str(aborting_driver.parent)
    assert not Path(done.stdout.strip()).exists()


def test_the_daemon_never_loads_a_driver_that_aborts_and_its_log_names_it(aborting_driver, tmp_path):
    code = (
        "import sys, structlog; from pathlib import Path; from edge.inference.select import open_compute\n"
        "log = structlog.wrap_logger(structlog.PrintLogger(), processors=[structlog.processors.JSONRenderer()])\n"
        "with open_compute('opencl', threads=1, jobs=1, log=log, cache=Path(sys.argv[1])): pass\n"
        "print('opened')"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
    line, last = done.stdout.splitlines()
    assert last == "opened"
    assert json.loads(line)["event"] == "compute.driver_left_out"
    assert str(aborting_driver) in json.loads(line)["reason"]


def test_the_doctor_names_the_driver_that_aborts_beside_the_device_that_works(aborting_driver):
    findings = [each for each in examine(None, load_registry()) if each.what == "device"]

    assert any(each.verdict == "warn" and str(aborting_driver) in each.says and each.next_step for each in findings)
    assert any(each.verdict == "good" and each.says.startswith("opencl:0/0") for each in findings)


def test_when_all_drivers_crash_all_are_named(one_driver):
    (one_driver.parent / "worse.icd").write_text("libworse.so\n")

    probe = probe_devices(child=child("import os; os.abort()"), timeout_s=10)

    assert probe.found == ()
    assert "bad.icd" in probe.problem
    assert "worse.icd" in probe.problem
    assert os.environ["OCL_ICD_VENDORS"] == str(one_driver.parent)


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


def test_what_the_system_says_is_told_in_the_readers_language(one_driver, monkeypatch):
    monkeypatch.setenv("TIGRILLO_LANG", "es")

    assert "no existe tal archivo o carpeta" in probe_devices(child=("/nonexistent/python",)).problem
    assert "no existe tal archivo o carpeta" in probe_devices().problem  # of the library that bad.icd names
