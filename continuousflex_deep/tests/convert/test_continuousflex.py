"""ContinuousFlex reads what is ours, and we what is its: with what a run of it was recorded to write."""

import dataclasses
import importlib
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from continuousflex_deep.scipion_env import scipion_missing
from continuousflex_deep.tests.helpers import needs

if scipion_missing():
    pytest.skip(scipion_missing(), allow_module_level=True)

import pwem.objects as emobj
from pwem.protocols import EMProtocol

from continuousflex_deep import cli
from continuousflex_deep.convert import atoms_beside, fill_modes, mode_ids_of, particles_from_set, write_atoms_beside
from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.structures import read_structure, write_structure
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.engine_contract import inputs, make_inputs
from continuousflex_deep.tests.helpers.xmipp_replay import DATA

__all__ = ["inputs"]
pytestmark = pytest.mark.usefixtures("scipion_home")
_STACK = "Runs/000145_CfdProtPreprocess/extra/preprocess/particles.mrcs"  # as the recorded set names it


@pytest.fixture
def project(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the recorded run and the images that it was made from."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "Runs" / "000285_FlexProtAlignmentNMA"
    (run / "extra").mkdir(parents=True)
    shutil.copy(DATA / "continuousflex_particles.sqlite", run / "particles.sqlite")
    for name in ("images", "modes"):
        shutil.copy(DATA / f"continuousflex_{name}.xmd", run / "extra" / f"{name}.xmd")
    folder = tmp_path / Path(_STACK).parent
    flip = ["preprocess", "--particles", str(inputs / "images" / "particles.star"), "--phase-flip"]
    assert cli.main([*flip, "--output", str(folder)]) == 0
    return tmp_path


@pytest.fixture
def recorded(project: Path) -> Any:
    found = emobj.SetOfParticles(filename="Runs/000285_FlexProtAlignmentNMA/particles.sqlite")
    found.loadAllProperties()
    return found


class TestItsParticles:
    def test_are_read_with_their_modes(self, recorded: Any, inputs: Path) -> None:
        found, truth = particles_from_set(recorded), read_particles(inputs / "images" / "truth.star")
        assert found.mode_ids == mode_ids_of(recorded) == (7, 8)
        assert found.phase_flipped
        truth = truth.select(truth.rows_of(found.ids))
        angle = axes_distance_deg(euler_to_matrix(found.euler_deg), euler_to_matrix(truth.euler_deg))
        assert angle.max() < 2
        assert np.median(np.abs(found.amplitudes - truth.amplitudes)) < 15
        assert np.abs(found.shift_A - truth.shift_A).max() < 0.2
        assert found.score.min() > 0.5

    def test_modes_are_those_of_the_list_beside(self, recorded: Any, project: Path) -> None:
        listed = project / "Runs/000285_FlexProtAlignmentNMA/extra/modes.xmd"
        text = listed.read_text()
        listed.write_text(text.replace("                    7 \n", "                    9 \n"))
        assert particles_from_set(recorded).mode_ids == (9, 8)
        listed.write_text("".join(text.splitlines(keepends=True)[:-1]))
        with pytest.raises(InputError, match=r"2 amplitudes each.*has 1 modes"):
            particles_from_set(recorded)
        listed.unlink()
        with pytest.raises(InputError, match="have amplitudes of unknown modes"):
            particles_from_set(recorded)

    def test_modes_of_a_subset_are_those_of_the_run_that_found_them(self, recorded: Any, project: Path) -> None:
        for name in ("000300_ProtSubSet", "000310_FlexProtAlignmentNMA/extra"):
            (project / "Runs" / name).mkdir(parents=True)
        subset = emobj.SetOfParticles.create(str(project / "Runs" / "000300_ProtSubSet"))
        subset.copyInfo(recorded)
        for item in recorded.iterItems():
            if item.getObjId() > 3:
                subset.append(item)
        subset.write()
        listed = project / "Runs/000285_FlexProtAlignmentNMA/extra/modes.xmd"
        listed.write_text(listed.read_text().replace("                    8 \n", "                   11 \n"))
        other = project / "Runs/000310_FlexProtAlignmentNMA/extra"  # found others for the same particles
        images = (listed.parent / "images.xmd").read_text().replace("21.358500", "-5.000000")
        other.joinpath("images.xmd").write_text(images.replace("4.764580", "77.000000"))
        other.joinpath("modes.xmd").write_text((DATA / "continuousflex_modes.xmd").read_text())
        assert particles_from_set(subset).mode_ids == (7, 11)
        listed.unlink()
        with pytest.raises(InputError, match=r"import the file extra/images.xmd"):
            particles_from_set(subset)

    def test_train_the_network(self, recorded: Any, project: Path) -> None:
        write_particles(particles_from_set(recorded), project / "labels.star")
        command = ["train", "--particles", "labels.star", "--output", "model", "--box", "32", "--epochs", "1"]
        assert cli.main([*command, "--backbone", "resnet18", "--device", "cpu", "--threads", "1"]) == 0
        assert (project / "model").is_dir()


class TestItsFormat:
    def test_our_xmd_has_its_columns_ids_and_values(self, recorded: Any, project: Path) -> None:
        xmipp = needs.xmipp_library()
        write_particles(particles_from_set(recorded), project / "ours.xmd")
        theirs = xmipp.MetaData(str(project / "Runs/000285_FlexProtAlignmentNMA/extra/images.xmd"))
        ours = xmipp.MetaData(str(project / "ours.xmd"))
        columns = theirs.getActiveLabels()
        assert set(columns) <= set(ours.getActiveLabels())
        for table in (theirs, ours):
            table.sort(xmipp.MDL_ITEM_ID)
        for one, other in zip(theirs, ours, strict=True):
            for label in columns:
                a, b = theirs.getValue(label, one), ours.getValue(label, other)
                name = xmipp.label2Str(label)
                if name == "image":
                    assert a.partition("@")[0] == b.partition("@")[0]
                elif name.startswith("angle"):  # the same rotation may have other angles
                    continue
                else:
                    np.testing.assert_allclose(a, b, atol=2e-5, err_msg=name)

    def test_its_xmd_is_the_same_particles_as_its_set(self, recorded: Any, project: Path) -> None:
        shown = particles_from_set(recorded)
        file = project / "Runs/000285_FlexProtAlignmentNMA/extra/images.xmd"
        found = read_particles(file, pixel_size_A=1.8)
        found = found.select(found.rows_of(shown.ids))
        np.testing.assert_allclose(found.amplitudes, shown.amplitudes, atol=1e-4)
        np.testing.assert_allclose(found.score, shown.score, atol=1e-5)
        np.testing.assert_allclose(found.shift_A, shown.shift_A, atol=1e-4)
        apart = axes_distance_deg(euler_to_matrix(found.euler_deg), euler_to_matrix(shown.euler_deg))
        assert apart.max() < 1e-2


@pytest.fixture
def protonated(tmp_path: Path) -> Path:
    """Adenylate kinase with a hydrogen beside each of its 1656 atoms."""
    atoms = read_structure(ADENYLATE_KINASE)
    pairs, hydrogen = atoms.select(np.repeat(np.arange(len(atoms)), 2)), np.arange(2 * len(atoms)) % 2 == 1
    pairs = dataclasses.replace(
        pairs,
        coords_A=pairs.coords_A + hydrogen[:, None],
        atomic_number=np.where(hydrogen, 1, pairs.atomic_number),
        atom_names=np.where(hydrogen, "H", pairs.atom_names),
    )
    write_structure(tmp_path / "protonated.pdb", pairs)
    return tmp_path / "protonated.pdb"


class TestModes:
    def test_hydrogens_are_read_where_modes_have_them(self, protonated: Path, tmp_path: Path) -> None:
        (tmp_path / "modes").mkdir()
        rng = np.random.default_rng(0)
        for atoms in (3312, 1656):
            vector = rng.normal(size=(atoms, 3))
            np.savetxt(tmp_path / "modes" / "vec.7", vector / np.linalg.norm(vector))
            assert len(read_reference(protonated, tmp_path / "modes")[0]) == atoms
        np.savetxt(tmp_path / "modes" / "vec.7", np.eye(3) / np.sqrt(3))
        with pytest.raises(InputError, match="have 3 atoms"):
            read_reference(protonated, tmp_path / "modes")

    def test_its_alignment_finds_the_atoms_of_ours(self, protonated: Path, inputs: Path, tmp_path: Path) -> None:
        """It takes them from atoms.pdb beside the set, in the order of the modes' rows: hydrogens must not be there."""
        modes = emobj.SetOfNormalModes(filename=str(tmp_path / "modes.sqlite"))
        fill_modes(modes, inputs / "modes")
        assert atoms_beside(modes) is None
        write_atoms_beside(modes, protonated, inputs / "modes")
        lines = (tmp_path / "atoms.pdb").read_text().splitlines()
        assert sum(line.startswith(("ATOM", "HETATM")) for line in lines) == 1656
        written = read_structure(atoms_beside(modes).getFileName(), hydrogens=True)
        np.testing.assert_allclose(written.coords_A, read_structure(ADENYLATE_KINASE).coords_A, atol=1e-3)


class TestHandingOver:
    """The protocol that hands particles over, on a stand-in for ContinuousFlex's alignment where that is absent."""

    @pytest.fixture
    def protocol_class(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        from continuousflex_deep.protocols import protocol_continuousflex as ours

        if ours.FlexProtAlignmentNMA is not None:
            return ours.CfdProtToContinuousFlex
        base = type("FlexProtAlignmentNMA", (EMProtocol,), {"getInputPdb": lambda self: self.inputModes.get().getPdb()})
        for name in ("continuousflex", "continuousflex.protocols"):
            module = types.ModuleType(name)
            module.FlexProtAlignmentNMA = base  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, name, module)
        stand_in = importlib.reload(ours).CfdProtToContinuousFlex
        monkeypatch.undo()
        importlib.reload(ours)
        return stand_in

    def test_files_and_set_are_as_its_own(
        self, protocol_class: Any, recorded: Any, project: Path, inputs: Path
    ) -> None:
        modes = emobj.SetOfNormalModes(filename=str(project / "modes.sqlite"))
        fill_modes(modes, inputs / "modes")
        write_atoms_beside(modes, ADENYLATE_KINASE, inputs / "modes")
        protocol = protocol_class(workingDir="Runs/000300_CfdProtToContinuousFlex")
        (project / protocol._getExtraPath()).mkdir(parents=True)
        protocol.inputParticles.set(recorded)
        protocol.inputModes.set(modes)
        assert protocol._validate() == []
        made: dict[str, Any] = {}
        protocol._defineOutputs = lambda **outputs: made.update(outputs)
        protocol._defineTransformRelation = protocol._defineSourceRelation = lambda *of: None
        protocol.createOutputStep()
        output = made["outputParticles"]
        item = output.getFirstItem()
        assert [float(v) for v in item._xmipp_nmaDisplacements] == pytest.approx([21.3585, 56.8123])
        assert item._xmipp_cost.get() == pytest.approx(0.392714, abs=1e-5)
        assert output.hasAlignmentProj()
        extra = project / protocol._getExtraPath()
        assert sorted(path.name for path in extra.iterdir()) == ["atoms.pdb", "images.xmd", "modes.xmd"]
        again: Particles = read_particles(extra / "images.xmd")
        np.testing.assert_allclose(again.amplitudes, particles_from_set(recorded).amplitudes, atol=1e-4)

    def test_amplitudes_along_other_modes_are_refused(self, protocol_class: Any, recorded: Any, tmp_path: Path) -> None:
        make_inputs(tmp_path / "in")
        for number in (8, 9):
            (tmp_path / "in" / "modes" / f"vec.{number}").unlink()
        (tmp_path / "in" / "modes" / "modes.json").unlink()
        modes = emobj.SetOfNormalModes(filename=str(tmp_path / "modes.sqlite"))
        fill_modes(modes, tmp_path / "in" / "modes")
        protocol = protocol_class()
        protocol.inputParticles.set(recorded)
        protocol.inputModes.set(modes)
        assert "along modes [8]" in " ".join(protocol._validate())
