# SPDX-License-Identifier: Apache-2.0
"""All settings, read once: defaults, then a TOML file, then ``CUSTODES_*`` variables; later ones win.

This is the only module that looks at ``os.environ``. Every setting is a field with a default and, in its
metadata, one sentence and a unit; ``docs/settings.md`` is written from them and a test keeps both equal.
The variable of ``[section] name`` is ``CUSTODES_SECTION_NAME``; the settings of ``[server]`` and the top level
drop the section: ``CUSTODES_PORT``, ``CUSTODES_DATA``. A variable that is set to nothing counts as not set.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

import platformdirs

from custodes.errors import Invalid

__all__ = ["Config", "Setting", "load", "settings"]

_T = TypeVar("_T")
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not listened on
"""By which address this machine reaches a server that listens on all."""


def _setting(
    default: _T,
    doc: str,
    *,
    unit: str = "",
    choices: tuple[str, ...] = (),
    least: float = -math.inf,
    most: float = math.inf,
    form: str = "",
    shown: str = "",
) -> _T:
    """Declare a setting.

    ``least`` and ``most`` bound a number, ``form`` is the regular expression of a text, and ``shown`` is how the
    manual words the default.
    """
    about = {"doc": doc, "unit": unit, "choices": choices, "least": least, "most": most, "form": form, "shown": shown}
    made: _T = field(default=default, metadata=about)
    return made


def _default_data() -> Path:
    return Path("data")


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server listens and how much it does at once."""

    host: str = _setting("127.0.0.1", "Address to listen on.")
    port: int = _setting(8420, "Port to listen on; 0 takes a free one.", least=0, most=65_535)
    region: str = _setting("us-east-1", "Region name that clients sign with and that ARNs carry.", form="[a-z0-9-]+")
    account: str = _setting("000000000000", "Twelve-digit account number that ARNs carry.", form="[0-9]{12}")
    workers: int = _setting(0, "Inference threads of one server process; 0 means one a core.", least=0)
    queue: int = _setting(256, "Requests that may wait for a thread before others are throttled.", least=1)
    timeout: float = _setting(
        60.0,
        "A request waits at most so long for its body to arrive, and then for its turn.",
        unit="seconds",
        least=0.001,
    )
    endpoint: str = _setting("", "Public endpoint URL to print, when it isn't http://host:port.")
    contact: str = _setting(
        "",
        "How people reach whoever runs this, for the public page: an e-mail address, a telephone number, an address. "
        "It is published.",
        form=r"[^\x00-\x1f\x7f]{0,500}",
    )


