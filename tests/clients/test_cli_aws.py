# SPDX-License-Identifier: Apache-2.0
"""The AWS CLI with the commands of its own manual: each example of the package is run as it stands there.

Only names are replaced: images by objects of the server's bucket, FaceIds by faces that are there. Where the manual
shows an output, ours has to have the same members, but for those that newer AWS models or Custodes leave out.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import awscli
import boto3
import pytest

from custodes.api.aws.handlers import OFFERED

EXAMPLES = Path(awscli.__file__).parent / "examples" / "rekognition"
ABSENT = {
    "OrientationCorrection",  # AWS stopped sending it with face model 4
    "SourceImageOrientationCorrection",
    "TargetImageOrientationCorrection",
    "Beard",  # docs/attributes.md: no model with a free licence does these honestly
    "Eyeglasses",
    "Mustache",
    "Sunglasses",
    "Emotions",  # off by default
    "Gender",
}
LATER = {"IndexFacesModelVersion", "UnsuccessfulFaceDeletions", "UserCount"}
"""Members that the service got after the examples were written."""
STATELESS = ("compare-faces", "detect-faces")


@dataclass(frozen=True)
class Example:
    """A command of the manual and the output that it shows, if it shows one."""

    name: str
    arguments: tuple[str, ...]
    output: dict | None


def parse(path: Path) -> Example:
    """Read the first command of an example, which may go over several lines, and the JSON that follows."""
    text = path.read_text(encoding="utf-8")
    found = re.search(r"^    aws (rekognition [^\n]*(?:\n        [^\n]*)*)", text, re.MULTILINE)
    assert found, path.name
    arguments = shlex.split(re.sub(r"\\?\n\s*", " ", found[1]))
    rest = text[found.end() :]
    start = re.search(r"^    \{", rest, re.MULTILINE)
    output = json.JSONDecoder().raw_decode(rest[start.end() - 1 :])[0] if start else None
    return Example(path.stem, tuple(arguments), output)


ALL = {path.stem: parse(path) for path in sorted(EXAMPLES.glob("*.rst"))}
OPERATION_OF = {re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower(): name for name in OFFERED}
STREAMS = {name for name in OPERATION_OF if "stream-processor" in name}
OURS = sorted((set(ALL) & set(OPERATION_OF)) - STREAMS)
THEIRS = sorted(set(ALL) - set(OPERATION_OF))


def members(value: object, path: str = "") -> set[str]:
    """Return the paths of all members of a JSON value; elements of a list share one path."""
    if isinstance(value, dict):
        inner = (members(item, f"{path}.{name}") | {f"{path}.{name}"} for name, item in value.items())
        return set().union(*inner)
    if isinstance(value, list):
        return set().union(*(members(item, path + "[]") for item in value))
    return set()


def without(paths: set[str], names: set[str]) -> set[str]:
    return {path for path in paths if not names & set(re.split(r"[.\[\]]+", path))}


class Aws:
    """The CLI against the server, with a collection and two objects."""

    def __init__(self, server) -> None:
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | {
            "AWS_ACCESS_KEY_ID": server.access_key_id,
            "AWS_SECRET_ACCESS_KEY": server.secret_access_key,
            "AWS_DEFAULT_REGION": server.region,
            "AWS_ENDPOINT_URL_REKOGNITION": server.endpoint_url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_PAGER": "",
        }

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = "from awscli.clidriver import main; import sys; sys.exit(main())"
        return subprocess.run(
            [sys.executable, "-c", command, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def aws(server) -> Aws:
    return Aws(server)


@pytest.fixture
def prepared(server, client, people, request):
    """The collection, the objects and the face that the examples speak of."""
    folder = server.data / "buckets" / "examples"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ann.jpg").write_bytes(people.ann)
    name = "MyCollection"
    face = "8d3cfc70-4ba8-4b36-9644-90fba29c2dac"
    if request.param not in (*STATELESS, "create-collection"):
        client.create_collection(CollectionId=name)
        for photo in (people.ann, people.ann_again):
            record = client.index_faces(CollectionId=name, Image={"Bytes": photo}, ExternalImageId="me")["FaceRecords"]
            face = record[0]["Face"]["FaceId"]
    yield request.param, face
    if name in client.list_collections()["CollectionIds"]:
        client.delete_collection(CollectionId=name)


def test_examples_are_found() -> None:
    """The package still brings its examples; eleven of them are of operations on pictures that are offered."""
    assert len(ALL) >= 34
    assert len(OURS) == 11


@pytest.mark.parametrize("prepared", OURS, indirect=True)
def test_example_runs_as_in_the_manual(aws, prepared) -> None:
    """The manual's command succeeds, and its output has the members that the manual shows."""
    name, face = prepared
    example = ALL[name]
    arguments = [
        re.sub(
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            face,
            re.sub(r'("Name"\s*:\s*")[^"]*', r"\1ann.jpg", re.sub(r'("Bucket"\s*:\s*")[^"]*', r"\1examples", argument)),
        ).replace("MyFaceImageCollection", "MyCollection")
        for argument in example.arguments
    ]
    done = aws(*arguments)
    assert done.returncode == 0, done.stderr
    assert example.output is not None
    want = without(members(example.output), ABSENT)
    got = without(members(json.loads(done.stdout)), LATER)
    assert want == got


