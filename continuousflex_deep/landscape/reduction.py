"""Dimension reduction of normal-mode amplitudes: one interface for PCA and for embeddings fitted to landmarks.

PCA is exact in both directions. An embedding is defined only for the particles that it was fitted to, the landmarks.
Maps learned from these give all other particles their coordinates, and lead back from coordinates to amplitudes;
held-out particles measure the errors of the maps.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import atomic_path, require_file
from continuousflex_deep.io.records import write_json
from continuousflex_deep.io.texts import parse_json, read_text
from continuousflex_deep.landscape.coordinate_maps import (
    LearnedMap,
    held_out_rows,
    learn_map,
    map_as_arrays,
    map_from_arrays,
)
from continuousflex_deep.landscape.embeddings import EmbeddingSettings, embed
from continuousflex_deep.landscape.pca import PCA

LEAST = 10  # particles that an embedding with learned maps needs
_TESTED = 2000  # particles beyond the landmarks by which the errors of the maps are measured
LABELS = {
    "pca": "PC",
    "kernel-pca": "kernel PC",
    "lle": "LLE",
    "hessian-lle": "Hessian LLE",
    "ltsa": "LTSA",
    "modified-lle": "modified LLE",
    "laplacian": "Laplacian",
    "isomap": "Isomap",
    "tsne": "t-SNE",
    "umap": "UMAP",
}
METRIC = frozenset({"pca", "isomap"})  # methods whose coordinates are in Å


class Reduction(Protocol):
    """Maps amplitudes (n, M) in Å to coordinates (n, k) and back."""

    @property
    def method(self) -> str: ...

    def transform(self, values: ArrayLike) -> Floats:
        """Coordinates (n, k) of amplitudes (n, M)."""

    def inverse_transform(self, coordinates: ArrayLike) -> Floats:
        """Amplitudes (n, M) in Å of coordinates (n, k)."""


@dataclass(frozen=True, eq=False)
class MapErrors:
    """Errors of the maps of an embedding for `particles` that they were not fitted to.

    transform: root mean square deviation of the map's coordinates from the embedding's own, in standard deviations of
    these (0 where the map is the method's own). inverse_A: root mean square length, in Å, of the difference between
    amplitudes and those mapped back from their coordinates; divided by √atoms it is an RMSD. explained: share of the
    amplitudes' variance that is recovered. unseen: whether the particles were not used for the embedding either.
    """

    particles: int
    unseen: bool
    transform: float
    inverse_A: float
    explained: float


@dataclass(frozen=True, eq=False)
class Embedding:
    """An embedding of landmarks with its learned maps; landmarks (m, M) in Å and their coordinates (m, k)."""

    method: str
    landmarks: Floats
    coordinates: Floats
    forward: LearnedMap
    inverse: LearnedMap
    errors: MapErrors

    def transform(self, values: ArrayLike) -> Floats:
        """Coordinates (n, k) of amplitudes (n, M) by the learned map; with kernel PCA they are exact."""
        return self.forward(_checked(values, self.landmarks.shape[1], "amplitudes"))

    def inverse_transform(self, coordinates: ArrayLike) -> Floats:
        """Amplitudes (n, M) in Å of coordinates (n, k) by the learned map, whose error is errors.inverse_A.

        The map is meaningful only near the coordinates of the landmarks.
        """
        return self.inverse(_checked(coordinates, self.coordinates.shape[1], "coordinates"))


def fit_embedding(
    method: str, amplitudes: ArrayLike, settings: EmbeddingSettings, n_landmarks: int
) -> tuple[Embedding, Integers]:
    """The embedding of amplitudes (n, M) in Å, and the rows (m,) of its landmarks.

    Raises InputError for NaN, fewer than 10 distinct particles, or parameters that the method does not allow.
    """
    x = _checked(amplitudes, None, "amplitudes")
    if not 1 <= settings.n_components <= x.shape[1]:
        most = x.shape[1]
        raise InputError(f"{method}: got {settings.n_components} dimensions for {most} amplitudes; give 1 to {most}")
    rows = select_landmarks(x, n_landmarks, settings.seed)
    if len(rows) < LEAST:
        raise InputError(
            f"{method}: got {len(rows)} distinct particles to fit, expected at least {LEAST}; use --method pca"
        )
    landmarks = x[rows]
    y, own = embed(method, landmarks, settings)
    rng = np.random.default_rng(settings.seed)
    held_out = held_out_rows(len(rows), rng)
    forward, forward_part = (own, own) if own is not None else learn_map(landmarks, y, held_out, settings.seed)
    inverse, inverse_part = learn_map(y, landmarks, held_out, settings.seed)
    others = np.setdiff1d(np.arange(len(x)), rows)
    unseen = len(others) >= held_out.sum()
    if unseen:
        tested = x[rng.choice(others, min(len(others), _TESTED), replace=False)]
        back = inverse(forward(tested))
    else:
        tested = landmarks[held_out]
        back = inverse_part(forward_part(tested))
    deviation = _rms(forward_part(landmarks[held_out]) - y[held_out]) / _rms(y - y.mean(axis=0))
    error = _rms(back - tested)
    errors = MapErrors(
        particles=len(tested),
        unseen=bool(unseen),
        transform=0.0 if own is not None else deviation,
        inverse_A=error,
        explained=1 - (error / _rms(landmarks - landmarks.mean(axis=0))) ** 2,
    )
    return Embedding(method, landmarks, y, forward, inverse, errors), rows


def select_landmarks(x: Floats, n_landmarks: int, seed: int) -> Integers:
    """Rows, in order, of at most n_landmarks distinct particles that are distributed like x (n, M).

    The particles are divided repeatedly at the median of the amplitude with the largest range, and one is drawn from
    each cell. The landmarks are as dense as the particles, but more even than a random sample.
    """
    rng = np.random.default_rng(seed)
    cells = [(np.arange(len(x)), min(n_landmarks, len(x)))]
    selected = []
    while cells:
        rows, wanted = cells.pop()
        if wanted == len(rows):
            selected.append(rows)
        elif wanted == 1:
            selected.append(rows[[rng.integers(len(rows))]])
        else:
            half = wanted // 2
            cut = round(len(rows) * half / wanted)
            order = np.argpartition(x[rows, np.ptp(x[rows], axis=0).argmax()], cut)
            cells += [(rows[order[:cut]], half), (rows[order[cut:]], wanted - half)]
    found = np.sort(np.concatenate(selected))
    return found[np.sort(np.unique(x[found], axis=0, return_index=True)[1])]


def write_reduction(folder: Path, reduction: Reduction, mode_ids: tuple[int, ...]) -> None:
    """Write pca.json for PCA, otherwise reduction.npz and reduction.json; the files of another method are removed."""
    if isinstance(reduction, PCA):
        write_json(folder / "pca.json", {"mode_ids": list(mode_ids), **reduction.as_dict()})
        stale = ["reduction.npz", "reduction.json"]
    elif isinstance(reduction, Embedding):
        arrays = {"landmarks": reduction.landmarks, "coordinates": reduction.coordinates}
        arrays |= map_as_arrays(reduction.forward, "forward") | map_as_arrays(reduction.inverse, "inverse")
        with atomic_path(folder / "reduction.npz") as temporary:
            np.savez(temporary, **arrays)
        write_json(folder / "reduction.json", {"mode_ids": list(mode_ids), **reduction_facts(reduction)})
        stale = ["pca.json"]
    else:
        raise TypeError(f"this kind of reduction cannot be written: {type(reduction).__name__}")
    for name in stale:
        (folder / name).unlink(missing_ok=True)


def reduction_facts(reduction: Embedding) -> dict[str, Any]:
    """The facts of a record about an embedding: method, landmarks, kinds of the maps and their errors."""
    return {
        "method": reduction.method,
        "landmarks": len(reduction.landmarks),
        "forward": reduction.forward.kind,
        "inverse": reduction.inverse.kind,
        "held_out": dict(vars(reduction.errors)),
    }


def format_embedding(reduction: Embedding) -> str:
    """An embedding as text: how many landmarks it was fitted to, and the errors of its maps."""
    errors, k = reduction.errors, reduction.coordinates.shape[1]
    tested = f"{errors.particles} particles " + (
        "that are no landmarks" if errors.unseen else "held out from the maps (but not from the embedding)"
    )
    accuracy = f"an error of {100 * errors.transform:.1f}% of their spread" if errors.transform else "no error"
    return (
        f"{LABELS[reduction.method]}: {k} dimensions, fitted to {len(reduction.landmarks)} landmarks; coordinates of "
        f"other particles have {accuracy}\namplitudes mapped back from coordinates: {100 * errors.explained:.1f}% of "
        f"the variance, with an error of {errors.inverse_A:.1f} Å (divide by √atoms for an RMSD), for {tested}"
    )


def read_reduction(folder: Path) -> Reduction:
    """The reduction of a landscape's folder. Raises InputError or FormatError, naming the file."""
    facts_file = folder / "reduction.json"
    if not facts_file.exists():
        return _read_pca(folder / "pca.json")
    file = require_file(folder / "reduction.npz", "landscape map")
    try:
        facts = parse_json(read_text(facts_file, "landscape map"))
        with np.load(file) as arrays:
            return _embedding(facts, arrays)
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise FormatError(f"'{file}' is not a map of the landscape command ({error}); run landscape again") from error


def _embedding(facts: dict[str, Any], arrays: Mapping[str, Any]) -> Embedding:
    return Embedding(
        str(facts["method"]),
        arrays["landmarks"],
        arrays["coordinates"],
        map_from_arrays(arrays, "forward"),
        map_from_arrays(arrays, "inverse"),
        MapErrors(**facts["held_out"]),
    )


def _read_pca(path: Path) -> PCA:
    file = require_file(path, "landscape map")
    try:
        return PCA.from_dict(parse_json(read_text(file, "landscape map")))
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"'{file}' is not a map of the landscape command ({error}); run landscape again") from error


def _checked(values: ArrayLike, columns: int | None, what: str) -> Floats:
    x = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if x.ndim != 2 or (columns is not None and x.shape[1] != columns):
        raise InputError(f"reduction: got {what} of shape {x.shape}, expected (particles, {columns or 'modes'})")
    if not np.isfinite(x).all():
        bad = int((~np.isfinite(x)).any(axis=1).sum())
        raise InputError(f"reduction: the {what} of {bad} of {len(x)} particles are NaN or infinite; remove them")
    return x


def _rms(differences: Floats) -> float:
    """Root mean square length of the rows."""
    return float(np.sqrt((differences**2).sum(axis=1).mean()))
