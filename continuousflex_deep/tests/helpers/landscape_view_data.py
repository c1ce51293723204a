"""A landscape's table for the tests of the viewer: three clouds in three coordinates, without files."""

import numpy as np

from continuousflex_deep.io.density_table import DensityTable
from continuousflex_deep.io.landscape_table import LandscapeTable
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.tests.helpers.structures import helix
from continuousflex_deep.viewers.landscape_data import LandscapeData
from continuousflex_deep.viewers.modes_data import ModesData, make_modes_data

CENTRES = np.array([[-150.0, 0.0, 0.0], [0.0, 60.0, 0.0], [150.0, 0.0, 30.0]])


def three_clouds(n: int = 600, seed: int = 0, stack: str = "none.mrcs") -> tuple[LandscapeData, np.ndarray]:
    """n particles, whose ids are not rows, and the cloud (n,) of each. Amplitudes are the coordinates, turned."""
    rng = np.random.default_rng(seed)
    cloud = rng.integers(0, 3, n)
    coordinates = CENTRES[cloud] + rng.normal(size=(n, 3)) * [25, 15, 8]
    turned = coordinates @ np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]
    table = LandscapeTable(
        ids=rng.permutation(n) * 3 + 5,
        coordinates=coordinates,
        labels=("PC1", "PC2", "PC3"),
        unit="Å",
        principal=True,
        mode_ids=(7, 8, 9),
        amplitudes=turned,
        distance=np.abs(rng.normal(size=n)),
        outlier=np.zeros(n, dtype=bool),
        source=1 + cloud % 2,
        source_names=("labelled", "predicted"),
        stack_names=(stack,),
        stack=np.zeros(n, dtype=np.int32),
        index=np.arange(n),
        box_px=16,
        pixel_size_A=4.0,
        amplitudes_sd=np.full((n, 3), 2.0),
        euler_deg=rng.uniform(0, 180, size=(n, 3)),
        shift_A=rng.normal(size=(n, 2)),
        score=rng.uniform(size=n),
        ambiguous=rng.uniform(size=n) > 0.9,
        angle_sd_deg=np.full(n, 0.3),
        shift_sd_A=np.full(n, 0.1),
        defocus_A=rng.uniform(5000, 20000, n),
    )
    return LandscapeData(table), cloud


def plane_density() -> DensityTable:
    """A density in the plane of the first two coordinates of three_clouds: a mound, twice as narrow if deconvolved."""
    x, y = np.linspace(-200, 200, 21), np.linspace(-50, 110, 9)
    square = (x[:, None] / 100) ** 2 + (y / 50) ** 2
    raw, deconvolved = np.exp(-square / 2), np.exp(-2 * square)
    return DensityTable(
        corner=np.array([x[0], y[0]]), spacing=np.array([20.0, 20.0]), raw=raw, deconvolved=deconvolved,
        low=deconvolved, high=deconvolved, error_sd=np.ones(2),
    )  # fmt: skip


def small_model() -> ModesData:
    """A helix of 40 residues, with three random unit modes of the numbers of three_clouds."""
    structure = helix(40)
    vectors = np.random.default_rng(3).normal(size=(3, len(structure), 3))
    vectors /= np.linalg.norm(vectors, axis=(1, 2), keepdims=True)
    return make_modes_data(structure, NormalModes((7, 8, 9), vectors))
