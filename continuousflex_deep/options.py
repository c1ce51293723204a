"""One frozen dataclass of options per command: the only home of defaults, help texts and units.

The command line, Scipion's forms, the JSON option files and their validation are all derived from these fields.
"""

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import require_file

T = TypeVar("T")
REQUIRED = "\0required"  # the default of a path that must be given
Fit = Literal["both", "pose", "conformation"]  # what an alignment is to find
ReductionMethod = Literal[
    "pca", "kernel-pca", "lle", "hessian-lle", "ltsa", "modified-lle", "laplacian", "isomap", "tsne", "umap"
]  # fmt: skip


def option(default: Any, text: str, unit: str = "", low: float | None = None, high: float | None = None) -> Any:
    """A field with its help text, unit and (inclusive) bounds."""
    return field(default=default, metadata={"help": text, "unit": unit, "low": low, "high": high})


def required(text: str) -> Any:
    """A field that must be given."""
    return field(default=REQUIRED, metadata={"help": text, "unit": "", "low": None, "high": None})


def required_list(text: str) -> Any:
    """A list of at least one value that must be given."""
    return field(default=(), metadata={"help": text, "unit": "", "low": None, "high": None, "required": True})


@dataclass(frozen=True)
class _Particles:
    particles: str = required("particle file (.star of RELION, .xmd of Xmipp, .cs of cryoSPARC)")


@dataclass(frozen=True)
class _Compute:
    device: str = option("auto", "where to compute: auto (the GPU when there is one), cpu, cuda or cuda:N")
    threads: int = option(0, "CPU threads; 0 takes all cores that this process may use", low=0)


@dataclass(frozen=True)
class _Flexible:
    structure: str = required("atomic structure or pseudoatoms (.pdb, .cif)")
    modes: str = required("folder of normal modes (vec.7, vec.8, …)")
    mode_list: str = option("7-9", "modes to use, for example 7-9 or '7 8 11'; 1-6 are rigid-body and not allowed")


ATOMS_CUTOFF_A, ATOMS_BLOCK_SIZE = 8.0, 10  # of the elastic network of atoms
PSEUDOATOMS_CUTOFF_PERCENT, PSEUDOATOMS_BLOCK_SIZE = 95.0, 0  # and of pseudoatoms


@dataclass(frozen=True)
class _Xmipp:
    xmipp_method: Literal["wavelets", "projections"] = option(
        "wavelets",
        "Xmipp's rigid-body alignment: wavelets and splines (boxes of a power of two), or projection matching (faster)",
    )
    xmipp_step_deg: float = option(10.0, "Xmipp's step of the orientation search", "°", 1.0, 30.0)
    xmipp_trust_region: float = option(
        1.0, "scale of Xmipp's first trust-region radius; up to 2 where large motions are expected", low=0.01, high=10.0
    )
    xmipp_processes: int = option(1, "MPI processes of Xmipp's program; 1 runs the serial one", low=1)
    xmipp_launcher: str = option(
        "mpirun -np {processes} {command}", "how Xmipp's program is started on several processes"
    )
    xmipp_home: str = option("", "folder of Xmipp's bin and lib; by default that of XMIPP_HOME, then PATH")


@dataclass(frozen=True)
class NmaOptions:
    """Normal modes of a structure by an elastic network, of atoms with rotating and translating blocks."""

    structure: str = required("atomic structure or pseudoatoms (.pdb, .cif)")
    output: str = required("folder for the modes")
    cutoff_A: float = option(
        0.0,
        f"atoms closer than this are joined by a spring; 0 takes {ATOMS_CUTOFF_A:g} Å for atoms, and for pseudoatoms "
        f"the cutoff of {PSEUDOATOMS_CUTOFF_PERCENT:g}% of their distances (see the percentage)",
        "Å",
        low=0.0,
        high=100.0,
    )
    cutoff_percent: float = option(
        0.0,
        "instead of a cutoff in Å: this percentile of the distances from each atom to its 3 nearest ones, as "
        "ContinuousFlex's relative cutoff, widened so that every atom has 6 springs; 0 for none",
        "%",
        low=0.0,
        high=100.0,
    )
    block_size: int = option(
        -1,
        f"residues (of pseudoatoms: neighbours) in a rigid block; 0 for no blocks, -1 takes {ATOMS_BLOCK_SIZE} for "
        "atoms and no blocks for pseudoatoms",
        low=-1,
    )
    n_modes: int = option(20, "number of modes, the six rigid-body ones included", low=7)
    collectivity_threshold: float = option(
        0.15, "modes below this collectivity are marked as not recommended", low=0.0, high=1.0
    )
    hydrogens: bool = option(False, "keep hydrogens")
    engine: Literal["embedded", "elnemo"] = option(
        "embedded", "what computes the modes: the embedded network, or elNemo's programs where they are installed"
    )
    elnemo_home: str = option("", "folder of elNemo's programs; by default that of NMA_HOME, then PATH")


