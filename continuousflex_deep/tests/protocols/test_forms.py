"""Scipion's forms against the options they derive from, and what they refuse."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    pytest.skip(scipion_missing(), allow_module_level=True)

import numpy as np
import pwem
from pyworkflow.protocol import LEVEL_ADVANCED, LEVEL_NORMAL, Protocol

from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.options import Fit, LandscapeOptions, SimulateOptions, TrainOptions, from_mapping, options_of
from continuousflex_deep.particles import Particles
from continuousflex_deep.protocols import __all__ as all_names
from continuousflex_deep.protocols import form_options, protocol_reconstruct
from continuousflex_deep.protocols.form_options import option_label, read_options

names = [name for name in all_names if name != "CfdProtToContinuousFlex"]  # where there is one, it runs no command
# options that a protocol leaves at their defaults, since its particles are a set of the project, which knows them
KNOWN_OF_SETS = {
    "CfdProtExport": {
        "pixel_size_A", "xmd_modes", "voltage_kV", "cs_mm", "amplitude_contrast", "min_occupancy_percent",
    },
}  # fmt: skip
pytestmark = [pytest.mark.scipion, pytest.mark.usefixtures("scipion_home")]


def protocol_of(name: str) -> Protocol:
    return pwem.Domain.getProtocols()[name]()


@pytest.mark.parametrize("name", names)
def test_form_offers_every_option_with_its_own_default(name: str) -> None:
    protocol = protocol_of(name)
    options = options_of(protocol.OPTIONS).values()
    given = {o.name: ["file"] if o.is_list else "file" for o in options if o.traits.required}
    assert read_options(protocol, protocol.OPTIONS, **given) == from_mapping(protocol.OPTIONS, given)


@pytest.mark.parametrize("name", names)
def test_form_shows_options_as_their_traits_say(name: str) -> None:
    protocol = protocol_of(name)
    for option in options_of(protocol.OPTIONS).values():
        traits = option.traits
        shown = protocol.getParam(f"{option.name}_min" if option.is_range else option.name)
        if traits.level == "hidden" or option.name in KNOWN_OF_SETS.get(name, ()):
            assert shown is None, option
            continue
        assert shown is not None, option
        if option.is_range:  # the two numbers are called min and max, on a line with the label
            continue
        level = LEVEL_ADVANCED if traits.level == "advanced" else LEVEL_NORMAL
        assert shown.expertLevel.get() == level, option
        assert shown.label.get() == (traits.label or option_label(option.name, traits.unit)), option
        assert shown.help.get().startswith(traits.help), option
        for other in traits.counts_with:
            assert other in shown.condition.get(), option


@pytest.mark.parametrize("name", names)
def test_conditions_can_be_evaluated(name: str) -> None:
    """A condition that names a parameter behind it fails in Scipion's window."""
    protocol = protocol_of(name)
    for parameter, _ in protocol.iterDefinitionAttributes():
        assert protocol.evalParamCondition(parameter) in (True, False)


def test_options_are_shown_with_the_engine_that_follows_them() -> None:
    protocol = protocol_of("CfdProtAlign")
    for engine, xmipps in ((0, False), (1, True)):
        protocol.engine.set(engine)
        for name in ("xmipp_method", "xmipp_trust_region"):
            assert protocol.evalParamCondition(name) is xmipps
        for name in ("n_hypotheses", "fit"):
            assert protocol.evalParamCondition(name) is not xmipps
        assert protocol.evalParamCondition("batch")
    protocol.engine.set(0)
    protocol.fit.set(get_args(Fit).index("conformation"))
    assert not protocol.evalParamCondition("init")


@pytest.mark.parametrize(
    ("name", "option", "engine"), [("CfdProtPseudoatoms", "max_pseudoatoms", 1), ("CfdProtReconstruct", "batch", 2)]
)
def test_what_a_form_holds_for_another_engine_does_not_count(name: str, option: str, engine: int) -> None:
    protocol = protocol_of(name)
    getattr(protocol, option).set(99)
    paths = dict.fromkeys(protocol.PATHS, "file")
    assert getattr(protocol._options(**paths), option) == 99
    protocol.engine.set(engine)
    assert not protocol.evalParamCondition(option)
    assert getattr(protocol._options(**paths), option) == options_of(protocol.OPTIONS)[option].default