@dataclass(frozen=True, slots=True)
class Auth:
    """Request signatures."""

    clock_skew: int = _setting(300, "A signature's date may differ from the clock by so much.", unit="seconds", least=1)
    replay_grace: float = _setting(
        5.0,
        "Distinct requests of one second share a signature when the client doesn't sign a request id; they pass "
        "for so long after the first.",
        unit="seconds",
        least=0,
    )


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of what was decided and done."""

    origin: str = _setting(
        "",
        "Name of the log, by convention the URL without a scheme under which it is published; empty takes one that "
        "is made of the signing key. It is fixed at the first start.",
        form=r"[A-Za-z0-9._~:/-]{0,200}",
    )
    key_file: str = _setting(
        "", "File with the Ed25519 key that signs checkpoints (hex); empty means DATA/keys/ledger.key.", unit="path"
    )
    checkpoint_seconds: float = _setting(
        10.0, "A checkpoint that is asked for is at most so old, if the log has grown since.", unit="seconds", least=0
    )
    retention_seconds: float = _setting(
        3600.0, "The server erases what is due at its start and then so often.", unit="seconds", least=1
    )


@dataclass(frozen=True, slots=True)
class Vision:
    """Models and inference."""

    pack: str = _setting("custodes-1", "Model pack of new collections.")
    pack_dirs: tuple[str, ...] = _setting((), "Further folders that hold model packs, a folder each.")
    provider: str = _setting("cpu", "What runs the models.", choices=("cpu", "cuda", "openvino"))
    threads: int = _setting(1, "Threads that one inference may use.", least=1)
    detail: int = _setting(
        1,
        "How closely photos above 1080p are searched. 1 follows Rekognition's rule, by which the least face grows with "
        "the photo; 2 finds faces of half that size in tiles, at four times the cost, and so on.",
        least=1,
    )
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

    body_bytes: int = _setting(16_000_000, "Largest request body.", unit="bytes", least=1)
    image_bytes: int = _setting(
        15_728_640,
        "Largest encoded image, in a bucket or a file. One in a request has at most 5,242,880 in any case, as "
        "Rekognition's API says.",
        unit="bytes",
        least=1,
    )
    image_pixels: int = _setting(
        100_000_000, "Largest image after decoding; protects against decompression bombs.", unit="pixels", least=1
    )
    image_side: int = _setting(40_000, "Largest width and height of an image.", unit="pixels", least=1)
    min_side: int = _setting(80, "Smallest width and height of an image.", unit="pixels", least=1)
    faces: int = _setting(100, "Faces reported for one image, the largest first.", least=1)
    collection_faces: int = _setting(20_000_000, "Faces in one collection.", least=1)
    subject_faces: int = _setting(100, "Faces of one user.", least=1)


@dataclass(frozen=True, slots=True)
class Imports:
    """Limits on images that are brought into a case in bulk; one image has at most ``limits.image_bytes`` bytes."""

    entries: int = _setting(200_000, "Entries of one import; what has more is not begun.", least=1)
    total_bytes: int = _setting(
        200_000_000_000,
        "What a ZIP's entries declare to unpack to, together; those beyond are refused.",
        unit="bytes",
        least=1,
    )
    ratio: int = _setting(
        100, "An entry of a ZIP unpacks to at most so many times its packed size; others are refused.", least=1
    )
    upload_bytes: int = _setting(4_294_967_296, "Largest upload at the console.", unit="bytes", least=1)
    workers: int = _setting(
        0,
        "Images that an import at the command line looks at at once; 0 means one a core. The server looks at one at a "
        "time, so that requests have their turn.",
        least=0,
    )
    poll_seconds: float = _setting(2.0, "The server looks for imports that wait so often.", unit="seconds", least=0.01)


@dataclass(frozen=True, slots=True)
class Casework:
    """Work on cases."""

    standing_seconds: float = _setting(
        900.0,
        "Between two runs of one standing search lies at least so much time, except after an import into the case's "
        "own collection; one that a rule or a failure stopped waits as long.",
        unit="seconds",
        least=0,
    )


@dataclass(frozen=True, slots=True)
class Cameras:
    """Cameras: what is read, recorded and looked at."""

    folder: str = _setting("", "Folder of recorded video; empty means DATA/video.", unit="path")
    files: str = _setting(
        "", "Folder below which files may stand in for cameras, of every organisation; empty lets none.", unit="path"
    )
    run: bool = _setting(True, "The server runs the cameras that are enabled.")
    segment_seconds: float = _setting(
        10.0, "Least length of a file of recorded video; it ends before the next key picture.", unit="seconds", least=1
    )
    frames_per_second: float = _setting(
        5.0, "So often, at most, faces are looked for while something moves.", least=0.1, most=30
    )
    free_bytes: int = _setting(
        1_000_000_000,
        "While the disk has less, the oldest video is deleted, and recording pauses if that isn't enough.",
        unit="bytes",
        least=0,
    )
    most_pixels: int = _setting(40_000_000, "Larger pictures are recorded, and never decoded.", unit="pixels", least=1)
    retention_seconds: float = _setting(
        60.0, "Video is looked through for what is kept long enough so often.", unit="seconds", least=1
    )
    face_pixels: int = _setting(32, "Faces that are smaller are not looked at in video.", unit="pixels", least=16)


@dataclass(frozen=True, slots=True)
class Mqtt:
    """Events of cameras on an MQTT broker, as Home Assistant discovers them."""

    host: str = _setting("", "Address of the broker; empty for none.")
    port: int = _setting(1883, "Its port.", least=1, most=65_535)
    username: str = _setting("", "User name there.")
    password: str = _setting("", "Password there.")
    tls: bool = _setting(False, "Whether the connection is encrypted; the broker's certificate is then checked.")
    organisation: str = _setting(
        "", "Organisation whose cameras are told of, by id; empty for the only one that has cameras, if it is that."
    )
    prefix: str = _setting("custodes", "First part of all topics.", form=r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
    discovery: str = _setting(
        "homeassistant",
        "Prefix of Home Assistant's discovery; empty for none.",
        form=r"([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*)?",
    )
    names: bool = _setting(True, "Whether people who are recognised are told by name.")


@dataclass(frozen=True, slots=True)
class Sharing:
    """Requests for footage, and clips that are shared."""

    boards: tuple[str, ...] = _setting(
        (), "URLs of the boards on which agencies publish their requests: https://agency.example/v1/board."
    )
    poll_seconds: float = _setting(900.0, "Boards are read so often, whatever stands on them.", unit="seconds", least=1)


@dataclass(frozen=True, slots=True)
class Streams:
    """Where stream processors send what they find, which Rekognition sends to Kinesis and SNS."""

    folder: str = _setting("", "Folder of the NDJSON files of data streams; empty means DATA/streams.", unit="path")
    retention_days: float = _setting(
        30.0,
        "What was written there is deleted so long after the day on which it was.",
        unit="days",
        least=1,
    )
    webhooks: tuple[str, ...] = _setting((), "URLs to which data streams may be sent; others are refused.")
    webhook_secret: str = _setting(
        "",
        "What signs what is sent there, as Standard Webhooks write it: whsec_ and base64; empty sends it unsigned.",
        form=r"(whsec_[A-Za-z0-9+/]{32,86}={0,2})?",
    )


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
    cache: Path = _setting(
        Path(platformdirs.user_cache_dir("custodes")),
        "Folder of converted models.",
        unit="path",
        shown="the user's cache folder",
    )
    database: str = _setting("", "SQLAlchemy URL; empty means SQLite in the data folder.")
    master_key_file: str = _setting(
        "", "File with the 32-byte master key (hex); empty means DATA/keys/master.key.", unit="path"
    )
    credentials: str = _setting(
        "",
        "Credentials file (profile custodes) of the person at the command line; empty means the operator of the "
        "installation.",
        unit="path",
    )
    server: Server = field(default_factory=Server)
    auth: Auth = field(default_factory=Auth)
    ledger: Ledger = field(default_factory=Ledger)
    vision: Vision = field(default_factory=Vision)
    limits: Limits = field(default_factory=Limits)
    imports: Imports = field(default_factory=Imports)
    casework: Casework = field(default_factory=Casework)
    cameras: Cameras = field(default_factory=Cameras)
    mqtt: Mqtt = field(default_factory=Mqtt)
    sharing: Sharing = field(default_factory=Sharing)
    streams: Streams = field(default_factory=Streams)
    s3: S3 = field(default_factory=S3)
    log: Log = field(default_factory=Log)

    @property
    def database_url(self) -> str:
        """URL of the database, embedded by default."""
        return self.database or f"sqlite:///{self.data / 'custodes.sqlite3'}"

    @property
    def endpoint_url(self) -> str:
        """URL that clients use; where the server listens on all addresses, that of this machine."""
        host = _LOOPBACK.get(self.server.host, self.server.host)
        host = f"[{host}]" if ":" in host else host
        return self.server.endpoint or f"http://{host}:{self.server.port}"

    def at_port(self, port: int) -> Config:
        """Return the same configuration with the port that was really taken."""
        return replace(self, server=replace(self.server, port=port))

    @property
    def key_path(self) -> Path:
        """File of the master key."""
        return Path(self.master_key_file).expanduser() if self.master_key_file else self.data / "keys" / "master.key"

    @property
    def ledger_key_path(self) -> Path:
        """File of the key that signs the ledger's checkpoints."""
        name = self.ledger.key_file
        return Path(name).expanduser() if name else self.data / "keys" / "ledger.key"

    @property
    def spool(self) -> Path:
        """Folder where uploads lie, sealed, until they are brought into a case."""
        return self.data / "spool"

    @property
    def video(self) -> Path:
        """Folder of recorded video."""
        return Path(self.cameras.folder).expanduser() if self.cameras.folder else self.data / "video"

    @property
    def shares(self) -> Path:
        """Folder of packages that are shared, encrypted for whom they are shared with."""
        return self.data / "shares"

    @property
    def stream_folder(self) -> Path:
        """Folder of the data streams of stream processors."""
        return Path(self.streams.folder).expanduser() if self.streams.folder else self.data / "streams"

    @property
    def bucket_root(self) -> Path:
        """Folder whose subfolders are buckets."""
        return Path(self.s3.buckets).expanduser() if self.s3.buckets else self.data / "buckets"


