"""Scipion's objects to Particles and back."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    pytest.skip(scipion_missing(), allow_module_level=True)

from pwem.convert.transformations import euler_matrix
from pwem.objects import NormalMode, Particle, SetOfNormalModes, SetOfParticles, SetOfParticlesFlex
from pyworkflow.object import CsvList

from continuousflex_deep import convert
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler, random_rotations, rotation_distance_deg
from continuousflex_deep.io.amplitude_density import AmplitudeDensity
from continuousflex_deep.io.modes import NormalModes, read_modes, write_modes
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.io.star import parse_star
from continuousflex_deep.io.xmipp import modes_table, write_xmd
from continuousflex_deep.particles import HELICAL, STRAIGHT, Ctf, Particles

pytestmark = [pytest.mark.scipion, pytest.mark.usefixtures("scipion_home")]
RNG = np.random.default_rng(5)


@pytest.fixture
def particles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Particles:
    """Eight particles with everything known of them, and ids that are not their rows."""
    monkeypatch.chdir(tmp_path)
    n = 8
    stack = tmp_path / "Runs" / "images.mrcs"
    stack.parent.mkdir()
    write_stack(stack, RNG.normal(size=(n, 16, 16)).astype(np.float32), 2.5)
    optics = {name: np.full(n, x) for name, x in (("voltage_kV", 300.0), ("cs_mm", 2.7), ("amplitude_contrast", 0.07))}
    return Particles(
        ids=np.array([41, 7, 12, 3, 90, 55, 23, 68]),
        stacks=np.array([str(stack)] * n, dtype=object),
        indices=np.arange(n)[::-1].copy(),
        pixel_size_A=2.5,
        box_px=16,
        ctf=Ctf(
            defocus_u_A=RNG.uniform(10000, 20000, n),
            defocus_v_A=RNG.uniform(5000, 9000, n),
            defocus_angle_deg=RNG.uniform(0, 179, n),
            phase_shift_deg=RNG.uniform(10, 90, n),
            **optics,
        ),
        phase_flipped=True,
        euler_deg=matrix_to_euler(random_rotations(n, RNG)),
        shift_A=RNG.normal(size=(n, 2)) * 5,
        mode_ids=(7, 9, 12),
        amplitudes=RNG.normal(size=(n, 3)) * 100,
        amplitudes_sd=RNG.uniform(1, 2, (n, 3)),
        free_amplitudes=RNG.normal(size=(n, 3)) * 100,
        free_amplitudes_sd=RNG.uniform(1, 2, (n, 3)),
        angle_sd_deg=RNG.uniform(0, 1, n),
        shift_sd_A=RNG.uniform(0, 1, n),
        score=RNG.uniform(0, 1, n),
        ambiguous=np.arange(n) % 2 == 0,
    )


def make_set(folder: Path, particles: Particles, *sources: SetOfParticles) -> SetOfParticlesFlex:
    folder.mkdir(exist_ok=True)
    output = SetOfParticlesFlex.create(str(folder))
    convert.fill_set(output, particles, *sources)
    output.write()
    output.close()
    reread = SetOfParticlesFlex(filename=str(folder / "particlesflex.sqlite"))  # as another process sees it
    reread.loadAllProperties()
    return reread


def test_pose_matrices_are_scipions() -> None:
    """Against pwem's own Euler matrices: the plugins store inverse(euler(-rot, -tilt, -psi) with minus the shift)."""
    euler, shift = RNG.uniform(-180, 180, (20, 3)), RNG.normal(size=(20, 2)) * 4
    for mine, angles, xy in zip(convert.pose_to_matrix(euler, shift), euler, shift, strict=True):
        theirs = euler_matrix(*(-np.radians(angles)), "szyz")
        theirs[:2, 3] = -xy
        np.testing.assert_allclose(mine, np.linalg.inv(theirs), atol=1e-12)


def test_pose_round_trip() -> None:
    rotations, shift = random_rotations(50, RNG), RNG.normal(size=(50, 2)) * 4
    euler, back = convert.matrix_to_pose(convert.pose_to_matrix(matrix_to_euler(rotations), shift))
    assert np.max(rotation_distance_deg(euler_to_matrix(euler), rotations)) < 1e-5
    np.testing.assert_allclose(back, shift, atol=1e-10)