@pytest.mark.parametrize("name", names)
def test_parameters_do_not_shadow_protocol_attributes(name: str) -> None:
    """A parameter called like a method of Scipion's Protocol would replace it in silence."""
    protocol = protocol_of(name)
    inherited = {n for n in dir(pwem.protocols.EMProtocol) if not n.startswith("__")}
    assert not inherited & {n for n, _ in protocol.iterDefinitionAttributes()} - {"numberOfThreads", "numberOfMpi"}


def test_form_values_reach_the_options() -> None:
    protocol = protocol_of("CfdProtSynthesize")
    protocol.conformations.set(1)
    protocol.rot_range_deg_max.set(90)
    protocol.mode_list.set(" 7 9 ")
    options = read_options(protocol, SimulateOptions, structure="s", modes="m", output="o")
    assert (options.conformations, options.rot_range_deg, options.mode_list) == ("uniform", (0.0, 90.0), "7 9")


def test_out_of_bounds_is_refused_in_the_form() -> None:
    protocol = protocol_of("CfdProtTrain")
    low = options_of(TrainOptions)["validation_percent"].traits.low
    assert low is not None
    protocol.validation_percent.set(low / 2)
    errors = protocol.getParam("validation_percent").validate(protocol.validation_percent.get())
    assert errors == [f"must be at least {low} %"]


@pytest.mark.parametrize(
    ("voxels", "voxel_A", "fits"), [(100, 1.0, True), (64, 1.0, True), (50, 2.0, True), (50, 1.5, False)]
)
def test_reference_of_the_same_pixel_size_or_width_is_taken(voxels: int, voxel_A: float, fits: bool) -> None:
    """As the reconstruct command takes it; images of 100 px of 1 Å."""
    reference, images = (
        SimpleNamespace(getXDim=lambda d=d: d, getSamplingRate=lambda a=a: a)
        for d, a in ((voxels, voxel_A), (100, 1.0))
    )
    assert protocol_reconstruct._comparable(reference, images) is fits


