"""The device layer on a real OpenCL device (PoCL in CI): memory, errors, limits, and drivers that are broken."""

import gc
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edge.compute.buffers import BufferPool
from edge.compute.choice import parse_choice
from edge.compute.device import Device
from edge.compute.driver import cl
from edge.compute.faults import fault
from edge.compute.kernel import Kernel, defines_of
from edge.compute.launcher import Launcher
from edge.compute.peak import chains, measure_peak
from edge.compute.probe import probe_devices
from edge.errors import DeviceBusy, DeviceLost, FatalError, NoDeviceError

MB = 2**20


@pytest.fixture
def device(tmp_path):
    with Device.open("opencl", cache_dir=tmp_path / "cache") as opened:
        yield opened


# Memory


def test_what_is_uploaded_is_read_back_at_any_offset(device):
    array = np.arange(24, dtype=np.float32).reshape(4, 6)

    buffer = device.upload(array.T)  # not contiguous
    device.write(buffer, np.float32([-1, -2]), 8)

    expected = np.ascontiguousarray(array.T).ravel()
    expected[2:4] = -1, -2
    assert device.read(buffer, np.empty(24, np.float32)).tolist() == expected.tolist()
    assert device.read(buffer, np.empty(2, np.float32), 8).tolist() == [-1, -2]
    assert device.upload(np.empty((0, 3), np.float32)).size == 1


def test_what_is_larger_than_one_buffer_may_be_is_refused_with_figures(device):
    most = device.capability.max_alloc_bytes

    with pytest.raises(DeviceBusy, match=rf"device out of memory: .* at most {most / 1e6:.1f} MB in one piece"):
        device.alloc(most + 1)


def test_what_the_driver_refuses_is_the_same_error(device):
    device.buffers = BufferPool(device.context, replace(device.capability, max_alloc_bytes=2**62), limit_bytes=2**62)

    with pytest.raises(DeviceBusy, match="device out of memory"):
        device.alloc(2**60)


def test_buffers_are_counted_reused_and_bounded(device):
    pool = BufferPool(device.context, device.capability, limit_bytes=10 * MB)

    first, second = pool.take(4 * MB), pool.take(5 * MB)
    with pytest.raises(DeviceBusy, match=r"2\.1 MB on .*: 9\.4 MB of 10\.5 MB are in use"):
        pool.take(2 * MB)
    pool.give(first)
    again = pool.take(4 * MB - 100)  # a little less fits the same buffer

    assert again is first
    assert (pool.usage.used, pool.usage.pooled, pool.usage.peak) == (9 * MB, 0, 9 * MB)
    pool.give(again)
    third = pool.take(1 * MB)  # too small for the pooled one, which stays
    assert (pool.usage.used, pool.usage.pooled) == (6 * MB, 4 * MB)
    pool.give(second)
    assert pool.take(9 * MB).size == 9 * MB  # makes room: what is pooled goes
    assert pool.usage.pooled == 0
    assert third.size == 1 * MB


def test_a_forgotten_buffer_is_counted_as_free(device):
    buffer = device.alloc(MB)
    assert device.buffers.usage.used == MB

    del buffer
    gc.collect()

    assert device.buffers.usage.used == 0


def test_a_buffer_is_given_back_once(device):
    buffer = device.alloc(MB)
    device.free(buffer)

    with pytest.raises(ValueError, match="not in use"):
        device.free(buffer)


# Errors of drivers


@pytest.mark.parametrize(
    ("code", "waiting", "kind"),
    [
        (cl.status_code.MEM_OBJECT_ALLOCATION_FAILURE, False, DeviceBusy),
        (cl.status_code.OUT_OF_HOST_MEMORY, True, DeviceBusy),
        (cl.status_code.OUT_OF_RESOURCES, False, DeviceBusy),
        (cl.status_code.OUT_OF_RESOURCES, True, DeviceLost),
        (cl.status_code.DEVICE_NOT_AVAILABLE, False, DeviceLost),
        (cl.status_code.INVALID_COMMAND_QUEUE, False, DeviceLost),
        (cl.status_code.INVALID_CONTEXT, False, DeviceLost),
        (cl.status_code.INVALID_KERNEL_ARGS, False, FatalError),
    ],
)
def test_a_drivers_code_says_what_follows(code, waiting, kind):
    class Refused(cl.Error):
        pass

    exc = Refused("x")
    type(exc).code = code

    assert type(fault(exc, "run on gfx803", waiting=waiting)) is kind


