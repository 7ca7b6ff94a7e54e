"""What the trap tells of itself: chips over a bus that answers as their data sheets say, and files of the kernel."""

import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import ClassVar

import pytest

from edge.messages import Health
from raspberry_pi.hardware_config import HealthSettings, SensorSettings
from raspberry_pi.health import sensors
from raspberry_pi.health.collect import HealthReport
from raspberry_pi.needs import HardwareError


class Bus:
    """smbus2.SMBus with chips: address → register → bytes. A chip that is not there does not acknowledge."""

    chips: ClassVar = {}

    def __init__(self, number):
        assert number == 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def read_i2c_block_data(self, address, register, length):
        if address not in self.chips:
            raise OSError(121, "Remote I/O error")
        return list(self.chips[address][register][:length])


@pytest.fixture
def chips(monkeypatch):
    monkeypatch.setitem(sys.modules, "smbus2", SimpleNamespace(SMBus=Bus))
    monkeypatch.setattr(Bus, "chips", {})
    return Bus.chips


def report(folder, *names, root=None):
    settings = HealthSettings(sensors=tuple(SensorSettings(each, name=each) for each in names))
    return HealthReport(settings, disk=folder, root=root or folder)


def test_an_ina219_is_read_as_its_data_sheet_says(tmp_path, chips):
    # 12.0 V is 3000 steps of 4 mV, shifted by 3; 50 mV over 0.1 Ω is 0.5 A, 5000 steps of 10 µV
    chips[0x40] = {0x01: (5000).to_bytes(2, "big"), 0x02: (3000 << 3 | 0b10).to_bytes(2, "big")}

    assert report(tmp_path, "ina219").collect()["ina219"] == {"volts": 12.0, "amps": 0.5, "watts": 6.0}


def test_current_the_other_way_is_negative(tmp_path, chips):
    chips[0x40] = {0x01: (-2000 & 0xFFFF).to_bytes(2, "big"), 0x02: (3000 << 3).to_bytes(2, "big")}

    assert report(tmp_path, "ina219").collect()["ina219"]["amps"] == -0.2


def test_an_ina226_is_read_as_its_data_sheet_says(tmp_path, chips):
    # 12.5 V is 10000 steps of 1.25 mV; 50 mV is 20000 steps of 2.5 µV
    chips[0x40] = {0x01: (20000).to_bytes(2, "big"), 0x02: (10000).to_bytes(2, "big")}

    assert report(tmp_path, "ina226").collect()["ina226"] == {"volts": 12.5, "amps": 0.5, "watts": 6.25}


def checked(body):
    check = 0xFF
    for byte in body:
        check ^= byte
    return bytes([*body, check])


def test_a_pijuice_is_read_with_its_check_bytes(tmp_path, chips):
    chips[0x14] = {
        0x41: checked([87]),
        0x49: checked((3950).to_bytes(2, "little")),
        0x4B: checked((-450 & 0xFFFF).to_bytes(2, "little")),
    }
    trap = report(tmp_path, "pijuice")

    assert trap.collect()["pijuice"] == {"percent": 87.0, "volts": 3.95, "amps": -0.45, "watts": -1.778}
    chips[0x14][0x49] = b"\x00\x01\x02"
    assert trap.collect()["pijuice"] is None


def test_a_ups_hat_is_read(tmp_path, chips):
    chips[0x2D] = {0x20: b"".join(each.to_bytes(2, "little") for each in (16_200, 1_500, 64))}

    found = report(tmp_path, "ups_hat_e").collect()["ups_hat_e"]

    assert found == {"percent": 64.0, "volts": 16.2, "amps": 1.5, "watts": 24.3}


def test_a_chip_that_does_not_answer_is_null_and_said_once(tmp_path, chips, caplog):
    trap = report(tmp_path, "ina219")

    for _ in range(3):
        assert trap.collect()["ina219"] is None
    assert caplog.text.count("what=ina219") == 1
    chips[0x40] = {0x01: b"\0\0", 0x02: b"\0\0"}
    assert trap.collect()["ina219"]["volts"] == 0.0
    del chips[0x40]
    trap.collect()
    assert caplog.text.count("what=ina219") == 2


def test_a_sensor_that_nobody_knows_is_named_with_those_that_are(tmp_path, chips):
    with pytest.raises(HardwareError, match=r"'ina999' is unknown; known: ina219, ina226, pijuice, ups_hat_e"):
        report(tmp_path, "ina999")


def test_a_plugin_is_a_sensor_too(tmp_path, chips, monkeypatch):
    kind = sensors.Kind(0x20, lambda bus, address, settings: {"percent": 50.0})
    entry = SimpleNamespace(load=lambda: kind)

    class Found(dict):
        names = frozenset({"mine"})

    monkeypatch.setattr(sensors, "entry_points", lambda group: Found(mine=entry))

    assert report(tmp_path, "mine").collect()["mine"] == {"percent": 50.0}


def test_without_smbus2_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "smbus2", None)

    with pytest.raises(HardwareError, match="apt install python3-smbus2"):
        report(tmp_path, "ina219")


def tell(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    ("bits", "low", "was_low"), [("0\n", False, False), ("50000\n", False, True), ("50005\n", True, True)]
)
def test_the_firmware_says_whether_the_supply_is_low(tmp_path, bits, low, was_low):
    tell(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", bits)
    tell(tmp_path, "sys/class/thermal/thermal_zone0/temp", "48312\n")

    found = report(tmp_path).collect()

    assert (found["supply_low"], found["supply_was_low"], found["temperature_c"]) == (low, was_low, 48.3)
    assert found["disk_free_bytes"] > 0


def test_where_the_firmware_does_not_the_kernel_says(tmp_path):
    tell(tmp_path, "sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    tell(tmp_path, "sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    tell(tmp_path, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")

    found = report(tmp_path).collect()

    assert (found["supply_low"], found["supply_was_low"]) == (True, None)


def test_what_is_not_known_is_null_and_never_an_error(tmp_path, caplog):
    found = HealthReport(HealthSettings(), disk=tmp_path / "nowhere", root=tmp_path).collect()

    assert set(found.values()) == {None}
    assert caplog.text.count("health.unknown") == 3


def test_it_fits_into_a_health_message(tmp_path, chips):
    chips[0x40] = {0x01: b"\x10\0", 0x02: b"\x10\0"}
    values = report(tmp_path, "ina219").collect()

    sent = Health(at=datetime.now(UTC), boot="b", version="1", values=values)

    assert Health.decode(sent.encode()).values == values
