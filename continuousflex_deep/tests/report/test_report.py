"""The report's content: what is in the page, that it needs no network, and that it stays small."""

import base64
import csv
import dataclasses
import gzip
import html.parser
import importlib.util
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import gemmi
import mrcfile
import numpy as np
import pytest

from continuousflex_deep.cli import main
from continuousflex_deep.commands.report import run
from continuousflex_deep.errors import FormatError, InputError, MissingDependencyError
from continuousflex_deep.figures.maps import small_slices_png
from continuousflex_deep.io.density_table import read_densities
from continuousflex_deep.io.groups import COLOURS, NamedGroup, write_groups
from continuousflex_deep.io.landscape_table import read_landscape_table, write_landscape_table
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.structures import read_structure, write_structure
from continuousflex_deep.io.trajectories import SAMPLE, read_trajectory
from continuousflex_deep.motion import motion_along
from continuousflex_deep.options import ReportOptions, from_mapping
from continuousflex_deep.report.csv_columns import read_columns
from continuousflex_deep.report.evaluations import evaluation_content
from continuousflex_deep.report.landscape import complete_columns
from continuousflex_deep.report.molecule import shown_atoms
from continuousflex_deep.report.packing import Pack
from continuousflex_deep.report.page import LIBRARIES, json_in_html
from continuousflex_deep.tests.helpers.report_inputs import (
    MODES,
    NASTY,
    N,
    write_assessments,
    write_helix,
    write_large_landscape,
)

_TUPLES = ("group", "trajectory", "reconstruction", "model", "evaluation")


