"""Measures of benchmarks/peers.py on cases whose answer is known, and the processes that it starts."""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.benchmarks import BENCHMARKS


@pytest.fixture
def measures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import peers_measures  # type: ignore[import-not-found]

    return peers_measures


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import peers_programs  # type: ignore[import-not-found]

    return peers_programs


# --------------------------------------------------------------------------------------------------- latent coordinates
def test_a_linear_image_of_the_truth_explains_it(measures: ModuleType) -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(200, 2))
    latents = truth @ rng.normal(size=(2, 5)) + 3.0
    assert measures.explained(latents, truth) == pytest.approx(1.0)
    assert measures.order(latents, np.tanh(truth[:, 0])) > 0.99
    assert measures.order(-latents, truth[:, 0]) == pytest.approx(1.0)  # latent space has no sign


def test_noise_of_known_variance_leaves_its_share(measures: ModuleType) -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(20_000, 1))
    latents = truth + rng.normal(size=truth.shape)  # of a latent of variance 2, half is the truth
    assert measures.explained(latents, truth) == pytest.approx(0.5, abs=0.02)
    spearman = 6 / np.pi * np.arcsin(np.sqrt(0.5) / 2)  # of normal variables that correlate by √½
    assert measures.order(latents, truth[:, 0]) == pytest.approx(spearman, abs=0.01)


def test_many_latents_without_information_explain_nothing(measures: ModuleType) -> None:
    """What is fitted to a particle is not measured on it."""
    rng = np.random.default_rng(3)
    truth, latents = rng.normal(size=(60, 1)), rng.normal(size=(60, 30))
    assert measures.explained(latents, truth) < 0
    assert abs(measures.order(latents, truth[:, 0])) < 0.4


def test_neighbours(measures: ModuleType) -> None:
    """On a line, and on one whose even and odd places are far apart: two of the four nearest stay the nearest, and each
    particle is near itself."""
    line = np.arange(400.0)[:, None]
    assert measures.neighbourhood_similarity(line, 5 - 3 * line, 8) == pytest.approx(1.0)
    halves = np.where(np.arange(400) % 2 == 0, 0.0, 1e6)[:, None] + line
    assert measures.neighbourhood_similarity(line, halves, 4) == pytest.approx(3 / 5, abs=0.01)
    rng = np.random.default_rng(4)
    chance = measures.neighbourhood_similarity(rng.normal(size=(1500, 2)), rng.normal(size=(1500, 2)), 100)
    assert chance == pytest.approx((1 + 100**2 / 1499) / 101, rel=0.05)


def test_equal_conformations_have_no_order_among_them(measures: ModuleType) -> None:
    """Ten particles of each of five: of the four neighbours of one of its nine equals, any four are as good. No value
    depends on the order of the particles."""
    rng = np.random.default_rng(5)
    truth = np.repeat(np.arange(5.0), 10)[:, None]
    latents = truth + 0.01 * rng.normal(size=truth.shape)
    assert measures.neighbourhood_similarity(truth, latents, 9) == pytest.approx(1.0)
    assert measures.neighbourhood_similarity(truth, latents, 4) == pytest.approx((1 + 4 * 4 / 9) / 5)
    assert measures.information_imbalance(latents, truth) == pytest.approx(2 * 5 / 50)  # ranks 1 to 9 are equal
    shuffled = rng.permutation(50)
    for measure in (measures.information_imbalance, lambda a, b: measures.neighbourhood_similarity(a, b, 7)):
        assert measure(truth[shuffled], latents[shuffled]) == pytest.approx(measure(truth, latents))


def test_information_imbalance(measures: ModuleType) -> None:
    """A curve determines its place, and its place the curve; a coordinate of a square is determined by the point, which
    it does not determine; independent points tell nothing of each other."""
    rng = np.random.default_rng(6)
    n = 1000
    assert measures.information_imbalance(np.arange(n)[:, None], np.arange(n)[:, None] ** 3.0) < 4 / n
    square, other = rng.uniform(size=(n, 2)), rng.uniform(size=(n, 2))
    assert measures.information_imbalance(square, square[:, :1]) < 0.1
    assert measures.information_imbalance(square[:, :1], square) > 0.3
    assert measures.information_imbalance(square, other) == pytest.approx(1.0, abs=0.05)


