"""Maps of groups compared with the maps of their centroids, as the article assesses reconstructions (Hamitouche &
Jonić 2022, Figure 7 and Supplementary Figure 3).

The centroid of a group is the structure with the mean amplitudes of its particles: the estimated amplitudes along all
modes that the particles have and, where the truth is known, the true amplitudes along the truth's modes. The map that
is compared is the mean of the half maps, neither filtered nor masked.

Three other curves put the FSC with the centroid into perspective. Those with the structure at rest and with the
centroid of the group that is farthest in conformation should be lower. The third, √(2F/(1 + F)), where F is the FSC of
the half maps (Rosenthal & Henderson 2003), estimates what the noise leaves of the FSC with a perfect reference; what
the FSC with the centroid lacks from it is due to the spread of conformations in the group and to errors of the poses.

This third curve is an estimate, not a bound. Poses and amplitudes were estimated with this very structure, which raises
both F and the FSC with the centroid. Both are independent of the structure only beyond --finest-resolution-A of the
alignment, and with very noisy images the estimated centroid can agree better than the true one. Towards 0.143 chance
dominates F, so that the curve is reported at 0.5 only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.arrays import Floats, Map
from continuousflex_deep.assessment.group_maps import GroupMap
from continuousflex_deep.errors import InputError
from continuousflex_deep.imaging.density import structure_to_map
from continuousflex_deep.io.file_names import FSC_CSV
from continuousflex_deep.io.frames import write_swing
from continuousflex_deep.io.fsc_table import (
    ALLOWED,
    CENTROID,
    LEAST_ALLOWED,
    MASKED,
    OTHER,
    REST,
    THRESHOLDS,
    TRUE_CENTROID,
    write_fsc,
)
from continuousflex_deep.io.maps import write_volume
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.motion import motion_along
from continuousflex_deep.particles import Particles
from continuousflex_deep.progress import progress_bar
from continuousflex_deep.reconstruction.fsc import fourier_shell_correlation, resolution_A, shell_frequencies
from continuousflex_deep.reconstruction.reconstruct import finite_resolutions, fsc_mask
from continuousflex_deep.symmetry import point_group


@dataclass(frozen=True, eq=False)
class Centroid:
    """Mean amplitudes (M,) of a group in Å along mode_ids, the structure in this conformation, and the spread of the
    particles' conformations about it (root mean square of their RMSD, in Å)."""

    mode_ids: tuple[int, ...]
    amplitudes: Floats
    structure: Structure
    spread_A: float


@dataclass(frozen=True, eq=False)
class GroupAgreement:
    """FSC curves (d//2 + 1,) of a group's map over frequencies in 1/Å, by the conformation that it is compared with.

    models: these conformations by name; rmsd_A: their RMSD from CENTROID. other: the group to which the centroid OTHER
    belongs, empty where there is none. centroid_map (d, d, d): the map of CENTROID.
    """

    group: GroupMap
    frequency: Floats
    curves: dict[str, Floats]
    models: dict[str, Centroid]
    rmsd_A: dict[str, float]
    other: str
    voxel_A: float
    centroid_map: Map

    def resolutions_A(self) -> dict[str, dict[str, float | None]]:
        """Resolution in Å by curve and threshold; None where a curve is below the threshold everywhere. ALLOWED has no
        resolution at thresholds where chance dominates it."""
        found = {
            name: {
                f"{t:g}": resolution_A(self.frequency, curve, t)
                for t in THRESHOLDS
                if name != ALLOWED or t >= LEAST_ALLOWED
            }
            for name, curve in self.curves.items()
        }
        return finite_resolutions(found)

    def as_dict(self) -> dict[str, Any]:
        """All results as numbers and texts for JSON."""
        means = {name: self.models[name] for name in (CENTROID, TRUE_CENTROID) if name in self.models}
        return {
            "group": self.group.name,
            "label": self.group.label,
            "folder": str(self.group.folder),
            "particles": len(self.group.particles),
            **self.group.facts,
            "modes": {name: list(model.mode_ids) for name, model in means.items()},
            "amplitudes_A": {name: model.amplitudes.tolist() for name, model in means.items()},
            "spread_A": {name: model.spread_A for name, model in means.items()},
            "rmsd_from_centroid_A": self.rmsd_A,
            "farthest_other": self.other,
            "resolution_A": self.resolutions_A(),
        }


def centroid_of(particles: Particles, structure: Structure, modes: NormalModes, what: str) -> Centroid:
    """The mean conformation of particles along all modes that they have; `modes` must contain these.

    Raises InputError, naming `what`, for particles without amplitudes, and for missing modes.
    """
    amplitudes = particles.require_amplitudes(what)
    own, mean = modes.select(particles.mode_ids).moving(particles.motion), amplitudes.mean(axis=0)
    motion = motion_along(structure, own)
    spread_A = float(np.sqrt((motion.rmsd_A(amplitudes, mean) ** 2).mean()))
    return Centroid(own.mode_ids, mean, structure.replace_coords(motion.coordinates(mean)), spread_A)


def modes_needed(groups: Iterable[GroupMap], truth: Particles | None = None) -> tuple[int, ...]:
    """All modes along which the particles of the groups or of the truth have amplitudes."""
    known = [group.particles for group in groups] + ([] if truth is None else [truth])
    return tuple(sorted({mode for particles in known for mode in particles.mode_ids}))


