"""`compute.device`: what may be written, and which device it means."""

from dataclasses import replace

import pytest

from edge.compute.capability import RX580_8GB
from edge.compute.choice import Choice, FoundDevice, match, parse_choice
from edge.errors import ConfigError, NoDeviceError

POCL = FoundDevice(
    "Portable Computing Language", 0, 0, replace(RX580_8GB, name="pthread-skylake", family="cpu", wave=1)
)
POLARIS = FoundDevice("AMD Accelerated Parallel Processing", 1, 0, RX580_8GB, board="Radeon RX 580 Series")
SECOND = FoundDevice("AMD Accelerated Parallel Processing", 1, 1, replace(RX580_8GB, name="gfx900"))
ALL = (POCL, POLARIS, SECOND)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("auto", Choice("auto")),
        ("CPU", Choice("cpu")),
        ("opencl", Choice("opencl")),
        ("opencl:0", Choice("opencl", "0")),
        (" OpenCL:AMD/580 ", Choice("opencl", "amd", "580")),
        ("opencl:rusticl/a/b", Choice("opencl", "rusticl", "a/b")),
    ],
)
def test_a_choice_is_read(text, choice):
    assert parse_choice(text) == choice


@pytest.mark.parametrize("text", ["", "gpu", "cuda:0", "opencl:", "opencl:/0", "opencl:0/", "auto:0", "cpu:"])
def test_a_wrong_choice_says_what_would_be_right(text):
    with pytest.raises(ConfigError, match=r"auto, cpu, opencl or opencl:PLATFORM/DEVICE"):
        parse_choice(text)


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("auto", POLARIS),
        ("opencl", POLARIS),
        ("opencl:0", POCL),
        ("opencl:portable", POCL),
        ("opencl:1/1", SECOND),
        ("opencl:amd/gfx900", SECOND),
        ("opencl:amd/580", POLARIS),
        ("opencl:AMD", POLARIS),
    ],
)
def test_a_choice_finds_its_device_by_number_or_name(text, device):
    assert match(parse_choice(text), ALL) == device


def test_auto_leaves_the_cpu_to_onnx_runtime():
    with pytest.raises(NoDeviceError, match=r"device auto is not there; there are opencl:0/0 \(Portable"):
        match(Choice("auto"), [POCL])


def test_a_device_that_is_not_there_is_answered_with_what_is():
    with pytest.raises(NoDeviceError, match=r"opencl:intel is not there.*opencl:1/0 \(AMD .*: Radeon RX 580 Series\)"):
        match(parse_choice("opencl:intel"), ALL)


def test_no_device_at_all_is_answered_with_the_reason():
    with pytest.raises(NoDeviceError, match=r"no OpenCL device \(pyopencl is missing\)"):
        match(Choice("opencl"), [], problem="pyopencl is missing")


def test_a_broken_device_is_passed_over_and_named_when_it_is_the_only_one():
    broken = replace(POLARIS, broken="its driver crashed (SIGSEGV)")

    assert match(Choice("opencl"), [broken, SECOND]) == SECOND
    with pytest.raises(NoDeviceError, match=r"opencl:1/0: AMD.*is broken: its driver crashed \(SIGSEGV\)"):
        match(parse_choice("opencl:1/0"), [POCL, broken])


def test_an_address_finds_its_own_device():
    for device in ALL:
        assert match(parse_choice(device.address), ALL) == device
