"""Images of the structure, simulated during training, in any number and with exact labels.

They follow the engine's model of images (imaging/projector, imaging/spectra): point atoms times the radial transfer and
the CTF, plus noise from before and after the optics. Transfer and noise are measured in the labelled images, at the
poses and amplitudes of the labels. Each image is made directly in Fourier space, in the rings that the network uses.

Poses and amplitudes are drawn from the labels and slightly widened, because the labels are only a sample. A network can
predict only what its training covers: a fraction of the views is therefore spread evenly over all orientations, and
in-plane rotations always are.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.geometry import euler_to_matrix, matrix_to_quaternion
from continuousflex_deep.hemnma.levels import disc_for, residue_groups
from continuousflex_deep.imaging.ctf import ctf_at
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel, project
from continuousflex_deep.imaging.spectra import Spectra, estimate_spectra, noise_levels
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.stacks import read_images
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.nn.data import Preprocess
from continuousflex_deep.nn.labels import TARGETS, Labels, quaternion_product, quaternion_to_matrix
from continuousflex_deep.particles import Particles, evenly_spread

# labelled images from which transfer and noise are measured
_MEASURED = 512
# the finest resolution at which they are measured, as in the engine
_FINEST_A = 2.0
# fraction of views spread over all orientations; the others are those of labels, rotated by this angle (root mean
# square)
_EVERYWHERE, _WIDENED_DEG = 0.25, 10.0
# CTFs kept for drawing from
_DIFFERENT_CTFS = 2048
# structures with more atoms become one point per residue or run of residues
_MOST_ATOMS = 5000
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class Priors:
    """Distribution of labelled particles: quaternions (n, 4), shifts (n, 2) in Å, amplitudes (n, M) in Å, CTF (k,
    coefficients) on the network's disc; and the widths that smooth shifts and amplitudes."""

    quaternion: Tensor
    shift_A: Tensor
    amplitudes: Tensor
    optics: Tensor
    shift_width_A: float
    amplitude_width_A: Tensor

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Quaternions, shifts, amplitudes and CTF of `count` images."""
        device = self.quaternion.device
        normal = lambda *shape: torch.randn(shape, generator=generator, device=device)  # noqa: E731
        one_of = lambda values: values[  # noqa: E731
            torch.randint(len(values), (count,), generator=generator, device=device)
        ]
        anywhere = torch.rand(count, generator=generator, device=device) < _EVERYWHERE
        half_turn = torch.rand(count, generator=generator, device=device) * torch.pi
        near = quaternion_product(_about_z(half_turn), self._widened(one_of(self.quaternion), normal(count, 3)))
        quaternion = torch.where(anywhere[:, None], torch.nn.functional.normalize(normal(count, 4), dim=1), near)
        shift = one_of(self.shift_A) + self.shift_width_A * normal(count, 2)
        amplitudes = one_of(self.amplitudes) + self.amplitude_width_A * normal(count, self.amplitudes.shape[1])
        return quaternion, shift, amplitudes, one_of(self.optics)

    @staticmethod
    def _widened(quaternion: Tensor, vector: Tensor) -> Tensor:
        """Orientations rotated by a few degrees; normal vectors (n, 3) of unit deviation give the directions."""
        half = vector * (np.radians(_WIDENED_DEG) / 2 / 3**0.5)
        turn = torch.nn.functional.normalize(torch.cat([torch.ones_like(half[:, :1]), half], dim=1), dim=1)
        return quaternion_product(quaternion, turn)


@dataclass(frozen=True, eq=False)
class SimulatedImages:
    """Makes batches of the network's input with their labels."""

    model: PointModel
    priors: Priors
    spectra: Spectra
    preprocess: Preprocess
    targets: tuple[str, ...]

    def digest(self) -> str:
        """Identifies the structure and modes."""
        digest = hashlib.sha256()
        motion = self.model.motion
        for tensor in (motion.rest_A, self.model.weights, *motion.parameters.values()):
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()

    def batch(self, count: int, generator: torch.Generator) -> tuple[Tensor, Labels]:
        """Images (count, 1, n, n) as `Preprocess` gives them, and their labels; generator: on the model's device."""
        device = self.model.weights.device
        disc = self.preprocess.disc(device)
        quaternion, shift, amplitudes, ctf = self.priors.draw(count, generator)
        seen = project(self.model, disc, self.preprocess.field_A, quaternion_to_matrix(quaternion), -shift, amplitudes)
        noise = torch.randn(2, count, len(disc), generator=generator, device=device)
        image = seen * ctf * self.spectra.transfer[disc.ring]
        image = image + torch.complex(*noise) * self.spectra.deviation(ctf, disc)
        labels = Labels(
            amplitudes=amplitudes if "amplitudes" in self.targets else None,
            quaternion=quaternion if "angles" in self.targets else None,
            shift_A=shift if "shifts" in self.targets else None,
        )
        # phases are flipped in the images, or here as the preprocess does where it whitens
        flip = bool(self.preprocess.noise) and not self.preprocess.phase_flipped
        return self.preprocess.of_coefficients(image * ctf.sign() if flip else image), labels


