"""cryoSPARC datasets: the convention of poses, passthrough files, and what bad files are told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.geometry import euler_to_matrix, random_rotations, rotation_distance_deg
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.reconstruction.reconstruct import reconstruct
from continuousflex_deep.tests.helpers.cryosparc_data import UIDS, columns, dataset, save, without
from continuousflex_deep.tests.helpers.gaussian_particles import true_images, true_map

N, BOX, PIXEL = 6, 8, 1.5


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A cryoSPARC project folder with one extracted stack."""
    (tmp_path / "J1" / "extract").mkdir(parents=True)
    images = np.random.default_rng(0).normal(size=(N, BOX, BOX)).astype(np.float32)
    write_stack(tmp_path / "J1" / "extract" / "a.mrc", images, PIXEL)
    return tmp_path


# What pyem 0.67 (github.com/asarnow/pyem, commit de18347), parse_cryosparc_2_cs, makes of these poses and shifts (px):
# its rlnAngleRot, Tilt, Psi (its rlnOriginX, Y are the shifts as they are). It gave the same angles, to 4e-5°, for the
# 2,019 particles of a real refinement, cryosparc_P12_J24_001_particles.cs in the tests of cryoDRGN.
POSES = [[0.3, -1.1, 0.7], [-0.05618194, -0.13342986, -0.21074672], [-0.75760746, 0.9343002, -0.46246043]]
SHIFTS_PX = [[2.5, -1.25], [3.689179, 2.8304653], [1.0467371, 5.8077207]]
PYEM_EULER_DEG = [
    [-142.27384949, 63.80966568, -172.78407288],
    [151.11799622, 8.27964878, -163.21398926],
    [23.94869995, 68.20432281, -54.12726593],
]
DEFOCUS_ANGLES_RAD, PYEM_DEFOCUS_ANGLES_DEG = [2.062192, 1.3456414, 0.69935715], [118.15489, 77.09956, 40.07021]


def test_poses_are_those_that_pyem_finds(project: Path) -> None:
    table = dataset(len(POSES))
    table["alignments3D/pose"], table["alignments3D/shift"] = POSES, SHIFTS_PX
    table["ctf/df_angle_rad"] = DEFOCUS_ANGLES_RAD
    p = read_particles(save(project / "J5" / "J5_007_particles.cs", table))
    euler_deg, shift_A = p.require_poses("the comparison")
    assert rotation_distance_deg(euler_to_matrix(euler_deg), euler_to_matrix(PYEM_EULER_DEG)).max() < 1e-3
    np.testing.assert_allclose(shift_A / PIXEL, SHIFTS_PX, atol=1e-5)
    np.testing.assert_allclose(p.require_ctf("it").defocus_angle_deg, PYEM_DEFOCUS_ANGLES_DEG, atol=1e-3)


def test_everything_a_dataset_says(project: Path) -> None:
    table = dataset()
    p = read_particles(save(project / "J5" / "J5_007_particles.cs", table))
    assert set(p.stacks) == {str(project / "J1" / "extract" / "a.mrc")}  # found from the job's folder upwards
    assert p.indices.tolist() == table["blob/idx"].tolist()
    assert (p.box_px, p.pixel_size_A, p.phase_flipped) == (BOX, PIXEL, False)
    ctf = p.require_ctf("it")
    np.testing.assert_allclose(ctf.defocus_u_A, table["ctf/df1_A"])
    np.testing.assert_allclose(ctf.defocus_v_A, table["ctf/df2_A"])
    np.testing.assert_allclose(ctf.phase_shift_deg, np.degrees(table["ctf/phase_shift_rad"]), rtol=1e-6)
    assert (ctf.voltage_kV[0], ctf.cs_mm[0], ctf.amplitude_contrast[0]) == (300, 2.7, 0.07)
    assert p.half.tolist() == [1, 1, 2, 2, 1, 1]
    assert p.extra["rlnOpticsGroup"].tolist() == ["3", "4"] * 3  # cryoSPARC counts from 0
    assert p.optics_extra["rlnOpticsGroupName"][0] == "cryosparc_exposure_group_2"


