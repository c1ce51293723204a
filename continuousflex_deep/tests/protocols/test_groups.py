"""Named groups in Scipion: sets of particles of that name, clusters, and maps of all of them in one go.

Run by pytest, and by Scipion itself: python -m scipion tests continuousflex_deep.tests.protocols.test_groups
"""

import unittest
from pathlib import Path
from typing import Any, ClassVar

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    raise unittest.SkipTest(scipion_missing())

import numpy as np

from continuousflex_deep import protocols as cfd
from continuousflex_deep.convert import particles_from_set
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.groups import COLOURS, NamedGroup, read_groups, write_groups
from continuousflex_deep.io.landscape_table import read_landscape_table
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.names import numbered_names
from continuousflex_deep.protocols.group_workflow import make_groups, reconstruct_groups
from continuousflex_deep.protocols.protocol_reconstruct import GROUPS, PARTICLES
from continuousflex_deep.tests.helpers.gaussian_particles import true_map
from continuousflex_deep.tests.helpers.scipion_project import ProjectTest

N, BOX_PX, PIXEL_A = 120, 24, 4.0


def write(path: str, **groups: Any) -> str:
    """A file of groups, by name, of these ids; underscores stand for blanks."""
    named = [NamedGroup(name.replace("_", " "), COLOURS[0], np.array(list(ids))) for name, ids in groups.items()]
    write_groups(path, named)
    return path