def simulated_images(
    particles: Particles, structure: Structure, modes: NormalModes, preprocess: Preprocess, targets: str,
    device: torch.device,
) -> SimulatedImages:  # fmt: skip
    """Images like those of labelled particles, whose amplitudes are along these modes of this structure.

    InputError if the particles have no poses.
    """
    model = PointModel.from_structure(structure, modes, device)
    if len(structure) > _MOST_ATOMS:
        groups = residue_groups(torch.as_tensor(structure.residue_index), len(structure))
        model = model.coarse_grained(groups.to(device))
    spectra = measured_spectra(particles, model).within(preprocess.disc(device).radius_px)
    priors = priors_of(particles, preprocess, device)
    return SimulatedImages(model, priors, spectra, preprocess, TARGETS[targets])


def measured_spectra(particles: Particles, model: PointModel) -> Spectra:
    """Transfer and noise of labelled images, from some of them, evenly spread over the set."""
    device, field_A = model.weights.device, particles.box_px * particles.pixel_size_A
    chosen = particles.select(evenly_spread(len(particles), _MEASURED))
    disc = disc_for(_FINEST_A, field_A, particles.box_px, device)
    images = torch.from_numpy(read_images(chosen)).to(device)
    data = disc.gather(images - images.mean(dim=(1, 2), keepdim=True))
    data = data / noise_levels(data, disc)[:, None]
    euler, shift = chosen.require_poses("training on simulated images")
    rotation = _tensor(euler_to_matrix(euler), device)
    place, bent = _tensor(-shift, device), _amplitudes(chosen, model, device)
    parts = [slice(i, i + _CHUNK) for i in range(0, len(chosen), _CHUNK)]
    seen = torch.cat([project(model, disc, field_A, rotation[p], place[p], bent[p]) for p in parts])
    return estimate_spectra(data, seen, _optics(chosen, disc, field_A), disc)


def priors_of(particles: Particles, preprocess: Preprocess, device: torch.device) -> Priors:
    """Distribution of labelled particles. Widths are half of Silverman's rule for a Gaussian sample (1986), because
    conformations of a molecule tend to lie along lines."""
    euler, shift = particles.require_poses("training on simulated images")
    q = particles.amplitudes if particles.amplitudes is not None else np.zeros((len(particles), 0))
    silverman = 0.5 * len(q) ** (-1 / (q.shape[1] + 4))
    disc = preprocess.disc(device)
    return Priors(
        quaternion=_tensor(matrix_to_quaternion(euler_to_matrix(euler)), device),
        shift_A=_tensor(shift, device),
        amplitudes=_tensor(q, device),
        optics=_optics(particles.select(evenly_spread(len(particles), _DIFFERENT_CTFS)), disc, preprocess.field_A),
        shift_width_A=0.25 * preprocess.network_pixel_size_A,
        amplitude_width_A=_tensor(silverman * q.std(axis=0), device),
    )


def _optics(particles: Particles, disc: FrequencyDisc, field_A: float) -> Tensor:
    """The CTF (n, coefficients) of the images as they are; 1 if it is not known."""
    if particles.ctf is None:
        return torch.ones(len(particles), len(disc), device=disc.device)
    ctf = ctf_at(particles.ctf, disc.kx / field_A, disc.ky / field_A)
    return ctf.abs() if particles.phase_flipped else ctf


def _amplitudes(particles: Particles, model: PointModel, device: torch.device) -> Tensor:
    if particles.amplitudes is None:
        return torch.zeros(len(particles), model.motion.n_modes, device=device)
    return _tensor(particles.amplitudes, device)


def _about_z(half: Tensor) -> Tensor:
    """Quaternions (n, 4) of rotations in the image plane by twice these angles (n,)."""
    zero = torch.zeros_like(half)
    return torch.stack([torch.cos(half), zero, zero, -torch.sin(half)], dim=1)


def _tensor(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float32, device=device)