@pytest.fixture(scope="module")
def assessed(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of the evaluate command: of results and groups' maps with the truth, and of groups alone."""
    return write_assessments(Path(inputs["landscape"]).parent, tmp_path_factory.mktemp("assessed"))


@pytest.fixture(autouse=True)
def _small_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts of others, a few MB, are packed in one test alone."""
    monkeypatch.setattr("continuousflex_deep.report.page.library", lambda name: f"/* {name} */".encode())


class Page(html.parser.HTMLParser):
    """A page as a browser takes it apart: its elements, the texts of those with an id, and its title."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._inside = ""
        self.whole = path.read_text(encoding="utf-8")
        self.feed(self.whole)
        self.close()
        self.content = json.loads(self.texts["content"])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        self.texts[self._inside] = self.texts.get(self._inside, "") + data

    def array(self, packed: dict[str, Any]) -> np.ndarray:
        """What the page's script makes of a packed array."""
        kinds = {"Float32Array": "<f4", "Uint32Array": "<u4", "Uint8Array": "u1", "BigInt64Array": "<i8"}
        raw = gzip.decompress(base64.b64decode(self.texts[packed["block"]]))
        values = np.frombuffer(raw, dtype=kinds[packed["kind"]])
        assert len(values) == packed["length"]
        return values

    def column(self, name: str) -> np.ndarray:
        return self.array(next(c["values"] for c in self.content["landscape"]["columns"] if c["name"] == name))


def report(folder: Path, **options: Any) -> Page:
    values = {k: [v] if k in _TUPLES and isinstance(v, str) else v for k, v in options.items()}
    run(from_mapping(ReportOptions, {"output": str(folder / "report.html"), **values}))
    return Page(folder / "report.html")


def test_landscape_is_in_the_page_particle_by_particle(inputs: dict[str, str], tmp_path: Path) -> None:
    page = report(tmp_path, landscape=inputs["landscape"], group=inputs["group"])
    table = read_landscape_table(inputs["landscape"])
    landscape = page.content["landscape"]
    np.testing.assert_array_equal(page.array(landscape["ids"]), table.ids)
    for name, values in table.columns().items():
        if not name.startswith("dim") and name not in ("id", "outlier"):
            np.testing.assert_allclose(page.column(name), values, rtol=1e-6, atol=1e-6)
    (group,) = landscape["groups"]
    assert group["name"] == "open"
    np.testing.assert_array_equal(
        np.sort(table.ids[page.array(group["rows"])]), np.sort(read_particles(inputs["group"]).ids)
    )
    assert (landscape["total"], landscape["kept"], landscape["drawn"]) == (N, N, None)


def test_dependence_on_imaging_is_told(inputs: dict[str, str], tmp_path: Path) -> None:
    page = report(tmp_path, landscape=inputs["landscape"])
    told = page.content["landscape"]["dependence"]
    record = json.loads((Path(inputs["landscape"]) / "record.json").read_text())
    assert told["sentence"] == record["dependence"]["sentence"]
    assert told["alarm"] is False
    assert base64.b64decode(told["picture"]) == (Path(inputs["landscape"]) / "dependence.png").read_bytes()


def test_free_energies_are_those_of_the_landscape(inputs: dict[str, str], tmp_path: Path) -> None:
    page = report(tmp_path, landscape=inputs["landscape"])
    contents = page.content["landscape"]["densities"]
    densities = read_densities(inputs["landscape"])
    assert [len(content["labels"]) for content in contents] == [1, 2]
    for content, density in zip(contents, densities, strict=True):
        energy = page.array(content["deconvolved"]).reshape(density.deconvolved.shape)
        np.testing.assert_allclose(energy, -np.log(density.deconvolved / density.deconvolved.max()), atol=1e-4)
        assert page.array(content["raw"]).min() == pytest.approx(0, abs=1e-6)
        assert (page.array(content["low"]) >= page.array(content["high"])).all()
        np.testing.assert_allclose(page.array(content["places"][0]), density.axes[0], rtol=1e-5, atol=1e-4)


def test_molecule_moves_as_the_structure_does(inputs: dict[str, str], tmp_path: Path) -> None:
    """What the page adds up, on the atoms shown, against the deformation of the whole structure."""
    page = report(tmp_path, structure=inputs["structure"], modes=inputs["modes"], trajectory=inputs["trajectory"])
    molecule = page.content["molecule"]
    structure, modes = read_reference(inputs["structure"], inputs["modes"])
    q = np.array([40.0, -25.0, 10.0])
    vectors = page.array(molecule["vectors"]).reshape(len(modes), -1, 3)
    moved = page.array(molecule["coordinates"]).reshape(-1, 3) + np.tensordot(q, vectors, axes=1)
    expected = motion_along(structure, modes).coordinates(q)
    np.testing.assert_allclose(moved, expected[structure.representative_atoms] - structure.center_A, atol=1e-4)
    rmsd_A = np.sqrt(np.square(expected - structure.coords_A).sum(axis=1).mean())
    assert np.sqrt(q @ np.array(molecule["gram"]) @ q) == pytest.approx(rmsd_A)
    assert molecule["trace"]
    path = read_trajectory(Path(inputs["trajectory"]) / "trajectory.json")
    (told,) = page.content["trajectories"]
    assert "molecule" not in told
    np.testing.assert_allclose(np.array(told["amplitudes"])[:, :2], path.amplitudes_A)
    assert np.array(told["amplitudes"])[:, 2].tolist() == [0.0] * 5  # mode 9, which the path does not know
    assert page.content["molecule"]["modes"][:2] == list(path.mode_ids) == list(MODES)


def test_a_trajectory_alone_brings_its_frames(inputs: dict[str, str], tmp_path: Path) -> None:
    page = report(tmp_path, trajectory=inputs["trajectory"])
    molecule = page.content["trajectories"][0]["molecule"]
    models = gemmi.read_structure(f"{inputs['trajectory']}/frames.pdb")
    frames = np.array([[site.atom.pos.tolist() for site in model.all()] for model in models])
    shown = page.array(molecule["frames"]).reshape(frames.shape)
    np.testing.assert_allclose(shown - shown[0].mean(axis=0), frames - frames[0].mean(axis=0), atol=1e-3)
    assert np.abs(shown[0].mean(axis=0)).max() < 1e-3


def test_maps_curves_errors_and_options_are_told(inputs: dict[str, str], tmp_path: Path) -> None:
    base = Path(inputs["landscape"]).parent
    page = report(
        tmp_path, reconstruction=[inputs["reconstruction"], f"{base}/map", f"{base}/unbent"], model=inputs["model"],
        evaluation=inputs["evaluation"], landscape=inputs["landscape"], group=inputs["group"],
    )  # fmt: skip
    series, single, unbent = page.content["reconstructions"]
    assert [m["name"] for m in series["members"]] == ["group_1", "group_2"]
    assert [m["particles"] for m in series["members"]] == [N // 2, N // 2]
    assert list(unbent["members"][0]["pictures"]) == ["map", "motion not undone"]
    for one in (series, single, unbent):
        member = one["members"][0]
        assert base64.b64decode(member["pictures"]["map"]).startswith(b"\x89PNG")
        assert len(member["frequency"]) == len(member["curves"]["half maps, corrected"]) == 13
        assert set(member["resolutions"]["half maps"]) == {"0.143", "0.5"}
    (training,) = page.content["trainings"]
    assert [n["name"] for n in training["networks"]] == ["angles", "shifts"]
    assert training["networks"][0]["curves"]["angle_error_deg"] == [9.0, 4.5, 3.0]
    (evaluation,) = page.content["evaluations"]
    (table,) = evaluation["tables"]
    assert {"angle [°]", "shift x [Å]", "shift y [Å]"} <= set(table["head"])
    assert [row[1:4] for row in table["rows"]] == [["all particles", str(N), "0"]]  # and no row of those not lost
    told = [r["command"] for r in page.content["records"]]
    assert told == ["landscape", "group", "reconstruct", "reconstruct", "unbend", "train", "evaluate"]
    assert page.content["records"][5]["options"]["seed"] == "41"


def test_pictures_of_one_reconstruction_have_one_grey_scale(inputs: dict[str, str], tmp_path: Path) -> None:
    """The same map twice as bright, beside the other, is not the same picture."""
    folder = tmp_path / "series"
    shutil.copytree(inputs["reconstruction"], folder)
    shutil.copyfile(folder / "group_1" / "map.mrc", folder / "group_2" / "map.mrc")
    assert len(set(map_pictures(tmp_path, folder))) == 1
    with mrcfile.open(folder / "group_2" / "map.mrc", mode="r+") as mrc:
        mrc.data[:] *= 2
    assert len(set(map_pictures(tmp_path, folder))) == 2


def map_pictures(tmp_path: Path, folder: Path) -> list[str]:
    (one,) = report(tmp_path, reconstruction=str(folder)).content["reconstructions"]
    return [member["pictures"]["map"] for member in one["members"]]


def test_named_groups_are_shown_with_their_colours(inputs: dict[str, str], tmp_path: Path) -> None:
    ids = read_landscape_table(inputs["landscape"]).ids
    write_groups(
        tmp_path / "groups.json", [NamedGroup(NASTY, COLOURS[3], ids[:5]), NamedGroup("b", COLOURS[4], ids[2:9])]
    )
    page = report(tmp_path, landscape=inputs["landscape"], group=str(tmp_path / "groups.json"))
    assert [r["command"] for r in page.content["records"]] == ["landscape"]  # the file of groups is no record
    groups = page.content["landscape"]["groups"]
    assert [(g["name"], g["colour"], g["size"]) for g in groups] == [(NASTY, COLOURS[3], 5), ("b", COLOURS[4], 7)]


def test_pseudoatoms_are_balls(tmp_path: Path, inputs: dict[str, str]) -> None:
    write_helix(tmp_path / "dens.pdb", "DENS", "DEN")
    assert read_structure(tmp_path / "dens.pdb").is_pseudoatomic
    page = report(tmp_path, structure=str(tmp_path / "dens.pdb"), modes=inputs["modes"])
    assert (page.content["molecule"]["pseudoatoms"], page.content["molecule"]["trace"]) == (True, False)


def test_large_structures_are_thinned(inputs: dict[str, str]) -> None:
    structure = read_structure(inputs["structure"])
    assert len(shown_atoms(structure)) == len(structure)
    assert shown_atoms(structure, 15).tolist() == list(range(0, 40, 3))


# ------------------------------------------------------------------ no network, nothing executed that is data


def test_the_page_asks_for_nothing(inputs: dict[str, str], tmp_path: Path) -> None:
    """No element loads anything but what the page itself holds, and our scripts know no way to."""
    page = report(tmp_path, **inputs)
    loading = [
        (tag, name, value) for tag, attributes in page.elements for name, value in attributes.items()
        if name in ("src", "href", "action", "data", "srcset", "poster", "background", "ping")
    ]  # fmt: skip
    assert loading == []  # pictures and links are made by the script, from what is in the page
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "object", "embed", "base", "form")]
    static = Path(importlib.util.find_spec("continuousflex_deep.report").origin).parent / "static"
    ours = "".join(file.read_text(encoding="utf-8") for file in sorted(static.iterdir()))
    assert (
        re.findall(r"https?:|//[a-z]+\.|\bfetch\b|XMLHttpRequest|WebSocket|sendBeacon|\bimport\b|@import|url\(", ours)
        == []
    )
    assert "http" not in page.whole.replace(page.texts["content"], "").replace("http-equiv", "")


