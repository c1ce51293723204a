"""Deformation-corrected reconstruction: all particles contribute to one map of the reference's conformation.

A particle with deformation u_i shows at image position Π R_i (x + u_i(x)) what is at x in the reference. The filtered
image h_i is therefore summed there, V(x) = Σ_i h_i(Π R_i (x + u_i(x))) / D³. This is back-projection along rays that
are bent by the particle's own deformation, as in local reconstructions in tomography. u_i is the motion of the
particle's atoms (motion/), extended smoothly to all positions.

The filter is that of the least-squares reconstruction without motion (fourier.py): each sample CTF·I of an image's
transform is divided by Σ CTF² at its position in Fourier space, interpolated with the weights of the insertion. Without
motion the sum is therefore exactly that reconstruction, for any distribution of views. With motion it holds as far as
the parts of a particle rotate little against each other, so that their views fill Fourier space alike.

Half maps come from separate particles. Their poses and amplitudes, however, were found with one reference, so that the
FSC between them measures what is reproducible, not what is free of reference bias. Agreement beyond the resolution of
the images in the alignment (align --finest-resolution-A) cannot come from the reference.
"""

from functools import partial

import numpy as np
import torch
from scipy import sparse
from scipy.spatial import cKDTree
from torch import Tensor

from continuousflex_deep.arrays import Floats, Singles
from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.stacks import read_images
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.motion import HelicalMotion, Motion, StraightMotion, amplitude_of_rmsd, motion_along
from continuousflex_deep.nma.warp import atoms_reach_A, displacement_field
from continuousflex_deep.particles import Particles
from continuousflex_deep.reconstruction.fourier import SliceAccumulator

_FINER = 2  # samples of a filtered image per pixel; between them it is interpolated linearly
_MARGIN = 1.15  # of the map's radius; images are evaluated within it
_PROBE_A = 10.0  # displacement of atoms to measure the field of a mode
_LEAST_REACH_A = 4.0  # modes are assumed to be smooth over this distance: neighbours in space move alike
_NEAREST = 12  # atoms with whose blocks a place moves
_OUTSIDE = 0.5  # how much farther atoms outside the molecule count, relative to the distance from it
_VALUES_AT_ONCE = 3_000_000


class VoxelMotion:
    """Positions of the v voxels of a map (d, d, d) within its inscribed sphere, in Å from voxel d//2, as they move with
    the atoms: on the straight lines along which the atoms leave the structure at rest, extended smoothly to all
    positions; or with the rigid blocks of the atoms that are nearest."""

    def __init__(
        self, structure: Structure, modes: NormalModes, box_px: int, pixel_size_A: float, device: torch.device | str
    ) -> None:
        axis = np.arange(box_px) - box_px // 2
        z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
        self.inside = x**2 + y**2 + z**2 < (box_px / 2) ** 2
        self.places_A = np.stack([x[self.inside], y[self.inside], z[self.inside]], axis=1) * pixel_size_A
        atoms = motion_along(structure.centred(), modes)
        reach_A = max(_LEAST_REACH_A, atoms_reach_A(atoms.rest_A))
        self._tensor = partial(torch.as_tensor, dtype=torch.float32, device=device)
        if isinstance(atoms, HelicalMotion):
            self._motion: Motion[Floats] = _with_blocks(atoms, self.places_A, reach_A)
        else:
            self._motion = _along_fields(atoms, self.places_A, reach_A)
        parts = self._motion.view_parts()
        self._parts = self._tensor(parts) if isinstance(parts, np.ndarray) else _compressed(parts.T, device)

    def __len__(self) -> int:
        return len(self.places_A)

    def seen_A(self, rotations: Floats, amplitudes: Floats) -> Tensor:
        """Positions of the voxels (n, 2, v) in images of particles with rotations (n, 3, 3) and amplitudes (n, M)."""
        weights = self._tensor(self._motion.view_weights(rotations[:, :2], amplitudes))
        if not self._parts.is_sparse_csr:
            return weights @ self._parts
        return (self._parts @ weights.flatten(0, 1).T).T.unflatten(0, (-1, 2))


def _along_fields(atoms: Motion[Floats], places_A: Floats, reach_A: float) -> StraightMotion[Floats]:
    """The straight motion of places (v, 3), by a smooth field of each mode."""
    at_rest = atoms.derivative(np.zeros(atoms.n_modes))
    probe = amplitude_of_rmsd(_PROBE_A, len(atoms.rest_A))
    fields = np.empty((atoms.n_modes, *places_A.shape))
    for field, v in zip(fields, at_rest, strict=True):
        moved = displacement_field(atoms.rest_A, atoms.rest_A + probe * v, reach_A)
        field[:] = moved.at(places_A) / probe
    return StraightMotion(places_A, fields)