class TestCfdGroups(ProjectTest):
    """Particles in two clouds of conformations on small images, and the same at original size."""

    small: ClassVar[Any]
    large: ClassVar[Any]
    landscape: ClassVar[Any]  # the protocol

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        amplitudes = np.random.default_rng(1).normal(size=(N, 2)) * [20, 10]
        amplitudes[: N // 2, 0] += 300
        cls.small = cls.import_gaussians("small", BOX_PX, PIXEL_A, amplitudes)
        cls.large = cls.import_gaussians("large", BOX_PX * 4 // 3, PIXEL_A * 3 / 4, amplitudes)
        cls.landscape = cls.driver.run("landscape", cfd.CfdProtLandscape, inputSets=[cls.small])

    def assert_maps(self, protocol: Any, names: list[str], box_px: int, pixel_A: float) -> None:
        self.assertTrue(protocol.isFinished(), protocol.getErrorMessage())
        self.assertEqual([volume.getObjLabel() for volume in protocol.outputVolumes], names)
        for volume in protocol.outputVolumes:
            density, found_A = read_volume(volume.getFileName())
            self.assertAlmostEqual(found_A, pixel_A, places=4)
            truth = true_map(box_px, pixel_A)
            self.assertGreater(np.corrcoef(density.ravel(), truth.ravel())[0, 1], 0.7)
        labels = {curve.getObjLabel() for curve in protocol.outputFSCs}
        self.assertTrue({f"{name}: half maps, corrected" for name in names} <= labels, labels)
        files = [Path(facts["file"]).stem for facts in protocol.getGroups()]  # which the movie shows
        self.assertEqual(files, numbered_names(names))
        for name, line in zip(names, protocol.summary(), strict=True):
            self.assertTrue(line.startswith(f"{name}, "), line)

    def test_1_groups_and_their_maps_at_original_size(self) -> None:
        ids = {"open": range(1, 41), "in between": range(31, 71), "β": (100, *range(80, 95))}
        file = write("groups_1.json", **{name.replace(" ", "_"): numbers for name, numbers in ids.items()})
        groups = make_groups(self.proj, self.landscape, file, wait=True)
        self.assertEqual(groups.getObjLabel(), "groups: open, in between, β")
        outputs = dict(groups.iterOutputAttributes())
        self.assertEqual(list(outputs), ["outputParticles_1", "outputParticles_2", "outputParticles_3"])
        mapped = particles_from_set(self.landscape.outputParticles)
        for (name, numbers), output in zip(ids.items(), outputs.values(), strict=True):
            self.assertEqual(output.getObjLabel(), name)
            found = particles_from_set(output)
            self.assertEqual(sorted(found.ids.tolist()), sorted(numbers))
            rows = mapped.rows_of(found.ids)
            np.testing.assert_allclose(found.shift_A, mapped.shift_A[rows], atol=1e-4)
            np.testing.assert_allclose(found.amplitudes, mapped.amplitudes[rows], atol=1e-3)
            self.assertEqual(len(output.getFirstItem().getZRed()), 2)
        self.assertEqual(groups.summary()[1], f"in between: 40 of {N} particles")
        graph = self.proj.getSourceGraph(refresh=True)
        children = graph.getNode(f"{self.landscape.getObjId()}.outputLandscape").getChildren()
        self.assertTrue(set(outputs) <= {child.pointer.getExtended() for child in children})

        maps = reconstruct_groups(self.proj, groups, images=self.large, wait=True)
        self.assertEqual(maps.source.get(), GROUPS)
        self.assert_maps(maps, list(ids), self.large.getXDim(), self.large.getSamplingRate())

    def test_2_maps_are_scheduled_before_there_are_groups(self) -> None:
        file = write("groups_2.json", half_open=range(1, 61), closed=range(61, N + 1))
        groups = make_groups(self.proj, self.landscape, file)
        self.assertFalse(groups.isFinished())
        with self.assertRaisesRegex(InputError, "not made its groups yet"):
            reconstruct_groups(self.proj, groups, wait=True)
        maps = reconstruct_groups(self.proj, groups)
        self.assertTrue(maps.isScheduled())
        self.assertIn("do not exist yet", " ".join(maps.validate()))
        self.wait_for(maps)
        self.assert_maps(maps, ["half open", "closed"], BOX_PX, PIXEL_A)

    def test_3_one_group(self) -> None:
        groups = make_groups(self.proj, self.landscape, write("groups_3.json", all=range(1, N + 1)), wait=True)
        maps = reconstruct_groups(self.proj, groups, wait=True)
        self.assertEqual((maps.source.get(), maps.outputVolume.getObjLabel()), (PARTICLES, "all"))

    def test_4_clusters(self) -> None:
        """Both clouds, on the images of original size; then the file of groups makes the same sets."""
        clusters = self.driver.run(
            "clusters", cfd.CfdProtClusters, inputLandscape=self.landscape.outputLandscape, inputParticles=self.large
        )
        table = read_landscape_table(self.landscape.outputLandscape.getFileName())
        kept = set(table.ids[~table.outlier].tolist())
        halves = [kept & set(numbers) for numbers in (range(1, N // 2 + 1), range(N // 2 + 1, N + 1))]
        outputs = [output for _, output in clusters.iterOutputAttributes()]
        found = [set(output.getIdSet()) for output in outputs]
        self.assertEqual(sorted(found, key=min), halves)
        self.assertEqual([o.getObjLabel() for o in outputs], ["cluster 1", "cluster 2"])
        self.assertEqual({o.getXDim() for o in outputs}, {self.large.getXDim()})
        self.assertEqual([set(g.ids.tolist()) for g in read_groups(clusters.getGroupsFile())], found)
        self.assertEqual(
            clusters.summary(), [f"cluster {i + 1}: {len(f)} of {N} particles" for i, f in enumerate(found)]
        )
        asked = {"inputLandscape": self.landscape.outputLandscape, "n_clusters": 5, "dimensions": 1}
        self.assertIn("Clusters overlap", self.driver.run("five clusters", cfd.CfdProtClusters, **asked).summary()[0])
        maps = reconstruct_groups(self.proj, clusters, wait=True)
        self.assert_maps(maps, ["cluster 1", "cluster 2"], self.large.getXDim(), self.large.getSamplingRate())
        again = make_groups(self.proj, self.landscape, clusters.getGroupsFile(), wait=True)
        self.assertEqual([set(o.getIdSet()) for _, o in again.iterOutputAttributes()], found)

        three = {"inputLandscape": self.landscape.outputLandscape, "method": 1, "n_clusters": 3, "min_probability": 0.9}
        waiting = self.driver.make(cfd.CfdProtClusters, **three)
        names = [name for name, _ in waiting.iterOutputAttributes(includePossible=True)]
        self.assertEqual(names, [f"outputParticles_{number}" for number in (1, 2, 3)])
        self.assertEqual(waiting._options(landscape="l", output="o").min_probability, 0.0)
        with self.assertRaisesRegex(InputError, "not made its groups yet"):
            reconstruct_groups(self.proj, waiting)

    def test_5_refusals(self) -> None:
        Path("other.json").write_text("{}")
        good = write("good.json", a=(1, 2), b=(3,))
        for values, message in [
            ({}, "give a condition"),
            ({"groups": good, "expression": "pc1 > 0"}, "names the particles itself"),
            ({"groups": "no_such.json"}, "there is no such file"),
            ({"groups": "other.json"}, "is not a file of groups"),
            ({"groups": write("empty.json")}, "has no groups"),
            ({"groups": write("none.json", a=())}, "Group 'a' has no particles"),
            ({"groups": write("far.json", a=(1,), far=(1, 500, 501))}, "Group 'far' is not of this landscape, which"),
        ]:
            with self.subTest(message=message):
                asked = {"inputLandscape": self.landscape.outputLandscape, **values}
                protocol = self.driver.make(cfd.CfdProtGroup, **asked)
                errors = protocol.validate()
                self.assertTrue(any(message in error for error in errors), errors)
        for values, names in [
            ({"groups": good}, ["outputParticles_1", "outputParticles_2"]),
            ({"groups": "other.json"}, []),
            ({"expression": "pc1 > 0"}, ["outputParticles"]),
        ]:
            protocol = self.driver.make(cfd.CfdProtGroup, **values)
            self.assertEqual([name for name, _ in protocol.iterOutputAttributes(includePossible=True)], names)
        with self.assertRaises(FormatError):
            make_groups(self.proj, self.landscape, "other.json")
        with self.assertRaisesRegex(InputError, "has no groups"):
            make_groups(self.proj, self.landscape, "empty.json")

    def test_6_a_run_that_failed_has_no_groups_to_wait_for(self) -> None:
        """Its file was changed after it had been validated."""
        protocol = self.driver.make(
            cfd.CfdProtGroup, inputLandscape=self.landscape.outputLandscape, groups=write("bad.json", a=(1,))
        )
        Path("bad.json").write_text("no longer what was validated")
        self.proj.launchProtocol(protocol, wait=True)
        self.assertTrue(protocol.isFailed())
        with self.assertRaisesRegex(InputError, "made no groups"):
            reconstruct_groups(self.proj, protocol)


if __name__ == "__main__":
    unittest.main()