def test_set_round_trip_by_id(particles: Particles, tmp_path: Path) -> None:
    back = convert.particles_from_set(make_set(tmp_path / "a", particles))
    assert back.ids.tolist() == sorted(particles.ids.tolist())
    rows = particles.rows_of(back.ids)
    expected = particles.select(rows)
    assert back.stacks.tolist() == expected.stacks.tolist()
    assert back.indices.tolist() == expected.indices.tolist()
    assert (back.mode_ids, back.phase_flipped, back.box_px) == ((7, 9, 12), True, 16)
    assert back.pixel_size_A == pytest.approx(2.5)
    of_modes = ("amplitudes", "amplitudes_sd", "free_amplitudes", "free_amplitudes_sd")
    for name in (*of_modes, "angle_sd_deg", "shift_sd_A", "score", "ambiguous"):
        np.testing.assert_allclose(getattr(back, name), getattr(expected, name), rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(back.shift_A, expected.shift_A, atol=1e-6)
    rotations = [euler_to_matrix(p.euler_deg) for p in (back, expected)]
    assert np.max(rotation_distance_deg(*rotations)) < 1e-4
    assert back.ctf is not None
    assert expected.ctf is not None
    for name in vars(expected.ctf):
        np.testing.assert_allclose(getattr(back.ctf, name), getattr(expected.ctf, name), rtol=1e-6, err_msg=name)


def test_the_motion_of_amplitudes_survives(particles: Particles, tmp_path: Path) -> None:
    helical = particles.replace(motion=HELICAL)
    source, bent = make_set(tmp_path / "a", particles), make_set(tmp_path / "b", helical)
    assert convert.particles_from_set(source).motion == STRAIGHT
    assert convert.particles_from_set(bent).motion == HELICAL
    # of a result it is that of the result, not of its source
    assert convert.particles_from_set(make_set(tmp_path / "c", particles, bent)).motion == STRAIGHT
    assert convert.particles_from_set(make_set(tmp_path / "d", helical, source)).motion == HELICAL


def test_two_motions_in_one_set_are_an_error(particles: Particles, tmp_path: Path) -> None:
    both = SetOfParticlesFlex.create(str(tmp_path))
    convert.fill_set(both, particles.select(np.arange(4)))
    convert.fill_set(both, particles.select(np.arange(4, 8)).replace(motion=HELICAL))
    with pytest.raises(InputError, match="amplitudes of different motions, helical and straight"):
        convert.particles_from_set(both)


def test_amplitudes_are_where_continuousflex_reads_them(particles: Particles, tmp_path: Path) -> None:
    item = make_set(tmp_path / "a", particles)[41]
    row = particles.rows_of([41])[0]
    read_as_continuousflex = [float(value) for value in item._xmipp_nmaDisplacements]
    np.testing.assert_allclose(read_as_continuousflex, particles.amplitudes[row], rtol=1e-6)
    np.testing.assert_allclose(item.getZFlex(), particles.amplitudes[row], rtol=1e-6)


def test_results_join_the_source_by_id(particles: Particles, tmp_path: Path) -> None:
    """Results in another order, for some of the particles only, keep images and CTF of their own particle."""
    plain = particles.replace(
        amplitudes=None, amplitudes_sd=None, mode_ids=(), euler_deg=None, shift_A=None, score=None
    )
    source = make_set(tmp_path / "source", plain)
    results = particles.select([6, 0, 3])
    back = convert.particles_from_set(make_set(tmp_path / "joined", results, source))
    assert back.ids.tolist() == [3, 23, 41]
    expected = particles.select(particles.rows_of(back.ids))
    assert back.indices.tolist() == expected.indices.tolist()
    np.testing.assert_allclose(back.amplitudes, expected.amplitudes, rtol=1e-6)
    np.testing.assert_allclose(back.ctf.defocus_u_A, expected.ctf.defocus_u_A, rtol=1e-6)


def test_shifts_scale_with_the_images(particles: Particles, tmp_path: Path) -> None:
    """Poses found on reduced images and given to the originals: the same Å, other pixels."""
    stack = tmp_path / "Runs" / "originals.mrcs"
    write_stack(stack, np.zeros((8, 32, 32), dtype=np.float32), 1.25)
    originals = particles.replace(
        stacks=np.array([str(stack)] * 8, dtype=object), pixel_size_A=1.25, box_px=32, euler_deg=None, shift_A=None
    )
    source = make_set(tmp_path / "originals", originals)
    output = make_set(tmp_path / "group", particles, source)
    assert output.getSamplingRate() == pytest.approx(1.25)
    back = convert.particles_from_set(output)
    np.testing.assert_allclose(back.shift_A, particles.shift_A[particles.rows_of(back.ids)], atol=1e-5)
    row = particles.rows_of([41])[0]
    _, shift_px = convert.matrix_to_pose(output[41].getTransform().getMatrix()[None])
    np.testing.assert_allclose(shift_px[0], particles.shift_A[row] / 1.25, atol=1e-5)


def test_unknown_id_is_an_error(particles: Particles, tmp_path: Path) -> None:
    source = make_set(tmp_path / "source", particles.select([0, 1]))
    with pytest.raises(InputError, match="not in the input set"):
        convert.fill_set(SetOfParticlesFlex.create(str(tmp_path)), particles, source)


def test_different_modes_in_one_set_are_an_error(particles: Particles, tmp_path: Path) -> None:
    first, second = particles.select([0, 1]), particles.select([2, 3]).replace(mode_ids=(7, 8, 9))
    output = SetOfParticlesFlex.create(str(tmp_path))
    convert.fill_set(output, first)
    convert.fill_set(output, second)
    with pytest.raises(InputError, match="different modes"):
        convert.particles_from_set(output)


def test_empty_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        convert.particles_from_set(SetOfParticles.create(str(tmp_path)))


def test_modes_become_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modes whose files lie and are called anyhow, as ContinuousFlex's, are links vec.N of the mode's own number."""
    monkeypatch.chdir(tmp_path)
    modes = SetOfNormalModes.create(str(tmp_path))
    for number in (7, 8, 11):
        Path(f"mode_{number}.txt").write_text(f"{number} 0 0\n")
        mode = NormalMode(modeFile=f"mode_{number}.txt")
        mode.setObjId(number)
        modes.append(mode)
    assert convert.modes_to_folder(modes, tmp_path / "links") == (7, 8, 11)
    assert sorted(os.listdir(tmp_path / "links")) == ["vec.11", "vec.7", "vec.8"]
    assert (tmp_path / "links" / "vec.11").read_text() == "11 0 0\n"
    Path("mode_8.txt").unlink()
    with pytest.raises(InputError, match="normal mode 8"):
        convert.modes_to_folder(modes, tmp_path / "links")


def test_what_is_known_of_modes_travels_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Energies are in no Scipion object, only in the folder that the modes come from."""
    monkeypatch.chdir(tmp_path)
    vectors = np.eye(6).reshape(6, 2, 3)[:2]
    density = AmplitudeDensity(np.ones(1), np.array([[3.0, 1.0]]), np.eye(2)[None])
    known = {"eigenvalues": np.array([2.0, 5.0]), "motion": HELICAL, "block_size": 10, "density": density}
    write_modes(tmp_path / "made", NormalModes((7, 8), vectors, **known))
    modes = SetOfNormalModes.create(str(tmp_path))
    convert.fill_modes(modes, tmp_path / "made")
    convert.modes_to_folder(modes, tmp_path / "links")
    linked = read_modes(tmp_path / "links")
    assert linked.eigenvalues.tolist() == [2.0, 5.0]
    assert (linked.motion, linked.block_size) == (HELICAL, 10)
    assert linked.density is not None
    assert linked.density.mean_A.tolist() == [[3.0, 1.0]]
    (tmp_path / "made" / "modes.json").unlink()
    convert.modes_to_folder(modes, tmp_path / "links")
    assert read_modes(tmp_path / "links").eigenvalues is None


def test_new_images_keep_the_rest_of_the_source(particles: Particles, tmp_path: Path) -> None:
    """Reduced images: new stack, box, pixel size and flip; ids, CTF and poses as before, shifts the same in Å."""
    stack = tmp_path / "Runs" / "reduced.mrcs"
    write_stack(stack, np.zeros((8, 8, 8), dtype=np.float32), 5.0)
    source = make_set(tmp_path / "source", particles.replace(phase_flipped=False))
    reduced = particles.replace(stacks=np.array([str(stack)] * 8, dtype=object), pixel_size_A=5.0, box_px=8)
    output = SetOfParticlesFlex.create(str(tmp_path))
    convert.fill_set(output, reduced, source, new_images=True)
    back = convert.particles_from_set(output)
    assert (back.pixel_size_A, back.box_px, back.phase_flipped) == (5.0, 8, True)
    assert set(back.stacks) == {str(stack)}
    np.testing.assert_allclose(back.shift_A, particles.shift_A[particles.rows_of(back.ids)], atol=1e-5)
    expected = particles.ctf.defocus_u_A[particles.rows_of(back.ids)]
    np.testing.assert_allclose(back.ctf.defocus_u_A, expected, rtol=1e-6)


@pytest.mark.parametrize("column", ["cfdPC1", "cfdDim1"])
def test_sets_of_different_kinds_are_joined_by_what_they_share(
    particles: Particles, tmp_path: Path, column: str
) -> None:
    """Aligned particles have error bars, predicted ones have none; nothing of the old result stays on the new one."""
    aligned, predicted = particles.select(np.arange(4)), particles.select(np.arange(4, 8))
    without = {"amplitudes_sd": None, "angle_sd_deg": None, "shift_sd_A": None, "score": None, "ambiguous": None}
    sources = [make_set(tmp_path / "a", aligned), make_set(tmp_path / "b", predicted.replace(**without))]
    coordinates = {column: np.array([f"{x}" for x in range(8)], dtype=object)}
    merged = particles.replace(**without, extra=coordinates)
    output = make_set(tmp_path / "merged", merged, *sources)
    back = convert.particles_from_set(output)
    assert sorted(back.ids) == sorted(particles.ids)
    assert back.score is None
    assert back.amplitudes_sd is None
    assert [item.getZRed().tolist() for item in output] == [[float(row)] for row in particles.rows_of(back.ids)]


def with_optics(particles: Particles) -> Particles:
    """The same particles in two optics groups of different voltage, with half sets and cryoSPARC's uids."""
    second = np.arange(len(particles)) % 2 == 1
    ctf = dataclasses.replace(particles.require_ctf("it"), voltage_kV=np.where(second, 200.0, 300.0))
    columns = {
        "rlnOpticsGroup": np.where(second, "10", "2").astype(object),
        "cfdCryosparcUid": np.array([str(2**63 + int(i)) for i in particles.ids], dtype=object),
    }
    optics = {
        "rlnOpticsGroupName": np.where(second, "late", "early").astype(object),
        "rlnBeamTiltX": np.where(second, "0.25", "-0.5").astype(object),
    }
    half = np.where(np.arange(len(particles)) < 3, 1, 2)
    return particles.replace(ctf=ctf, half=half, extra=columns, optics_extra=optics)


def assert_columns(found: Particles, expected: Particles) -> None:
    rows = expected.rows_of(found.ids)
    for name in ("extra", "optics_extra"):
        theirs = {k: v[rows].tolist() for k, v in getattr(expected, name).items()}
        assert {k: v.tolist() for k, v in getattr(found, name).items()} == theirs
    assert found.half.tolist() == expected.half[rows].tolist()
    np.testing.assert_allclose(found.ctf.voltage_kV, expected.ctf.voltage_kV[rows])


def test_half_sets_and_optics_groups_survive(particles: Particles, tmp_path: Path) -> None:
    """As attributes that RELION's plugin writes and reads; then through a second set, as every protocol makes one."""
    whole = with_optics(particles)
    source = make_set(tmp_path / "a", whole)
    item = source[7]
    row = whole.rows_of([7])[0]
    assert item._rlnRandomSubset.get() == whole.half[row]
    assert item._rlnOpticsGroup.get() == int(whole.extra["rlnOpticsGroup"][row])
    table = parse_star(source.getAcquisition().opticsGroupInfo.get(), "the set")["optics"]
    assert (table["rlnOpticsGroup"].tolist(), table["rlnVoltage"].tolist()) == (["2", "10"], ["300", "200"])
    assert_columns(convert.particles_from_set(source), whole)
    results = particles.select([6, 0, 3])  # a command's results may tell nothing of optics
    again = make_set(tmp_path / "b", results, source)
    assert_columns(convert.particles_from_set(again), whole)


def test_half_sets_of_results_reach_images_without(particles: Particles, tmp_path: Path) -> None:
    source = make_set(tmp_path / "a", particles)
    whole = with_optics(particles)
    back = convert.particles_from_set(make_set(tmp_path / "b", whole, source))
    assert back.half.tolist() == whole.half[whole.rows_of(back.ids)].tolist()
    assert "rlnOpticsGroup" not in back.extra  # optics are those of the images


def test_optics_tables_of_different_sets_are_not_mixed(particles: Particles, tmp_path: Path) -> None:
    whole = with_optics(particles)
    first = make_set(tmp_path / "a", whole.select(np.arange(4)))
    other = whole.select(np.arange(4, 8))
    tilt = {"rlnBeamTiltX": np.full(4, "9", dtype=object)}
    second = make_set(tmp_path / "b", other.replace(optics_extra=other.optics_extra | tilt))
    back = convert.particles_from_set(make_set(tmp_path / "c", whole, first, second))
    assert back.optics_extra == {}
    np.testing.assert_allclose(back.ctf.voltage_kV, whole.ctf.voltage_kV[whole.rows_of(back.ids)])
    # and a table that lacks a group, as a union of sets has it, is left alone
    first.getAcquisition().opticsGroupInfo.set("data_optics\nloop_\n_rlnOpticsGroup\n_rlnBeamTiltX\n2 1\n")
    assert convert.particles_from_set(first).optics_extra == {}


def test_columns_that_only_some_particles_have_are_left_out(particles: Particles, tmp_path: Path) -> None:
    whole = with_optics(particles)
    output = SetOfParticlesFlex.create(str(tmp_path))
    output.setSamplingRate(2.5)
    for item in make_set(tmp_path / "a", whole):
        if item.getObjId() == 12:
            item._rlnRandomSubset.set(None)  # as in a union with a set that has no half sets
        output.append(item)
    found = convert.particles_from_set(output)
    assert found.half is None
    assert set(found.extra) == {"rlnOpticsGroup", "cfdCryosparcUid"}


def test_optics_groups_that_are_no_numbers_are_refused(particles: Particles, tmp_path: Path) -> None:
    wrong = particles.replace(extra={"rlnOpticsGroup": np.full(8, "first", dtype=object)})
    with pytest.raises(InputError, match="column rlnOpticsGroup, particle 41: got 'first', expected a whole number"):
        convert.fill_set(SetOfParticlesFlex.create(str(tmp_path)), wrong)


def test_stacks_named_with_a_hint_are_found(particles: Particles, tmp_path: Path) -> None:
    output = SetOfParticles.create(str(tmp_path))
    item = Particle(location=(3, "Runs/images.mrcs:mrcs"))
    output.setSamplingRate(2.5)
    output.setDim((16, 16, 1))
    output.append(item)
    assert convert.particles_from_set(output).stacks.tolist() == [str(tmp_path / "Runs" / "images.mrcs")]


def test_continuousflexs_sets_are_read(particles: Particles, tmp_path: Path) -> None:
    """Plain particles with Xmipp's attribute alone, as ContinuousFlex's HEMNMA makes them; its run lists the modes."""
    (tmp_path / "extra").mkdir()
    write_xmd(tmp_path / "extra" / "modes.xmd", modes_table({7: "vec.7", 8: "vec.8", 9: "vec.9"}))
    output = SetOfParticles.create(str(tmp_path))
    for item in make_set(tmp_path / "source", particles):
        plain = Particle(location=item.getLocation())
        plain.setObjId(item.getObjId())
        plain._xmipp_nmaDisplacements = CsvList()  # Xmipp's vectors come as text
        plain._xmipp_nmaDisplacements.set([f"{value:.6f}" for value in item.getZFlex()])
        plain.setTransform(item.getTransform().clone())
        output.append(plain)
    output.setAlignmentProj()
    output.setSamplingRate(2.5)
    back = convert.particles_from_set(output)
    rows = particles.rows_of(back.ids)
    assert back.mode_ids == (7, 8, 9)
    np.testing.assert_allclose(back.amplitudes, particles.amplitudes[rows], atol=1e-5)
    np.testing.assert_allclose(back.shift_A, particles.shift_A[rows], atol=1e-5)
    assert back.ctf is None
