"""What fields of particle files mean: applied, carried along, reported or refused, as the documents list them."""

import re
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.io.cryosparc_fields import CRYOSPARC_FIELDS
from continuousflex_deep.io.frealign_fields import FREALIGN_FIELDS
from continuousflex_deep.io.meanings import Fields, Verdict
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.relion_fields import RELION_FIELDS
from continuousflex_deep.io.stacks import check_images, write_stack
from continuousflex_deep.io.star import read_star
from continuousflex_deep.io.xmipp_fields import XMIPP_FIELDS
from continuousflex_deep.landscape.merging import merge_sets
from continuousflex_deep.tests.helpers.gaussian_particles import true_images
from continuousflex_deep.tests.helpers.image_dialects import write_mrc

BOX, PIXEL = 8, 2.0
OPTICS = {"rlnOpticsGroup": "1", "rlnImagePixelSize": "2.0", "rlnImageSize": "8", "rlnImageDimensionality": "2"}
FORMATS = {"RELION": RELION_FIELDS, "Xmipp": XMIPP_FIELDS, "cryoSPARC": CRYOSPARC_FIELDS, "FREALIGN": FREALIGN_FIELDS}


def relion_text(columns: dict[str, list[str]], optics: list[dict[str, str]] | None = None) -> str:
    optics = [OPTICS] if optics is None else optics
    n = len(next(iter(columns.values()), ["", ""]))
    columns = {"rlnImageName": [f"{i + 1:06d}@s.mrcs" for i in range(n)], "rlnOpticsGroup": ["1"] * n, **columns}
    rows = [[column[i] for column in columns.values()] for i in range(n)]
    particles = block("particles", list(columns), rows)
    return block("optics", list(optics[0]), [list(o.values()) for o in optics]) + particles


def block(name: str, labels: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"_{label}\n" for label in labels)
    return f"data_{name}\nloop_\n{head}" + "".join(" ".join(row) + "\n" for row in rows) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_stack(tmp_path / "s.mrcs", np.random.default_rng(0).normal(size=(4, BOX, BOX)).astype(np.float32), PIXEL)
    return tmp_path


def written(folder: Path, text: str, name: str = "p.star") -> Path:
    (folder / name).write_text(text)
    return folder / name


# ---------------------------------------------------------------------------------------------------- of each field
@pytest.mark.parametrize("label", [name for name, f in RELION_FIELDS.items() if f.verdict is Verdict.REFUSED])
def test_refused_columns_of_relion(folder: Path, label: str) -> None:
    field = RELION_FIELDS[label]
    bad = "TS_01" if field.neutral is None else "3"
    optics = [OPTICS | {label: bad}] if label in OPTICS or label.startswith("rlnCtfData") else None
    columns = {} if optics else {label: [bad, bad]}
    with pytest.raises(InputError, match=re.escape(field.meaning)) as caught:
        read_particles(written(folder, relion_text(columns, optics)))
    assert label in str(caught.value)
    assert field.remedy in str(caught.value)
    if field.neutral is not None:
        neutral = [f"{field.neutral:.1f}"] * 2
        assert len(read_particles(written(folder, relion_text({label: neutral})))) == 2


@pytest.mark.parametrize("label", [name for name, f in RELION_FIELDS.items() if f.verdict is Verdict.NOT_APPLIED])
def test_reported_columns_of_relion(folder: Path, capsys: pytest.CaptureFixture[str], label: str) -> None:
    """Reported once in a run, and written again; nothing is said where the value means nothing."""
    field = RELION_FIELDS[label]
    value = "7" if field.neutral is None else "[0.1,-0.2]" if "Zernike" in label else "0.9"
    path = written(folder, relion_text({label: [value, value]}), f"{label}.star")
    for _ in range(2):
        particles = read_particles(path)
    expected = f"not applied by this program, and carried along: {label} ({field.meaning})"
    assert capsys.readouterr().err.count(expected) == 1
    write_particles(particles, folder / "out.star")
    assert read_star(folder / "out.star")["particles"][label].tolist() == [value, value]
    if field.neutral is not None:
        read_particles(written(folder, relion_text({label: [f"{field.neutral:.3f}"] * 2}), f"neutral_{label}.star"))
        assert "not applied" not in capsys.readouterr().err