# Finding and opening


def test_the_probe_finds_this_machines_device_and_it_opens(tmp_path):
    probe = probe_devices()

    assert probe.problem == ""
    found = probe.found[0]
    assert found.broken == ""
    assert found.capability.global_bytes >= found.capability.max_alloc_bytes > 0
    assert found.capability.wave in (1, 32, 64)
    with Device.open(found, cache_dir=tmp_path, profile=True) as device:
        assert device.capability == found.capability
        assert device.queue.properties & cl.command_queue_properties.PROFILING_ENABLE


def test_a_device_that_went_away_is_named(tmp_path):
    found = probe_devices(try_kernels=False).found[0]
    gone = replace(found, capability=replace(found.capability, name="gfx803"))

    with pytest.raises(NoDeviceError, match=rf"{gone.address} \(.*gfx803\) is not there any more"):
        Device.open(gone, cache_dir=tmp_path)


@pytest.mark.parametrize(
    "library", ["/nonexistent/libfoo.so", sys.executable, ""], ids=["missing", "no-library", "empty"]
)
def test_a_broken_driver_registration_is_named_with_the_next_step(tmp_path, monkeypatch, library):
    (tmp_path / "amd.icd").write_text(f"{library}\n")
    monkeypatch.setenv("OCL_ICD_VENDORS", str(tmp_path))

    probe = probe_devices()

    assert probe.found == ()
    assert str(tmp_path / "amd.icd") in probe.problem
    assert "remove that file" in probe.problem
    assert len(probe.problem.splitlines()) == 1


def test_no_driver_at_all_is_said_with_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OCL_ICD_VENDORS", str(tmp_path))

    assert f"no driver is registered in {tmp_path}: install one" in probe_devices().problem


def test_without_pyopencl_the_probe_says_how_to_install_it(tmp_path, monkeypatch):
    (tmp_path / "pyopencl.py").write_text("raise ImportError('No module named pyopencl')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    assert "pip install 'tigrillo[opencl]'" in probe_devices().problem


# Limits


def test_the_arithmetic_of_peak_is_the_twins(device):
    width = 4
    kernel = Kernel("peak.cl", "flops", defines_of(WIDTH=width, IN_ROWS=0))
    y = device.alloc(6 * width * 4)

    device.run(kernel, (6,), None, y, np.int32(9), np.float32(0.5), np.float32(0.25))

    # a handful of roundings, with or without a fused multiply-add
    assert device.read(y, np.empty((6, width), np.float32)) == pytest.approx(
        chains(6, 9, 0.5, 0.25, width=width), rel=1e-6
    )


def test_peak_is_measured_in_two_seconds_and_gives_its_memory_back(device):
    peak = measure_peak(device)

    # a thousandth of what any machine does, a thousand times what the fastest does
    assert 0.1 < peak.gflops < 1e8
    assert 0.1 < peak.read_gb_s < 1e5
    assert 0.1 < peak.copy_gb_s < 1e5
    assert 0 < peak.launch_us <= peak.round_trip_us < 1e5
    assert peak.upload_gb_s > 0.01
    assert peak.download_gb_s > 0.01
    assert device.buffers.usage.used == 0


def test_importing_what_the_daemon_imports_loads_no_driver():
    modules = "choice, probe, worker, capability, kernel, icd, program_cache"
    code = f"import sys\nfrom edge.compute import {modules}\nassert 'pyopencl' not in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_a_choice_by_number_opens_too(tmp_path):
    assert parse_choice("opencl:0/0").platform == "0"
    with Device.open("opencl:0/0", cache_dir=tmp_path) as device:
        assert device.capability.compute_units > 0


def test_a_launcher_gives_a_kernel_a_new_buffer_at_the_address_of_a_released_one(tmp_path, monkeypatch):
    with Device.open("opencl", cache_dir=tmp_path) as device:
        launcher, given = Launcher(device), []
        made = SimpleNamespace(function_name="k", set_args=lambda *args: given.append(args))
        monkeypatch.setattr(device.programs, "kernel", lambda _kernel: made)
        monkeypatch.setattr(device, "launch", lambda *_args: None)
        twin = type("Twin", (), {"__eq__": lambda *_: True, "__hash__": lambda _self: 1})
        first, second = twin(), twin()  # as pyopencl compares buffers: by address

        for buffer in (first, first, second):
            launcher(Kernel("map.cl", "map"), (1,), None, buffer, np.int32(3))

    assert given[1][0] is second
    assert len(given) == 2
