"""ModemManager's interfaces on a D-Bus of our own, for the real `mmcli`: a modem of memory instead of a stick.

Names, signatures and numbers: the D-Bus reference of ModemManager 1.20 (org.freedesktop.ModemManager1: Modem,
Modem.Modem3gpp, Modem.Messaging, Sms). What the real daemon does with a modem is not here.
"""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jeepney import HeaderFields, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

NAME = "org.freedesktop.ModemManager1"
ROOT, MODEM = "/org/freedesktop/ModemManager1", "/org/freedesktop/ModemManager1/Modem/0"
STATES = {"failed": -1, "locked": 2, "disabled": 3, "enabled": 6, "searching": 7, "registered": 8}
UNKNOWN, RECEIVING, RECEIVED, SENT = 0, 2, 3, 5  # MMSmsState
DELIVER, SUBMIT, STATUS_REPORT = 1, 2, 3  # MMSmsPduType
BUS = """<busconfig><type>session</type><listen>unix:dir={folder}</listen><policy context="default">
<allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>"""


@dataclass
class ModemManager:
    """What the daemon knows. messages: path → properties of an SMS. refuses: error of Send (name, text), or ().

    stays_silent: Send gives no answer, but the message leaves all the same. calls: methods in their order.
    """

    state: str = "registered"
    lock: int = 1
    signal: int = 67
    has_modem: bool = True
    refuses: tuple[str, str] | tuple[()] = ()
    stays_silent: bool = False
    messages: dict[str, dict[str, tuple[str, object]]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    address: str = ""
    left: list[tuple[str, str]] = field(default_factory=list)
    _count: int = 0

    def receive(self, number: str, text: str, at: str, *, state: int = RECEIVED) -> str:
        """A message from somebody. at: as 3GPP modems tell it, `2026-06-01T02:14:05-05`."""
        return self._put(
            State=("u", state), PduType=("u", DELIVER), Number=("s", number), Text=("s", text), Timestamp=("s", at)
        )

    def report(self, number: str, reference: int, delivery_state: int) -> str:
        """A status report. delivery_state: TP-Status of 3GPP TS 23.040, 9.2.3.15."""
        return self._put(
            State=("u", RECEIVED), PduType=("u", STATUS_REPORT), Number=("s", number),
            MessageReference=("u", reference), DeliveryState=("u", delivery_state),
            Timestamp=("s", "2026-06-01T12:00:00+00"), DischargeTimestamp=("s", "2026-06-01T12:00:04+00"),
        )  # fmt: skip

    def _put(self, **properties: tuple[str, object]) -> str:
        path = f"{ROOT}/SMS/{self._count}"
        self._count += 1
        empty = {"Text": ("s", ""), "Number": ("s", ""), "SMSC": ("s", ""), "MessageReference": ("u", 0)}
        self.messages[path] = empty | {"Storage": ("u", 0), "Class": ("i", -1), "Data": ("ay", b"")} | properties
        return path

    def _modem(self) -> dict[str, dict[str, tuple[str, object]]]:
        return {
            f"{NAME}.Modem": {
                "State": ("i", STATES[self.state]), "UnlockRequired": ("u", self.lock),
                "StateFailedReason": ("u", 2 if self.state == "failed" else 0), "Sim": ("o", f"{ROOT}/SIM/0"),
                "SignalQuality": ("(ub)", (self.signal, True)), "Manufacturer": ("s", "Huawei"),
                "Model": ("s", "E3372"), "AccessTechnologies": ("u", 1 << 14), "PowerState": ("u", 3),
                # mmcli 1.20 crashes where one of these is missing.
                "Revision": ("s", "22.317"), "HardwareRevision": ("s", "CL2E3372HM"), "DeviceIdentifier": ("s", "d0"),
                "EquipmentIdentifier": ("s", "866785030000000"), "Device": ("s", "/sys/devices/usb1"),
                "Drivers": ("as", ["option"]), "Plugin": ("s", "huawei"), "PrimaryPort": ("s", "ttyUSB0"),
                "Ports": ("a(su)", [("ttyUSB0", 3)]), "OwnNumbers": ("as", []), "UnlockRetries": ("a{uu}", {2: 3}),
                "SupportedCapabilities": ("au", [4]), "CurrentCapabilities": ("u", 4), "Bearers": ("ao", []),
                "SupportedModes": ("a(uu)", [(8, 0)]), "CurrentModes": ("(uu)", (8, 0)), "SimSlots": ("ao", []),
                "SupportedBands": ("au", []), "CurrentBands": ("au", []), "SupportedIpFamilies": ("u", 1),
                "PrimarySimSlot": ("u", 0), "MaxBearers": ("u", 1), "MaxActiveBearers": ("u", 1),
            },
            f"{NAME}.Modem.Modem3gpp": {"RegistrationState": ("u", 1), "OperatorName": ("s", "Claro")},
            f"{NAME}.Modem.Messaging": {"Messages": ("ao", list(self.messages))},
        }  # fmt: skip

    def answer(self, path: str, interface: str, method: str, body: tuple) -> tuple[str, tuple] | None:
        """Signature and values; raises KeyError where there is no such thing. None: no answer."""
        self.calls.append(method)
        known = {
            "GetManagedObjects": lambda: ("a{oa{sa{sv}}}", ({MODEM: self._modem()} if self.has_modem else {},)),
            "GetAll": lambda: ("a{sv}", ((self.messages[path] if "/SMS/" in path else self._modem()[body[0]]),)),
            "Enable": self._enable,
            "List": lambda: ("ao", (list(self.messages),)),
            "Create": lambda: ("o", (self._create(body[0]),)),
            "Delete": lambda: ("", (self.messages.pop(body[0]), ())[1]),
            "Send": lambda: self._send(self.messages[path]),
        }
        if method not in known:
            raise KeyError(f"{interface}.{method}")
        return known[method]()

    def _enable(self) -> tuple[str, tuple]:
        self.state = "registered"
        return "", ()

    def _create(self, told: dict[str, tuple[str, object]]) -> str:
        asked = ("b", bool(told.get("delivery-report-request", ("b", False))[1]))
        return self._put(
            State=("u", UNKNOWN), PduType=("u", SUBMIT), Number=told["number"], Text=told["text"],
            DeliveryReportRequest=asked,
        )  # fmt: skip

    def _send(self, sms: dict[str, tuple[str, object]]) -> tuple[str, tuple] | None:
        if self.refuses:
            raise PermissionError(*self.refuses)
        sms |= {"State": ("u", SENT), "MessageReference": ("u", 40 + len(self.left))}
        self.left.append((str(sms["Number"][1]), str(sms["Text"][1])))
        return None if self.stays_silent else ("", ())

    def serve(self, address: str, ready: threading.Event, stop: threading.Event) -> None:
        """Answer calls until told to stop."""
        with open_dbus_connection(address) as bus:
            bus.send_and_get_reply(message_bus.RequestName(NAME))
            ready.set()
            while not stop.is_set():
                try:
                    call = bus.receive(timeout=0.05)
                except TimeoutError:
                    continue
                if call.header.message_type is not MessageType.method_call:
                    continue
                fields = call.header.fields
                names = [
                    fields.get(each, "") for each in (HeaderFields.path, HeaderFields.interface, HeaderFields.member)
                ]
                try:
                    told = self.answer(*names, call.body)
                except PermissionError as exc:
                    bus.send(new_error(call, exc.args[0], "s", (exc.args[1],)))
                except KeyError as exc:
                    bus.send(new_error(call, "org.freedesktop.DBus.Error.UnknownMethod", "s", (str(exc),)))
                else:
                    if told is not None:
                        bus.send(new_method_return(call, told[0] or None, told[1]))


@contextmanager
def modem_manager(folder: Path) -> Iterator[ModemManager]:
    """The service on a bus in `folder`; its `address` goes into DBUS_SYSTEM_BUS_ADDRESS."""
    config = folder / "bus.conf"
    config.write_text(BUS.format(folder=folder), "utf-8")
    command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as bus:
        assert bus.stdout is not None
        manager, ready, stop = ModemManager(address=bus.stdout.readline().strip()), threading.Event(), threading.Event()
        thread = threading.Thread(target=manager.serve, args=(manager.address, ready, stop), name="modem-manager")
        thread.start()
        try:
            assert ready.wait(10)
            yield manager
        finally:
            stop.set()
            thread.join(10)
            bus.terminate()