def test_carried_columns_of_relion(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = [name for name, f in RELION_FIELDS.items() if f.verdict is Verdict.CARRIED]
    columns = {label: [f"{i}.50", f"{i + 1}.5"] for i, label in enumerate(labels)}
    particles = read_particles(written(folder, relion_text(columns)))
    assert capsys.readouterr().err == ""
    write_particles(particles, folder / "out.star")
    table = read_star(folder / "out.star")["particles"]
    assert {label: table[label].tolist() for label in labels} == columns


def test_unknown_columns_are_reported_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(folder, relion_text({"rlnTurnedInside": ["1", "2"], "cfdScore": ["1", "1"]}), "unknown.star")
    for _ in range(2):
        read_particles(path)
    said = capsys.readouterr().err
    assert said.count("unknown to this program, so not interpreted, and carried along: rlnTurnedInside\n") == 1


@pytest.mark.parametrize("name", FORMATS)
def test_fields_are_those_of_the_documents(name: str) -> None:
    """docs/formats.md lists each field once, with its verdict."""
    text = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
    section = text[text.index(f"### Fields of {name}") :]
    section = section[: section.index("\n#", 5)]
    listed: dict[str, str] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0] in {verdict.value for verdict in Verdict}:
            listed |= dict.fromkeys(re.findall(r"`([^`]+)`", cells[2]), cells[0])
    assert listed == {field: meaning.verdict.value for field, meaning in FORMATS[name].items()}


@pytest.mark.parametrize("fields", FORMATS.values(), ids=FORMATS)
def test_refused_fields_tell_what_to_do(fields: Fields) -> None:
    assert all(f.remedy for f in fields.values() if f.verdict is Verdict.REFUSED)


# ------------------------------------------------------------------------------------------------ optics groups
def test_boxes_of_optics_groups_are_kept(folder: Path) -> None:
    write_stack(folder / "t.mrcs", np.random.default_rng(1).normal(size=(1, 10, 10)).astype(np.float32), PIXEL)
    second = OPTICS | {"rlnOpticsGroup": "2", "rlnImageSize": "10", "rlnImagePixelSize": "2.003"}
    columns = {"rlnImageName": ["1@s.mrcs", "1@t.mrcs"], "rlnOpticsGroup": ["1", "2"]}
    path = written(folder, relion_text(columns, [OPTICS, second]))
    write_particles(read_particles(path), folder / "out.star")
    optics = read_star(folder / "out.star")["optics"]
    assert optics["rlnImageSize"].tolist() == ["8", "10"]
    assert [float(v) for v in optics["rlnImagePixelSize"]] == [2.0, 2.003]
    write_particles(read_particles(path, pixel_size_A=3.0), folder / "out.star")
    assert set(read_star(folder / "out.star")["optics"]["rlnImagePixelSize"]) == {"3.000000"}


def test_merged_sets_keep_their_boxes_and_pixel_sizes(folder: Path) -> None:
    write_stack(folder / "t.mrcs", np.random.default_rng(1).normal(size=(1, 10, 10)).astype(np.float32), PIXEL)
    second = OPTICS | {"rlnOpticsGroup": "2", "rlnImageSize": "10"}
    columns = {"rlnImageName": ["1@s.mrcs", "1@t.mrcs"], "rlnOpticsGroup": ["1", "2"]}
    several = read_particles(written(folder, relion_text(columns, [OPTICS, second])))
    one = relion_text({"rlnImageName": ["3@s.mrcs", "4@s.mrcs"]}, [OPTICS | {"rlnImagePixelSize": "2.003"}])
    one_box = read_particles(written(folder, one, "one.star"))
    for sets in ([several, one_box], [one_box, several]):
        write_particles(merge_sets(sets, ["a", "b"])[0], folder / "out.star")
        tables = read_star(folder / "out.star")
        place = {group: i for i, group in enumerate(tables["optics"]["rlnOpticsGroup"])}
        found = {}
        for name, group in zip(tables["particles"]["rlnImageName"], tables["particles"]["rlnOpticsGroup"], strict=True):
            sizes = (tables["optics"][column][place[group]] for column in ("rlnImageSize", "rlnImagePixelSize"))
            found[name] = tuple(map(float, sizes))
        assert found == {
            "000001@s.mrcs": (8, 2.0), "000001@t.mrcs": (10, 2.0), "000003@s.mrcs": (8, 2.003),
            "000004@s.mrcs": (8, 2.003),
        }  # fmt: skip