def test_ids_are_positive_and_uids_are_kept(project: Path) -> None:
    p = read_particles(save(project / "p.cs", dataset()))
    assert p.extra["cfdCryosparcUid"].tolist() == [str(u) for u in UIDS]
    assert (p.ids > 0).all()
    small = UIDS < 2**63
    assert p.ids[small].tolist() == UIDS[small].tolist()
    assert len(set(p.ids.tolist())) == N


def test_shifts_are_pixels_of_the_size_they_were_found_at(project: Path) -> None:
    """A refinement on images reduced to half the box: its pixels are twice as large as the images'."""
    table = dataset()
    table["alignments3D/psize_A"] = 2 * PIXEL
    p = read_particles(save(project / "p.cs", table))
    np.testing.assert_allclose(p.require_poses("it")[1], table["alignments3D/shift"] * 2 * PIXEL, rtol=1e-6)


def test_sign_and_hand_on_images(project: Path) -> None:
    """Images of off-centre particles whose poses a dataset tells: the reconstruction is the particle, at its centre."""
    box, pixel, n = 32, 3.0, 250
    rng = np.random.default_rng(5)
    rotations, shift_A = random_rotations(n, rng), rng.uniform(-12, 12, size=(n, 2))
    write_stack(project / "J1" / "extract" / "a.mrc", true_images(rotations, shift_A, box, pixel), pixel)
    table = without(dataset(n, box, pixel), "ctf/df1_A")
    table["alignments3D/pose"] = Rotation.from_matrix(np.swapaxes(rotations, 1, 2)).as_rotvec()
    table["alignments3D/psize_A"], table["alignments3D/shift"] = 1.5, shift_A / 1.5
    table["blob/idx"] = np.arange(n)
    volume = reconstruct(read_particles(save(project / "p.cs", table)), ctf=False).map
    assert np.corrcoef(volume.ravel(), true_map(box, pixel).ravel())[0, 1] > 0.98


@pytest.mark.parametrize("shown", ["J1/extract/a.mrc", ">J1/extract/a.mrc", "{project}/J1/extract/a.mrc"])
def test_paths(project: Path, shown: str) -> None:
    table = dataset()
    wide = table.astype([(n, "S200") if n == "blob/path" else (n, table.dtype[n]) for n in table.dtype.names or ()])
    wide["blob/path"] = shown.format(project=project).encode()
    path = save(project / "exports" / "groups" / "p.cs", wide)
    assert set(read_particles(path).stacks) == {str(project / "J1" / "extract" / "a.mrc")}
    text = wide.astype([(n, "U200") if n == "blob/path" else (n, wide.dtype[n]) for n in wide.dtype.names or ()])
    assert set(read_particles(save(path, text)).stacks) == {str(project / "J1" / "extract" / "a.mrc")}