@dataclass(frozen=True, slots=True)
class Setting:
    """One documented setting, for ``docs/settings.md``.

    Attributes:
        section: table of the TOML file; empty at the top level.
        name, variable: its name there, and the variable that sets it.
        default: its value when nothing is given, and ``shown``, how to word that, if not by the value.
        doc, unit, choices: what it is, in which unit, and what it may be, if that is a list.
        least, most: bounds of a number, or infinite.
        form: regular expression that a text fits, or empty.
    """

    section: str
    name: str
    variable: str
    default: Any
    doc: str
    unit: str
    choices: tuple[str, ...]
    least: float
    most: float
    form: str
    shown: str


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
    return tuple(Setting(s, f.name, _variable(s, f.name), f.default, **f.metadata) for s, _, f in _sections())


_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _of_text(text: str, kind: Any) -> Any:
    """Turn a variable's text into ``kind``.

    Raises:
        ValueError: if it isn't one.
    """
    if get_origin(kind) is tuple:
        return tuple(text.split() if "://" in text else (i for i in text.split(os.pathsep) if i))
    if kind is bool:
        if text.lower() not in _WORDS:
            raise ValueError(text)
        return _WORDS[text.lower()]
    return Path(text).expanduser() if kind is Path else kind(text)


def _of_toml(value: object, kind: Any) -> Any:
    """Turn a TOML value into ``kind``.

    Raises:
        ValueError: if it isn't one.
    """
    if get_origin(kind) is tuple and isinstance(value, list) and all(isinstance(i, str) for i in value):
        return tuple(value)
    if kind is Path and isinstance(value, str):
        return Path(value).expanduser()
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise ValueError(value)
    return value