def test_texts_cannot_become_markup(inputs: dict[str, str], tmp_path: Path) -> None:
    odd = tmp_path / "<b>&\"'"
    shutil.copytree(inputs["model"], odd)
    plain, page = report(tmp_path, model=inputs["model"]), report(tmp_path, model=str(odd), title=NASTY)
    assert page.texts["title"].count(NASTY) == 1
    assert (page.content["title"], page.content["trainings"][0]["name"]) == (NASTY, odd.name)
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]


def test_json_in_a_page_is_the_same_json() -> None:
    content = {"a": "</script><!--", "b": ["&amp;", "\u2028", 1.5, None]}
    text = json_in_html(content)
    assert not set("<>&") & set(text)
    assert json.loads(text) == content
    with pytest.raises(ValueError, match="Out of range"):
        json_in_html({"x": float("nan")})


def test_libraries_are_those_installed(inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    page = report(tmp_path, **inputs)
    for name, (package, path) in LIBRARIES.items():
        file = Path(importlib.util.find_spec(package).origin).parent / path
        packed = gzip.decompress(base64.b64decode(page.texts[page.content["libraries"][name]]))
        assert packed == file.read_bytes()
    assert (tmp_path / "report.html").stat().st_size < 6e6
    assert "molstar" not in report(tmp_path, landscape=inputs["landscape"]).content["libraries"]
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingDependencyError, match="package plotly, which is not installed"):
        report(tmp_path, structure=inputs["structure"], modes=inputs["modes"])


