"""Particles of other programs into Scipion, and out to RELION.

Run by pytest, and by Scipion itself: python -m scipion tests continuousflex_deep.tests.protocols.test_exchange
"""

import json
import shutil
import subprocess
import unittest
from pathlib import Path
from typing import Any, ClassVar

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    raise unittest.SkipTest(scipion_missing())

import numpy as np
from pwem.objects import SetOfParticles
from pyworkflow.template import LocalTemplate

from continuousflex_deep import protocols as cfd
from continuousflex_deep.convert import enabled_ids, particles_from_set
from continuousflex_deep.geometry import euler_to_matrix, rotation_distance_deg
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.cryosparc_data import dataset, save
from continuousflex_deep.tests.helpers.scipion_project import ProjectTest, write_trace

_TEMPLATES = Path(cfd.__file__).parents[1] / "templates"
N, BOX_PX, PIXEL_SIZE_A = 40, 16, 2.0


class TestCfdExchange(ProjectTest):
    """A cryoSPARC refinement is imported; what protocols make of it is exported."""

    source: ClassVar[Path]
    imported: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        folder = Path("cryosparc").resolve()
        (folder / "J1" / "extract").mkdir(parents=True)
        images = np.random.default_rng(0).normal(size=(N, BOX_PX, BOX_PX)).astype(np.float32)
        write_stack(folder / "J1" / "extract" / "a.mrc", images, PIXEL_SIZE_A)
        table = dataset(N, BOX_PX, PIXEL_SIZE_A)
        table["ctf/accel_kv"] = np.where(np.arange(N) % 2, 200, 300)
        # Scipion keeps the larger defocus first, and its angle within half a turn
        table["ctf/df2_A"] = table["ctf/df1_A"] - 300
        table["ctf/df_angle_rad"] = np.abs(table["ctf/df_angle_rad"])
        cls.source = save(folder / "J5" / "J5_003_particles.cs", table)
        cls.imported = cls.driver.run("import", cfd.CfdProtImport, particleFile=str(cls.source)).outputParticles

    def assert_same_particles(self, found: Particles, expected: Particles) -> None:
        expected = expected.select(expected.rows_of(found.ids))
        self.assertEqual(found.indices.tolist(), expected.indices.tolist())
        rotations = [euler_to_matrix(p.require_poses("it")[0]) for p in (found, expected)]
        self.assertLess(rotation_distance_deg(*rotations).max(), 1e-3)
        np.testing.assert_allclose(found.require_poses("it")[1], expected.require_poses("it")[1], atol=1e-4)
        ctfs = [p.require_ctf("it") for p in (found, expected)]
        for name in vars(ctfs[0]):
            np.testing.assert_allclose(getattr(ctfs[0], name), getattr(ctfs[1], name), rtol=1e-6, err_msg=name)
        self.assertEqual(found.half.tolist(), expected.half.tolist())
        for name in ("rlnOpticsGroup", "cfdCryosparcUid"):
            self.assertEqual(found.extra[name].tolist(), expected.extra[name].tolist())
        self.assertEqual(found.optics_extra.keys(), expected.optics_extra.keys())

    def test_1_import_refers_to_the_images(self) -> None:
        self.assertSetSize(self.imported, N)
        self.assertTrue(self.imported.hasAlignmentProj())
        self.assertEqual(self.imported.getXDim(), BOX_PX)
        stack = Path(self.imported.getFirstItem().getFileName())
        self.assertTrue(stack.is_symlink())
        self.assertEqual(stack.suffix, ".mrcs")  # Scipion and Xmipp take .mrc for a map
        self.assertEqual(stack.resolve(), self.source.parents[1] / "J1" / "extract" / "a.mrc")
        self.assert_same_particles(particles_from_set(self.imported), read_particles(self.source))

    def test_2_export_of_what_a_protocol_made(self) -> None:
        """Poses on reduced images, exported with the original ones: half sets and optics groups went all the way."""
        reduced = self.driver.run("reduced", cfd.CfdProtPreprocess, inputParticles=self.imported, box=8).outputParticles
        target = Path("relion_project").resolve() / "from_scipion.star"
        self.driver.run(
            "export", cfd.CfdProtExport, inputParticles=reduced, inputImages=self.imported, exportFile=str(target)
        )
        exported = read_particles(target)
        self.assertEqual((exported.box_px, exported.pixel_size_A), (BOX_PX, PIXEL_SIZE_A))
        self.assert_same_particles(exported, read_particles(self.source))

    def test_3_relion_reads_the_export(self) -> None:
        export = self.driver.run("export here", cfd.CfdProtExport, inputParticles=self.imported)
        self.assertIn(f"{N} particles in", export.summary()[0])
        if shutil.which("relion_reconstruct") is None:
            self.skipTest("relion_reconstruct is not installed")
        file = Path(export.getExportedFile()).resolve()
        command = ["relion_reconstruct", "--i", str(file), "--o", "relion.mrc", "--ctf", "--subset", "2"]
        subprocess.run(command, check=True, capture_output=True)
        self.assertEqual(read_volume("relion.mrc")[0].shape, (BOX_PX,) * 3)

    def test_4_import_of_an_export(self) -> None:
        """A RELION file that names the images in the project, in turn with the images of another file."""
        export = self.driver.run("export again", cfd.CfdProtExport, inputParticles=self.imported)
        file = str(Path(export.getExportedFile()).resolve())
        again = self.driver.run("star", cfd.CfdProtImport, particleFile=file, imageFile=str(self.source))
        self.assert_same_particles(particles_from_set(again.outputParticles), read_particles(self.source))

    def test_5_bad_input_is_refused_before_launch(self) -> None:
        refusals = [
            (cfd.CfdProtImport, {"particleFile": "absent.star"}, "no file 'absent.star'"),
            (cfd.CfdProtImport, {"particleFile": "particles.txt"}, "expected a file .star, .cs, .xmd or .par"),
            (cfd.CfdProtExport, {"inputParticles": self.imported, "exportFile": "x.cs"}, "expected .star (RELION)"),
            (
                cfd.CfdProtExport,
                {"inputParticles": self.imported, "exportFile": f"{self.source}/x.star"},
                "cannot write into",
            ),
        ]
        for protocol_class, values, message in refusals:
            with self.subTest(protocol=protocol_class.__name__, message=message):
                errors = self.driver.make(protocol_class, **values).validate()
                self.assertTrue(any(message in error for error in errors), errors)

    def test_5_frealign_file_with_its_stack(self) -> None:
        parameters = write_parameters("class1.par", {1, 2, 3})
        given = {"particleFile": str(parameters), "voltage_kV": 300.0, "cs_mm": 2.7, "amplitude_contrast": 0.07}
        stack = str(self.source.parents[1] / "J1" / "extract" / "a.mrc")
        found = self.driver.run("class 1", cfd.CfdProtImport, stackFile=stack, **given).outputParticles
        self.assertEqual(found.getIdSet(), {1, 2, 3})
        self.assertTrue(found.hasAlignmentProj())
        self.assertEqual(found.getFirstItem().getCTF().getDefocusU(), 1e4)
        self.assertIn("give its stack", str(self.driver.make(cfd.CfdProtImport, **given).validate()))

    def test_6_missing_images_are_told(self) -> None:
        table = dataset(N, BOX_PX, PIXEL_SIZE_A)
        table["blob/path"] = b"J9/absent.mrc"
        protocol = self.driver.make(cfd.CfdProtImport, particleFile=str(save(Path("lost.cs").resolve(), table)))
        self.proj.launchProtocol(protocol, wait=True)
        self.assertTrue(protocol.isFailed())
        self.assertIn("does not exist; check the paths in that file", protocol.getErrorMessage())

    def test_7_disabled_particles_do_not_count(self) -> None:
        """Those disabled among the particles need no image; those disabled among the images are none."""
        some = SetOfParticles.create("Runs", prefix="some_disabled")
        some.copyInfo(self.imported)
        disabled = set(sorted(self.imported.getIdSet())[:3])
        for item in self.imported.iterItems():
            copy = item.clone()
            copy.setEnabled(item.getObjId() not in disabled)
            some.append(copy)
        some.write()
        self.assertEqual(enabled_ids(some), set(particles_from_set(some).ids.tolist()))
        enabled = SetOfParticles.create("Runs", prefix="enabled_alone")
        enabled.copyInfo(self.imported)
        for item in some.iterItems():
            if item.isEnabled():
                enabled.append(item.clone())
        enabled.write()
        for protocol_class in (cfd.CfdProtExport, cfd.CfdProtReconstruct):
            with self.subTest(protocol=protocol_class.__name__):
                protocol = self.driver.make(protocol_class)
                protocol.inputParticles.set(some)
                protocol.inputImages.set(enabled)
                self.assertEqual(protocol._validateInputs(), [])
                protocol.inputParticles.set(self.imported)
                protocol.inputImages.set(some)
                self.assertIn("3 particles are not among the images", protocol._validateInputs()[0])

    def test_8_template_of_the_articles_ribosomes(self) -> None:
        """Every input is linked, no default is lost, and two classes of FREALIGN become the two image sets."""
        write_trace(Path("trace.pdb"))
        first, second = set(range(1, N, 2)), set(range(2, N + 1, 2))
        values = {
            "structure": Path("trace.pdb").resolve(),
            "stack": self.source.parents[1] / "J1" / "extract" / "a.mrc",
            "nonrotated": write_parameters("nonrotated.par", first),
            "rotated": write_parameters("rotated.par", second),
            "box": 8,
            "labelled": 30,
            "pixel_size": PIXEL_SIZE_A,
        }
        template = LocalTemplate("continuousflex_deep", str(_TEMPLATES / "empiar_10016.json.template"))
        template.replaceEnvVariables()
        template.parseContent()
        for name, value in values.items():
            self.assertGreater(template.setParamValue(name, str(value)), 0, name)
        before = {run.getObjId() for run in self.proj.getRuns()}
        workflow = template.createTemplateFile()
        self.proj.loadProtocols(workflow)
        loaded = [run for run in self.proj.getRuns(refresh=True) if run.getObjId() not in before]
        loaded.sort(key=lambda run: run.getObjId())
        labels = [protocol["object.label"] for protocol in json.loads(Path(workflow).read_text())]
        runs = dict(zip(labels, loaded, strict=True))
        for label, run in runs.items():
            for name, attribute in run.iterDefinitionAttributes():
                if attribute.isPointer() and not run.getParam(name).allowsNull:
                    self.assertTrue(attribute.hasValue() and attribute.hasExtended(), f"{label}.{name}")
        self.assertEqual(runs["normal modes of CA and P"].select.get(), "//*//CA,P[C,P]")
        self.assertEqual(runs["normal modes of CA and P"].getEnumText("motion"), "straight")
        both = ("nonrotated class", "rotated class")
        for label in (*both, *(f"{name}, reduced" for name in both), "both classes", "Image set 1", "Image set 2"):
            self.proj.launchProtocol(runs[label], wait=True)
            self.assertTrue(runs[label].isFinished(), (label, runs[label].getErrorMessage()))
        sets = [runs[f"Image set {number}"].outputParticlesFlex for number in (1, 2)]
        self.assertEqual([image_set.getSize() for image_set in sets], [30, 10])
        self.assertEqual(sets[0].getIdSet() | sets[1].getIdSet(), first | second)
        self.assertEqual((sets[0].getXDim(), sets[0].isPhaseFlipped()), (8, True))
        self.assertEqual(particles_from_set(sets[0]).require_ctf("it").voltage_kV.tolist(), [300.0] * 30)


def write_parameters(name: str, members: set[int]) -> Path:
    """A file of FREALIGN 9 of one class, of all N particles."""
    row = "%7d%8.2f%8.2f%8.2f%10.2f%10.2f%8d%6d%9.1f%9.1f%8.2f%8.2f%10d%11.4f%8.2f%8.2f\n"
    rows = [
        row % (n, 30, 20, 10, 1.5, -2, 5e4, 7, 1e4, 9e3, 12, 100 * (n in members), 0, 0.5, 9, 0)
        for n in range(1, N + 1)
    ]
    path = Path(name).resolve()
    path.write_text("".join(rows))
    return path


if __name__ == "__main__":
    unittest.main()