def _parse(raw: object, kind: Any, label: str, about: Mapping[str, Any], of: Callable[[Any, Any], Any]) -> Any:
    """Turn what was given into ``kind``, by ``of``, and check it.

    Raises:
        Invalid: if it isn't one, or isn't allowed.
    """
    try:
        value = of(raw, kind)
    except (ValueError, OverflowError, RuntimeError) as e:  # RuntimeError: no home for ~
        name = "list of texts" if get_origin(kind) is tuple else _KINDS[kind]
        raise Invalid(f"Setting {label} must be a {name}, got {raw!r}.") from e
    if about["choices"] and value not in about["choices"]:
        raise Invalid(f"Setting {label} must be one of {', '.join(about['choices'])}, got {raw!r}.")
    if about["form"] and not re.fullmatch(about["form"], value):
        raise Invalid(f"Setting {label} must have the form {about['form']}, got {raw!r}.")
    if kind in (int, float) and not (about["least"] <= value <= about["most"] and math.isfinite(value)):
        top = f" and at most {about['most']:g}" if math.isfinite(about["most"]) else ""
        raise Invalid(f"Setting {label} must be at least {about['least']:g}{top}, got {raw!r}.")
    return value


_KINDS = {bool: "truth value", int: "whole number", float: "number", str: "text", Path: "path"}


def _read(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        Invalid: if that isn't possible.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise Invalid(f"The configuration file {path.name} can't be read: {e.strerror}.") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise Invalid(f"The configuration file {path.name} can't be read: {e}.") from e


def _refuse_strays(given: Mapping[str, Any], env: Mapping[str, str]) -> None:
    """Refuse what no setting is called.

    Raises:
        Invalid: if there is any.
    """
    known = settings()
    names = {(s.section, s.name) for s in known}
    tables = {s.section for s in known} - {""}
    strays = [k for k in given if k not in tables and ("", k) not in names]
    for table in tables & set(given):
        if not isinstance(given[table], dict):
            raise Invalid(f"Setting {table} must be a table, got {given[table]!r}.")
        strays += [f"[{table}] {k}" for k in given[table] if (table, k) not in names]
    variables = {s.variable for s in known} | {"CUSTODES_CONFIG"}
    strays += [v for v in sorted(env) if v.startswith("CUSTODES_") and v not in variables and not _of_kubernetes(v)]
    if strays:
        near = difflib.get_close_matches(strays[0], variables, 1) if strays[0] in env else []
        hint = f"Did you mean {near[0]}? " if near else ""
        raise Invalid(f"Unknown setting {', '.join(strays)}.", remedy=f"{hint}docs/settings.md lists all.")


def _of_kubernetes(variable: str) -> bool:
    """Tell whether Kubernetes sets a variable, as it does for a service of our name."""
    return variable.startswith(("CUSTODES_SERVICE_", "CUSTODES_PORT_"))


def load(file: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Read the configuration.

    Args:
        file: a TOML file; ``CUSTODES_CONFIG`` names one otherwise.
        environ: variables to read instead of the process's own.

    Raises:
        Invalid: if the file can't be read, or a setting is unknown or of the wrong type.
    """
    env = {k: v for k, v in (os.environ if environ is None else environ).items() if v}
    path = file or (Path(env["CUSTODES_CONFIG"]).expanduser() if "CUSTODES_CONFIG" in env else None)
    given = _read(path) if path else {}
    _refuse_strays(given, env)
    values: dict[str, dict[str, Any]] = {}
    for section, cls, f in _sections():
        kind = get_type_hints(cls)[f.name]
        table = given.get(section, {}) if section else given
        found = values.setdefault(section, {})
        if f.name in table:
            label = f"[{section}] {f.name}" if section else f.name
            found[f.name] = _parse(table[f.name], kind, label, f.metadata, _of_toml)
        variable = _variable(section, f.name)
        if variable in env:
            found[f.name] = _parse(env[variable], kind, variable, f.metadata, _of_text)
    top = values.pop("")
    parts = {name: cls(**values.get(name, {})) for name, cls in _tables()}
    return Config(**top, **parts)