@dataclass(frozen=True)
class ModesOptions:
    """Choose modes: by energy and collectivity, or by the motion towards another conformation; with animations."""

    structure: str = required("atomic structure or pseudoatoms that the modes were computed from (.pdb, .cif)")
    modes: str = required("folder of normal modes (vec.7, vec.8, …)")
    output: str = required("folder for the table, the picture and the animations")
    target: str = option("", "another conformation of the same molecule (.pdb, .cif), to see which modes lead there")
    mode_list: str = option("", "modes to choose, for example 7-9 or '7 8 11'; by default those that are suggested")
    explained_percent: float = option(
        90.0,
        "with a target, the fewest modes are suggested that hold this share of what all collective ones hold of its "
        "squared difference",
        "%",
        low=1.0,
        high=100.0,
    )
    max_energy: float = option(
        5.0,
        "without a target, modes are suggested whose energy for a motion of the same size is at most this many times "
        "that of the slowest collective one",
        low=1.0,
    )
    collectivity_threshold: float = option(
        NmaOptions.collectivity_threshold, "modes below this collectivity are not suggested", low=0.0, high=1.0
    )
    swing_rmsd_A: float = option(
        2.5, "how far atoms are from the structure at both ends of an animation, and in tables (RMSD)", "Å", low=0.01
    )


@dataclass(frozen=True)
class PseudoatomsOptions:
    """An EM map as pseudoatoms: equal Gaussians that can have normal modes as atoms do."""

    map: str = required("EM map (.mrc), its density positive")
    output: str = required("pseudoatoms (.pdb)")
    sigma_A: float = option(0.0, "standard deviation of the Gaussians; 0 takes 1.5 voxels", "Å", low=0.0)
    threshold: str = option(
        "auto",
        "voxels of at least this density are approximated; auto: Otsu's threshold of the map smoothed by the Gaussian, "
        "which is told",
    )
    mask: str = option("", "map (.mrc) that is above 0.5 where to approximate, instead of a threshold")
    target_error_percent: float = option(
        5.0,
        "pseudoatoms are added until the difference from the map, noise apart, is this much of it (root mean square); "
        "of Xmipp's engine, the mean difference in percent of the map's range, which for the same pseudoatoms is the "
        "smaller number (0.5 to 0.8 of the other)",
        "%",
        0.1,
        50,
    )
    max_pseudoatoms: int = option(20000, "no more than these, of the embedded engine", low=4)
    invert: bool = option(False, "the map's density is negative: invert it")
    voxel_size_A: float = option(0.0, "voxel size where the map's header does not say", "Å", low=0.0)
    engine: Literal["embedded", "xmipp"] = option(
        "embedded", "what places the pseudoatoms: the embedded engine, or Xmipp's program where Xmipp is installed"
    )
    xmipp_home: str = option("", "folder of Xmipp's bin and lib; by default that of XMIPP_HOME, then PATH")
    threads: int = option(0, "CPU threads of Xmipp's program; 0 takes all cores that this process may use", low=0)


@dataclass(frozen=True)
class DeformOptions:
    """A structure, and a map with it, moved along normal modes: to a conformation, between groups, or to and fro."""

    structure: str = required("atomic structure or pseudoatoms that the modes were computed from (.pdb, .cif)")
    modes: str = required("folder of normal modes (vec.7, vec.8, …)")
    output: str = required("folder for the frames")
    mode_list: str = option(
        "", "modes to move along, for example 7-9; by default those of the particles, and otherwise 7"
    )
    amplitudes: str = option(
        "",
        "the conformation to go to, one amplitude in Å for each mode, such as '100 -50 0'; several, separated by "
        "semicolons, are a path from the first to the last",
    )
    particles: tuple[str, ...] = option(
        (),
        "particles, such as a group, whose mean amplitudes are the conformation to go to; repeat for a path through "
        "the means of several groups",
    )
    swing_rmsd_A: float = option(
        ModesOptions.swing_rmsd_A,
        "without amplitudes or particles the structure swings along one mode, and this is how far atoms are from it at "
        "both ends (RMSD)",
        "Å",
        low=0.01,
    )
    n_frames: int = option(10, "number of frames", low=1, high=999)
    map: str = option("", "EM map (.mrc) to move along with the structure, which lies in it")
    place: Literal["auto", "middle", "centre", "header"] = option(
        "auto",
        "where the structure's coordinates are in the map: their origin at its voxel d//2 (middle), as of pseudoatoms; "
        "their weighted centre there (centre); or at the origin of its header (header); auto takes middle for "
        "pseudoatoms, and for atoms the one at which the map is densest, which is told",
    )
    voxel_size_A: float = option(0.0, "voxel size where the map's header does not say", "Å", low=0.0)


