# SPDX-License-Identifier: Apache-2.0
"""All settings, read once: defaults, then a TOML file, then ``CUSTODES_*`` variables; later ones win.

This is the only module that looks at ``os.environ``. Every setting is a field with a default and, in its
metadata, one sentence and a unit; ``docs/settings.md`` is written from them and a test keeps both equal.
The variable of ``[section] name`` is ``CUSTODES_SECTION_NAME``; the settings of ``[server]`` and the top level
drop the section: ``CUSTODES_PORT``, ``CUSTODES_DATA``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import platformdirs

from custodes.errors import Invalid

__all__ = ["Config", "Setting", "load", "settings"]

_T = TypeVar("_T")


def _setting(default: _T, doc: str, *, unit: str = "", choices: tuple[str, ...] = ()) -> _T:
    made: _T = field(default=default, metadata={"doc": doc, "unit": unit, "choices": choices})
    return made


def _default_data() -> Path:
    return Path("data")


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server listens and how much it does at once."""

    host: str = _setting("127.0.0.1", "Address to listen on.")
    port: int = _setting(8420, "Port to listen on; 0 takes a free one.")
    region: str = _setting("us-east-1", "Region name that clients sign with and that ARNs carry.")
    account: str = _setting("000000000000", "Twelve-digit account number that ARNs carry.")
    workers: int = _setting(0, "Inference threads of one server process; 0 means one a core.")
    queue: int = _setting(256, "Requests that may wait for a thread before others are throttled.")
    timeout: float = _setting(60.0, "A request waits at most so long for its turn.", unit="seconds")
    endpoint: str = _setting("", "Public endpoint URL to print, when it isn't http://host:port.")


@dataclass(frozen=True, slots=True)
class Auth:
    """Request signatures."""

    clock_skew: int = _setting(300, "A signature's date may differ from the clock by so much.", unit="seconds")
    replay_grace: float = _setting(
        5.0,
        "Distinct requests of one second share a signature when the client doesn't sign a request id; they pass "
        "for so long after the first.",
        unit="seconds",
    )