def test_boxes_that_contradict_the_images_are_refused(folder: Path) -> None:
    """Whoever rescales images and keeps the table leaves a wrong pixel size."""
    other = [OPTICS, OPTICS | {"rlnOpticsGroup": "2", "rlnImageSize": "16"}]
    for groups, optics in ((["1", "1"], [OPTICS | {"rlnImageSize": "16"}]), (["1", "2"], other)):
        with pytest.raises(InputError, match=r"rlnImageSize is 16 px, but images of '.*s\.mrcs' have 8 px"):
            read_particles(written(folder, relion_text({"rlnOpticsGroup": groups}, optics)))


def test_pixel_sizes_keep_their_digits(folder: Path) -> None:
    path = written(folder, relion_text({}, [OPTICS | {"rlnImagePixelSize": "1.0512345678"}]))
    write_particles(read_particles(path), folder / "out.star")
    assert read_star(folder / "out.star")["optics"]["rlnImagePixelSize"].tolist() == ["1.0512345678"]


def test_sampling_beside_the_particles_does_not_outlive_the_images(folder: Path) -> None:
    """Where there is no optics table, and the images are reduced afterwards."""
    columns = {"rlnImageName": ["1@s.mrcs", "2@s.mrcs"], "rlnImagePixelSize": ["2.5"] * 2, "rlnImageSize": ["8"] * 2}
    rows = [[column[i] for column in columns.values()] for i in range(2)]
    particles = read_particles(written(folder, block("", list(columns), rows)))
    assert particles.pixel_size_A == 2.5
    write_stack(folder / "s.mrcs", np.ones((4, 4, 4), dtype=np.float32), 5.0)
    write_particles(particles.replace(pixel_size_A=5.0, box_px=4), folder / "out.star")
    assert read_particles(folder / "out.star").pixel_size_A == 5.0


@pytest.mark.parametrize("groups", [["1", "1"], ["1.000000", "1.0"], ["01", "1"]])
def test_optics_groups_are_numbers(folder: Path, groups: list[str]) -> None:
    particles = read_particles(written(folder, relion_text({"rlnOpticsGroup": groups})))
    assert particles.extra["rlnOpticsGroup"].tolist() == ["1", "1"]


def test_rows_of_one_optics_group(folder: Path) -> None:
    assert len(read_particles(written(folder, relion_text({"rlnOpticsGroup": ["1", "1"]}, [OPTICS, OPTICS])))) == 2
    other = OPTICS | {"rlnImagePixelSize": "2.01"}
    with pytest.raises(FormatError, match="two rows for group 1, which differ in rlnImagePixelSize; keep the right"):
        read_particles(written(folder, relion_text({"rlnOpticsGroup": ["1", "1"]}, [OPTICS, other])))


def test_digits_of_two_rows_of_one_group_do_not_count(folder: Path) -> None:
    rows = [OPTICS, OPTICS | {"rlnImagePixelSize": "2.000", "rlnImageSize": "8.0"}]
    assert read_particles(written(folder, relion_text({"rlnOpticsGroup": ["1", "1"]}, rows))).pixel_size_A == 2.0


@pytest.mark.parametrize(
    ("value", "flipped"),
    [("0", False), ("0.000000", False), ("False", False), ("nan", False), ("<NA>", False), ("None", False),
     ("1", True), ("1.000000", True), ("True", True)],
)  # fmt: skip
def test_flags_in_any_form(folder: Path, value: str, flipped: bool) -> None:
    optics = OPTICS | {"rlnCtfDataArePhaseFlipped": value}
    assert read_particles(written(folder, relion_text({}, [optics]))).phase_flipped is flipped
    text = f"data_noname\nloop_\n _image\n _samplingRate\n _ctfPhaseFlipped\n 1@s.mrcs 2.0 {value}\n"
    assert read_particles(written(folder, text, "p.xmd")).phase_flipped is flipped