@dataclass(frozen=True)
class SimulateOptions(_Flexible):
    """Images with known truth: conformations along modes, poses, CTF and noise before and after it."""

    output: str = required("folder for images and truth")
    count: int = option(1000, "number of images", low=1)
    conformations: Literal["trajectory", "uniform", "gaussian", "linear"] = option(
        "trajectory",
        "how amplitudes are drawn: the paper's Eq. 1 (three modes), or uniform, Gaussian or linear (one path) over the "
        "range",
    )
    amplitude_range: float = option(
        200.0, "largest amplitude (uniform, linear, trajectory) or two standard deviations (gaussian)", "Å"
    )
    box_px: int = option(256, "box of the images as simulated", "px", low=16)
    pixel_size_A: float = option(0.325, "pixel size of the images as simulated", "Å", low=0.05)
    shift_range_px: float = option(
        5.0, "shifts are uniform between minus and plus this, in pixels of the simulated box", "px", low=0.0
    )
    rot_range_deg: tuple[float, float] = option((0.0, 360.0), "range of rot", "°")
    tilt_range_deg: tuple[float, float] = option((0.0, 180.0), "range of tilt", "°")
    psi_range_deg: tuple[float, float] = option((0.0, 360.0), "range of psi", "°")
    tilt_sampling: Literal["uniform-angle", "uniform-sphere"] = option(
        "uniform-angle", "tilt uniform in angle, as in the paper, or uniform on the sphere"
    )
    voltage_kV: float = option(200.0, "acceleration voltage", "kV", low=10.0)
    cs_mm: float = option(2.0, "spherical aberration", "mm", low=0.0)
    amplitude_contrast: float = option(0.1, "amplitude contrast", low=0.0, high=1.0)
    defocus_A: tuple[float, float] = option((5000.0, 5000.0), "range of defocus, positive for underfocus", "Å")
    astigmatism_A: float = option(0.0, "largest difference of the two defoci", "Å", low=0.0)
    ctf: bool = option(True, "apply the CTF")
    b_factor_A2: float = option(
        50.0, "B-factor that blurs the atoms; 50 gives the sharpness of images that Xmipp simulates", "Å²", low=0.0
    )
    snr: float = option(
        0.1,
        "signal-to-noise ratio: variance of the signal after the CTF over that of all noise; 0 for no noise",
        low=0.0,
    )
    noise_before_ctf: float = option(
        0.5, "share of the added noise's variance that is added before the CTF", low=0.0, high=1.0
    )
    phase_flip: bool = option(True, "phase flip the images")
    final_box_px: int = option(
        128, "box after low-pass filtering and reduction; 0 keeps the simulated one", "px", low=0
    )
    seed: int = option(0, "random seed")
    threads: int = option(0, "CPU threads; 0 takes all cores that this process may use", low=0)


@dataclass(frozen=True)
class PreprocessOptions(_Particles):
    """Phase flip, reduce and normalise particle images."""

    output: str = required("folder for the new stack and its STAR file")
    pixel_size_A: float = option(0.0, "pixel size of the images where their file does not say", "Å", low=0.0)
    box: int = option(0, "new box; the field of view stays, the pixel size grows; 0 keeps the box", "px", low=0)
    phase_flip: bool = option(False, "phase flip (only where the images are not flipped yet)")
    normalize: bool = option(
        False, "mean 0 and deviation 1 of the pixels outside the particle (a centred disc of radius 0.45 boxes)"
    )
    invert: bool = option(False, "invert the contrast")