def test_many_particles_are_measured_in_blocks(measures: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    truth, latents = rng.normal(size=(90, 2)), rng.normal(size=(90, 3))
    whole = measures.information_imbalance(truth, latents), measures.neighbourhood_similarity(truth, latents, 6)
    monkeypatch.setattr(measures, "_BLOCK", 1000)
    parts = measures.information_imbalance(truth, latents), measures.neighbourhood_similarity(truth, latents, 6)
    assert parts == pytest.approx(whole)


# --------------------------------------------------------------------------------------------------- maps
def test_fsc_of_maps_with_known_noise(measures: ModuleType) -> None:
    """White noise of the variance of a white map: 1/√2 in all shells."""
    rng = np.random.default_rng(8)
    volume, noise = rng.normal(size=(2, 32, 32, 32))
    best = (32 / 2 - 1) / 32
    assert measures.area_under_fsc(measures.fsc(volume, volume)) == pytest.approx(best)
    assert measures.area_under_fsc(measures.fsc(volume, 3 * volume + 5)) == pytest.approx(best)  # but at the origin
    assert measures.area_under_fsc(measures.fsc(volume, -volume)) == pytest.approx(0.5 / 32)
    curve = measures.fsc(volume, volume + noise)
    np.testing.assert_allclose(curve[8:], np.sqrt(0.5), atol=0.05)


def test_shells_of_the_fsc(measures: ModuleType) -> None:
    """Shell i has the radii from i - 1 to below i: maps that agree from 3 to below 4 alone agree in shell 4."""
    rng = np.random.default_rng(10)
    first, second = np.fft.fftn(rng.normal(size=(2, 24, 24, 24)), axes=(1, 2, 3))
    k = np.fft.fftfreq(24, 1 / 24)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    shared = np.where((radius >= 3) & (radius < 4), first, second)
    curve = measures.fsc(np.fft.ifftn(first).real, np.fft.ifftn(shared).real)
    assert curve[4] == pytest.approx(1.0)
    assert curve[0] == 1
    assert max(abs(curve[[2, 3, 5, 6, 7, 8, 9, 10, 11]])) < 0.7


def test_poses_in_another_frame(programs: ModuleType) -> None:
    """The image shows each point where it was."""
    import peers_sets  # type: ignore[import-not-found]

    rng = np.random.default_rng(9)
    particles = Particles(
        ids=np.arange(1, 4), stacks=np.full(3, "images.mrcs", dtype=object), indices=np.arange(3), pixel_size_A=1.0,
        box_px=64, euler_deg=matrix_to_euler(Rotation.random(3, 1).as_matrix()), shift_A=rng.normal(size=(3, 2)),
    )  # fmt: skip
    points, turn, shift_A = rng.normal(size=(8, 3)), Rotation.random(None, 2).as_matrix(), np.array([3.0, -2, 7])
    moved = peers_sets.posed(particles, turn, shift_A)
    seen, seen_there = (
        np.einsum("kij,nj->kni", euler_to_matrix(p.euler_deg)[:, :2], x) - p.shift_A[:, None]
        for p, x in ((particles, points), (moved, points @ turn + shift_A))
    )
    np.testing.assert_allclose(seen_there, seen, atol=1e-9)


# --------------------------------------------------------------------------------------------------- processes
BUSY = """
import time
held, end = bytearray(300 << 20), time.process_time() + 0.3
while time.process_time() < end: pass
"""


def test_cost_of_a_process_and_of_what_it_starts(programs: ModuleType, tmp_path: Path) -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}], check=True)"
    cost = programs.measured([sys.executable, "-c", child], tmp_path / "log", 60.0)
    assert cost.wall_s > 0.3
    assert 0.3 < cost.cpu_s < 5
    assert 0.29 < cost.memory_GiB < 0.6
    both = cost + programs.Cost(1.0, 2.0, 0.1)
    assert (both.cpu_s, both.memory_GiB) == (cost.cpu_s + 2, cost.memory_GiB)