def test_flags_that_are_none(folder: Path) -> None:
    with pytest.raises(FormatError, match="column rlnCtfDataArePhaseFlipped: expected 0 or 1"):
        read_particles(written(folder, relion_text({}, [OPTICS | {"rlnCtfDataArePhaseFlipped": "perhaps"}])))
    label = "rlnCtfDataArePhaseFlipped"
    mixed = [OPTICS | {label: "0"}, OPTICS | {"rlnOpticsGroup": "2", label: "1"}]
    with pytest.raises(InputError, match="rlnCtfDataArePhaseFlipped differs between particles"):
        read_particles(written(folder, relion_text({"rlnOpticsGroup": ["1", "2"]}, mixed)))


@pytest.mark.parametrize("label", ["rlnCtfDataAreCtfPremultiplied", "rlnIsFlip", "rlnCtfDataAreCtfCorrected"])
@pytest.mark.parametrize(("word", "is_read"), [("true", False), ("True", False), ("yes", False), ("False", True)])
def test_words_are_flags(folder: Path, label: str, word: str, is_read: bool) -> None:
    path = written(folder, relion_text({label: [word, word]}))
    if is_read:
        assert len(read_particles(path)) == 2
    else:
        with pytest.raises(InputError, match=RELION_FIELDS[label].meaning):
            read_particles(path)


@pytest.mark.parametrize("label", ["rlnTomoName", "rlnOriginZAngst", "rlnCtfDataAreCtfCorrected", "rlnHelicalTubeID"])
@pytest.mark.parametrize("nothing", ["nan", "NaN", "<NA>", "None", "null", '""'])
def test_missing_values_mean_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], label: str, nothing: str
) -> None:
    assert len(read_particles(written(folder, relion_text({label: [nothing, nothing]})))) == 2
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("off", ["-1", "-1.000000", "0"])
def test_disabled_images_of_xmipp(folder: Path, off: str) -> None:
    rows = f" 1@s.mrcs 2.0 1\n 2@s.mrcs 2.0 {off}\n 3@s.mrcs 2.0 1\n"
    text = f"data_noname\nloop_\n _image\n _samplingRate\n _enabled\n{rows}"
    assert read_particles(written(folder, text, "p.xmd")).indices.tolist() == [0, 2]


def test_pixel_size_by_its_other_name(folder: Path) -> None:
    columns = {"rlnImageName": ["1@s.mrcs", "2@s.mrcs"], "rlnPixelSize": ["2.5"] * 2}
    rows = [[column[i] for column in columns.values()] for i in range(2)]
    assert read_particles(written(folder, block("", list(columns), rows))).pixel_size_A == 2.5


# ------------------------------------------------------------------------------------------------ units and signs
CTF = {"rlnVoltage": "300", "rlnSphericalAberration": "2.7", "rlnAmplitudeContrast": "0.1"}
DEFOCUS = {"rlnDefocusU": ["12000", "9000"], "rlnDefocusV": ["11000", "9000"]}


@pytest.mark.parametrize(
    ("name", "value", "unit"),
    [
        ("rlnVoltage", "300000", "kV"), ("rlnVoltage", "0.3", "kV"), ("rlnSphericalAberration", "2.7e7", "mm"),
        ("rlnAmplitudeContrast", "10", "of all contrast"),
    ],
)  # fmt: skip
def test_other_units_of_the_microscope_are_refused(folder: Path, name: str, value: str, unit: str) -> None:
    assert read_particles(written(folder, relion_text(DEFOCUS, [OPTICS | CTF]))).ctf is not None
    with pytest.raises(FormatError, match=rf"from {float(value):g} to .* {unit}; correct their unit".replace("+", ".")):
        read_particles(written(folder, relion_text(DEFOCUS, [OPTICS | CTF | {name: value}])))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rlnDefocusU": ["1.2", "0.9"], "rlnDefocusV": ["1.1", "0.9"]}, "Are they in µm"),
        ({"rlnDefocusU": ["-12000", "9000"]}, "negative values of defocus are read as overfocus"),
        ({"rlnAmplitudeContrast": ["-0.1", "-0.1"]}, "negative amplitude contrasts are used as they are"),
    ],
)
def test_signs_and_units_that_may_be_meant_otherwise(
    folder: Path, capsys: pytest.CaptureFixture[str], change: dict[str, list[str]], said: str
) -> None:
    path = written(folder, relion_text(DEFOCUS | change, [OPTICS | CTF]), f"{next(iter(change.values()))[0]}.star")
    assert len(read_particles(path)) == 2
    assert said in capsys.readouterr().err