@dataclass(frozen=True)
class AlignOptions(_Xmipp, _Flexible, _Particles, _Compute):
    """HEMNMA: pose and normal-mode amplitudes of every particle."""

    output: str = required("particle file with poses and amplitudes (.star or .xmd)")
    engine: Literal["embedded", "xmipp"] = option(
        "embedded", "which engine aligns: the embedded one, or Xmipp's HEMNMA where Xmipp is installed"
    )
    modes: str = option("", "folder of normal modes (vec.7, vec.8, …); needed unless only poses are to be found")
    init: Literal["global", "local"] = option(
        "global", "search all orientations, or start from those in the particle file"
    )
    fit: Fit = option(
        "both",
        "what to find: pose and amplitudes; the pose alone, in the conformation that the particle file gives (without "
        "amplitudes there: that of the structure); or the conformation alone, at the poses of the particle file",
    )
    pixel_size_A: float = option(0.0, "pixel size of the images where their file does not say", "Å", low=0.0)
    search_above_deg: float = option(
        0.0,
        "with a local start, search all orientations where the particle file's deviation of the angle is above this, "
        "and where a particle shows weakly afterwards; 0: nowhere",
        "°",
        0,
        180,
    )
    local_step_deg: float = option(
        12.0,
        "a local start also tries poses turned by this about each axis, both ways; 0 takes the given pose alone",
        "°",
        0,
        60,
    )
    n_hypotheses: int = option(32, "orientations per particle that are refined after the search", low=1)
    motion_prior_A: float = option(
        3.7,
        "how far atoms are expected to move along a mode (RMSD of one standard deviation of its amplitude)",
        "Å",
        0.01,
    )
    angular_step_deg: float = option(15.0, "step of the orientation search", "°", low=4.0, high=30.0)
    finest_resolution_A: float = option(
        0.0,
        "use no detail finer than this, so that a reconstruction may be compared with the reference "
        "beyond it without bias; 0: as fine as the images carry information",
        "Å",
        low=0.0,
    )
    symmetry: str = option(
        "c1", "point group of the structure (c1, c2, …, d2, …; main axis along z): poses that look the same are one"
    )
    max_shift_percent: float = option(
        10.0, "largest shift that is searched, in percent of the box", "%", low=0.0, high=40.0
    )
    calibration_particles: int = option(
        256, "particles from which noise, transfer and contrast sign are estimated", low=1
    )
    batch: int = option(
        0,
        "particles at a time; 0 takes 64 on a CPU and 512 on a GPU, and of Xmipp's engine 16 for each of its processes",
        low=0,
    )


@dataclass(frozen=True)
class TrainOptions(_Particles, _Compute):
    """Train the network on labelled particles."""

    output: str = required("folder for the model, its checkpoints and curves")
    structure: str = option("", "structure of the labels, to learn from simulated images of it first (with --modes)")
    modes: str = option("", "folder of the normal modes of the labels, for simulated images")
    pixel_size_A: float = option(0.0, "pixel size of the images where their file does not say", "Å", low=0.0)
    recipe: Literal["default", "paper"] = option("default", "ours, or the article's to the letter")
    targets: Literal["recipe", "all", "separate", "amplitudes", "angles", "shifts"] = option(
        "recipe",
        "what the network learns: all three by one joint network (default recipe), each by a network of its own "
        "(separate; the article's), or one of them alone",
    )
    backbone: Literal["resnet18", "resnet34", "resnet50", "resnet101"] = option(
        "resnet34", "feature extractor; the article's is resnet34"
    )
    rotation: Literal["recipe", "euler", "quaternion", "matrix"] = option(
        "recipe", "how the network expresses a rotation: 3, 4 or 9 numbers"
    )
    augment: Literal["recipe", "off", "in-plane", "mirror"] = option(
        "recipe", "train on copies: off, in-plane (turned and displaced), or mirror (seen from the other side, too)"
    )
    box: int = option(0, "images are reduced to this box for the network; 0 keeps theirs", "px", low=0)
    epochs: int = option(0, "passes over the training set; 0 is the recipe's", low=0)
    simulated_images: int = option(
        -1,
        "simulated images to learn from first, with --structure and --modes; -1 is the recipe's, or none where a "
        "network is fine-tuned",
        low=-1,
    )
    batch: int = option(0, "images a step; 0 is the recipe's", low=0)
    learning_rate: float = option(0.0, "Adam's largest step; 0 is the recipe's", low=0.0)
    change: str = option(
        "", "other values of the recipe, such as 'schedule=step patience=20'; docs/network.md lists them"
    )
    start_from: str = option("", "model folder to start from instead of random weights (fine-tuning)")
    validation_percent: float = option(10.0, "share of particles held out for validation", "%", low=1.0, high=50.0)
    outlier_distance: float = option(
        3.2, "labels farther than this Mahalanobis distance in amplitude are left out; 0 keeps all", low=0.0
    )
    keep_ambiguous: bool = option(
        False, "also train on particles marked ambiguous, whose labels may be wrong by a whole orientation"
    )
    half_sets: bool = option(
        False,
        "also train two networks on halves of the particles, whose disagreement tells how far trainings vary, "
        "where no truth is known (infer --half-sets); takes three times as long",
    )
    checkpoint_seconds: float = option(
        60.0, "time between checkpoints; a killed training loses at most this", "s", low=0.0
    )
    resume: bool = option(False, "go on from the last checkpoint in the output folder, where there is one")
    deterministic: bool = option(False, "use only algorithms that give the same result every time, even if slower")
    seed: int = option(0, "random seed", low=0)
    workers: int = option(2, "threads that read images ahead", low=0)


