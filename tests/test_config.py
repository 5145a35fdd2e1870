# SPDX-License-Identifier: Apache-2.0
"""Settings: where they come from, which win, what is refused, and that all are documented."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from custodes.config import Config, load, settings
from custodes.errors import Invalid

ROOT = Path(__file__).parents[1]


def _file(folder: Path, text: str) -> Path:
    path = folder / "custodes.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_given_is_the_defaults() -> None:
    """Without file and variables every setting has its default."""
    assert load(environ={}) == Config()
    assert load(environ={}).endpoint_url == "http://127.0.0.1:8420"
    assert load(environ={}).database_url == "sqlite:///data/custodes.sqlite3"


def test_a_file_overrides_defaults_and_variables_override_the_file(tmp_path: Path) -> None:
    """Later sources win, setting by setting."""
    file = _file(tmp_path, 'data = "/from/file"\n[server]\nport = 1\nhost = "::1"\n[vision]\ngender = true\n')
    config = load(file, {"CUSTODES_PORT": "2", "CUSTODES_VISION_EMOTION": "yes"})
    assert (config.data, config.server.host, config.server.port) == (Path("/from/file"), "::1", 2)
    assert (config.vision.gender, config.vision.emotion, config.vision.threads) == (True, True, 1)
    assert config.endpoint_url == "http://[::1]:2"


def test_a_variable_names_the_file(tmp_path: Path) -> None:
    """CUSTODES_CONFIG is where the file is, unless one is given."""
    file = _file(tmp_path, "[server]\nport = 1\n")
    assert load(environ={"CUSTODES_CONFIG": str(file)}).server.port == 1
    other = tmp_path / "other.toml"
    other.write_text("[server]\nport = 2\n")
    assert load(other, {"CUSTODES_CONFIG": str(file)}).server.port == 2


@pytest.mark.parametrize("setting", settings(), ids=lambda s: s.variable)
def test_every_setting_can_be_given_in_a_file_and_as_a_variable(setting, tmp_path: Path) -> None:
    """Both ways give the same value of the same type."""
    default = setting.default
    toml, text, value = {
        bool: ("true", "true", True),
        int: ("77", "77", 77),
        float: ("7.5", "7.5", 7.5),
        str: ('"x"', "x", "x"),
        tuple: ('["a", "b"]', os.pathsep.join("ab"), ("a", "b")),
    }.get(type(default), ('"/a"', "/a", Path("/a")))
    if setting.form:
        value = setting.default[::-1].replace("0", "7")
        toml, text = f'"{value}"', value
    if setting.choices:
        toml, text, value = f'"{setting.choices[-1]}"', setting.choices[-1], setting.choices[-1]
    head = f"[{setting.section}]\n" if setting.section else ""
    for config in (
        load(_file(tmp_path, f"{head}{setting.name} = {toml}\n"), {}),
        load(environ={setting.variable: text}),
    ):
        found = getattr(getattr(config, setting.section) if setting.section else config, setting.name)
        assert found == value
        assert type(found) is type(value)


def test_a_variable_that_is_set_to_nothing_counts_as_not_set() -> None:
    """Compose files pass empty variables on."""
    assert load(environ={"CUSTODES_PORT": "", "CUSTODES_DATA": "", "CUSTODES_CONFIG": ""}) == Config()


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Paths in files and variables may begin with ~, as in a shell."""
    monkeypatch.setenv("HOME", "/home/ann")
    assert load(environ={"CUSTODES_DATA": "~/d"}).data == Path("/home/ann/d")
    config = load(_file(tmp_path, 'data = "~/d"\nmaster_key_file = "~/k"\n[s3]\nbuckets = "~/b"\n'), {})
    assert (config.data, config.key_path, config.bucket_root) == tuple(Path("/home/ann") / n for n in "dkb")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8420"),
        ("::", "http://[::1]:8420"),
        ("10.1.2.3", "http://10.1.2.3:8420"),
        ("fe80::1", "http://[fe80::1]:8420"),
        ("photos.example", "http://photos.example:8420"),
    ],
)
def test_the_endpoint_is_an_address_that_can_be_called(host: str, url: str) -> None:
    """An address that stands for all of a machine's becomes the one by which the machine reaches itself."""
    assert load(environ={"CUSTODES_HOST": host}).endpoint_url == url
    assert load(environ={"CUSTODES_HOST": host, "CUSTODES_ENDPOINT": "https://x"}).endpoint_url == "https://x"


