"""Several groups at once: a landscape split along an axis, one grey scale, and the movie of the series."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from continuousflex_deep.cli import main
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler, random_rotations
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.landscape.landscape import make_landscape, write_landscape
from continuousflex_deep.landscape.split import split_landscape
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.gaussian_particles import SIGMA_A, true_images, true_map
from continuousflex_deep.tests.helpers.landscape_data import make_particles

BOX, PIXEL_A, N, GROUPS = 24, 4.0, 240, 3
MOVES_A = 14.0  # of the blob, from the least to the greatest amplitude


def blob_images(rotations: np.ndarray, z_A: np.ndarray, box: int, pixel_A: float) -> np.ndarray:
    """Projections of a Gaussian at (20, 0, z) Å, which moves along z with the amplitude."""
    axis = (np.arange(box) - box // 2) * pixel_A
    places = np.stack([np.full(len(z_A), 20.0), np.zeros(len(z_A)), z_A], axis=1)
    seen = np.einsum("nij,nj->ni", rotations, places)[:, :2]
    g = [np.exp(-((axis - seen[:, i : i + 1]) ** 2) / (2 * SIGMA_A**2)) for i in (0, 1)]
    return 4 * SIGMA_A * np.sqrt(2 * np.pi) / pixel_A * g[1][:, :, None] * g[0][:, None, :]


def on_images(particles: Particles, path: Path, box: int, pixel_A: float, gain: np.ndarray) -> Particles:
    rotations = euler_to_matrix(particles.euler_deg)
    z_A = particles.amplitudes[:, 0] / 100 * MOVES_A / 2
    images = true_images(rotations, np.zeros((N, 2)), box, pixel_A) + blob_images(rotations, z_A, box, pixel_A)
    images = images * gain[:, None, None]
    images += np.random.default_rng(1).normal(size=images.shape) * np.abs(gain)[:, None, None] * 1.5
    write_stack(path, images.astype(np.float32), pixel_A)
    stacks = np.full(N, str(path), dtype=object)
    return particles.replace(stacks=stacks, indices=np.arange(N), box_px=box, pixel_size_A=pixel_A)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A landscape of a blob that moves along z, on small images, and the same particles at original size."""
    base = tmp_path_factory.mktemp("series")
    rng = np.random.default_rng(0)
    particles = Particles(
        ids=np.arange(1, N + 1),
        stacks=np.full(N, "", dtype=object),
        indices=np.arange(N),
        pixel_size_A=PIXEL_A,
        box_px=BOX,
        euler_deg=matrix_to_euler(random_rotations(N, rng)),
        shift_A=np.zeros((N, 2)),
        mode_ids=(7, 8),
        amplitudes=np.stack([rng.uniform(-100, 100, size=N), rng.normal(size=N)], axis=1),
    )
    small = on_images(particles, base / "small.mrcs", BOX, PIXEL_A, np.ones(N))
    write_landscape(base / "landscape", make_landscape(small, np.ones(N, dtype=np.int64)))
    # the groups' images differ in scale, as those of different micrographs may
    gain = np.where(particles.amplitudes[:, 0] < -100 / 3, 3.0, 1.0)
    large = on_images(particles, base / "large.mrcs", 32, 3.0, gain)
    write_particles(large.replace(euler_deg=None, shift_A=None, amplitudes=None, mode_ids=()), base / "large.star")
    return base