@dataclass(frozen=True)
class InferOptions(_Particles, _Compute):
    """Predict poses and amplitudes with a trained network."""

    model: tuple[str, ...] = required_list("model folder; repeat for networks trained separately")
    output: str = required("particle file with the predictions (.star or .xmd)")
    pixel_size_A: float = option(0.0, "pixel size of the images where their file does not say", "Å", low=0.0)
    mode_list: str = option(
        "", "modes that the prediction must be for, for example 7-9; by default those of the network"
    )
    polish: bool = option(False, "refine each prediction by the HEMNMA engine")
    structure: str = option("", "structure, for polishing")
    modes: str = option("", "folder of normal modes, for polishing")
    search_above_deg: float = option(
        20.0,
        "when polishing, particles whose predicted angle is uncertain by more than this, and those that show weakly in "
        "their polished pose, get the engine's full search; 0: none",
        "°",
        0,
        180,
    )
    half_sets: bool = option(
        False,
        "also ask the networks trained on halves (train --half-sets), and report how far they disagree, beside the "
        "errors that the network expects of itself",
    )
    batch: int = option(256, "images at a time", low=1)
    workers: int = option(2, "threads that read images ahead", low=0)


@dataclass(frozen=True)
class LandscapeOptions:
    """Map particles by their amplitudes into a few dimensions."""

    particles: tuple[str, ...] = required_list("particle file with amplitudes; repeat to merge sets")
    output: str = required("folder for the landscape")
    method: ReductionMethod = option(
        "pca",
        "how dimensions are reduced: principal components, which are linear and lead back exactly, or a curved method, "
        "which is fitted to landmarks and leads back by a learned map",
    )
    n_components: int = option(
        0, "dimensions kept; 0 keeps as many as there are modes, at most 10 (with other methods than pca: 2)", low=0
    )
    outlier_distance: float = option(
        3.2, "particles farther than this Mahalanobis distance are left out of the fit and marked; 0 keeps all", low=0.0
    )
    n_neighbors: int = option(
        12,
        "neighbours of a particle in lle, hessian-lle, ltsa, modified-lle, laplacian, isomap and umap; more are needed "
        "where amplitudes are noisy (hessian-lle and ltsa: about 60)",
        low=2,
        high=1000,
    )
    kernel_width_A: float = option(
        0.0,
        "kernel-pca: deviation of the Gaussian kernel; 0 takes the median distance between particles' amplitudes",
        "Å",
        low=0.0,
    )
    perplexity: float = option(30.0, "tsne: about how many neighbours count for a particle", low=1.0, high=1000.0)
    landmarks: int = option(
        3000,
        "other methods than pca are fitted to at most this many particles, spread as all are; the others are placed by "
        "a learned map. Memory grows with the square, time with the cube",
        low=10,
        high=20000,
    )
    seed: int = option(0, "seed of what is random: landmarks, tsne, umap, particles held out", low=0, high=2**32 - 1)


@dataclass(frozen=True)
class GroupOptions:
    """Select particles of a landscape: one group, or those of a file of groups."""

    landscape: str = required("folder that the landscape command wrote")
    output: str = required("particle file of the group (.star or .xmd); of a file of groups, a folder")
    groups: str = option(
        "", "instead of a condition, box or ids: file of named groups (.json), each of which gets a particle file"
    )
    expression: str = option(
        "", "condition such as 'pc1 > 100 and abs(pc2) < 50'; also q7, score, angle_sd, outlier, source, …"
    )
    box: str = option("", "box such as 'pc1:-100:100,pc2:0:50'")
    ids: str = option("", "text file with one particle id a line")
    keep_outliers: bool = option(False, "also select particles marked as outliers")
    images: str = option(
        "", "particle file with the same ids whose images (say, at original size) the group should name"
    )


