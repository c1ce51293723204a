"""Options of the commands about the landscape: landscape, clusters, group, trajectory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from continuousflex_deep.options.schema import Paths, Range, option, required, required_list
from continuousflex_deep.options.shared import (
    Place,
    StructureAtoms,
    landscape_option,
    map_option,
    modes_option,
    place_option,
    structure_option,
    voxel_size_option,
)

ReductionMethod = Literal[
    "pca", "kernel-pca", "lle", "hessian-lle", "ltsa", "modified-lle", "laplacian", "isomap", "tsne", "umap"
]  # fmt: skip
DensityKind = Literal["deconvolved", "raw"]
_OF_NEIGHBOURS = ("lle", "hessian-lle", "ltsa", "modified-lle", "laplacian", "isomap", "umap")
_CURVED = ("kernel-pca", *_OF_NEIGHBOURS, "tsne")
_SEEDS = 2**32 - 1  # the largest that numpy's older generators take


def density_option() -> Any:
    """How densities of particles are estimated."""
    return option(
        "deconvolved",
        "Density of the particles: deconvolved with the error bars of their amplitudes, so that errors do not widen "
        "states and lower barriers, or raw. Use raw if error bars are not to be trusted.",
        level="advanced",
    )


@dataclass(frozen=True)
class LandscapeOptions:
    """Map particles by their amplitudes into a few dimensions."""

    particles: Paths = required_list("Particle file with amplitudes. Repeat it to merge sets.", "input")
    output: str = required("Folder for the landscape.", "output")
    method: ReductionMethod = option(
        "pca",
        "Dimension reduction: principal components (pca), which are linear and map back exactly, or a nonlinear "
        "method, which is fitted to landmarks and maps back by a learned map. Choose one of these for curved motions.",
    )
    n_components: int = option(
        0,
        "Dimensions to keep; 0 keeps as many as there are modes, at most 10 (2 with nonlinear methods).",
        low=0,
        label="Dimensions",
    )
    outlier_distance: float = option(
        3.2,
        "Mahalanobis distance above which a particle is left out of the fit and marked as an outlier; 0 keeps all.",
        low=0.0,
    )
    density: DensityKind = density_option()
    n_neighbors: int = option(
        12,
        "Number of neighbours of a particle. Increase it if amplitudes are noisy (hessian-lle and ltsa: about 60).",
        low=2,
        high=1000,
        label="Neighbours",
        when={"method": _OF_NEIGHBOURS},
    )
    kernel_width_A: float = option(
        0.0,
        "Standard deviation of the Gaussian kernel; 0 takes the median distance between particles' amplitudes.",
        "Å",
        low=0.0,
        when={"method": ("kernel-pca",)},
    )
    perplexity: float = option(
        30.0, "Approximate number of neighbours of a particle.", low=1.0, high=1000.0, when={"method": ("tsne",)}
    )
    landmarks: int = option(
        3000,
        "Maximum number of particles that the method is fitted to; the others are placed by a learned map. Memory "
        "grows with its square, time with its cube.",
        low=10,
        high=20000,
        level="advanced",
        when={"method": _CURVED},
    )
    seed: int = option(
        0,
        "Random seed of landmarks, tsne, umap and the particles held out.",
        low=0,
        high=_SEEDS,
        level="advanced",
        when={"method": _CURVED},
    )


@dataclass(frozen=True)
class GroupOptions:
    """Select particles in a landscape: one group, or all groups in a file."""

    landscape: str = landscape_option()
    output: str = required("Particle file of the group (.star or .xmd); for a file of groups, a folder.", "output")
    groups: str = option(
        "",
        "File of named groups (.json), each of which gets a particle file. Give it instead of a condition, box or ids.",
        role="input",
        level="normal",
        label="File of groups",
    )
    expression: str = option(
        "",
        "Condition such as 'pc1 > 100 and abs(pc2) < 50'. It may also use q7, score, angle_sd, outlier, source and "
        "other columns.",
        label="Condition",
    )
    box: str = option("", "Ranges of coordinates, such as 'pc1:-100:100,pc2:0:50'.")
    ids: str = option("", "Text file with one particle id per line.", role="input", level="normal", label="File of ids")
    keep_outliers: bool = option(False, "Also select particles that are marked as outliers.")
    images: str = option(
        "",
        "Particle file with the same ids, whose images the group takes. Give the original file for a reconstruction "
        "at full resolution.",
        role="input",
    )


@dataclass(frozen=True)
class ClustersOptions:
    """Suggest groups of a landscape by clustering: Gaussian mixture or k-means."""

    landscape: str = landscape_option()
    output: str = required("File for the groups (.json), for the group command and the viewer.", "output")
    method: Literal["gmm", "kmeans"] = option(
        "gmm",
        "Clustering: a Gaussian mixture (gmm), which finds clusters of any width and reports how far they overlap, or "
        "k-means, which divides into parts of similar width.",
    )
    n_clusters: int = option(
        0,
        "Number of clusters; 0 selects it by the Bayesian information criterion among 1 to 10 (gmm), or by the "
        "silhouette among 2 to 10 (k-means).",
        low=0,
        high=99,
        label="Number of clusters",
    )
    dimensions: int = option(
        2, "Number of coordinates to use, from the first on; 0 takes all. At most as many as the landscape has.", low=0
    )
    n_fit: int = option(
        50000,
        "Maximum number of particles that clusters are fitted to, evenly distributed; all particles are assigned.",
        low=10,
        level="advanced",
        label="Maximum number of particles for the fit",
    )
    min_probability: float = option(
        0.0,
        "Probability of belonging to its cluster below which a particle is in no group. Increase it for groups that "
        "are clearly apart.",
        low=0.0,
        high=1.0,
        label="Minimum probability",
        when={"method": ("gmm",)},
    )
    seed: int = option(0, "Random seed of the starts of the fits.", low=0, high=_SEEDS, level="advanced")


@dataclass(frozen=True)
class TrajectoryOptions(StructureAtoms):
    """Compute a path through a landscape, and move the structure, and a map, along it."""

    landscape: str = landscape_option()
    structure: str = structure_option()
    modes: str = modes_option()
    output: str = required("Folder for the trajectory.", "output")
    kind: Literal["axis", "points", "density", "mep"] = option(
        "axis",
        "Path: along a principal axis, through given points, through maxima of the particles' density, or the "
        "minimum-energy path (mep) on the surface -kT ln p.",
        label="Path",
    )
    n_frames: int = option(20, "Number of frames, at equal steps of the path.", low=2, high=999, label="Frames")
    axis: int = option(1, "Number of the principal axis, from 1.", low=1, when={"kind": ("axis",)})
    percentiles: Range = option(
        (5.0, 95.0),
        "Ends of the path along the axis, as percentiles of the particles. Widen them to include rare conformations.",
        when={"kind": ("axis",)},
    )
    points: str = option(
        "",
        "Points to go through, or both ends of a minimum-energy path, such as '-100 20; 0 0; 80 -10': coordinates of "
        "the landscape, separated by semicolons.",
        when={"kind": ("points", "mep")},
    )
    points_file: str = option(
        "",
        "Text file with the points, one per line.",
        role="input",
        level="normal",
        label="File of points",
        when={"kind": ("points", "mep")},
    )
    dimensions: int = option(
        2, "Number of coordinates in which density and energy are computed.", low=1, high=3, level="advanced"
    )
    density: DensityKind = density_option()
    bandwidth: float = option(
        0.0,
        "Smoothing of the raw density, relative to Scott's rule; 0 selects it by cross-validation. Increase it if "
        "maxima are spurious.",
        low=0.0,
        high=10.0,
        level="advanced",
    )
    min_prominence_kT: float = option(
        0.5,
        "Rise of the energy between a density maximum and a denser one, below which the maximum is ignored. Increase "
        "it for fewer maxima.",
        "kT",
        low=0.0,
        level="advanced",
        label="Minimum prominence (kT)",
    )
    order: Literal["axis", "nearest"] = option(
        "axis",
        "Order of the density maxima: along the first axis, or from each to the nearest one.",
        level="advanced",
    )
    reload: str = option(
        "",
        "File trajectory.json of an earlier run, whose points are taken as they are.",
        role="input",
        level="normal",
        label="Saved trajectory",
    )
    movie: Literal["gif+mp4", "gif", "none"] = option(
        "gif+mp4",
        "Movies to make; an MP4 needs the program ffmpeg, and is left out without it.",
        level="advanced",
    )
    frames_per_second: int = option(10, "Speed of the movies.", low=1, high=50, level="advanced")
    map: str = map_option()
    place: Place = place_option()
    voxel_size_A: float = voxel_size_option()
