"""Nonlinear embeddings of a few thousand amplitude vectors by scikit-learn, and by UMAP where it is installed.

The numbers of neighbours, particles and dimensions that a method needs are checked before its library is called.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components
from sklearn.decomposition import KernelPCA
from sklearn.manifold import TSNE, Isomap, LocallyLinearEmbedding, SpectralEmbedding
from sklearn.neighbors import kneighbors_graph

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import InputError, MissingDependencyError
from continuousflex_deep.landscape.coordinate_maps import KernelMap, median_distance

_DENSE = 4000  # landmarks up to which the whole matrix is decomposed, which always converges
_TSNE_DIMENSIONS = 3  # the most that the Barnes-Hut algorithm can do


@dataclass(frozen=True)
class EmbeddingSettings:
    """n_components: dimensions. n_neighbors: of the neighbourhood graphs. kernel_width_A: w of kernel PCA's Gaussian
    exp(−d²/2w²), 0 for the median distance between particles. perplexity: of t-SNE. seed: of all random numbers."""

    n_components: int
    n_neighbors: int = 12
    kernel_width_A: float = 0.0
    perplexity: float = 30.0
    seed: int = 0


def embed(method: str, x: Floats, settings: EmbeddingSettings) -> tuple[Floats, KernelMap | None]:
    """Coordinates (m, k) of distinct amplitudes (m, M) in Å, and the method's own exact map where it has one.

    The coordinates of Isomap are geodesic distances in Å. Those of t-SNE and UMAP are not scaled. Eigenvectors, whose
    scale is arbitrary, are scaled to a standard deviation of 1 along the first one. Each column is centred (except with
    t-SNE and UMAP) and has the sign that makes its largest correlation with an amplitude positive.
    Raises InputError for more dimensions or neighbours than possible and for a disconnected neighbourhood graph.
    """
    if method not in _EMBEDDINGS:
        raise InputError(f"unknown method '{method}'; expected one of {', '.join(_EMBEDDINGS)}")
    _validate(method, x, settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about defaults that are set here or have no effect
        y, own = _EMBEDDINGS[method](x, settings)
    y = np.asarray(y, dtype=np.float64)
    if not np.isfinite(y).all():
        raise InputError(f"{method}: the coordinates are not finite; select another method or other parameters")
    shift, factor = np.zeros(y.shape[1]), np.ones(y.shape[1])
    if method in SCALED:
        shift, spread = y.mean(axis=0), float(y[:, 0].std())
        if spread <= 0:
            raise InputError(f"{method}: all particles have the same coordinates; select other parameters")
        factor /= spread
    factor *= _signs(x, y)
    if own is not None:
        own = KernelMap(own.centres, own.coefficients * factor, own.slope, (own.offset - shift) * factor, own.width)
    return (y - shift) * factor, own


def _validate(method: str, x: Floats, settings: EmbeddingSettings) -> None:
    m, k, neighbours = len(x), settings.n_components, settings.n_neighbors
    if method == "tsne":
        if k > _TSNE_DIMENSIONS:
            raise InputError(f"--n-components: got {k}, but t-SNE has at most {_TSNE_DIMENSIONS} dimensions")
        if settings.perplexity >= m:
            raise InputError(
                f"--perplexity: got {settings.perplexity:g}, expected less than the number of distinct particles, {m}"
            )
    if k > m - 2:
        raise InputError(f"{method}: got {m} distinct particles, expected at least {k + 2} for {k} dimensions")
    if method not in NEIGHBOURS:
        return
    if neighbours >= m:
        raise InputError(
            f"--n-neighbors: got {neighbours}, but only {m} distinct particles are fitted; give {m - 1} or fewer"
        )
    least = k * (k + 3) // 2 + 1 if method == "hessian-lle" else k + 1
    if neighbours < least:
        raise InputError(
            f"--n-neighbors: got {neighbours}, but {method} needs {least} or more for {k} dimensions; give more "
            "neighbours or fewer dimensions"
        )
    graph = kneighbors_graph(x, neighbours)
    pieces, labels = connected_components(graph, directed=False)
    if pieces > 1 and method != "umap":
        sizes = np.sort(np.bincount(labels))[::-1]
        raise InputError(
            f"{method}: with {neighbours} neighbours the particles form {pieces} groups that are not connected (of "
            f"{', '.join(map(str, sizes[:5]))}{', …' if pieces > 5 else ''} particles); give more --n-neighbors or a "
            "smaller --outlier-distance"
        )


def _kernel_pca(x: Floats, settings: EmbeddingSettings) -> tuple[Floats, KernelMap]:
    """Kernel PCA by Schölkopf, Smola & Müller (Neural Comput. 10, 1998); new particles by eq. 3.11, kernels centred.

    The coefficients of each component sum to zero, so that the centring of a new particle's kernels is a constant.
    """
    width = settings.kernel_width_A or median_distance(x, np.random.default_rng(settings.seed))
    model = KernelPCA(settings.n_components, kernel="rbf", gamma=0.5 / width**2, random_state=settings.seed)
    y = model.fit_transform(x)
    if y.shape[1] < settings.n_components or (model.eigenvalues_ <= 0).any():
        raise InputError(
            f"kernel-pca: the particles have fewer than {settings.n_components} kernel components; give fewer "
            "--n-components"
        )
    coefficients = model.eigenvectors_ / np.sqrt(model.eigenvalues_)
    flat = np.zeros((x.shape[1], y.shape[1]))
    bare = KernelMap(x, coefficients, flat, np.zeros(y.shape[1]), np.array(width))
    offset = (y - bare(x)).mean(axis=0)
    return y, KernelMap(x, coefficients, flat, offset, bare.width)


def _locally_linear(variant: str) -> Callable[[Floats, EmbeddingSettings], tuple[Floats, None]]:
    def run(x: Floats, settings: EmbeddingSettings) -> tuple[Floats, None]:
        model = LocallyLinearEmbedding(
            n_neighbors=settings.n_neighbors,
            n_components=settings.n_components,
            method=variant,
            eigen_solver="dense" if len(x) <= _DENSE else "arpack",
            random_state=settings.seed,
        )
        try:
            return model.fit_transform(x), None
        except (ValueError, np.linalg.LinAlgError) as error:
            raise InputError(f"locally linear embedding ({variant}): {error}; try other --n-neighbors") from error

    return run


def _laplacian(x: Floats, settings: EmbeddingSettings) -> tuple[Floats, None]:
    model = SpectralEmbedding(
        settings.n_components,
        affinity="nearest_neighbors",
        n_neighbors=settings.n_neighbors,
        random_state=settings.seed,
        eigen_solver="arpack",
    )
    return model.fit_transform(x), None


def _isomap(x: Floats, settings: EmbeddingSettings) -> tuple[Floats, None]:
    return Isomap(n_neighbors=settings.n_neighbors, n_components=settings.n_components).fit_transform(x), None


def _tsne(x: Floats, settings: EmbeddingSettings) -> tuple[Floats, None]:
    model = TSNE(settings.n_components, perplexity=settings.perplexity, init="pca", random_state=settings.seed)
    return model.fit_transform(x), None


def _umap(x: Floats, settings: EmbeddingSettings) -> tuple[Floats, None]:
    try:
        import umap
    except ImportError as error:
        raise MissingDependencyError(
            f"--method umap needs umap-learn, which cannot be imported ({error}); install it with pip install "
            "umap-learn, or select another method"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a seed restricts it to one thread, which is intended
        model = umap.UMAP(
            n_neighbors=settings.n_neighbors, n_components=settings.n_components, random_state=settings.seed
        )
        return model.fit_transform(x), None


def _signs(x: Floats, y: Floats) -> Floats:
    """Sign (k,) of the largest covariance of each column of y (m, k) with a column of x (m, M)."""
    covariance = (y - y.mean(axis=0)).T @ (x - x.mean(axis=0))
    largest = covariance[np.arange(len(covariance)), np.abs(covariance).argmax(axis=1)]
    return np.where(largest < 0, -1.0, 1.0)


_EMBEDDINGS: dict[str, Callable[[Floats, EmbeddingSettings], tuple[Floats, KernelMap | None]]] = {
    "kernel-pca": _kernel_pca,
    "lle": _locally_linear("standard"),
    "hessian-lle": _locally_linear("hessian"),
    "ltsa": _locally_linear("ltsa"),
    "modified-lle": _locally_linear("modified"),
    "laplacian": _laplacian,
    "isomap": _isomap,
    "tsne": _tsne,
    "umap": _umap,
}
NEIGHBOURS = frozenset({"lle", "hessian-lle", "ltsa", "modified-lle", "laplacian", "isomap", "umap"})
SCALED = frozenset({"kernel-pca", "lle", "hessian-lle", "ltsa", "modified-lle", "laplacian"})  # to unit variance