@dataclass(frozen=True)
class ClustersOptions:
    """Suggest groups of a landscape: the Gaussian clouds that its particles form, or their parts by k-means."""

    landscape: str = required("folder that the landscape command wrote")
    output: str = required("file for the groups (.json), which the group command and the viewer take")
    method: Literal["gmm", "kmeans"] = option(
        "gmm",
        "a mixture of Gaussians (gmm), which finds clouds of any width and says how far they overlap, or k-means, "
        "which cuts into parts of similar width",
    )
    n_clusters: int = option(
        0,
        "number of clusters; 0 chooses it: by the Bayesian information criterion among 1 to 10 (gmm), or by the "
        "silhouette among 2 to 10 (k-means)",
        low=0,
        high=99,
    )
    dimensions: int = option(
        2, "coordinates that count, from the first on, at most as many as the landscape has; 0 takes all", low=0
    )
    n_fit: int = option(
        50000, "clusters are fitted to at most this many particles, evenly spread; all are assigned", low=10
    )
    min_probability: float = option(
        0.0, "of gmm: particles that belong to their cluster with less probability are in no group", low=0.0, high=1.0
    )
    seed: int = option(0, "seed of what is random: where fits start", low=0, high=2**32 - 1)


@dataclass(frozen=True)
class TrajectoryOptions:
    """A path through a landscape, and the structure, and a map, that move along it."""

    landscape: str = required("folder that the landscape command wrote")
    structure: str = required("atomic structure or pseudoatoms that the modes were computed from (.pdb, .cif)")
    modes: str = required("folder of normal modes (vec.7, vec.8, …)")
    output: str = required("folder for the trajectory")
    kind: Literal["axis", "points", "density", "mep"] = option(
        "axis",
        "the path: along a principal axis, through given points, through maxima of the particles' density, or the "
        "minimum-energy path (mep) on the surface -kT ln p",
    )
    n_frames: int = option(20, "points of the path, at equal steps, and frames", low=2, high=999)
    axis: int = option(1, "principal axis of kind axis, counted from 1", low=1)
    percentiles: tuple[float, float] = option(
        (5.0, 95.0), "where a path along an axis begins and ends, in percent of the particles that lie below"
    )
    points: str = option(
        "",
        "places to go through, or both ends of a minimum-energy path, such as '-100 20; 0 0; 80 -10': coordinates of "
        "the landscape, separated by semicolons",
    )
    points_file: str = option("", "text file with the same, one place a line")
    dimensions: int = option(2, "coordinates in which density and energy are computed", low=1, high=3)
    bandwidth: float = option(
        0.0, "smoothing of the density, relative to Scott's rule; 0 chooses it by cross-validation", low=0.0, high=10.0
    )
    min_prominence_kT: float = option(
        0.5, "how far the energy must rise between a maximum of the density and a denser one", "kT", low=0.0
    )
    order: Literal["axis", "nearest"] = option(
        "axis", "the order of density maxima: along the first axis, or each time to the nearest one"
    )
    reload: str = option("", "trajectory.json of an earlier run, whose points are taken as they are")
    movie: Literal["gif+mp4", "gif", "none"] = option(
        "gif+mp4", "movies to make; an MP4 needs the program ffmpeg and is left out where there is none"
    )
    frames_per_second: int = option(10, "speed of the movies", low=1, high=50)
    map: str = option("", DeformOptions.__dataclass_fields__["map"].metadata["help"])
    place: Literal["auto", "middle", "centre", "header"] = option(
        "auto", DeformOptions.__dataclass_fields__["place"].metadata["help"]
    )
    voxel_size_A: float = option(0.0, "voxel size where the map's header does not say", "Å", low=0.0)


@dataclass(frozen=True)
class ReconstructOptions(_Compute):
    """3D reconstruction of groups from their poses, with half maps and FSC; of several groups also a movie."""

    particles: tuple[str, ...] = option(
        (), "particle file of a group (.star of RELION, .xmd of Xmipp, .cs of cryoSPARC); repeat for several groups"
    )
    output: str = required("folder for maps and FSC curves")
    landscape: str = option("", "instead of particle files: folder that the landscape command wrote, split into groups")
    axis: str = option("pc1", "of a landscape: axis along which it is split: pc1, pc2, …, q7, …")
    groups: int = option(5, "of a landscape: number of consecutive groups along the axis", low=2, high=99)
    split: Literal["numbers", "widths"] = option(
        "numbers", "of a landscape: groups of equal numbers of particles, or of equal widths along the axis"
    )
    keep_outliers: bool = option(False, "of a landscape: also take particles marked as outliers")
    images: str = option("", "particle file with the same ids whose images (say, at original size) are used instead")
    reference: str = option("", "map to compare with (.mrc)")
    mask_diameter_A: float = option(
        0.0, "diameter of the soft spherical mask for the masked FSC; 0 takes 0.9 of the box", "Å", low=0.0
    )
    symmetry: str = option("c1", "point group: c1, c2, …, d2, …")
    ctf: bool = option(True, "weight by the CTF")
    batch: int = option(64, "images at a time, of the embedded engine", low=1)
    engine: Literal["embedded", "relion", "xmipp"] = option(
        "embedded",
        "what reconstructs: the embedded engine, or relion_reconstruct or xmipp_reconstruct_fourier where they are "
        "installed",
    )
    local_filter: bool = option(
        False, "also write the local resolution, and a map filtered by it, from the half maps within the mask"
    )
    local_window_A: float = option(
        0.0, "width of the window for the local resolution; 0 takes 7 times the map's resolution", "Å", low=0.0
    )
    relion_home: str = option("", "folder of RELION's bin; by default that of RELION_HOME, then PATH")
    xmipp_home: str = option("", "folder of Xmipp's bin and lib; by default that of XMIPP_HOME, then PATH")


