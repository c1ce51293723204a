"""The demonstration's results as a Scipion project: modes, landscape, maps and errors open in Scipion's windows."""

from pathlib import Path

from continuousflex_deep.demo.pipeline import MODES, DemoSize
from continuousflex_deep.scipion_env import ProjectDriver, create_project, open_command, prepare_scipion_environment

PROJECT = "deephemnma_demo"


def make_project(folder: Path, size: DemoSize) -> str:
    """Make the project from the results in a folder of the pipeline; returns how to open it.

    The particles of both image sets are imported and refined locally along the modes, so that every window knows the
    structure and the modes. The training, which takes longest, is prepared and not run. Raises
    MissingDependencyError where Scipion cannot run.
    """
    home = prepare_scipion_environment(folder / "scipion")
    project = create_project(PROJECT)
    _run_protocols(ProjectDriver(project), folder, size)
    return f"Scipion project: {project.path}\nopen it with:\n  {open_command(home, PROJECT)}"


def _run_protocols(driver: ProjectDriver, folder: Path, size: DemoSize) -> None:
    from pwem.protocols import ProtImportPdb

    from continuousflex_deep import protocols as cfd
    from continuousflex_deep.protocols.protocol_reconstruct import LANDSCAPE

    from_file = {"inputPdbData": ProtImportPdb.IMPORT_FROM_FILES, "pdbFile": str(folder / "4ake.pdb")}
    structure = driver.run("atomic structure", ProtImportPdb, **from_file).outputPdb
    modes = driver.run("normal modes", cfd.CfdProtNma, inputStructure=structure).outputModes
    found = driver.run(
        "particles of both sets", cfd.CfdProtImport, particleFile=str(folder / "landscape" / "landscape.star")
    ).outputParticles
    refined = driver.run(
        "HEMNMA, local", cfd.CfdProtAlign, inputParticles=found, inputModes=modes, mode_list=MODES, init=1,
        local_step_deg=0.0, calibration_particles=size.calibration,  # the poses are refined already
    ).outputParticles  # fmt: skip
    landscape = driver.run("landscape", cfd.CfdProtLandscape, inputSets=[refined]).outputLandscape
    driver.run(
        "maps along the first axis", cfd.CfdProtReconstruct, source=LANDSCAPE, inputLandscape=landscape, groups=2
    )
    truth = driver.run(
        "true parameters", cfd.CfdProtImport, particleFile=str(folder / "images" / "truth.star")
    ).outputParticles
    driver.run("errors", cfd.CfdProtAssess, inputSets=[refined], inputTruth=truth, inputModes=modes)
    training = driver.make(
        cfd.CfdProtTrain, inputParticles=refined, inputModes=modes, box=size.network_box_px, backbone=0,
        simulated_images=size.simulated, epochs=size.epochs,
    )  # fmt: skip
    training.setObjLabel("network (ready to run)")
    driver.project.saveProtocol(training)
