"""The report's content: what is in the page, that it needs no network, and that it stays small."""

import base64
import gzip
import html.parser
import importlib.util
import json
import re
import shutil
from pathlib import Path
from typing import Any

import gemmi
import mrcfile
import numpy as np
import pytest

from continuousflex_deep.animation import deformed
from continuousflex_deep.cli import main
from continuousflex_deep.errors import FormatError, InputError, MissingDependencyError
from continuousflex_deep.io.groups import COLOURS, NamedGroup, write_groups
from continuousflex_deep.io.landscape_table import read_landscape_table
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.structures import read_structure, write_structure
from continuousflex_deep.io.trajectories import read_trajectory
from continuousflex_deep.options import ReportOptions, from_mapping
from continuousflex_deep.report.command import run
from continuousflex_deep.report.evaluations import evaluation_content
from continuousflex_deep.report.landscape import complete_columns
from continuousflex_deep.report.molecule import shown_atoms
from continuousflex_deep.report.packing import Pack
from continuousflex_deep.report.page import LIBRARIES, json_in_html
from continuousflex_deep.tests.report_inputs import MODES, NASTY, N, write_helix, write_inputs, write_large_landscape

_TUPLES = ("group", "trajectory", "reconstruction", "model", "evaluation")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_inputs(tmp_path_factory.mktemp("report"))


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


def test_molecule_moves_as_the_structure_does(inputs: dict[str, str], tmp_path: Path) -> None:
    """What the page adds up, on the atoms shown, against the deformation of the whole structure."""
    page = report(tmp_path, structure=inputs["structure"], modes=inputs["modes"], trajectory=inputs["trajectory"])
    molecule = page.content["molecule"]
    structure, modes = read_reference(inputs["structure"], inputs["modes"])
    q = np.array([40.0, -25.0, 10.0])
    vectors = page.array(molecule["vectors"]).reshape(len(modes), -1, 3)
    moved = page.array(molecule["coordinates"]).reshape(-1, 3) + np.tensordot(q, vectors, axes=1)
    expected = deformed(structure, modes.vectors, q)
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
        ({}, "a report of nothing"),
        ({"structure": "helix.pdb"}, "belong together"),
        ({"landscape": "landscape", "output": "report.pdf"}, "expected the name of an HTML file"),
        ({"model": ["model"], "group": ["open.star"]}, "name it by --landscape"),
        ({"landscape": "map"}, "holds no landscape"),
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
    base = Path(inputs["landscape"]).parent
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
        ["a vs. truth", "not lost (within 5°)", "7", "–", "1.5 ± 0.25"],
        ["Cramér-Rao bound", "", "", "", "1.25"],
    ]
    with pytest.raises(FormatError, match="holds no comparison"):
        evaluation_content("e.json", "e", {"results": {}})


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