# ------------------------------------------------------------------ size


def test_a_million_particles_stay_below_a_size(inputs: dict[str, str], tmp_path: Path) -> None:
    n = 1_000_000
    table = write_large_landscape(tmp_path / "large", inputs["landscape"], n)
    page = report(tmp_path, landscape=str(tmp_path / "large"))
    size = (tmp_path / "report.html").stat().st_size
    assert 20e6 < size < 50e6
    landscape = page.content["landscape"]
    assert (landscape["total"], landscape["kept"], landscape["drawn_count"]) == (n, n, 50_000)
    np.testing.assert_array_equal(page.array(landscape["ids"]), table.ids)
    np.testing.assert_allclose(page.column("pc2"), table.coordinates[:, 1], rtol=1e-6)
    np.testing.assert_allclose(page.column("rot"), table.euler_deg[page.array(landscape["drawn"]), 0], rtol=1e-6)

    small = report(tmp_path, landscape=str(tmp_path / "large"), max_megabytes=10, max_points=5000)
    assert (tmp_path / "report.html").stat().st_size < 2e6
    landscape = small.content["landscape"]
    assert (landscape["total"], landscape["kept"], landscape["drawn"]) == (n, 5000, None)
    assert all(c["complete"] for c in landscape["columns"])
    assert set(small.array(landscape["ids"]).tolist()) <= set(table.ids.tolist())


def test_what_is_kept_of_all_particles(inputs: dict[str, str]) -> None:
    table = read_landscape_table(inputs["landscape"])  # two coordinates, two amplitudes
    names = ["pc1", "pc2", "q7", "q8", "score"]
    assert complete_columns(table, names, N, 0) == set(names)
    assert complete_columns(table, names, 10, N * 25e-6) == {"pc1", "pc2", "q7", "q8"}
    assert complete_columns(table, names, 10, N * 24.9e-6) == {"pc1", "pc2"}
    assert complete_columns(table, names, 10, N * 16.9e-6) == set()


