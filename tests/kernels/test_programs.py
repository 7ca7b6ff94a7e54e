"""Programs and their cache on a real OpenCL device (PoCL in CI)."""

import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from edge.compute import kernel as kernel_module
from edge.compute.device import Device
from edge.compute.kernel import Kernel, defines_of
from edge.errors import FatalError, KernelBuildError

SCALE = "__kernel void scale(__global float *x, float by) { x[get_global_id(0)] *= by * FACTOR; }\n"
SCALE += "__kernel void shift(__global float *x, float by) { x[get_global_id(0)] += by; }\n"


@pytest.fixture
def device(tmp_path):
    with Device.open("opencl", cache_dir=tmp_path / "cache") as opened:
        yield opened


@pytest.fixture
def write_kernel(tmp_path, monkeypatch):
    """Puts a source where kernels are looked for; the name must be new, since sources are read once."""
    monkeypatch.setattr(kernel_module, "data_dir", lambda _name: tmp_path)

    def write(text, *, file):
        name = f"{tmp_path.name}-{file}"
        (tmp_path / name).write_text(text)
        return name

    return write


@pytest.fixture
def scale(write_kernel):
    file = write_kernel(SCALE, file="scale.cl")
    return Kernel(file, "scale", defines_of(FACTOR=2.0))


def run_scale(device, kernel):
    buffer = device.upload(np.arange(5, dtype=np.float32))
    device.run(kernel, (5,), None, buffer, np.float32(10))
    return device.read(buffer, np.empty(5, np.float32)).tolist()


def test_a_wrong_launch_is_a_bug_with_the_kernels_name(device, scale):
    kernel = device.programs.kernel(scale)

    with pytest.raises(FatalError, match=r"scale on .*INVALID_KERNEL_ARGS"):
        device.launch(kernel, (5,), None)


def test_a_profiled_launch_tells_how_long_it_took(tmp_path, scale):
    with Device.open("opencl", cache_dir=tmp_path, profile=True) as device:
        event = device.run(scale, (5,), None, device.upload(np.ones(5, np.float32)), np.float32(1))
        event.wait()

        assert event.profile.end >= event.profile.start > 0


# Programs


def test_a_kernel_runs_and_each_has_its_own_arguments(device, scale):
    assert run_scale(device, scale) == [0, 20, 40, 60, 80]
    assert device.programs.kernel(scale) is not device.programs.kernel(scale)
    assert device.programs.built == 1


def test_entries_of_one_source_share_a_program_and_defines_make_another(device, scale):
    device.programs.kernel(scale)
    device.programs.kernel(replace(scale, entry="shift"))
    assert device.programs.built == 1

    device.programs.kernel(replace(scale, defines=defines_of(FACTOR=3.0)))
    assert device.programs.built == 2


def test_prebuild_builds_each_source_once_and_tells_how_far_it_is(device, scale):
    kernels = [
        replace(scale, entry=entry, defines=defines_of(FACTOR=f))
        for f in (1.0, 2.0, 3.0)
        for entry in ("scale", "shift")
    ]
    seen = []

    device.programs.prebuild(kernels, lambda done, total: seen.append((done, total)))
    device.programs.prebuild(kernels, lambda done, total: seen.append((done, total)))

    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert device.programs.built == 3