def test_passthrough_is_joined_by_uid(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = dataset()
    job = project / "J5"
    save(job / "J5_passthrough_particles.cs", columns(whole, "blob", "ctf")[[3, 0, 5, 1, 4, 2]])
    main = save(job / "J5_004_particles.cs", columns(whole, "alignments3D"))
    p, expected = read_particles(main), read_particles(save(project / "whole.cs", whole))
    assert p.indices.tolist() == expected.indices.tolist()
    np.testing.assert_array_equal(p.require_ctf("it").defocus_u_A, expected.require_ctf("it").defocus_u_A)
    told = "has no images, CTF; taken from 'J5_passthrough_particles.cs' by uid"
    assert told in capsys.readouterr().err
    # the other way round: the poses were handed on
    save(job / "J5_passthrough_particles.cs", columns(whole, "alignments3D"))
    p = read_particles(save(main, columns(whole, "blob", "ctf")))
    np.testing.assert_allclose(p.require_poses("it")[1], expected.require_poses("it")[1])


def test_passthrough_of_each_class_together(project: Path) -> None:
    whole = dataset()
    job = project / "J5"
    handed_on = columns(whole, "blob", "ctf")
    save(job / "J5_passthrough_particles_class_0.cs", handed_on[[0, 2, 4, 5]])
    save(job / "J5_passthrough_particles_class_1.cs", handed_on[[3, 1, 0]])
    save(job / "J6_passthrough_particles.cs", columns(dataset(3), "blob"))  # another job's
    main = save(job / "J5_004_particles.cs", columns(whole, "alignments3D"))
    assert read_particles(main).indices.tolist() == whole["blob/idx"].tolist()
    handed_on["blob/idx"] += 1
    save(job / "J5_passthrough_particles_class_1.cs", handed_on[[3, 1, 0]])
    with pytest.raises(
        InputError, match="field blob/idx: another passthrough file beside it has other values for 1 particles"
    ):
        read_particles(main)
    save(job / "J5_passthrough_particles_class_1.cs", handed_on[[3]])
    with pytest.raises(
        InputError, match=r"have images \(blob/path\) for 5 of 6 particles; uids \[3806243878409217281\]"
    ):
        read_particles(main)


def with_micrographs(table: NDArray[Any], names: list[bytes]) -> NDArray[Any]:
    new = np.zeros(len(table), dtype=[*table.dtype.descr, ("location/micrograph_path", "S40")])
    for name in table.dtype.names or ():
        new[name] = table[name]
    new["location/micrograph_path"] = names
    return new


MICROGRAPHS = [f"J1/imported/{i}.mrc".encode() for i in range(N)]


def test_names_of_micrographs_are_kept(project: Path) -> None:
    expected = [name.decode() for name in MICROGRAPHS]
    whole = with_micrographs(dataset(), MICROGRAPHS)
    assert read_particles(save(project / "p.cs", whole)).extra["rlnMicrographName"].tolist() == expected
    save(project / "J5" / "J5_passthrough_particles.cs", columns(whole, "location"))
    p = read_particles(save(project / "J5" / "J5_004_particles.cs", dataset()))
    assert p.extra["rlnMicrographName"].tolist() == expected


def unreadable(folder: Path) -> None:
    (folder / "J5_passthrough_particles.cs").write_bytes(b"\x95CSDAT" + bytes(20))


def of_some_particles(folder: Path) -> None:
    handed_on = columns(with_micrographs(dataset(), MICROGRAPHS), "location")
    save(folder / "J5_passthrough_particles.cs", handed_on[:4])


def of_two_opinions(folder: Path) -> None:
    for k, names in enumerate((MICROGRAPHS, MICROGRAPHS[::-1])):
        handed_on = columns(with_micrographs(dataset(), names), "location")
        save(folder / f"J5_passthrough_particles_class_{k}.cs", handed_on)


def partly_empty(folder: Path) -> None:
    handed_on = columns(with_micrographs(dataset(), [*MICROGRAPHS[:-1], b""]), "location")
    save(folder / "J5_passthrough_particles.cs", handed_on)


@pytest.mark.parametrize(
    ("passthrough", "why"),
    [
        (unreadable, "is a compressed cryoSPARC stream"),
        (of_some_particles, "for 4 of 6 particles"),
        (of_two_opinions, "another passthrough file beside it has other values"),
        (partly_empty, "it is empty for 1 particles, first in row 6"),
    ],
)
def test_what_is_not_needed_costs_no_import(
    project: Path, passthrough: Callable[[Path], None], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images, CTF and poses are complete in the file itself: it alone would be read without complaint."""
    expected = read_particles(save(project / "J5" / "J5_004_particles.cs", dataset()))
    assert capsys.readouterr().err == ""
    passthrough(project / "J5")
    p = read_particles(project / "J5" / "J5_004_particles.cs")
    np.testing.assert_array_equal(p.require_poses("it")[0], expected.require_poses("it")[0])
    assert "rlnMicrographName" not in p.extra
    told = capsys.readouterr().err
    assert "note: 'J5_004_particles.cs': names of micrographs are not read: " in told
    assert why in told


def test_empty_names_of_micrographs_in_the_file_itself(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    p = read_particles(save(project / "p.cs", with_micrographs(dataset(), [b"", *MICROGRAPHS[1:]])))
    assert "rlnMicrographName" not in p.extra
    assert "micrograph_path: it is empty for 1 particles, first in row 1" in capsys.readouterr().err


@pytest.mark.parametrize(("kept", "lacks"), [(("blob", "ctf"), "poses"), (("blob", "alignments3D"), "CTF")])
def test_what_is_needed_must_be_readable(project: Path, kept: tuple[str, ...], lacks: str) -> None:
    main = save(project / "J5" / "J5_004_particles.cs", columns(dataset(), *kept))
    unreadable(project / "J5")
    with pytest.raises(InputError, match=f"has no {lacks}, and .* cannot be read: .*_particles.cs' is a co"):
        read_particles(main)
    # what another passthrough file has is enough
    save(project / "J5" / "J5_passthrough_particles_class_0.cs", dataset())
    assert read_particles(main).euler_deg is not None


@pytest.mark.parametrize(("there", "lacks"), [("pose", "shift"), ("shift", "pose")])
def test_half_of_an_alignment_is_named(
    project: Path, there: str, lacks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    p = read_particles(save(project / "p.cs", without(dataset(), f"alignments3D/{lacks}")))
    assert p.euler_deg is None
    assert f"because there is alignments3D/{there}, but no alignments3D/{lacks}" in capsys.readouterr().err


def test_poses_of_several_classes_are_not_mixed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each class has a frame of its own; a job with one class has one frame."""
    table = columns(dataset(), "blob", "ctf")
    for classes, taken in ((1, True), (3, False)):
        fields = [("pose", "<f4", (classes, 3)), ("shift", "<f4", (classes, 2)), ("psize_A", "<f4"), ("split", "<u4")]
        multi: Any = [(f"alignments3D_multi/{name}", *rest) for name, *rest in fields]
        new = np.zeros(N, dtype=table.dtype.descr + multi)
        for name in table.dtype.names or ():
            new[name] = table[name]
        new["alignments3D_multi/psize_A"], new["alignments3D_multi/split"] = PIXEL, np.arange(N) % 2
        p = read_particles(save(project / "p.cs", new))
        assert (p.euler_deg is not None) is taken
        assert p.half.tolist() == [1, 2] * (N // 2)
    assert "each in the frame of its own volume" in capsys.readouterr().err
    with pytest.raises(InputError, match="needs angles and shifts"):
        p.require_poses("a reconstruction")


def test_early_versions_classes(project: Path) -> None:
    table = dataset()
    for classes in (1, 2):
        names = dict.fromkeys(("pose", "shift", "psize_A", "split"))
        fields: Any = [
            (f"alignments_class_{k}/{name}", *table.dtype.fields[f"alignments3D/{name}"][:1])
            for k in range(classes)
            for name in names
        ]
        rest = columns(table, "blob", "ctf")
        new = np.zeros(N, dtype=rest.dtype.descr + fields)
        for name in rest.dtype.names or ():
            new[name] = rest[name]
        for name in names:
            new[f"alignments_class_0/{name}"] = table[f"alignments3D/{name}"]
        p = read_particles(save(project / "p.cs", new))
        if classes == 1:
            np.testing.assert_allclose(p.require_poses("it")[1], table["alignments3D/shift"] * PIXEL, rtol=1e-6)
    assert p.euler_deg is None


def test_without_poses_ctf_or_images_on_disk(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    p = read_particles(save(project / "p.cs", columns(dataset(), "blob")))
    assert (p.euler_deg, p.shift_A, p.ctf) == (None, None, None)
    assert "poses are not read, because there is no alignments3D" in capsys.readouterr().err
    two = columns(dataset(), "blob")
    flat = np.zeros(N, dtype=[*two.dtype.descr, ("alignments2D/pose", "<f4")])
    for name in two.dtype.names or ():
        flat[name] = two[name]
    assert read_particles(save(project / "p.cs", flat)).euler_deg is None
    assert "there are only those of a 2D classification" in capsys.readouterr().err
    (project / "J1" / "extract" / "a.mrc").unlink()
    assert read_particles(project / "p.cs").box_px == BOX


def test_aberrations_that_are_left_out_are_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = dataset()
    read_particles(save(project / "p.cs", table))
    assert capsys.readouterr().err == ""
    table["ctf/tilt_A"][2] = 100
    table["ctf/anisomag"][1] = 0.01
    read_particles(save(project / "p.cs", table))
    expected = "not applied by this program, and left out: ctf/tilt_A (beam tilt), ctf/anisomag (anisotropic"
    assert expected in capsys.readouterr().err


def test_star_of_a_dataset(project: Path) -> None:
    """cs → STAR → read: the same particles, half sets, groups and uids."""
    p = read_particles(save(project / "J5" / "J5_particles.cs", dataset()))
    write_particles(p, project / "p.star")
    back = read_particles(project / "p.star")
    assert (back.ids.tolist(), back.stacks.tolist(), back.indices.tolist()) == (
        p.ids.tolist(), p.stacks.tolist(), p.indices.tolist(),
    )  # fmt: skip
    np.testing.assert_allclose(back.require_poses("it")[0], p.require_poses("it")[0], atol=1e-5)
    np.testing.assert_allclose(back.require_poses("it")[1], p.require_poses("it")[1], atol=1e-5)
    assert {k: v.tolist() for k, v in back.extra.items()} == {k: v.tolist() for k, v in p.extra.items()}
    assert back.optics_extra["rlnOpticsGroupName"].tolist() == p.optics_extra["rlnOpticsGroupName"].tolist()


def changed(field: str, value: Any, row: Any = 1) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def change(table: NDArray[Any]) -> NDArray[Any]:
        table[field][row] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: without(t, "uid"), "expected 'uid' of whole numbers; is it a cryoSPARC dataset"),
        (lambda t: np.zeros(3), r"got fields \[\], expected 'uid'"),
        (changed("uid", 17), r"1 uids occur more than once, for example \[17\]"),
        (changed("uid", 17 + 2**63), r"uids \[9223372036854775825, 17\] are 0 or differ only in their highest bit"),
        (changed("uid", 0), r"uids \[0\] are 0 or"),
        (lambda t: t[:0], "has no particles"),
        (lambda t: without(t, "blob/path"), "has no images: there are no fields blob/path and blob/idx"),
        (changed("blob/path", b""), "field blob/path: it is empty for 1 particles, first in row 2"),
        (changed("blob/psize_A", 3.0), "field blob/psize_A: got 1.5 to 3 Å, expected one size"),
        (changed("blob/shape", (8, 9)), r"field blob/shape: got \[\[8, 8\], \[8, 9\]\], expected one square box"),
        (
            changed("alignments3D/pose", np.nan),
            r"column alignments3D/pose\[0\]: 1 values are not finite, first in row 2",
        ),
        (changed("alignments3D/shift", np.inf), r"alignments3D/shift\[0\]: 1 values are not finite"),
        (changed("alignments3D/psize_A", 0.0), "field alignments3D/psize_A: got 0 Å, expected above 0"),
        (changed("ctf/df1_A", np.nan), "column ctf/df1_A: 1 values are not finite"),
        (changed("ctf/accel_kv", 0), "expected 10 to 4000 kV"),
        (lambda t: without(t, "ctf/cs_mm"), "there is a CTF, but its column ctf/cs_mm is missing"),
    ],
)
def test_bad_datasets_are_explained(
    project: Path, change: Callable[[NDArray[Any]], NDArray[Any]], message: str
) -> None:
    path = save(project / "p.cs", change(dataset()))
    with pytest.raises(InputError, match=message) as caught:
        read_particles(path)
    assert "p.cs" in str(caught.value)


def test_files_that_are_no_datasets(project: Path) -> None:
    path = project / "p.cs"
    with open(path, "wb") as file:
        np.save(file, np.array([{"uid": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="expected a complete array without Python objects"):
        read_particles(path)
    path.write_text("using System;\n")
    with pytest.raises(FormatError, match="not a cryoSPARC dataset: it begins with b'using"):
        read_particles(path)
    path.write_bytes(b"\x95CSDAT" + bytes(20))
    with pytest.raises(FormatError, match="compressed cryoSPARC stream"):
        read_particles(path)
    whole = save(path, dataset()).read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(FormatError, match="cannot be read as a cryoSPARC dataset"):
        read_particles(path)
    with pytest.raises(InputError, match="no such file"):
        read_particles(project / "absent.cs")


def test_the_given_pixel_size_decides(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_particles(save(project / "p.cs", dataset()), pixel_size_A=3.0).pixel_size_A == 3.0
    assert "the given pixel size 3 Å is used, not that of the file, 1.5 Å" in capsys.readouterr().err


def test_many_fields(project: Path) -> None:
    """Headers longer than numpy's own limit."""
    table = dataset()
    more = [(f"alignments3D/something_that_is_not_needed_{i}", "<f4") for i in range(300)]
    wide = np.zeros(N, dtype=table.dtype.descr + more)
    for name in table.dtype.names or ():
        wide[name] = table[name]
    assert len(read_particles(save(project / "p.cs", wide))) == N