def test_shifts_in_angstroms_come_before_those_in_pixels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_A = {"rlnOriginXAngst": ["4", "2"], "rlnOriginYAngst": ["0", "2"]}
    same = {"rlnOriginX": ["2", "1"], "rlnOriginY": ["0", "1"]}
    read_particles(written(folder, relion_text(in_A | same), "same.star"))
    assert capsys.readouterr().err == ""
    particles = read_particles(written(folder, relion_text(in_A | same | {"rlnOriginX": ["5", "1"]}), "other.star"))
    np.testing.assert_allclose(particles.shift_A, [[4, 0], [2, 2]])
    assert "those in pixels (rlnOriginX, rlnOriginY) differ from them by up to 6 Å" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------------- images
def test_names_without_numbers(folder: Path) -> None:
    """A whole stack in each row; and files of several sections, as of subtomograms, whatever their headers say."""
    with pytest.raises(InputError, match=r"the rows name whole files, such as 's\.mrcs'.* expected NUMBER@STACK"):
        read_particles(written(folder, relion_text({"rlnImageName": ["s.mrcs", "s.mrcs"]})))
    for name in ("a", "b"):
        write_mrc(folder / f"{name}.mrc", np.ones((BOX, BOX, BOX), dtype=np.float32), ispg=0)
        write_mrc(folder / f"single_{name}.mrc", np.ones((1, BOX, BOX), dtype=np.float32))
    with pytest.raises(InputError, match=r"such as 'a\.mrc'.*Volumes, such as subtomograms"):
        read_particles(written(folder, relion_text({"rlnImageName": ["a.mrc", "b.mrc"]})))
    single = read_particles(written(folder, relion_text({"rlnImageName": ["single_a.mrc", "single_b.mrc"]})))
    assert single.indices.tolist() == [0, 0]


