"""Where the amplitudes of a set of particles lie: a mixture of Gaussians, in density.json beside the modes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Sequence  # noqa: UP035

import numpy as np

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.file_names import DENSITY_JSON
from continuousflex_deep.io.records import write_json
from continuousflex_deep.io.texts import parse_json, read_text


@dataclass(frozen=True, eq=False)
class AmplitudeDensity:
    """K Gaussians of M amplitudes: weights (K,) with a sum of 1, mean_A (K, M) in Å, covariance (K, M, M) in Å²."""

    weights: Floats
    mean_A: Floats
    covariance: Floats

    def __len__(self) -> int:
        return len(self.weights)

    def select(self, columns: Sequence[int]) -> "AmplitudeDensity":
        """The density of some of the amplitudes, whatever the others."""
        rows = list(columns)
        return AmplitudeDensity(self.weights, self.mean_A[:, rows], self.covariance[:, rows][:, :, rows])

    @property
    def log_heights(self) -> Floats:
        """log(w / √det(2πΣ)) (K,) of the Gaussians at their means."""
        numbers = self.mean_A.shape[1]
        return np.log(self.weights) - 0.5 * (np.linalg.slogdet(self.covariance)[1] + numbers * np.log(2 * np.pi))

    def drawn(self, count: int, seed: int = 0) -> Floats:
        """Amplitudes (K + count, M) in Å: all means, then random ones."""
        rng = np.random.default_rng(seed)
        which = rng.choice(len(self), size=count, p=self.weights)
        root = np.linalg.cholesky(self.covariance)[which]
        normal = rng.normal(size=(count, self.mean_A.shape[1]))
        return np.concatenate([self.mean_A, self.mean_A[which] + np.einsum("nij,nj->ni", root, normal)])


def write_density(folder: Path, density: "AmplitudeDensity | None", mode_ids: Sequence[int]) -> None:
    """Write density.json, for amplitudes along these modes; None removes it."""
    if density is None:
        (folder / DENSITY_JSON).unlink(missing_ok=True)
        return
    parts = [
        {"weight": float(weight), "mean_A": mean.tolist(), "covariance_A2": covariance.tolist()}
        for weight, mean, covariance in zip(density.weights, density.mean_A, density.covariance, strict=True)
    ]
    write_json(folder / DENSITY_JSON, {"modes": list(mode_ids), "gaussians": parts})


def read_density(folder: Path, mode_ids: Sequence[int]) -> "AmplitudeDensity | None":
    """The density of the amplitudes along some modes of a folder; None if there is none, or not of all of these.
    FormatError for one that cannot be used."""
    path = folder / DENSITY_JSON
    if not path.is_file():
        return None
    try:
        facts = parse_json(read_text(path, "density of amplitudes"))
        known, parts = [int(mode) for mode in facts["modes"]], facts["gaussians"]
        weights, means, covariances = (
            np.array([part[name] for part in parts], dtype=np.float64) for name in ("weight", "mean_A", "covariance_A2")
        )
        if means.shape != (len(weights), len(known)) or covariances.shape != (*means.shape, len(known)):
            raise ValueError(f"{len(weights)} Gaussians of {len(known)} modes have means of shape {means.shape} and "
                             f"covariances of shape {covariances.shape}")  # fmt: skip
        if not (len(weights) and (weights > 0).all() and abs(weights.sum() - 1) < 1e-3 and np.isfinite(means).all()):
            raise ValueError("weights must be above 0, with a sum of 1, and means finite numbers")
        if not (np.linalg.eigvalsh(covariances) > 0).all():
            raise ValueError("a covariance has an eigenvalue that is not above 0")
    except (ValueError, KeyError, TypeError, np.linalg.LinAlgError) as error:
        raise FormatError(
            f"'{path}' is not the density of amplitudes that align --mode-list auto writes ({error}); learn the modes "
            "again, or remove the file to align without it"
        ) from error
    if not set(mode_ids) <= set(known):
        return None
    whole = AmplitudeDensity(weights / weights.sum(), means, covariances)
    return whole.select([known.index(mode) for mode in mode_ids])