def blob_z_A(volume: np.ndarray, voxel_A: float) -> float:
    """Where the moving blob is along z: its centre of mass in a column about (20, 0) Å, less what stands there."""
    still = true_map(len(volume), voxel_A)
    axis = (np.arange(len(volume)) - len(volume) // 2) * voxel_A
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    column = ((x - 20) ** 2 + y**2 < 36) & (np.abs(z) < 20)
    rest = np.clip(volume - still, 0, None)[column]
    return float((rest * z[column]).sum() / rest.sum())


def test_landscape_is_reconstructed_as_a_series(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["reconstruct", "--landscape", str(folder / "landscape"), "--axis", "q7", "--groups", str(GROUPS)]
    words += ["--images", str(folder / "large.star"), "--output", str(folder / "out"), "--no-ctf", "--threads", "1"]
    assert main(words) == 0
    places = [folder / "out" / f"group_{g}" for g in range(1, GROUPS + 1)]
    maps = [read_volume(place / "map.mrc") for place in places]
    kept = int((~np.load(folder / "landscape" / "landscape.npz")["outlier"]).sum())
    record = json.loads((folder / "out" / "record.json").read_text())
    assert sum(g["particles"] for g in record["groups"]) == kept
    found = [blob_z_A(*pair) for pair in maps]
    expected = [g["mean"] / 100 * MOVES_A / 2 for g in record["groups"]]
    assert np.diff(found).min() > 0.5 * np.diff(expected).min() > 1
    for place, (volume, voxel) in zip(places, maps, strict=True):
        assert volume.shape == (32,) * 3
        assert voxel == pytest.approx(3.0)
        assert all((place / name).is_file() for name in ("half1.mrc", "half2.mrc", "fsc.csv", "fsc.png"))
        assert len(read_particles(place / "particles.star")) in (kept // GROUPS, kept // GROUPS + 1)
    # the first group's images were three times as strong
    factors = [g["multiplied_by"] for g in record["groups"]]
    assert factors[1] / factors[0] == pytest.approx(3, rel=0.2)
    still = true_map(32, 3.0)
    away = (still > 0.5) & (np.arange(32)[None, None, :] < 18)  # from the blob that moves
    heights = [volume[away].mean() for volume, _ in maps]
    assert max(heights) / min(heights) < 1.15
    assert "group 3 of 3: q7" in capsys.readouterr().out


def test_movie_and_script_show_all_groups(folder: Path) -> None:
    if not (folder / "out").is_dir():
        test_landscape = ["reconstruct", "--landscape", str(folder / "landscape"), "--groups", "3", "--no-ctf"]
        assert main([*test_landscape, "--output", str(folder / "out"), "--threads", "1"]) == 0
    with Image.open(folder / "out" / "series.gif") as movie:
        assert movie.n_frames == 2 * GROUPS - 2
        frames = []
        for k in range(movie.n_frames):
            movie.seek(k)
            frames.append(np.asarray(movie.convert("L"), dtype=float))
    assert np.abs(frames[0] - frames[2]).max() > 50
    script = (folder / "out" / "series.cxc").read_text().splitlines()
    assert script[0] == 'open "group_1/map.mrc" "group_2/map.mrc" "group_3/map.mrc" vseries true'
    level = float(script[1].split()[-1])
    for g in range(1, GROUPS + 1):
        volume = read_volume(folder / "out" / f"group_{g}" / "map.mrc")[0]
        assert 0.002 < (volume > level).mean() < 0.1


def test_several_particle_files_have_one_contrast(folder: Path, tmp_path: Path) -> None:
    landscape = read_particles(folder / "landscape" / "landscape.star")
    dark = on_images(landscape, tmp_path / "dark.mrcs", BOX, PIXEL_A, -np.ones(N))
    order = np.argsort(landscape.amplitudes[:, 0])
    words = ["reconstruct", "--no-ctf", "--threads", "1", "--output", str(tmp_path / "out")]
    for name, rows in (("low", order[: N // 2]), ("high", order[N // 2 :])):
        write_particles(dark.select(rows), tmp_path / f"{name}.star")
        words += ["--particles", str(tmp_path / f"{name}.star")]
    assert main(words) == 0
    for g in (1, 2):
        volume, voxel_A = read_volume(tmp_path / "out" / f"group_{g}" / "map.mrc")
        assert np.corrcoef(volume.ravel(), true_map(BOX, voxel_A).ravel())[0, 1] > 0.6
        assert json.loads((tmp_path / "out" / f"group_{g}" / "record.json").read_text())["maps_inverted"]


def test_split_by_numbers_and_widths(tmp_path: Path) -> None:
    landscape = make_landscape(make_particles(tmp_path), np.ones(200, dtype=np.int64))
    inside = np.flatnonzero(~landscape.outlier)
    pc1 = landscape.coordinates[:, 0]
    for by in ("numbers", "widths"):
        parts = split_landscape(landscape, "pc1", 4, by)
        assert sorted(np.concatenate([p.rows for p in parts]).tolist()) == inside.tolist()
        for before, after in pairwise(parts):
            assert pc1[before.rows].max() <= pc1[after.rows].min()
        for part in parts:
            values = pc1[part.rows]
            assert (part.low, part.high) == (values.min(), values.max())
            assert part.mean == pytest.approx(values.mean())
        counts, widths = [len(p.rows) for p in parts], [p.high - p.low for p in parts]
        if by == "numbers":
            assert max(counts) - min(counts) <= 1
        else:
            assert max(widths) <= np.ptp(pc1[inside]) / 4 + 1e-9
            assert max(counts) > min(counts) + 1
    everything = split_landscape(landscape, "q8", 2, keep_outliers=True)
    assert sum(len(p.rows) for p in everything) == 200


def test_splits_that_cannot_be_made(tmp_path: Path) -> None:
    particles = make_particles(tmp_path)
    landscape = make_landscape(particles, np.ones(200, dtype=np.int64))
    with pytest.raises(InputError, match="got 'pc9', but this landscape has pc1, pc2"):
        split_landscape(landscape, "pc9", 3)
    with pytest.raises(InputError, match=r"all \d+ particles have the value 11000"):
        split_landscape(landscape, "defocus", 3)
    with pytest.raises(InputError, match="each needs 4; use fewer --groups or --split numbers"):
        split_landscape(landscape, "pc1", 40, "widths", least=4)
    with pytest.raises(InputError, match=r"each needs 4; use fewer --groups$"):
        split_landscape(landscape, "pc1", 90, least=4)


def test_groups_that_cannot_be_reconstructed(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = folder / "landscape" / "landscape.star"
    large = read_particles(folder / "large.star")
    posed = read_particles(small)
    write_particles(large.replace(euler_deg=posed.euler_deg, shift_A=posed.shift_A), tmp_path / "large.star")
    output = ["--output", str(tmp_path / "out"), "--no-ctf"]
    for words, message in [
        ([], "got neither"),
        (["--particles", str(small), "--landscape", str(folder / "landscape")], "got both"),
        (["--landscape", str(tmp_path)], "landscape.star"),
        (["--particles", str(small), "--particles", str(tmp_path / "large.star")], "32 px of 3 Å, those of landscape"),
        (["--landscape", str(folder / "landscape"), "--groups", "1"], "expected 2 to 99"),
    ]:
        assert main(["reconstruct", *words, *output]) == 2, message
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