@pytest.mark.parametrize(
    ("name", "variable", "programs"),
    [
        ("CfdProtNma", "NMA_HOME", ["nma_elnemo_pdbmat", "nma_diagrtb"]),
        ("CfdProtPseudoatoms", "XMIPP_HOME", ["xmipp_volume_to_pseudoatoms"]),
    ],
)
def test_engines_of_other_packages_are_offered_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, variable: str, programs: list[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setenv(variable, str(tmp_path))
    absent = protocol_of(name).getParam("engine")
    assert absent.choices == ["embedded"]
    assert "Not offered here" in absent.help.get()
    for program in programs:
        (tmp_path / program).touch(mode=0o755)
    present = protocol_of(name).getParam("engine")
    assert len(present.choices) == 2
    assert "Not offered" not in present.help.get()


def test_engines_of_a_reconstruction_keep_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    for variable in ("RELION_HOME", "XMIPP_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    choices = [protocol_of("CfdProtReconstruct").getParam("engine").choices]
    for program in ("xmipp_reconstruct_fourier", "relion_reconstruct"):
        (tmp_path / program).touch(mode=0o755)
        choices.append(protocol_of("CfdProtReconstruct").getParam("engine").choices)
    assert choices == [
        ["embedded"],
        ["embedded", "relion (not installed)", "xmipp"],
        ["embedded", "relion", "xmipp"],
    ]


def test_packages_that_scipion_installed_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NMA_HOME", raising=False)
    monkeypatch.setattr(pwem.Config, "EM_ROOT", str(tmp_path))
    assert protocol_of("CfdProtNma")._options(structure="s", output="o").elnemo_home == ""
    (tmp_path / "nma").mkdir()
    assert protocol_of("CfdProtNma")._options(structure="s", output="o").elnemo_home == str(tmp_path / "nma")
    monkeypatch.setenv("NMA_HOME", "elsewhere")
    assert protocol_of("CfdProtNma")._options(structure="s", output="o").elnemo_home == ""


def test_names_of_options() -> None:
    assert option_label("cutoff_A", "Å") == "Cutoff (Å)"
    assert option_label("keep_outliers", "") == "Keep outliers"


def test_every_protocol_is_found_and_in_the_tree() -> None:
    from pyworkflow import Config
    from pyworkflow.gui.project.viewprotocols_extra import ProtocolTreeConfig

    trees = ProtocolTreeConfig.load(Config.getDomain(), "no file of the site")

    def values(node) -> set[str]:
        own = {str(node.value)} if str(node.tag).startswith("protocol") else set()
        return own.union(*[values(child) for child in node.childs])

    assert set(names) <= values(trees["Continuous flexibility (deep)"])
    assert {"CfdProtAlign", "CfdProtInfer", "CfdProtLandscape"} <= values(trees["Flexibility Hub"])
    assert set(names) <= set(pwem.Domain.getProtocols())


def test_class_names_are_not_continuousflexs() -> None:
    assert not [name for name in names if name.startswith("FlexProt")]


def test_devices_of_a_run() -> None:
    """The form's GPUs, none where it says so, and the queue's own choice where a queue runs the command."""
    protocol = protocol_of("CfdProtAlign")
    paths = dict.fromkeys(protocol.PATHS, "file")
    protocol.gpuList.set("1,3")
    assert (protocol._devices(), protocol._options(**paths).device) == ([1, 3], "auto")
    protocol._useQueue.set(True)
    assert protocol._devices() is None
    protocol.useGpu.set(False)
    assert (protocol._devices(), protocol._options(**paths).device) == ([], "cpu")
    assert protocol_of("CfdProtNma")._devices() is None


def test_workers_and_what_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    align, landscape = protocol_of("CfdProtAlign"), protocol_of("CfdProtLandscape")
    assert "share the particles" in align.getParam("numberOfMpi").help.get()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for protocol in (align, landscape):
        protocol.numberOfMpi.set(4)
        protocol.numberOfThreads.set(2)
    assert (align._workers(), landscape._workers()) == (4, 1)
    assert align._warnings() == []
    align.numberOfThreads.set(3)
    align.gpuList.set("0-5")
    assert [w.partition(" ")[0] for w in align._warnings()] == ["4", "Of"]


def test_summary_names_particles_that_were_left_out(tmp_path: Path) -> None:
    protocol, output = protocol_of("CfdProtAlign"), tmp_path / "aligned.star"
    assert protocol._leftOut(str(output)) == []
    images = np.array([str(tmp_path / "s.mrcs")] * 2, dtype=object)
    bad = Particles(ids=np.array([4, 9]), stacks=images, indices=np.arange(2), pixel_size_A=1.0, box_px=8)
    write_particles(bad, tmp_path / "aligned_bad.star")
    assert protocol._leftOut(str(output))[0].startswith("2 particles were left out")


def test_reductions_ask_for_their_own_parameters() -> None:
    protocol = protocol_of("CfdProtLandscape")
    parameters = ("n_neighbors", "kernel_width_A", "perplexity", "landmarks")
    shown = {
        "pca": [],
        "kernel-pca": ["kernel_width_A", "landmarks"],
        "isomap": ["n_neighbors", "landmarks"],
        "tsne": ["perplexity", "landmarks"],
    }
    for method, expected in shown.items():
        protocol.method.set(protocol.getParam("method").choices.index(method))
        assert [name for name in parameters if protocol.evalParamCondition(name)] == expected
        assert read_options(protocol, LandscapeOptions, particles=["p"], output="o").method == method


@pytest.mark.parametrize("present", [True, False])
def test_umap_is_offered_where_the_commands_python_has_it(monkeypatch: pytest.MonkeyPatch, present: bool) -> None:
    monkeypatch.setattr(form_options, "is_importable", lambda _python, module: present and module == "umap")
    method = protocol_of("CfdProtLandscape").getParam("method")
    assert ("umap" in method.choices) is present
    assert ("umap-learn" in method.help.get()) is not present


def test_modules_of_another_python() -> None:
    this = sys.executable
    for python in (this, os.path.join(os.path.dirname(this), "..", "bin", os.path.basename(this))):
        assert form_options.is_importable(python, "numpy")
        assert not form_options.is_importable(python, "no_such_module")
    assert not form_options.is_importable("/no/python", "numpy")