def centroid_map(
    structure: Structure, box_px: int, voxel_A: float, b_factor_A2: float = 0.0, symmetry: str = "c1"
) -> Map:
    """Map (d, d, d) of a structure at the sampling of a reconstruction, averaged over the symmetry imposed on that."""
    centred = structure.centred().coords_A
    turned = [structure.replace_coords(centred @ operation.T) for operation in point_group(symmetry)]
    maps = [structure_to_map(one, box_px, voxel_A, b_factor_A2=b_factor_A2) for one in turned]
    return np.asarray(np.mean(maps, axis=0), dtype=np.float32)


def assess_groups(
    groups: Sequence[GroupMap],
    structure: Structure,
    modes: NormalModes,
    truth: Particles | None = None,
    b_factor_A2: float = 0.0,
) -> list[GroupAgreement]:
    """Compare each group's map with its centroids and the controls; see the module's description.

    modes: those of the groups and of the truth (modes_needed). truth: may contain more particles and modes than the
    groups. Raises InputError for particles or modes of a group that the truth lacks, for missing modes, and where the
    structure does not fit into a map.
    """
    rest = Centroid((), np.zeros(0), structure, 0.0)
    estimated = [centroid_of(g.particles, structure, modes, f"the centroid of '{g.folder}'") for g in groups]
    true = [None if truth is None else _true_centroid(g, truth, structure, modes) for g in groups]
    agreements = []
    with progress_bar("centroids", len(groups), unit="group") as bar:
        for group, own, known in zip(groups, estimated, true, strict=True):
            models = {CENTROID: own} | ({} if known is None else {TRUE_CENTROID: known}) | {REST: rest}
            others = {g.name: c for g, c in zip(groups, estimated, strict=True) if g is not group}
            other = max(others, key=lambda name: _apart_A(own, others[name]), default="")
            if other:
                models[OTHER] = others[other]
            agreements.append(_compared(group, models, other, b_factor_A2))
            bar.update(1)
    return agreements


def _true_centroid(group: GroupMap, truth: Particles, structure: Structure, modes: NormalModes) -> Centroid:
    missing = np.setdiff1d(group.particles.ids, truth.ids)
    if len(missing):
        raise InputError(
            f"{len(missing)} of {len(group.particles)} particles of '{group.folder}' are not in the truth, for example "
            f"ids {missing[:5].tolist()}; give the truth of the images that were reconstructed"
        )
    unknown = sorted(set(group.particles.mode_ids) - set(truth.mode_ids))
    if truth.amplitudes is not None and unknown:
        raise InputError(
            f"the true centroid of '{group.folder}': its particles have amplitudes along modes "
            f"{list(group.particles.mode_ids)}, but the truth has modes {list(truth.mode_ids)}, without {unknown}; "
            "give a truth with all of them, or omit --truth"
        )
    return centroid_of(truth.select(truth.rows_of(group.particles.ids)), structure, modes, "the truth's centroid")


def _apart_A(first: Centroid, second: Centroid) -> float:
    """RMSD between two conformations, which may be along different modes."""
    moved = second.structure.coords_A - first.structure.coords_A
    return float(np.sqrt((moved**2).sum(axis=1).mean()))


def _compared(group: GroupMap, models: dict[str, Centroid], other: str, b_factor_A2: float) -> GroupAgreement:
    half1, half2, voxel_A = group.halves()
    box, volume = len(half1), (half1 + half2) / 2
    mask = fsc_mask(box, voxel_A, group.mask_diameter_A)
    maps = {n: centroid_map(m.structure, box, voxel_A, b_factor_A2, group.symmetry) for n, m in models.items()}
    curves = {name: fourier_shell_correlation(volume, reference) for name, reference in maps.items()}
    curves |= {n + MASKED: fourier_shell_correlation(volume * mask, reference * mask) for n, reference in maps.items()}
    curves[ALLOWED] = allowed_by_noise(fourier_shell_correlation(half1, half2))
    rmsd_A = {name: _apart_A(models[CENTROID], model) for name, model in models.items() if name != CENTROID}
    frequency = shell_frequencies(box, voxel_A)
    return GroupAgreement(group, frequency, curves, models, rmsd_A, other, voxel_A, maps[CENTROID])


def allowed_by_noise(half_map_fsc: Floats) -> Floats:
    """An estimate (d//2 + 1,) of the FSC of the mean of two half maps with a perfect reference, from the FSC F of the
    half maps, smoothed over neighbouring shells: √(2F/(1 + F)) (Rosenthal & Henderson 2003)."""
    # negative values of F are chance; ending the curve at the first of them would lose signal beyond it
    smooth = np.clip(_smoothed(half_map_fsc), 0, 1)
    return np.sqrt(2 * smooth / (1 + smooth))


def _smoothed(curve: Floats) -> Floats:
    """Each shell (shells,) averaged with its neighbours, which have weight 1/4, except the origin, the map's mean."""
    padded = np.pad(curve[1:], 1, mode="edge")
    return np.concatenate([curve[:1], np.convolve(padded, [0.25, 0.5, 0.25], mode="valid")])


def write_centroids(folder: Path, agreements: Sequence[GroupAgreement]) -> None:
    """Write fsc.csv, centroid.pdb and centroid.mrc into a folder for each group: the curves, the centroid, positioned
    as viewers show the group's map, and the map of the centroid."""
    for agreement in agreements:
        place, voxel_A = folder / agreement.group.name, agreement.voxel_A
        place.mkdir(exist_ok=True)
        write_fsc(place / FSC_CSV, agreement.frequency, agreement.curves)
        write_volume(place / "centroid.mrc", agreement.centroid_map, voxel_A)
        model = agreement.models[CENTROID].structure
        middle_A = len(agreement.centroid_map) // 2 * voxel_A
        write_swing(place / "centroid.pdb", model, [model.coords_A - model.center_A + middle_A])
