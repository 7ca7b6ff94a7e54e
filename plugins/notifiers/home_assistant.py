"""What Home Assistant is told: a device for each station and one for the site, with their entities (MQTT discovery).

Pure: names and readings in, JSON out; mqtt_board.py says when. Needs Home Assistant 2024.12 or newer, the first with a
discovery message for a whole device. Source: home-assistant.io/integrations/mqtt, "Device discovery payload", and the
pages of the four platforms used: binary_sensor.mqtt, event.mqtt, image.mqtt, sensor.mqtt.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

from edge.api import Category, is_safe_name, mark, one_line, translate

Reading = float | bool | None
Platform = Literal["binary_sensor", "sensor"]
Payload = dict[str, Any]

CATEGORIES: tuple[Category, ...] = ("animal", "person", "vehicle")
# Of the event entity: what was seen, or what kind of notice it is.
EVENT_TYPES = (*CATEGORIES, "alert", "update", "digest", "health", "answer", "test")
MOST_CHIPS = 8  # measuring chips of one station that are shown; their names come from the station
GB = 1e9


@dataclass(frozen=True, slots=True)
class Measure:
    """How one reading is shown. name: for people; {name} is the chip's. device_class, unit: Home Assistant's words."""

    name: str
    platform: Platform
    device_class: str
    unit: str = ""


MEASURES: Mapping[str, Measure] = {
    "temperature_c": Measure(mark("Temperature"), "sensor", "temperature", "°C"),
    "disk_free_gb": Measure(mark("Disk free"), "sensor", "data_size", "GB"),
    "spool_frames": Measure(mark("Frames waiting"), "sensor", ""),
    "spool_oldest_s": Measure(mark("Oldest frame waits"), "sensor", "duration", "s"),
    "supply_low": Measure(mark("Under-voltage"), "binary_sensor", "problem"),
    "battery_low": Measure(mark("Battery low"), "binary_sensor", "battery"),
    "clock_off": Measure(mark("Clock off"), "binary_sensor", "problem"),
}
CHIP_MEASURES: Mapping[str, Measure] = {
    "volts": Measure(mark("{name}: voltage"), "sensor", "voltage", "V"),
    "amps": Measure(mark("{name}: current"), "sensor", "current", "A"),
    "watts": Measure(mark("{name}: power"), "sensor", "power", "W"),
    "percent": Measure(mark("{name}: charge"), "sensor", "battery", "%"),
}
SEEN_NAMES: Mapping[Category, str] = {
    "animal": mark("Animal seen"),
    "person": mark("Person seen"),
    "vehicle": mark("Vehicle seen"),
}


@dataclass(frozen=True, slots=True)
class Topics:
    """Where what is published. base: ours, such as `tigrillo`; prefix: Home Assistant's, `homeassistant`.

    station: a topic level as it is, because a safe name has no separator and no wildcard.
    """

    base: str
    prefix: str

    @property
    def availability(self) -> str:
        """`online` or `offline`, retained; the last will."""
        return f"{self.base}/availability"

    @property
    def birth(self) -> str:
        """Where Home Assistant says `online` when it has started."""
        return f"{self.prefix}/status"

    def notice(self, station: str) -> str:
        """Every notice; without a level of its own when it is about no station."""
        return f"{self.base}/notice/{station}" if is_safe_name(station) else f"{self.base}/notice"

    def event(self, station: str) -> str:
        """The same for the event entities of Home Assistant: flat, with an `event_type`."""
        return self.of(station, "event") if is_safe_name(station) else f"{self.base}/event"

    def of(self, station: str, what: str) -> str:
        """`state`, `health`, `sighting`, `picture`, or a category. Raises ValueError for a name that is no level."""
        if not is_safe_name(station):
            raise ValueError(f"station {station!r} can't be a topic level")
        return f"{self.base}/station/{station}/{what}"

    def config(self, station: str) -> str:
        """The discovery topic of a station's device; of the site's for ""."""
        return f"{self.prefix}/device/{self.device_id(station)}/config"

    def device_id(self, station: str) -> str:
        """What Home Assistant knows a device by: [A-Za-z0-9_-] only, another one for every base and station."""
        mix = hashlib.sha256(f"{self.base}\0{station}".encode()).hexdigest()[:8]
        return f"{_slug(self.base)}_{_slug(station) or 'site'}_{mix}"


@dataclass(frozen=True, slots=True)
class Low:
    """Below what a battery counts as low; None: no judgement from this."""

    percent: float | None = 20.0
    volts: float | None = None


def readings(health: Mapping[str, object], *, drifts: bool | None, low: Low) -> dict[str, Reading]:
    """What a health message says, flat; None for what could not be measured.

    Keys are [a-z0-9_]: those of MEASURES, and for each measuring chip `<chip>_volts` and so on (see `chips`). What a
    message of this station never names is not there.
    """
    found: dict[str, Reading] = {}
    spool = health.get("spool")
    if "temperature_c" in health:
        found["temperature_c"] = _number(health["temperature_c"])
    if "disk_free_bytes" in health:
        free = _number(health["disk_free_bytes"])
        found["disk_free_gb"] = None if free is None else round(free / GB, 2)
    if isinstance(spool, Mapping):
        found["spool_frames"], found["spool_oldest_s"] = _number(spool.get("frames")), _number(spool.get("oldest_s"))
    if "supply_low" in health:
        supply = health["supply_low"]
        found["supply_low"] = supply if isinstance(supply, bool) else None
    if drifts is not None:
        found["clock_off"] = drifts
    for slug, name in chips(health).items():
        values = health[name]
        assert isinstance(values, Mapping)
        found |= {f"{slug}_{key}": _number(values[key]) for key in CHIP_MEASURES if key in values}
        if (judged := _is_low(slug, values, low)) is not None:
            found["battery_low"] = found.get("battery_low") is True or judged
    return found


def chips(health: Mapping[str, object]) -> dict[str, str]:
    """The measuring chips in a health message: slug → name, MOST_CHIPS at most.

    A slug is [a-z0-9_]: it stands in a template that Home Assistant runs, and the name was chosen by a stranger.
    """
    found: dict[str, str] = {}
    for name, values in health.items():
        slug = re.sub(r"[^a-z0-9]+", "_", _slug(name).lower()).strip("_")[:32]
        measures = isinstance(values, Mapping) and any(key in values for key in CHIP_MEASURES)
        if measures and slug and slug not in found and len(found) < MOST_CHIPS:
            found[slug] = name
    return found


def station_device(
    topics: Topics, station: str, keys: Collection[str], names: Mapping[str, str], *, language: str, seen_s: int
) -> Payload:
    """The discovery message of a station's device.

    keys: of `readings` that this station has told so far. names: of its chips, by slug. seen_s: how long "seen" stays
    on after a sighting.
    """
    me, sighting = topics.device_id(station), topics.of(station, "sighting")
    parts = {
        "online": _binary(("online", "offline"), "connectivity", topics.of(station, "state"), name=mark("Online")),
        "sighting": {
            "platform": "sensor",
            "name": mark("Last sighting"),
            "state_topic": sighting,
            "value_template": "{{ value_json.what }}",
            "json_attributes_topic": sighting,
            "icon": "mdi:paw",
        },
        "captured": {
            "platform": "sensor",
            "name": mark("Last capture"),
            "state_topic": sighting,
            "value_template": "{{ value_json.captured_at }}",
            "device_class": "timestamp",
        },
        "picture": {
            "platform": "image",
            "name": mark("Last picture"),
            "image_topic": topics.of(station, "picture"),
            "content_type": "image/jpeg",
        },
        "notice": _event(topics.event(station)),
    }
    for category, name in SEEN_NAMES.items():
        seen = _binary(("ON", "OFF"), "motion", topics.of(station, category), name=name)
        parts[category] = seen | {"off_delay": seen_s}
    # What was measured is out of date when the station is silent; what was seen is not.
    alive = [{"topic": topics.availability}, {"topic": topics.of(station, "state")}]
    for key in sorted(keys):
        if (shown := _reading(key, names, topics.of(station, "health"), language)) is not None:
            parts[key] = shown | {"availability": alive, "availability_mode": "all"}
    about = {"model": translate("Camera trap", language), "via_device": topics.device_id("")}
    availability = {"availability": [{"topic": topics.availability}]}
    return _device(me, one_line(station), about, parts, language) | availability


def site_device(topics: Topics, site_name: str, *, language: str) -> Payload:
    """The discovery message of the site's own device: whether it runs, and notices that are about no station."""
    notice = _event(topics.event("")) | {"availability": [{"topic": topics.availability}]}
    running = _binary(("online", "offline"), "running", topics.availability, name=mark("Running"))
    return _device(topics.device_id(""), one_line(site_name), {}, {"running": running, "notice": notice}, language)