def test_threads_that_want_one_program_build_it_once(device, scale):
    threads = [threading.Thread(target=device.programs.kernel, args=(scale,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert device.programs.built == 1


def test_a_syntax_error_names_file_entry_first_error_and_log(device, write_kernel, recwarn):
    file = write_kernel("__kernel void f(__global float *x) { x[0] = yy; }\n__kernel void g() { zz; }\n", file="bad.cl")
    bad = Kernel(file, "f", defines_of(N=1))

    with pytest.raises(KernelBuildError) as caught:
        device.programs.prebuild([bad])

    (log,) = device.programs.logs.iterdir()
    assert f"kernels/{file}, kernel 'f', does not compile" in str(caught.value)
    assert "use of undeclared identifier 'yy'" in str(caught.value)
    assert "'zz'" not in str(caught.value)
    assert str(log) in str(caught.value)
    assert "'zz'" in log.read_text()
    assert "    2  __kernel void f" in log.read_text()
    assert not recwarn.list


def test_a_log_that_cannot_be_written_is_told_in_the_readers_language(device, write_kernel, monkeypatch):
    monkeypatch.setenv("TIGRILLO_LANG", "es")
    device.programs.logs.parent.mkdir(parents=True, exist_ok=True)
    device.programs.logs.write_text("a file where the folder should be")
    bad = Kernel(write_kernel("__kernel void f() { yy; }\n", file="bad.cl"), "f", defines_of())

    with pytest.raises(KernelBuildError, match="el archivo ya existe"):
        device.programs.prebuild([bad])


def test_an_entry_that_is_not_there_is_named(device, scale):
    with pytest.raises(KernelBuildError, match=r"scale\.cl has no kernel 'scael'"):
        device.programs.kernel(replace(scale, entry="scael"))


def test_remarks_of_the_compiler_are_no_warnings(device, write_kernel, recwarn):
    file = write_kernel("#warning look here\n" + SCALE, file="remark.cl")

    device.programs.kernel(Kernel(file, "scale", defines_of(FACTOR=2.0)))

    assert not recwarn.list


def test_nan_and_infinity_keep_their_meaning(device, write_kernel):
    text = "__kernel void f(__global float *x) { int i = get_global_id(0); float v = x[i]; X }"
    text = text.replace("X", "x[i] = v != v ? 1 : isinf(v) ? 2 : v;")
    buffer = device.upload(np.float32([np.nan, np.inf, -np.inf, 5]))

    device.run(Kernel(write_kernel(text, file="nan.cl"), "f"), (4,), None, buffer)

    assert device.read(buffer, np.empty(4, np.float32)).tolist() == [1, 2, 2, 5]


# The cache of programs


def reopened(device):
    return Device.open("opencl", cache_dir=device.programs.cache.folder.parent)


def test_a_kept_program_is_loaded_by_the_next_process_and_computes_the_same(device, scale):
    device.programs.kernel(scale)
    device.programs.save()
    assert device.programs.save() == 0

    with reopened(device) as again:
        assert run_scale(again, scale) == [0, 20, 40, 60, 80]
        assert (again.programs.built, again.programs.loaded) == (0, 1)


class Lines:
    """A log that keeps the events of level debug."""

    def __init__(self):
        self.events = []

    def debug(self, event, **_fields):
        self.events.append(event)


@pytest.mark.parametrize(
    ("damage", "event"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1000]), "program.cache_damaged"),
        (lambda path: path.write_bytes(os.urandom(3000)), "program.cache_damaged"),
        (
            lambda path: path.write_bytes(path.read_bytes().replace(b"program 1\n", b"program 9\n", 1)),
            "program.cache_damaged",
        ),
        (None, "program.cache_refused"),
    ],
    ids=["truncated", "garbage", "other-version", "refused-by-the-driver"],
)
def test_a_damaged_cache_is_built_again_with_one_line(device, scale, damage, event):
    device.programs.kernel(scale)
    device.programs.save()
    (path,) = device.programs.cache.folder.glob("*.bin")
    if damage:
        damage(path)
    else:
        device.programs.cache.keep(path.stem, bytes(1000))  # whole, but no binary of this driver
    log = Lines()

    with Device.open("opencl", cache_dir=path.parent.parent, log=log) as again:
        assert run_scale(again, scale) == [0, 20, 40, 60, 80]
        assert (again.programs.built, again.programs.loaded) == (1, 0)
        again.programs.save()
    assert log.events == [event]
    with reopened(device) as third:
        third.programs.kernel(scale)
        assert third.programs.loaded == 1


def test_a_cache_that_cannot_be_written_costs_a_line_only(device, scale, tmp_path):
    (tmp_path / "file").write_text("")
    log = Lines()

    with Device.open("opencl", cache_dir=tmp_path / "file" / "cache", log=log) as other:
        assert run_scale(other, scale) == [0, 20, 40, 60, 80]
        other.programs.save()

    assert log.events == ["program.not_cached"]


BUILDER = """
import sys
from pathlib import Path
from edge.compute.device import Device
from edge.compute.kernel import Kernel, defines_of
kernels = [Kernel("peak.cl", "copy", defines_of(WIDTH=4, IN_ROWS=n)) for n in range(4)]
with Device.open("opencl", cache_dir=Path(sys.argv[1])) as device:
    print("ready", flush=True)
    sys.stdin.readline()
    device.programs.prebuild(kernels)
    device.programs.save()
    print(device.programs.built, device.programs.loaded)
"""


def test_two_processes_that_build_at_once_leave_a_good_cache(tmp_path):
    command = [sys.executable, "-c", BUILDER, str(tmp_path)]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    try:
        for each in both:
            assert each.stdout.readline() == "ready\n"
        for each in both:
            each.stdin.write("\n")
            each.stdin.flush()
        told = [each.communicate(timeout=60)[0].split() for each in both]
    finally:
        for each in both:
            each.kill()

    assert [each.returncode for each in both] == [0, 0]
    assert all(sum(map(int, line)) == 4 for line in told)
    third = subprocess.run(command, input="\n", stdout=pipe, text=True, check=True, timeout=60)
    assert third.stdout.split() == ["ready", "0", "4"]
    assert not list((tmp_path / "programs").glob(".*.part"))


def test_a_binary_that_another_process_kept_is_not_made_again(device, scale):
    with reopened(device) as other:
        other.programs.kernel(scale)
        device.programs.kernel(scale)
        device.programs.save()
        (path,) = device.programs.cache.folder.glob("*.bin")
        inode = path.stat().st_ino  # another one for each writing

        other.programs.save()

    assert path.stat().st_ino == inode


def test_a_plan_that_another_process_builds_is_waited_for_and_one_on_disk_is_not(device, scale):
    told = []
    with reopened(device) as other, ExitStack() as stack:
        stack.enter_context(device.programs.building([scale]))
        with other.programs.building([scale], on_wait=lambda: (told.append("waiting"), stack.close())):
            pass
        assert told == ["waiting"]

        device.programs.kernel(scale)
        device.programs.save()
        with device.programs.building([scale]), other.programs.building([scale], on_wait=lambda: told.append("again")):
            pass
        assert told == ["waiting"]