@pytest.mark.parametrize("stack", [f"{'x' * 300}.mrcs", "a/" * 3000 + "s.mrcs"])
def test_names_that_no_file_can_have(folder: Path, stack: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_particles(written(folder, relion_text({"rlnImageName": [f"1@{stack}"]}, [{"rlnOpticsGroup": "1"}])))


def test_maps_named_section_by_section_are_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Many programs write stacks with the header of a map, so they are read; and by chance one may be a map."""
    write_mrc(folder / "map.mrc", np.random.default_rng(0).normal(size=(BOX, BOX, BOX)).astype(np.float32))
    check_images(read_particles(written(folder, relion_text({"rlnImageName": ["1@map.mrc", "2@map.mrc"]}))))
    assert "the header says that it is a map; its sections are read as images" in capsys.readouterr().err


def test_one_image_written_in_many_ways_has_one_id(folder: Path) -> None:
    """Also where ids are made of the names, since there are several stacks."""
    write_stack(folder / "t.mrcs", np.random.default_rng(1).normal(size=(2, BOX, BOX)).astype(np.float32), PIXEL)
    ids = [
        read_particles(written(folder, relion_text({"rlnImageName": names}))).ids.tolist()
        for names in (["000001@s.mrcs", "000002@t.mrcs"], ["1@s.mrcs", "0002@t.mrcs:mrcs"])
    ]
    assert ids[0] == ids[1]


def test_folders_with_an_at_sign(folder: Path) -> None:
    (folder / "user@host").mkdir()
    (folder / "s.mrcs").rename(folder / "user@host" / "s.mrcs")
    names = ["2@user@host/s.mrcs", "1@user@host/s.mrcs"]
    particles = read_particles(written(folder, relion_text({"rlnImageName": names})))
    assert particles.indices.tolist() == [1, 0]
    assert set(particles.stacks) == {str(folder / "user@host" / "s.mrcs")}
    write_particles(particles, folder / "out.star")
    assert read_particles(folder / "out.star").stacks.tolist() == particles.stacks.tolist()
    for name in ("0@s.mrcs", "x@s.mrcs", "1@", "-1@s.mrcs", f"{'9' * 30}@s.mrcs", "²@s.mrcs"):
        with pytest.raises(FormatError, match="expected NUMBER@STACK with a number from 1"):
            read_particles(written(folder, relion_text({"rlnImageName": [name]})))


def test_copies_of_an_image_are_refused(folder: Path) -> None:
    names = ["1@s.mrcs", "1@s.mrcs", "2@s.mrcs", "2@s.mrcs"]
    for more in ({}, {"cfdParticleId": ["1", "1", "2", "2"]}):
        with pytest.raises(InputError, match=r"rows 1, 2 are all of the image '1@s\.mrcs', and so for 2 of 2 images"):
            read_particles(written(folder, relion_text({"rlnImageName": names, **more})))
    ids = {"cfdParticleId": ["1", "2", "3", "4"]}  # whoever gave each an id of its own means it
    assert len(read_particles(written(folder, relion_text({"rlnImageName": names, **ids})))) == 4


@pytest.mark.parametrize(("suffix", "label"), [("star", "rlnImageName"), ("xmd", "image")])
def test_several_tables_of_images_are_refused(folder: Path, suffix: str, label: str) -> None:
    """As classifications write them: the averages, and a table for each class."""
    tables = [block(name, [label], [[f"{i}@s.mrcs"]]) for i, name in enumerate(("classes", "class000001_images"), 1)]
    with pytest.raises(InputError, match="2 tables of images, expected one: data_classes, data_class000001_images"):
        read_particles(written(folder, "".join(tables), f"p.{suffix}"))


def test_records_of_tilt_series_by_the_general_table(folder: Path) -> None:
    general = block("general", ["rlnTomoSubTomosAre2DStacks"], [["1"]])
    with pytest.raises(InputError, match="records of a tilt series"):
        read_particles(written(folder, general + relion_text({})))


# ------------------------------------------------------------------------------------------------------- poses
def test_which_of_several_pixel_sizes_counts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in RELION that of the optics table; then that at the detector, and last that of other programs."""
    twice = {"rlnImagePixelSize": ["3.0", "3.0"], "rlnImageSize": ["8", "8"]}
    assert read_particles(written(folder, relion_text(twice), "twice.star")).pixel_size_A == 2.0
    assert "rlnImagePixelSize of the optics table are used, those of the particles differ" in capsys.readouterr().err
    same = {"rlnImagePixelSize": ["2.000", "2.000"], "rlnImageSize": ["8", "8"]}
    particles = read_particles(written(folder, relion_text(same), "same.star"))
    assert capsys.readouterr().err == ""
    write_particles(particles, folder / "out.star")
    assert "rlnImageSize" not in read_star(folder / "out.star")["particles"]
    at_detector = {"rlnDetectorPixelSize": ["5.0", "5.0"], "rlnMagnification": ["25000", "25000"]}
    text = block("", ["rlnImageName", *at_detector, "rlnPixelSize"],
                 [[f"{i + 1}@s.mrcs", "5.0", "25000", "3.0"] for i in range(2)])  # fmt: skip
    assert read_particles(written(folder, text, "detector.star")).pixel_size_A == 2.0
    assert "is used as the pixel size; rlnPixelSize is 3 Å" in capsys.readouterr().err
    old = relion_text(at_detector | {"rlnMagnification": ["10000", "10000"]})
    assert read_particles(written(folder, old, "old.star")).pixel_size_A == 2.0
    assert "rlnDetectorPixelSize over rlnMagnification is 5 Å" in capsys.readouterr().err


def test_two_dimensional_alignments_are_no_poses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Angles without others are carried along; rot and tilt that are all 0 are reported."""
    columns = {"rlnAnglePsi": ["10.500", "20"], "rlnOriginXAngst": ["1", "2"]}
    particles = read_particles(written(folder, relion_text(columns)))
    assert (particles.euler_deg, particles.shift_A) == (None, None)
    said = capsys.readouterr().err
    assert "there is rlnAnglePsi, but no rlnAngleRot and rlnAngleTilt: not used, and carried along" in said
    assert "there is rlnOriginXAngst, but no rlnOriginYAngst: not used" in said
    write_particles(particles, folder / "out.star")
    table = read_star(folder / "out.star")["particles"]
    assert {name: [float(v) for v in table[name]] for name in columns} == {
        "rlnAnglePsi": [10.5, 20.0], "rlnOriginXAngst": [1.0, 2.0],
    }  # fmt: skip
    angles = {"rlnAngleRot": ["0", "0"], "rlnAngleTilt": ["0", "0"], "rlnAnglePsi": ["10", "20"]}
    assert read_particles(written(folder, relion_text(angles), "planar.star")).euler_deg is not None
    assert "rot and tilt are 0 for all particles, as after a two-dimensional" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------- Xmipp
def test_copies_of_an_image_have_ids_of_their_own_in_xmipp_and_are_refused(folder: Path) -> None:
    text = "data_noname\nloop_\n _image\n _itemId\n 1@s.mrcs 1\n 2@s.mrcs 2\n 1@s.mrcs 3\n"
    with pytest.raises(InputError, match=r"rows 1, 3 are all of the image '1@s\.mrcs', and so for 1 of 2 images"):
        read_particles(written(folder, text, "p.xmd"))


def test_different_pixel_sizes_of_xmipp_are_refused(folder: Path) -> None:
    text = "data_noname\nloop_\n _image\n _samplingRate\n 1@s.mrcs 2.0\n 2@s.mrcs 4.0\n"
    with pytest.raises(InputError, match=r"different pixel sizes \(2 to 4 Å\)"):
        read_particles(written(folder, text, "p.xmd"))


def test_mirrored_images_of_xmipp_are_views_from_the_opposite_side(tmp_path: Path) -> None:
    """Images mirrored in x with flip = 1, and the same images as they are without: one pose."""
    euler_deg, shift_A = np.array([[30.0, 50.0, 70.0], [-100.0, 120.0, 10.0]]), np.array([[4.0, -2.0], [6.0, 2.0]])
    images = true_images(euler_to_matrix(euler_deg), shift_A, 33, PIXEL).astype(np.float32)
    write_stack(tmp_path / "s.mrcs", images[:, :, ::-1].copy(), PIXEL)
    rows = "".join(
        f"{i + 1}@s.mrcs {r} {t} {p} {x / PIXEL} {y / PIXEL} 1\n"
        for i, ((r, t, p), (x, y)) in enumerate(zip(euler_deg, shift_A, strict=True))
    )
    names = ("image", "angleRot", "angleTilt", "anglePsi", "shiftX", "shiftY", "flip")
    labels = "".join(f" _{name}\n" for name in names)
    particles = read_particles(written(tmp_path, f"data_noname\nloop_\n{labels}{rows}", "p.xmd"))
    angles, shifts = particles.require_poses("the test")
    predicted = true_images(euler_to_matrix(angles), shifts, 33, PIXEL)
    np.testing.assert_allclose(predicted, images[:, :, ::-1], atol=1e-4 * images.max())


def test_columns_of_xmipp(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def text(label: str, value: str) -> str:
        return f"data_noname\nloop_\n _image\n _samplingRate\n _{label}\n 1@s.mrcs 2.0 {value}\n"

    with pytest.raises(InputError, match="shifts along the beam, of subtomograms"):
        read_particles(written(folder, text("shiftZ", "2.0"), "p.xmd"))
    read_particles(written(folder, text("scale", "1.1"), "scale.xmd"))
    assert "carried along: scale (scale of the image)" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"mirrored \(flip\), but there are no angles"):
        read_particles(written(folder, text("flip", "1"), "p.xmd"))
