"""landscape.npz: what is written comes back, and what is none is an error."""

import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.landscape_table import LandscapeTable, read_landscape_table, write_landscape_table
from continuousflex_deep.io.stacks import read_images
from continuousflex_deep.landscape.landscape import make_landscape, write_landscape
from continuousflex_deep.tests.helpers.landscape_data import make_particles


@pytest.fixture
def table(tmp_path: Path) -> LandscapeTable:
    particles = make_particles(tmp_path, 40)
    landscape = make_landscape(particles, np.ones(40, dtype=np.int64), 2)
    write_landscape(tmp_path / "land", landscape, ("set1",))
    return read_landscape_table(tmp_path / "land")


def test_all_of_the_particles_is_there(table: LandscapeTable, tmp_path: Path) -> None:
    particles = make_particles(tmp_path, 40)
    assert (table.labels, table.unit, table.principal, table.mode_ids) == (("PC1", "PC2"), "Å", True, (7, 8, 10))
    assert (table.source_names, table.box_px, table.pixel_size_A) == (("set1",), 6, 2.0)
    np.testing.assert_array_equal(table.amplitudes, particles.amplitudes)
    np.testing.assert_array_equal(table.euler_deg, particles.euler_deg)
    np.testing.assert_array_equal(table.defocus_A, 11000)
    assert table.amplitudes_sd is None
    assert {"pc1", "dim2", "q10", "score", "defocus", "shift_y", "id"} <= set(table.columns())
    assert "angle_sd" not in table.columns()
    np.testing.assert_array_equal(read_images(table.image(7)), read_images(particles, [7]))


def test_folder_and_images_move_together(table: LandscapeTable, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    for name in ("land", "images.mrcs"):
        shutil.move(str(tmp_path / name), str(tmp_path / "new" / name))
    moved = read_landscape_table(tmp_path / "new" / "land")
    assert moved.stack_names == (str(tmp_path / "new" / "images.mrcs"),)


def test_what_is_not_known_stays_unknown(table: LandscapeTable, tmp_path: Path) -> None:
    bare = replace(table, euler_deg=None, score=None, defocus_A=None)
    write_landscape_table(tmp_path / "bare", bare)
    again = read_landscape_table(tmp_path / "bare")
    for f in fields(LandscapeTable):
        first, second = getattr(bare, f.name), getattr(again, f.name)
        assert (first is None) == (second is None), f.name
        if isinstance(first, np.ndarray):
            np.testing.assert_array_equal(first, second)
            assert first.dtype == second.dtype


def test_what_is_no_landscape(table: LandscapeTable, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="contains no landscape"):
        read_landscape_table(tmp_path)
    file = tmp_path / "land" / "landscape.npz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="run the landscape command again"):
        read_landscape_table(tmp_path / "land")
    write_landscape_table(tmp_path / "land", replace(table, score=table.score[:-1]))
    with pytest.raises(FormatError, match="score is float64 of shape"):
        read_landscape_table(tmp_path / "land")
    np.savez(file, ids=table.ids)
    with pytest.raises(FormatError, match="not a complete landscape"):
        read_landscape_table(tmp_path / "land")
