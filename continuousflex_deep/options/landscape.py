"""Options of the commands about the landscape: landscape, clusters, group, trajectory."""

from dataclasses import dataclass
from typing import Literal

from continuousflex_deep.options.modes import DeformOptions
from continuousflex_deep.options.schema import option, required, required_list
from continuousflex_deep.options.shared import ReductionMethod


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