@dataclass(frozen=True, slots=True)
class Vision:
    """Models and inference."""

    pack: str = _setting("custodes-1", "Model pack of new collections.")
    pack_dirs: tuple[str, ...] = _setting((), "Further folders that hold model packs, a folder each.")
    provider: str = _setting("cpu", "What runs the models.", choices=("cpu", "cuda", "openvino"))
    threads: int = _setting(1, "Threads that one inference may use.")
    gender: bool = _setting(
        False,
        "Report perceived gender. It is a guess from appearance, not an identity: see docs/attributes.md.",
    )
    emotion: bool = _setting(
        False,
        "Report facial expression as Emotions. It says how a face looks, not what a person feels: see "
        "docs/attributes.md.",
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that protect the server; Rekognition's own where it has one."""

    body_bytes: int = _setting(16_000_000, "Largest request body.", unit="bytes")
    image_bytes: int = _setting(5_242_880, "Largest image in a request.", unit="bytes")
    s3_image_bytes: int = _setting(15_728_640, "Largest image in a bucket.", unit="bytes")
    image_pixels: int = _setting(
        100_000_000, "Largest image after decoding; protects against decompression bombs.", unit="pixels"
    )
    min_side: int = _setting(80, "Smallest width and height of an image.", unit="pixels")
    faces: int = _setting(100, "Faces reported for one image, the largest first.")
    collection_faces: int = _setting(20_000_000, "Faces in one collection.")
    subject_faces: int = _setting(100, "Faces of one user.")


@dataclass(frozen=True, slots=True)
class S3:
    """Where ``Image.S3Object`` reads from."""

    buckets: str = _setting("", "Folder whose subfolders are buckets; empty means DATA/buckets.", unit="path")
    endpoint: str = _setting("", "URL of an S3-compatible service; when set, buckets are read from there.")
    access_key_id: str = _setting("", "Access key for that service; empty uses the environment's.")
    secret_access_key: str = _setting("", "Its secret.")
    region: str = _setting("us-east-1", "Region of that service.")


@dataclass(frozen=True, slots=True)
class Log:
    """Structured logs, without personal data."""

    level: str = _setting("info", "Least level.", choices=("debug", "info", "warning", "error"))
    format: str = _setting(
        "auto", "Lines for people or JSON; auto asks the terminal.", choices=("auto", "console", "json")
    )


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; build it with :func:`load`."""

    data: Path = _setting(_default_data(), "Folder of database, keys and logs.", unit="path")
    cache: Path = _setting(Path(platformdirs.user_cache_dir("custodes")), "Folder of converted models.", unit="path")
    database: str = _setting("", "SQLAlchemy URL; empty means SQLite in the data folder.")
    master_key_file: str = _setting(
        "", "File with the 32-byte master key (hex); empty means DATA/keys/master.key.", unit="path"
    )
    server: Server = field(default_factory=Server)
    auth: Auth = field(default_factory=Auth)
    vision: Vision = field(default_factory=Vision)
    limits: Limits = field(default_factory=Limits)
    s3: S3 = field(default_factory=S3)
    log: Log = field(default_factory=Log)

    @property
    def database_url(self) -> str:
        """URL of the database, embedded by default."""
        return self.database or f"sqlite:///{self.data / 'custodes.sqlite3'}"

    @property
    def endpoint_url(self) -> str:
        """URL that clients use."""
        host = f"[{self.server.host}]" if ":" in self.server.host else self.server.host
        return self.server.endpoint or f"http://{host}:{self.server.port}"

    def at_port(self, port: int) -> Config:
        """Return the same configuration with the port that was really taken."""
        return replace(self, server=replace(self.server, port=port))

    @property
    def key_path(self) -> Path:
        """File of the master key."""
        return Path(self.master_key_file) if self.master_key_file else self.data / "keys" / "master.key"

    @property
    def bucket_root(self) -> Path:
        """Folder whose subfolders are buckets."""
        return Path(self.s3.buckets) if self.s3.buckets else self.data / "buckets"


@dataclass(frozen=True, slots=True)
class Setting:
    """One documented setting, for ``docs/settings.md`` and ``custodes config``."""

    section: str
    name: str
    variable: str
    default: Any
    doc: str
    unit: str
    choices: tuple[str, ...]


def _variable(section: str, name: str) -> str:
    return f"CUSTODES_{name}".upper() if section in ("", "server") else f"CUSTODES_{section}_{name}".upper()


def _tables() -> Iterator[tuple[str, type[Any]]]:
    hints = get_type_hints(Config)
    return ((f.name, hints[f.name]) for f in fields(Config) if not f.metadata)


def _sections() -> Iterator[tuple[str, type[Any], Field[Any]]]:
    for f in fields(Config):
        if f.metadata:
            yield "", Config, f
    for name, cls in _tables():
        for f in fields(cls):
            yield name, cls, f


def settings() -> tuple[Setting, ...]:
    """Return every setting, in the order of the documentation."""
    return tuple(
        Setting(
            s,
            f.name,
            _variable(s, f.name),
            f.default,
            f.metadata["doc"],
            f.metadata["unit"],
            f.metadata["choices"],
        )
        for s, _, f in _sections()
    )


def _parse(raw: object, kind: Any, name: str, choices: tuple[str, ...]) -> Any:
    """Turn a TOML value or a variable's text into ``kind``.

    Raises:
        Invalid: if it isn't one.
    """
    try:
        if get_origin(kind) is tuple:
            items = raw.split(os.pathsep) if isinstance(raw, str) else list(raw)  # type: ignore[call-overload]
            return tuple(_parse(i, get_args(kind)[0], name, ()) for i in items if i != "")
        if kind is bool:
            if isinstance(raw, bool):
                return raw
            return {
                "true": True,
                "1": True,
                "yes": True,
                "on": True,
                "false": False,
                "0": False,
                "no": False,
                "off": False,
            }[str(raw).lower()]
        if kind is int and isinstance(raw, bool | float):
            raise ValueError(raw)
        value = kind(raw)
    except (ValueError, TypeError, KeyError) as e:
        raise Invalid(f"Setting {name} must be of type {getattr(kind, '__name__', kind)}, got {raw!r}.") from e
    if choices and value not in choices:
        raise Invalid(f"Setting {name} must be one of {', '.join(choices)}, got {raw!r}.")
    return value


def load(file: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Read the configuration.

    Args:
        file: a TOML file; ``CUSTODES_CONFIG`` names one otherwise.
        environ: variables to read instead of the process's own.

    Raises:
        Invalid: if the file can't be read, or a setting is unknown or of the wrong type.
    """
    env = dict(os.environ if environ is None else environ)
    path = file or (Path(env["CUSTODES_CONFIG"]) if env.get("CUSTODES_CONFIG") else None)
    given: dict[str, Any] = {}
    if path:
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
            raise Invalid(f"The configuration file {path.name} can't be read: {e}.") from e
    values: dict[str, dict[str, Any]] = {}
    known: dict[str, set[str]] = {"": set()}
    for section, cls, f in _sections():
        known.setdefault(section, set()).add(f.name)
        kind = get_type_hints(cls)[f.name]
        label = f"[{section}] {f.name}" if section else f.name
        table = given if not section else given.get(section, {})
        if not isinstance(table, dict):
            raise Invalid(f"Setting {section} must be a table.")
        found = values.setdefault(section, {})
        if f.name in table:
            found[f.name] = _parse(table[f.name], kind, label, f.metadata["choices"])
        variable = _variable(section, f.name)
        if variable in env:
            found[f.name] = _parse(env[variable], kind, variable, f.metadata["choices"])
    known[""] |= set(known)
    for key, value in given.items():
        strays = (
            [f"[{key}] {k}" for k in value if k not in known[key]] if key in known and isinstance(value, dict) else []
        )
        if key not in known[""] or strays:
            raise Invalid(f"Unknown setting {', '.join(strays) or key}.", remedy="docs/settings.md lists all.")
    top = values.pop("")
    parts = {name: cls(**values.get(name, {})) for name, cls in _tables()}
    return Config(**top, **parts)