def test_the_same_input_gives_the_same_blocks() -> None:
    first, second = Pack(), Pack()
    values = np.arange(5, dtype=np.float32)
    assert first.array(values) == second.array(values)
    assert first.blocks == second.blocks


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "the report would be empty"),
        ({"structure": "helix.pdb"}, "belong together"),
        ({"landscape": "landscape", "output": "report.pdf"}, "expected the name of an HTML file"),
        ({"model": ["model"], "group": ["open.star"]}, "give it by --landscape"),
        ({"landscape": "map"}, "contains no landscape"),
        ({"trajectory": ["landscape"]}, "written by the command landscape, expected trajectory"),
        ({"reconstruction": ["model"]}, "has no record.json"),
        ({"model": ["modes"]}, "has no train.json"),
        ({"evaluation": ["open.json"]}, "written by the command group, expected evaluate"),
        ({"evaluation": ["elsewhere"]}, "there is no"),
        ({"landscape": "landscape", "group": ["foreign.star"]}, "particles are not in the landscape"),
        ({"structure": "helix.pdb", "modes": "one", "trajectory": ["path"]}, "leads along modes \\[8\\]"),
    ],
)
def test_what_cannot_be_is_said(
    inputs: dict[str, str], tmp_path: Path, options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "base"
    shutil.copytree(Path(inputs["landscape"]).parent, base)
    particles = read_particles(base / "open.star")
    write_particles(particles.replace(ids=particles.ids + 5000), base / "foreign.star")
    (base / "one").mkdir(exist_ok=True)
    shutil.copyfile(base / "modes" / "vec.7", base / "one" / "vec.7")
    monkeypatch.chdir(base)
    with pytest.raises(InputError, match=message):
        run(from_mapping(ReportOptions, {"output": str(tmp_path / "report.html"), **options}))
    assert not (tmp_path / "report.html").exists()


def test_damaged_files_are_named(inputs: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(inputs["model"], folder)
    (folder / "angles" / "curves.csv").write_text("epoch,train_loss\n1,2\n2\n")
    with pytest.raises(FormatError, match=r"angles/curves\.csv' is not a whole table"):
        report(tmp_path, model=str(folder))
    (folder / "train.json").write_text("{}")
    with pytest.raises(FormatError, match="is not a record of this program"):
        report(tmp_path, model=str(folder))
    path = tmp_path / "path"
    shutil.copytree(inputs["trajectory"], path)
    structure = read_structure(path / "frames.pdb")
    write_structure(path / "frames.pdb", structure, [structure.coords_A] * 2)
    with pytest.raises(FormatError, match="has 2 frames, but the trajectory beside it 5"):
        report(tmp_path, trajectory=str(path))
    facts = {"particles": 9, "lost": 2, "lost_deg": 5.0, "all": {"angle_deg": {"mean": 3.21, "sd": 1.0, "median": 3.0}}}
    facts["not_lost"] = {"angle_deg": {"mean": 1.5, "sd": 0.25, "median": 1.0}}
    told = evaluation_content("e.json", "e", {"results": {"a": facts}, "bound": {"angle_deg": 1.25}})
    assert told["tables"][0]["rows"] == [
        ["a vs. truth", "all particles", "9", "2", "3.21 ± 1"],
        ["a vs. truth", "aligned (within 5°)", "7", "–", "1.5 ± 0.25"],
        ["Cramér-Rao bound", "", "", "", "1.25"],
    ]
    with pytest.raises(FormatError, match="holds no comparison"):
        evaluation_content("e.json", "e", {"results": {}})


# ------------------------------------------------------------------ assessments


def test_an_assessment_shows_its_own_tables_and_curves(
    inputs: dict[str, str], assessed: dict[str, str], tmp_path: Path
) -> None:
    page = report(tmp_path, evaluation=[assessed["all"]])
    (one,) = page.content["evaluations"]
    folder = Path(assessed["all"])
    names = ["distances", "rmsd", "resolution_0.5", "resolution_0.143"]
    for name, table in zip(names, one["tables"], strict=True):
        head, *rows = list(csv.reader((folder / f"{name}.csv").open(encoding="utf-8")))
        assert table["head"] == head
        assert [row[0] for row in table["rows"]] == [row[0] for row in rows]
        for shown, row in zip(table["rows"], rows, strict=True):
            for cell, told in zip(row[table["left"] :], shown[table["left"] :], strict=True):
                assert told == "–" if cell == "" else float(told) == pytest.approx(float(cell), rel=5e-3)
    assert {"shift x [Å]", "shift y [Å]", "shift x SD"} <= set(one["tables"][0]["head"])
    assert [table["left"] for table in one["tables"]] == [2, 2, 1, 1]
    assert len(one["groups"]) == 2
    for number, group in enumerate(one["groups"], start=1):
        curves = read_columns(folder / f"group_{number}" / "fsc.csv", "curves")
        assert group["name"].startswith(f"group_{number} (pc1 ")
        assert group["frequency"] == curves.pop("frequency_per_A")
        assert set(group["curves"]) == {name for name in curves if not name.endswith(", masked")}
        assert {"centroid", "true centroid", "structure at rest", "allowed by noise"} <= set(curves)
        assert group["curves"]["true centroid"] == curves["true centroid"]
        shown, allowed = group["curves"]["allowed by noise"], curves["allowed by noise"]
        end = shown.index(None) if None in shown else len(shown)
        assert shown[:end] == allowed[:end]
        assert all(value >= 0.25 for value in allowed[:end])


def test_an_assessment_of_groups_alone(inputs: dict[str, str], assessed: dict[str, str], tmp_path: Path) -> None:
    """As a folder, and as the record alone, which has the same resolutions."""
    page = report(tmp_path, evaluation=[assessed["groups"], f"{assessed['groups']}/record.json"])
    folder, record = page.content["evaluations"]
    assert [table["head"][:2] for table in folder["tables"]] == [["", "particles"]] * 2
    assert len(folder["groups"]) == 2
    assert record["groups"] == []
    for of_folder, of_record in zip(folder["tables"], record["tables"], strict=True):
        assert [row[:2] for row in of_folder["rows"]] == [row[:2] for row in of_record["rows"]]
        at = [of_folder["head"].index(name) for name in of_record["head"]]
        for row, other in zip(of_folder["rows"], of_record["rows"], strict=True):  # one was rounded before
            known = [(row[i], cell) for i, cell in zip(at[1:], other[1:], strict=True) if "–" not in (row[i], cell)]
            assert [float(a) for a, _ in known] == pytest.approx([float(b) for _, b in known], rel=0.01)
            assert [row[i] == "–" for i in at] == [cell == "–" for cell in other]


def test_tables_of_an_earlier_assessment_are_not_shown(assessed: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(assessed["groups"], folder)
    shutil.copyfile(f"{assessed['all']}/distances.csv", folder / "distances.csv")
    (one,) = report(tmp_path, evaluation=str(folder)).content["evaluations"]
    assert len(one["tables"]) == 2


def test_comparisons_of_a_record(tmp_path: Path) -> None:
    figures = {"particles": 9, "lost": 0, "lost_deg": 5.0, "all": {"shift_x_A": {"mean": 0.5, "sd": None}}}
    record = {"comparisons": {"a vs. b": figures}, "results": {"c": figures}, "bound": {"shift_x_A": 0.25}}
    (table,) = evaluation_content("e.json", "e", record)["tables"]
    assert table["head"] == ["", "of", "particles", "misaligned", "shift x [Å]"]
    assert table["rows"] == [
        ["a vs. b", "all particles", "9", "0", "0.5"], ["Cramér-Rao bound", "", "", "", "0.25"]
    ]  # fmt: skip


# ------------------------------------------------------------------ what belongs together, and what is damaged


def test_a_trajectory_of_another_landscape_is_refused(inputs: dict[str, str], tmp_path: Path) -> None:
    table = read_landscape_table(inputs["landscape"])
    other = tmp_path / "other"
    shutil.copytree(inputs["landscape"], other)
    write_landscape_table(other, dataclasses.replace(table, coordinates=table.coordinates[:, ::-1] * 3))
    with pytest.raises(InputError, match=rf"trajectory '{inputs['trajectory']}' belongs to another landscape"):
        report(tmp_path, landscape=str(other), trajectory=inputs["trajectory"])
    assert report(tmp_path, landscape=inputs["landscape"], trajectory=inputs["trajectory"]).content["trajectories"]


def test_inputs_of_one_name_are_told_apart(inputs: dict[str, str], tmp_path: Path) -> None:
    for run_name in ("first", "second"):
        for what in ("trajectory", "reconstruction", "model", "evaluation"):
            copy = shutil.copytree if Path(inputs[what]).is_dir() else shutil.copyfile
            (tmp_path / run_name).mkdir(exist_ok=True)
            copy(inputs[what], tmp_path / run_name / Path(inputs[what]).name)
        write_groups(
            tmp_path / run_name / "groups.json",
            [NamedGroup("open", COLOURS[0], read_particles(inputs["group"]).ids[:5])],
        )
        shutil.copyfile(inputs["group"], tmp_path / run_name / "open.star")

    def both(name: str) -> list[str]:
        return [f"{tmp_path}/{run_name}/{name}" for run_name in ("first", "second")]

    page = report(
        tmp_path, landscape=inputs["landscape"], group=both("open.star") + both("groups.json"), trajectory=both("path"),
        reconstruction=both("series"), model=both("model"), evaluation=both("evaluation.json"),
    )  # fmt: skip
    for key in ("trajectories", "reconstructions", "trainings", "evaluations"):
        first, second = (one["name"] for one in page.content[key])
        assert first.startswith("first/")
        assert second.startswith("second/")
    names = [group["name"] for group in page.content["landscape"]["groups"]]
    assert names == ["first/open", "second/open", "open (first/groups)", "open (second/groups)"]


def test_a_folder_called_dot_has_its_name(
    inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(inputs["model"])
    page = report(tmp_path, model=".")
    assert page.content["trainings"][0]["name"] == "model"
    assert page.content["title"].endswith("/model")


def test_an_unfinished_training_is_shown(inputs: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(inputs["model"], folder)
    (folder / "train.json").unlink()
    page = report(tmp_path, model=[str(folder), inputs["model"]])
    assert [one["unfinished"] for one in page.content["trainings"]] == [True, False]
    assert [record["command"] for record in page.content["records"]] == ["train"]


def test_each_network_has_its_own_curves(inputs: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(inputs["model"], folder)
    curves = folder / "shifts" / "curves.csv"
    curves.write_text("epoch,train_loss,validation_loss,shift_error_A\n1,7,8,9\n")
    (training,) = report(tmp_path, model=str(folder)).content["trainings"]
    losses = {network["name"]: network["curves"]["train_loss"] for network in training["networks"]}
    assert losses == {"angles": [1.0, 0.5, pytest.approx(1 / 3)], "shifts": [7.0]}


def test_slices_are_in_the_directions_that_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """A voxel off the centre along x and z appears where its axes say, in each of the slices."""
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.imshow", lambda self, plane, **how: drawn.append((plane, how)))
    d, x, z = 8, 6, 1
    volume = np.zeros((d, d, d), dtype=np.float32)
    volume[z, 4, x] = 1  # in the plane of x and z, in which y is that of the centre
    volume[4, 3, x] = 2  # in that of x and y
    volume[z, 5, 4] = 3  # in that of y and z
    small_slices_png(volume, 2.0, (0.0, 1.0))
    xy, xz, yz = (plane for plane, _ in drawn)
    assert all(how["origin"] == "lower" for _, how in drawn)
    assert (xy[3, x], xz[z, x], yz[z, 5]) == (2, 1, 3)
    assert all(how["extent"] == (-8.0, 8.0, -8.0, 8.0) for _, how in drawn)


def _damage(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    ("what", "file", "values", "message"),
    [
        ("reconstruction", "record.json", {"groups": [{"x": 1}]}, "its groups are .*expected the folder of each"),
        ("reconstruction", "record.json", {"groups": 3}, "its groups are 3"),
        ("reconstruction", "group_1/fsc.json", {"resolution_A": {"a": {"0.5": float("nan")}}}, "NaN is not a finite"),
        ("reconstruction", "group_1/fsc.json", {"resolution_A": {"a": 3}}, "has no resolutions of each curve"),
        ("reconstruction", "group_1/fsc.json", {"resolution_A": {}}, "has no resolutions of each curve"),
        ("trajectory", "trajectory.json", {"made": {"barrier_kT": float("nan")}}, "NaN is not a finite number"),
        ("trajectory", "trajectory.json", {"made": {"barrier_kT": "high"}}, "barrier_kT is 'high'"),
        ("trajectory", "record.json", {"options": {"seed": float("nan")}}, "NaN is not a finite number"),
    ],
)
def test_damaged_inputs_are_named(
    inputs: dict[str, str], tmp_path: Path, what: str, file: str, values: dict[str, Any], message: str
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(inputs[what], folder)
    _damage(folder / file, **values)
    with pytest.raises(FormatError, match=rf"damaged/{file}'.*{message}"):
        report(tmp_path, **{what: str(folder)})


def test_a_trajectory_that_tells_no_landscape_is_named(inputs: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(inputs["trajectory"], folder)
    made = json.loads((folder / "trajectory.json").read_text())["made"]
    for sample in (3, {"ids": "x"}):
        _damage(folder / "trajectory.json", made=made | {SAMPLE: sample})
        with pytest.raises(InputError, match="damaged"):
            report(tmp_path, landscape=inputs["landscape"], trajectory=str(folder))


def test_a_bound_that_is_no_table_is_named(inputs: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "bound.json"
    shutil.copyfile(inputs["evaluation"], file)
    _damage(file, bound=3)
    with pytest.raises(FormatError, match=r"bound\.json' is not what the evaluate command writes"):
        report(tmp_path, evaluation=str(file))


@pytest.mark.parametrize("column", ["epoch", "train_loss", "validation_loss"])
def test_curves_without_a_column_are_named(inputs: dict[str, str], tmp_path: Path, column: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(inputs["model"], folder)
    file = folder / "angles" / "curves.csv"
    file.write_text(file.read_text().replace(column, "other"))
    with pytest.raises(FormatError, match=rf"angles/curves\.csv' has the columns .*not \['{column}'\]"):
        report(tmp_path, model=str(folder))


@pytest.mark.parametrize("text", ["a,b\n0.1,1\n", "frequency_per_A\n0.1\n", "frequency_per_A,a\nnan,1\n"])
def test_correlations_without_a_column_are_named(inputs: dict[str, str], tmp_path: Path, text: str) -> None:
    folder = tmp_path / "map"
    shutil.copytree(Path(inputs["landscape"]).parent / "map", folder)
    (folder / "fsc.csv").write_text(text)
    with pytest.raises(FormatError, match=r"map/fsc\.csv' has no column frequency_per_A"):
        report(tmp_path, reconstruction=str(folder))


def test_what_is_not_utf8_is_said(inputs: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--title: 'd\\udce9' is not UTF-8.*give another"):
        report(tmp_path, model=inputs["model"], title="d\udce9")
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/d\xe9")
    shutil.copytree(inputs["model"], folder)
    with pytest.raises(InputError, match=r"--model: '.*d\\udce9' is not UTF-8.*rename it"):
        report(tmp_path, model=folder)
    (tmp_path / "link").symlink_to(folder)
    _damage(tmp_path / "link" / "train.json", options={"output": "d\udce9"})  # as the command was called then
    assert report(tmp_path, model=str(tmp_path / "link")).content["records"][0]["options"]["output"] == "d\udce9"


def test_an_output_that_is_a_folder_is_said(inputs: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(InputError, match=r"report\.html' is a folder; give the name of a file"):
        report(tmp_path, model=inputs["model"])


def test_groups_tell_whether_they_hold_outliers(inputs: dict[str, str], tmp_path: Path) -> None:
    """Of all particles, also where these are not in the page."""
    table = write_large_landscape(tmp_path / "marked", inputs["landscape"], 900)
    table.outlier[7] = True
    write_landscape_table(tmp_path / "marked", table)
    write_groups(
        tmp_path / "g.json",
        [NamedGroup("with", COLOURS[0], table.ids[5:9]), NamedGroup("without", COLOURS[1], table.ids[8:12])],
    )
    page = report(
        tmp_path, landscape=str(tmp_path / "marked"), group=f"{tmp_path}/g.json", max_points=100, max_megabytes=0
    )
    assert [group["outliers"] for group in page.content["landscape"]["groups"]] == [True, False]


def test_insertion_codes_are_told(inputs: dict[str, str], tmp_path: Path) -> None:
    structure = read_structure(inputs["structure"])
    numbers, codes = structure.residue_numbers.copy(), np.full(len(structure), "", dtype=object)
    numbers[10:13], codes[11:13] = numbers[10], ["A", "B"]
    write_structure(
        tmp_path / "antibody.pdb",
        dataclasses.replace(structure, residue_numbers=numbers, insertion_codes=codes),
    )
    page = report(tmp_path, structure=str(tmp_path / "antibody.pdb"), modes=inputs["modes"])
    molecule = page.content["molecule"]
    assert molecule["insertions"][9:14] == ["", "", "A", "B", ""]
    assert molecule["shown"] == len(structure)


def test_command_line(inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "page.html"
    given = [
        "report",
        "--output",
        str(output),
        "--model",
        inputs["model"],
        "--reconstruction",
        inputs["reconstruction"],
    ]
    assert main(given) == 0
    assert "1 reconstructions, 1 trainings" in capsys.readouterr().out
    assert Page(output).content["title"].startswith("Conformations: ")