@dataclass(frozen=True)
class UnbendOptions(_Flexible, _Particles, _Compute):
    """One map of the structure's conformation from particles of all conformations, their motion undone."""

    output: str = required("folder for maps and FSC curves")
    mode_list: str = option("", "modes whose motion is undone, for example 7-9; by default all that the particles have")
    images: str = option("", "particle file with the same ids whose images (say, at original size) are used instead")
    reference: str = option("", "map of the structure's conformation to compare with (.mrc)")
    mask_diameter_A: float = option(
        0.0, "diameter of the soft spherical mask for the masked FSC; 0 takes 0.9 of the box", "Å", low=0.0
    )
    ctf: bool = option(True, "weight by the CTF")
    batch: int = option(64, "images at a time", low=1)


@dataclass(frozen=True)
class ConvertOptions(_Particles):
    """Particles from one program's file to another's: .star, .xmd or .cs in, .star (RELION 3.1) or .xmd out."""

    output: str = required("particle file to write (.star for RELION, .xmd for Xmipp)")
    images: str = option(
        "",
        "particle file with the same ids whose images, optics groups and other columns are taken (say, the original "
        "one, for results that were found on reduced images)",
    )
    xmd_modes: str = option(
        "", "modes of the amplitudes in an .xmd file that does not name them, for example 7-9; by default 7, 8, …"
    )
    pixel_size_A: float = option(0.0, "pixel size of the images where their file does not say", "Å", low=0.0)


@dataclass(frozen=True)
class EvaluateOptions(_Flexible, _Compute):
    """Compare poses and amplitudes with the truth, as the paper's Tables 1 to 4, and groups' maps with centroids."""

    particles: tuple[str, ...] = required_list(
        "particle file with results; repeat to compare several with the truth and with each other"
    )
    modes: str = option("", "folder of normal modes (vec.7, vec.8, …); needed where particles have amplitudes")
    truth: str = option("", "particle file with the true poses and amplitudes; without it, results are compared alone")
    mode_list: str = option(
        "",
        "modes along which results are compared, for example 7-9; by default those of the particles. Centroids of "
        "groups are along all modes of the groups",
    )
    reconstruction: tuple[str, ...] = option(
        (),
        "folder that the reconstruct command wrote, of one group or several; repeat for more. Each map is compared "
        "with that of the structure in the mean conformation of the group's particles",
    )
    b_factor_A2: float = option(
        SimulateOptions.b_factor_A2,
        "B-factor that blurs the atoms of these structures; it matters to correlations in a mask, hardly to others",
        "Å²",
        low=0.0,
    )
    lost_deg: float = option(
        5.0,
        "a particle farther than this from its true orientation counts as lost",
        "°",
        low=0.0,
    )
    symmetry: str = option(
        "c1",
        "point group of a rigid structure (c1, c2, …, d2, …; main axis along z): orientations that look the same are "
        "one",
    )
    bound: bool = option(
        False, "add the Cramér-Rao bound of the first file's particles, from the noise of their images"
    )
    output: str = option(
        "",
        "folder for tables (text, Markdown, CSV), errors of every particle, curves, centroids and pictures; or a file "
        "NAME.json for the figures alone; the tables are printed in any case",
    )


@dataclass(frozen=True)
class CompareOptions(_Xmipp, _Flexible, _Particles, _Compute):
    """Align the same particles with both engines, and print their times and differences."""

    output: str = required("folder for the two particle files and the table")
    truth: str = option("", "particle file with the true poses and amplitudes, to compare both with it, too")
    count: int = option(0, "particles to align, evenly spread over the file; 0 takes all", low=0)
    pixel_size_A: float = option(0.0, "pixel size of the images where their file does not say", "Å", low=0.0)
    lost_deg: float = option(
        5.0, "a particle farther than this from the other orientation counts as lost", "°", low=0.0
    )


