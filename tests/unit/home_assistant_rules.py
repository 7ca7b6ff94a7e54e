"""What Home Assistant requires of a device's discovery message, as a table, and what is wrong with one by it.

Sources, read 2026-11: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload ("must include: device,
origin"; "a platform (p) config option is required for each component … also required is a unique_id"), the pages
https://www.home-assistant.io/integrations/{binary_sensor,event,image,sensor}.mqtt/ (keys marked "required: true"), and
https://www.home-assistant.io/integrations/{binary_sensor,sensor}/#device-class for classes and their units.
"""

import re

DISCOVERY_TOPIC = re.compile(r"homeassistant/device/[a-zA-Z0-9_-]+/config")
ROOT = {"device", "origin", "components"}
ROOT_MAY = ROOT | {"availability", "availability_mode", "availability_topic", "state_topic", "qos", "encoding"}
COMPONENT = {"platform", "unique_id"}
PLATFORM = {  # platform → keys that must be there, keys that may be
    "binary_sensor": ({"state_topic"}, {"device_class", "payload_on", "payload_off", "off_delay", "expire_after"}),
    "event": ({"state_topic", "event_types"}, {"device_class"}),
    "image": ({"image_topic"}, {"content_type"}),
    "sensor": ({"state_topic"}, {"device_class", "unit_of_measurement", "state_class", "expire_after"}),
}
ANY_PLATFORM = {
    "name", "value_template", "json_attributes_topic", "json_attributes_template", "availability", "availability_mode",
    "entity_category", "icon", "enabled_by_default",
}  # fmt: skip
BINARY_CLASSES = {"battery", "connectivity", "motion", "occupancy", "problem", "running"}
SENSOR_CLASSES = {  # class → units that Home Assistant takes for it
    "battery": {"%"},
    "current": {"A", "mA"},
    "data_size": {"B", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB"},
    "duration": {"d", "h", "min", "s", "ms"},
    "power": {"W", "kW", "mW"},
    "temperature": {"°C", "°F", "K"},
    "timestamp": {None},
    "voltage": {"V", "mV"},
}


def faults_of(topic: str, payload: dict) -> list[str]:
    """What is wrong with a device's discovery message, in words; empty when Home Assistant takes it."""
    faults = [] if DISCOVERY_TOPIC.fullmatch(topic) else [f"topic {topic}"]
    faults += [f"no {key}" for key in ROOT - payload.keys()] + [f"unknown {key}" for key in payload.keys() - ROOT_MAY]
    if not payload.get("device", {}).get("identifiers"):
        faults.append("device: no identifiers")
    if not payload.get("origin", {}).get("name"):
        faults.append("origin: no name")
    components = payload.get("components", {})
    unique = [each.get("unique_id") for each in components.values()]
    if len(set(unique)) != len(unique):
        faults.append("a unique_id stands twice")
    for key, part in components.items():
        faults += [f"{key}: {fault}" for fault in _part_faults(part)]
    return faults


def _part_faults(part: dict) -> list[str]:
    faults = [f"no {key}" for key in COMPONENT - part.keys()]
    must, may = PLATFORM.get(part.get("platform"), (set(), set()))
    if not must:
        return [*faults, f"platform {part.get('platform')}"]
    faults += [f"no {key}" for key in must - part.keys()]
    faults += [f"unknown {key}" for key in part.keys() - COMPONENT - must - may - ANY_PLATFORM]
    for topic in (part[key] for key in part if key.endswith("_topic")):
        if not topic or any(each in topic for each in "+#\0") or len(topic.encode()) > 65_535:
            faults.append(f"topic {topic!r}")
    faults += [f"availability without a topic: {each}" for each in part.get("availability", []) if "topic" not in each]
    kind, unit = part.get("device_class"), part.get("unit_of_measurement")
    if part["platform"] == "binary_sensor" and kind not in BINARY_CLASSES:
        faults.append(f"device_class {kind}")
    if part["platform"] == "sensor" and kind and unit not in SENSOR_CLASSES.get(kind, ()):
        faults.append(f"{kind} in {unit}")
    if not isinstance(part.get("off_delay", 1), int):
        faults.append("off_delay is no whole number")
    return faults
