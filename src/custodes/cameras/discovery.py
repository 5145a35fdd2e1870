# SPDX-License-Identifier: Apache-2.0
"""What Home Assistant is told of cameras, so that it shows them: MQTT discovery, one message for each entity.

Templates are constants: nothing that people chose stands in one, where it would be run. Pure.
"""

from __future__ import annotations

import re

from custodes.errors import Invalid

__all__ = ["EVENT_TYPES", "NOTICE_TYPES", "Topics", "discovery_of", "notice_discovery"]

EVENT_TYPES = ("motion", "begun", "seen", "ended")
"""What happens before a camera."""

NOTICE_TYPES = ("legal-process", "share-fetched", "trouble")
"""What concerns no camera, or all."""

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_MAKER = "Custodes"
_TOPICS = ("motion", "state", "person", "event", "snapshot")
_HOME = "homeassistant/status"


class Topics:
    """Names of topics.

    Args:
        prefix: first part of them all.
        discovery: prefix of Home Assistant's discovery; empty for none.
    """

    def __init__(self, prefix: str, discovery: str) -> None:
        self.prefix = prefix
        self.discovery = discovery

    @property
    def status(self) -> str:
        """Whether this server is there."""
        return f"{self.prefix}/status"

    @property
    def notice(self) -> str:
        """What concerns no camera, or all: an order of a court, a clip that was fetched, a webhook that fails."""
        return f"{self.prefix}/notice"

    @property
    def home(self) -> str:
        """Whether Home Assistant is there, unless it was told to say so elsewhere."""
        return _HOME

    def of(self, camera: str, what: str) -> str:
        """Return a topic of a camera: ``motion``, ``state``, ``person``, ``event``, ``snapshot``."""
        return f"{self.prefix}/{camera}/{what}"

    def config(self, component: str, node: str, entity: str) -> str:
        """Return where an entity is described."""
        return f"{self.discovery}/{component}/{node}/{entity}/config"

    @staticmethod
    def check(camera: str) -> None:
        """Check that a camera's id can stand in a topic.

        Raises:
            Invalid: if it can't.
        """
        if not _ID.fullmatch(camera):
            raise Invalid("That is no id of a camera.")


def discovery_of(topics: Topics, camera: str, name: str, version: str) -> dict[str, dict[str, object]]:
    """Return what Home Assistant is told of a camera: messages by topic."""
    node = f"custodes_{camera}"
    motion, state, person, event, snapshot = (topics.of(camera, what) for what in _TOPICS)
    here = {"topic": topics.status}
    there = {"topic": state, "value_template": "{{ 'online' if value_json.online else 'offline' }}"}
    common: dict[str, object] = {
        "device": {"identifiers": [node], "name": name, "manufacturer": _MAKER, "model": "Camera"},
        "origin": _origin(version),
        "availability": [here],
        "availability_mode": "all",
    }
    entities: dict[tuple[str, str], dict[str, object]] = {
        ("binary_sensor", "motion"): {
            "name": "Motion",
            "device_class": "motion",
            "state_topic": motion,
            "availability": [here, there],
        },
        ("binary_sensor", "connection"): {
            "name": "Connection",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": state,
            "value_template": "{{ 'ON' if value_json.online else 'OFF' }}",
            "json_attributes_topic": state,
        },
        ("binary_sensor", "problem"): {
            "name": "Problem",
            "device_class": "problem",
            "entity_category": "diagnostic",
            "state_topic": state,
            "value_template": "{{ 'ON' if value_json.trouble else 'OFF' }}",
        },
        ("sensor", "person"): {
            "name": "Last person",
            "icon": "mdi:account",
            "state_topic": person,
            "value_template": "{{ value_json.person }}",
            "json_attributes_topic": person,
        },
        ("event", "event"): {
            "name": "Event",
            "device_class": "motion",
            "event_types": list(EVENT_TYPES),
            "state_topic": event,
        },
        ("image", "snapshot"): {"name": "Snapshot", "content_type": "image/jpeg", "image_topic": snapshot},
    }
    return {
        topics.config(component, node, key): common | {"unique_id": f"{node}_{key}"} | told
        for (component, key), told in entities.items()
    }


def notice_discovery(topics: Topics, version: str) -> dict[str, dict[str, object]]:
    """Return what Home Assistant is told of news that concern no camera: messages by topic."""
    node = f"custodes_{topics.prefix.replace('/', '_')}"
    told: dict[str, object] = {
        "name": "Notice",
        "unique_id": f"{node}_notice",
        "device": {"identifiers": [node], "name": _MAKER, "manufacturer": _MAKER},
        "origin": _origin(version),
        "availability": [{"topic": topics.status}],
        "event_types": list(NOTICE_TYPES),
        "state_topic": topics.notice,
    }
    return {topics.config("event", node, "notice"): told}


def _origin(version: str) -> dict[str, str]:
    return {"name": _MAKER} | ({"sw_version": version} if version else {})