def _with_blocks(atoms: HelicalMotion[Floats], places_A: Floats, reach_A: float) -> HelicalMotion[Floats]:
    """The motion of places (v, 3) with the blocks of the nearest atoms, whose shares fall off with the distance: within
    the molecule over reach_A, outside over more, so that the motion is smooth everywhere."""
    tree, count = cKDTree(atoms.rest_A), min(_NEAREST, len(atoms.rest_A))
    distance, nearest = tree.query(places_A, k=[*range(1, count + 1)])
    width = np.square(reach_A) + np.square(distance[:, :1] * _OUTSIDE)
    shares = np.exp(-(np.square(distance) - np.square(distance[:, :1])) / (2 * width))
    return atoms.spread(places_A, nearest, shares / shares.sum(axis=1, keepdims=True))


def _compressed(matrix: sparse.spmatrix, device: torch.device | str) -> Tensor:
    """A sparse matrix by its rows, in which format products are several times faster than in others."""
    rows = matrix.tocsr()
    starts, columns = (torch.as_tensor(array.astype(np.int64)) for array in (rows.indptr, rows.indices))
    values = torch.as_tensor(rows.data, dtype=torch.float32)
    return torch.sparse_csr_tensor(starts, columns, values, size=rows.shape).to(device)


class MotionCorrected:
    """The sums of a deformation-corrected reconstruction, with the weights of the plain one of the same particles."""

    def __init__(self, plain: SliceAccumulator, motion: VoxelMotion) -> None:
        self.plain, self.motion = plain, motion
        self._inverse = plain.inverse_weight()
        self._sum = torch.zeros(len(motion), device=plain.device)
        padded, grid = plain.padded_px, plain.grid
        fine = _FINER * padded
        attenuation = torch.sinc(grid.frequency / fine).prod(dim=1) ** 2  # by the interpolation
        self._filter = fine**2 / padded**3 / attenuation
        self._row = torch.where(grid.row >= padded // 2, grid.row + fine - padded, grid.row)
        reach = int(np.ceil(_MARGIN * plain.box_px / 2)) * _FINER
        self._crop = slice(fine // 2 - reach, fine // 2 + reach + 1)

    def add(self, particles: Particles, amplitudes: Floats, ctf: bool) -> None:
        """Add particles with poses and these amplitudes (n, M)."""
        step = max(1, _VALUES_AT_ONCE // len(self.motion))
        for start in range(0, len(particles), step):
            rows = np.arange(start, min(start + step, len(particles)))
            self._add(particles.select(rows), amplitudes[rows], ctf)

    def _add(self, particles: Particles, amplitudes: Floats, ctf: bool) -> None:
        euler_deg, shift_A = particles.require_poses("a reconstruction")
        rotations = euler_to_matrix(euler_deg)
        images = torch.from_numpy(read_images(particles))
        samples = self.plain.weighted_samples(images, shift_A, particles.ctf if ctf else None, particles.phase_flipped)
        filtered = self._image(samples * self._inverse_at(rotations) * self._filter)
        seen = self.motion.seen_A(rotations, amplitudes) / (self.plain.pixel_size_A / _FINER)
        reach = (filtered.shape[-1] - 1) / 2
        grid = (seen / reach).permute(0, 2, 1)[:, None]  # x, y between -1 and 1
        taken = torch.nn.functional.grid_sample(filtered[:, None], grid, align_corners=True, padding_mode="zeros")
        self._sum += taken.sum(dim=(0, 1, 2))

    def _image(self, samples: Tensor) -> Tensor:
        """Images of transforms (n, p), finer than the pixels, about their centre."""
        grid, fine = self.plain.grid, _FINER * self.plain.padded_px
        transform = torch.zeros((len(samples), fine, fine // 2 + 1), dtype=torch.complex64, device=samples.device)
        transform[:, self._row, grid.column] = samples
        line = (grid.column == 0) & (grid.row > 0)  # whose mates stand on the same line
        transform[:, fine - self._row[line], 0] = samples[:, line].conj()
        images = torch.fft.fftshift(torch.fft.irfft2(transform, s=(fine, fine)), dim=(-2, -1))
        return images[:, self._crop, self._crop]

    def _inverse_at(self, rotations: Floats) -> Tensor:
        """1 / Σ CTF² (n, p) at the places of the samples."""
        matrices = torch.as_tensor(rotations, dtype=torch.float32, device=self.plain.device)
        return self.plain.gathered(self._inverse, matrices)

    def volume(self) -> Singles:
        """The map (d, d, d), 0 outside the inscribed sphere."""
        out = np.zeros(self.motion.inside.shape, dtype=np.float32)
        out[self.motion.inside] = self._sum.cpu().numpy()
        return out