def test_paths_follow_the_data_folder() -> None:
    """Database, key and buckets lie in the data folder unless they are put elsewhere."""
    config = load(environ={"CUSTODES_DATA": "/d"})
    assert config.database_url == "sqlite:////d/custodes.sqlite3"
    assert (config.key_path, config.bucket_root) == (Path("/d/keys/master.key"), Path("/d/buckets"))
    assert load(environ={"CUSTODES_DATABASE": "postgresql://h/d"}).database_url == "postgresql://h/d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", "Unknown setting prot"),
        ("[server]\nprot = 1", r"Unknown setting \[server\] prot"),
        ("[sever]\nport = 1", "Unknown setting sever"),
        ("port = 1", "Unknown setting port"),
        ("server = 1", "server must be a table"),
        ('[server]\nport = "8420"', r"\[server\] port must be a whole number, got '8420'"),
        ("[server]\nport = 84.5", "must be a whole number"),
        ("[server]\nport = true", "must be a whole number"),
        ("[server]\nport = 65536", "at least 0 and at most 65535"),
        ("[server]\nport = -1", "at least 0"),
        ("[server]\nqueue = 0", "at least 1"),
        ("[server]\ntimeout = nan", "at least 0.001"),
        ("[server]\ntimeout = inf", "at least 0.001"),
        ('[server]\ntimeout = "60"', "must be a number"),
        ("[server]\nregion = 5", "must be a text"),
        ('[server]\nregion = "EU West"', r"\[server\] region must have the form \[a-z0-9-\]\+, got 'EU West'"),
        ('[server]\naccount = "dev"', r"must have the form \[0-9\]\{12\}, got 'dev'"),
        ("[limits]\nimage_side = 0", "image_side must be at least 1"),
        ("data = 5", "data must be a path"),
        ('[vision]\ngender = "yes"', "must be a truth value"),
        ('[vision]\npack_dirs = "a"', "must be a list of texts"),
        ("[vision]\npack_dirs = [1]", "must be a list of texts"),
        ('[vision]\nprovider = "gpu"', "one of cpu, cuda, openvino, got 'gpu'"),
        ("[server", "can't be read"),
    ],
)
def test_a_file_with_a_mistake_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """What is unknown, of another type or out of range is named, with what was given."""
    with pytest.raises(Invalid, match=message):
        load(_file(tmp_path, text), {})


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("CUSTODES_PORT", "http", "CUSTODES_PORT must be a whole number, got 'http'"),
        ("CUSTODES_PORT", "99999", "at most 65535"),
        ("CUSTODES_TIMEOUT", "nan", "at least 0.001"),
        ("CUSTODES_ACCOUNT", "1234567890123", "CUSTODES_ACCOUNT must have the form"),
        ("CUSTODES_ACCOUNT", "12345678901\u0662", "CUSTODES_ACCOUNT must have the form"),
        ("CUSTODES_VISION_GENDER", "maybe", "must be a truth value"),
        ("CUSTODES_LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("CUSTODES_PROT", "1", "Unknown setting CUSTODES_PROT"),
    ],
)
def test_a_variable_with_a_mistake_is_refused(variable: str, text: str, message: str) -> None:
    """Variables are held to the same rules."""
    with pytest.raises(Invalid, match=message):
        load(environ={variable: text})


def test_a_misspelt_variable_is_answered_with_the_right_one() -> None:
    """The remedy names the setting that was probably meant."""
    with pytest.raises(Invalid) as e:
        load(environ={"CUSTODES_VISON_PACK": "x"})
    assert "CUSTODES_VISION_PACK" in e.value.remedy


def test_variables_of_others_are_left_alone() -> None:
    """Other programs' variables are no mistake, nor are those that Kubernetes makes of a service's name."""
    others = {"PORT": "x", "CUSTODES_SERVICE_HOST": "10.0.0.1", "CUSTODES_PORT_8420_TCP": "tcp://10.0.0.1:8420"}
    assert load(environ=others) == Config()


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A file that isn't there or isn't text is one clear error, without its folder."""
    path = tmp_path / "custodes.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Invalid, match=r"custodes\.toml can't be read") as e:
        load(path, {})
    assert str(tmp_path) not in e.value.message


def test_every_setting_is_documented() -> None:
    """docs/settings.md is what scripts/write_settings.py makes of the settings."""
    spec = importlib.util.spec_from_file_location("write_settings", ROOT / "scripts" / "write_settings.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert text == script.page()
    for setting in settings():
        assert f"`{setting.variable}`" in text
        assert setting.doc