def _device(me: str, name: str, about: Payload, parts: Mapping[str, Payload], language: str) -> Payload:
    for key, part in parts.items():
        part["unique_id"] = f"{me}_{key}"
        part["name"] = translate(str(part["name"]), language)
    return {
        "device": {"identifiers": [me], "name": name, "manufacturer": "Tigrillo", **about},
        "origin": {"name": "Tigrillo", "sw_version": version("tigrillo")},
        "qos": 1,
        "components": parts,
    }


def _binary(words: tuple[str, str], device_class: str, topic: str, *, name: str) -> Payload:
    """words: for on and for off."""
    on, off = words
    said = {"state_topic": topic, "payload_on": on, "payload_off": off}
    return {"platform": "binary_sensor", "name": name, "device_class": device_class, **said}


def _event(topic: str) -> Payload:
    return {"platform": "event", "name": mark("Notice"), "state_topic": topic, "event_types": list(EVENT_TYPES)}


def _reading(key: str, names: Mapping[str, str], topic: str, language: str) -> Payload | None:
    """The entity of one reading; None for a key of another version of this program."""
    chip, _underscore, kind = key.rpartition("_")
    measure, label = MEASURES.get(key), ""
    if measure is None and chip in names:
        measure, label = CHIP_MEASURES.get(kind), one_line(names[chip])
    if measure is None:
        return None
    shown = {
        "platform": measure.platform,
        "name": translate(measure.name, language).format(name=label),
        "state_topic": topic,
        "value_template": f"{{{{ value_json.{key} }}}}",
        "entity_category": "diagnostic",
    }
    if measure.device_class:
        shown["device_class"] = measure.device_class
    if measure.platform == "binary_sensor":  # so does a template write true and false
        return shown | {"payload_on": "True", "payload_off": "False"}
    return shown | {"state_class": "measurement"} | ({"unit_of_measurement": measure.unit} if measure.unit else {})


def _is_low(slug: str, values: Mapping[Any, object], low: Low) -> bool | None:
    """Whether this battery is low; None when it is none, or there is no way to tell."""
    percent, volts = _number(values.get("percent")), _number(values.get("volts"))
    if percent is not None and low.percent is not None:
        return percent < low.percent
    if volts is not None and low.volts is not None and slug == "battery":  # not the solar panel
        return volts < low.volts
    return None


def _number(value: object) -> float | None:
    return None if isinstance(value, bool) or not isinstance(value, int | float) else value


def _slug(text: str) -> str:
    """[A-Za-z0-9_-] for any text; two may give the same."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]", "_", plain)