@dataclass(frozen=True)
class ReportOptions:
    """Results as one HTML file for any browser: landscape with selections, moving structure, maps, curves, tables."""

    output: str = required("HTML file to write, such as report.html")
    title: str = option("", "what the page is called; by default after what it shows first")
    landscape: str = option("", "folder that the landscape command wrote")
    group: tuple[str, ...] = option(
        (), "group to show in the landscape: particle file (.star, .xmd, .cs), or file of named groups (.json); repeat"
    )
    structure: str = option(
        "", "atomic structure or pseudoatoms (.pdb, .cif) to show in the conformations of particles, with --modes"
    )
    modes: str = option("", "folder of the structure's normal modes (vec.7, vec.8, …)")
    trajectory: tuple[str, ...] = option((), "folder that the trajectory command wrote; repeat for several")
    reconstruction: tuple[str, ...] = option(
        (), "folder that the reconstruct or unbend command wrote, of one map or several; repeat for more"
    )
    model: tuple[str, ...] = option((), "folder that the train command wrote, for its curves; repeat for several")
    evaluation: tuple[str, ...] = option((), "what evaluate --output wrote; repeat for several")
    max_points: int = option(
        50_000, "of larger landscapes this many particles, evenly spread, are drawn as points", low=100, high=1_000_000
    )
    max_megabytes: float = option(
        60.0,
        "of particles that are not drawn, ids, coordinates and amplitudes are kept in the page, for selections and the "
        "density, while they are no more than this before compression",
        "MB",
        low=0.0,
        high=1000.0,
    )


@dataclass(frozen=True)
class DoctorOptions:
    """Say what is installed and what works here."""


def from_mapping(cls: type[T], values: dict[str, Any]) -> T:
    """Options from names and values. Unknown names, wrong kinds, values out of bounds and missing ones: InputError."""
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise InputError(f"unknown options {unknown}; {cls.__name__} has {sorted(fields)}")
    hints = get_type_hints(cls)
    checked = {name: _converted(name, value, hints[name]) for name, value in values.items()}
    result = cls(**checked)
    for name, f in fields.items():
        value = getattr(result, name)
        if value == REQUIRED or (f.metadata.get("required") and not value):
            raise InputError(f"option --{name.replace('_', '-')} is required: {f.metadata['help']}")
        low, high = f.metadata["low"], f.metadata["high"]
        if (low is not None and value < low) or (high is not None and value > high):
            between = f"{'−∞' if low is None else low} to {'∞' if high is None else high} {f.metadata['unit']}".strip()
            raise InputError(f"option --{name.replace('_', '-')}: got {value}, expected {between}")
    return result


def read_options_file(path: str | Path) -> dict[str, Any]:
    """The names and values of a JSON options file."""
    file = require_file(path, "options file")
    try:
        values = json.loads(file.read_text())
    except ValueError as error:
        raise FormatError(f"'{file}' is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise FormatError(f"'{file}': expected one JSON object with option names and values")
    return values


def write_options_file(path: str | Path, options: Any) -> None:
    """Write options as JSON that read_options_file and from_mapping take back."""
    Path(path).write_text(json.dumps(dataclasses.asdict(options), indent=2) + "\n")


def value_from_text(name: str, text: str, hint: Any) -> Any:
    """The value of an option's type that a text stands for. InputError where it stands for none."""
    switch = {"true": True, "false": False}
    return _converted(name, switch.get(text.lower(), text) if hint is bool else text, hint)


def _converted(name: str, value: Any, hint: Any) -> Any:
    try:
        return _convert(value, hint)
    except (TypeError, ValueError) as error:
        flag = name.replace("_", "-")
        raise InputError(f"option --{flag}: got {value!r}, expected {_described(hint)}") from error


def _convert(value: Any, hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in args:
            raise ValueError
        return value
    if origin is tuple:
        if isinstance(value, str) or (args[-1] is not Ellipsis and len(value) != len(args)):
            raise ValueError
        return tuple(_convert(v, args[0]) for v in value)
    if hint is bool:
        if not isinstance(value, bool):
            raise ValueError
        return value
    if hint is int and (isinstance(value, bool) or float(value) != int(value)):
        raise ValueError
    if hint is str and not isinstance(value, str):
        raise ValueError
    if hint is float and (isinstance(value, bool) or not math.isfinite(float(value))):
        raise ValueError
    return hint(value)


def _described(hint: Any) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin is tuple:
        return "a list" if args[-1] is Ellipsis else f"{len(args)} values"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[hint]
