"""density.npz: what is written is read again, and other content is refused."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.density_table import DENSITY_NPZ, DensityTable, energy_of, read_densities, write_densities


def table(d: int) -> DensityTable:
    rng = np.random.default_rng(d)
    grids = {name: rng.uniform(0.1, 1, (5, 4)[:d]) for name in ("raw", "deconvolved", "low", "high")}
    return DensityTable(corner=rng.normal(size=d), spacing=np.full(d, 0.5), error_sd=np.ones(d), **grids)


def test_round_trip(tmp_path: Path) -> None:
    written = [table(1), table(2)]
    write_densities(tmp_path, written)
    for one, again in zip(written, read_densities(tmp_path), strict=True):
        for name, value in vars(one).items():
            np.testing.assert_array_equal(getattr(again, name), value)
    assert [len(axis) for axis in again.axes] == [5, 4]
    np.testing.assert_allclose(again.axes[0], again.corner[0] + 0.5 * np.arange(5))


def test_nothing_is_left_of_an_earlier_run(tmp_path: Path) -> None:
    write_densities(tmp_path, [table(1)])
    write_densities(tmp_path, [])
    assert read_densities(tmp_path) == []
    assert not (tmp_path / DENSITY_NPZ).exists()


def test_energy_is_zero_at_the_highest_density() -> None:
    density = np.array([0.1, 0.5, 0.2])
    np.testing.assert_allclose(energy_of(density, 0.5), [np.log(5), 0, np.log(2.5)])


def test_other_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / DENSITY_NPZ
    whole = vars(table(1))
    damages = [
        {"raw": None}, {"low": None}, {"raw": whole["raw"] * 0}, {"raw": whole["raw"] * np.nan}, {"low": np.ones(3)},
        {"corner": np.zeros(2)},
    ]  # fmt: skip
    for damage in damages:
        np.savez(path, **{f"{k}1": v for k, v in (whole | damage).items() if v is not None})
        with pytest.raises(FormatError, match=r"not a complete file of densities.*run the landscape command again"):
            read_densities(tmp_path)
    path.write_bytes(b"no archive")
    with pytest.raises(FormatError, match="not a complete file of densities"):
        read_densities(tmp_path)