@pytest.mark.parametrize("name", ["detect-labels", "start-face-search", "start-person-tracking"])
def test_example_that_is_not_offered_says_so(aws, name: str) -> None:
    """The CLI prints the refusal and fails; it doesn't retry."""
    done = aws(*ALL[name].arguments)
    assert done.returncode == 255
    assert "(AccessDeniedException)" in done.stderr
    assert "Custodes does not offer" in done.stderr


def test_stream_processors_are_as_in_the_manual(server, aws) -> None:
    """A processor is made, described and listed as the manual shows, by an administrator's key, for a camera's URL."""
    made = server.cli("keys", "create", "--json", "--purpose", "access-control")
    key = json.loads(made.stdout)
    aws.environment |= {"AWS_ACCESS_KEY_ID": key["access_key_id"], "AWS_SECRET_ACCESS_KEY": key["secret_access_key"]}
    assert aws("rekognition", "create-collection", "--collection-id", "MyCollection").returncode == 0
    for name in ("create-stream-processor", "describe-stream-processor", "list-stream-processors"):
        arguments = [
            argument.replace("us-west-2:123456789012", f"{server.region}:000000000000").replace(
                "stream/macwebcam/1530559711205", "rtsp://192.0.2.7/macwebcam"
            )
            for argument in ALL[name].arguments
        ]
        done = aws(*arguments)
        assert done.returncode == 0, done.stderr
        assert members(ALL[name].output) == without(members(json.loads(done.stdout)), {"DataSharingPreference"})
    client = boto3.client(
        "rekognition",
        endpoint_url=server.endpoint_url,
        region_name=server.region,
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret_access_key"],
    )
    client.delete_stream_processor(Name="my-stream-processor")
    client.delete_collection(CollectionId="MyCollection")


def test_cli_sends_pictures_from_files(aws, tmp_path, people) -> None:
    """``fileb://`` sends a picture's bytes; ``--query`` and ``--endpoint-url`` work as ever."""
    (tmp_path / "ann.jpg").write_bytes(people.ann)
    done = aws(
        *("rekognition", "detect-faces", "--image-bytes", f"fileb://{tmp_path / 'ann.jpg'}"),
        *("--query", "length(FaceDetails)", "--endpoint-url", aws.environment["AWS_ENDPOINT_URL_REKOGNITION"]),
    )
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr


def test_cli_pages(aws, client) -> None:
    """The CLI's own paging brings all collections together."""
    names = [f"cli-{number}" for number in range(3)]
    for name in names:
        client.create_collection(CollectionId=name)
    done = aws("rekognition", "list-collections", "--page-size", "1")
    assert done.returncode == 0, done.stderr
    assert set(names) <= set(json.loads(done.stdout)["CollectionIds"])
    for name in names:
        client.delete_collection(CollectionId=name)