def test_a_process_that_fails_or_takes_too_long(programs: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(programs.Unfinished, match=r"^failed: ValueError: no poses \(all of it in .*log\)$"):
        programs.measured([sys.executable, "-c", "raise ValueError('no poses')"], tmp_path / "log", 60.0)
    with pytest.raises(programs.Unfinished, match=r"^not at its end after 0\.3 s$"):
        programs.measured([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", 0.3)


def test_what_has_finished_is_not_run_again(programs: ModuleType, tmp_path: Path) -> None:
    processes = programs.Processes(tmp_path, 1, 60.0)
    words = [sys.executable, "-c", f"open({str(tmp_path / 'runs')!r}, 'a').write('x')"]
    cost = processes.once("a", words)
    assert processes.once("a", words) == cost
    assert (tmp_path / "runs").read_text() == "x"
    with pytest.raises(SystemExit, match="has 'a' of other options; give another --folder"):
        processes.once("a", [*words, "more"])
    with pytest.raises(programs.Unfinished):
        processes.once("b", [sys.executable, "-c", "raise SystemExit(1)"])
    assert [path.name for path in (tmp_path / "finished").iterdir()] == ["a.json"]


def test_a_peer_that_is_not_installed(programs: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(programs.Unfinished, match=r"has no recovar, expected 1.0.5; .*pip install recovar==1.0.5"):
        programs.require_installed("recovar", Path(sys.executable))
    with pytest.raises(programs.Unfinished, match=r"there is no program '.*python' to run recovar"):
        programs.require_installed("recovar", tmp_path / "python")
    python = program(tmp_path / "python", "#!/bin/sh\necho 3.4.1\n")
    with pytest.raises(programs.Unfinished, match=r"has 3.4.1 cryodrgn, expected 4.3.1"):
        programs.require_installed("cryodrgn", python)


def program(path: Path, text: str) -> Path:
    """An executable file."""
    path.write_text(text)
    path.chmod(0o755)
    return path


RECOVAR = f"""#!{sys.executable}
import pathlib, sys
import numpy as np
from continuousflex_deep.io.maps import write_volume
assert pathlib.Path("given.star").is_file(), "run in the folder of the particles"
output = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
if sys.argv[1] == "pipeline":
    assert sys.argv[2] == "given.star" and sys.argv[sys.argv.index("--zdim") + 1] == "2"
    (output / "model" / "zdim_2").mkdir(parents=True)
    np.save(output / "model" / "zdim_2" / "latent_coords.npy", np.arange(6.0).reshape(3, 2))
else:
    assert sys.argv[1] == "compute_state" and (pathlib.Path(sys.argv[2]) / "model").is_dir()
    output.mkdir()
    for number, point in enumerate(np.loadtxt(sys.argv[sys.argv.index("--latent-points") + 1])):
        write_volume(output / f"state{{number:03d}}.mrc", np.full((4, 4, 4), point.sum(), np.float32), 1.0)
"""


def test_a_peer_from_a_relative_folder(
    programs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in RECOVAR's place that reads and writes files where RECOVAR 1.0.5 does."""
    monkeypatch.chdir(tmp_path)
    for folder in ("bin", "images", "recovar"):
        (tmp_path / folder).mkdir()
    (tmp_path / "images" / "given.star").touch()
    program(tmp_path / "bin" / "recovar", RECOVAR)
    python = program(tmp_path / "bin" / "python", "#!/bin/sh\necho 1.0.5\n")
    place = programs.require_installed("recovar", python.relative_to(tmp_path))
    source, output = tmp_path / "images" / "given.star", tmp_path / "recovar"
    peer = programs.PEERS["recovar"](programs.Processes(tmp_path, 1, 60.0), place, source, output, 2, 1, 1)
    latents, cost = peer.latents()
    np.testing.assert_array_equal(latents, np.arange(6.0).reshape(3, 2))
    maps, of_maps = peer.maps(latents[:2])
    assert [volume.mean() for volume in maps] == [1, 5]
    assert min(cost.cpu_s, of_maps.cpu_s) > 0


def test_cost_is_kept_as_json(programs: ModuleType, tmp_path: Path) -> None:
    programs.Processes(tmp_path, 0, 60.0).once("a", [sys.executable, "-c", "pass"])
    assert set(json.loads((tmp_path / "finished" / "a.json").read_text())["cost"]) == {"wall_s", "cpu_s", "memory_GiB"}
