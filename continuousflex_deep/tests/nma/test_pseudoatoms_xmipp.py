"""Pseudoatoms and Xmipp's programs: its maps of our files, its pseudoatoms in our convention, its error."""

import re
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep import cli
from continuousflex_deep.errors import DeepError
from continuousflex_deep.io.maps import write_volume
from continuousflex_deep.io.structures import read_structure, write_structure
from continuousflex_deep.nma.pseudoatoms import map_to_pseudoatoms, mean_error
from continuousflex_deep.nma.pseudoatoms_xmipp import xmipp_pseudoatoms
from continuousflex_deep.programs import XMIPP, XMIPP_PSEUDOATOMS, run_program
from continuousflex_deep.tests.helpers import needs
from continuousflex_deep.tests.helpers.maps import blob, gaussians_map, overlap_with_map


def run_xmipp(name: str, folder: Path, *words: str) -> str:
    program = needs.program(XMIPP, name)
    run_program([str(program), *words], XMIPP.environment(program), folder, folder / "log")
    return (folder / "log").read_text()


def read_spider_volume(path: Path, box: int) -> np.ndarray:
    raw = path.read_bytes()
    return np.frombuffer(raw[-4 * box**3 :], dtype="<f4").reshape(box, box, box)


@pytest.mark.parametrize("box", [40, 41])
def test_xmipps_map_of_our_file_is_ours(tmp_path: Path, box: int) -> None:
    """Its Gaussians have weight 1 in sum, ours in their peak; sigma and column are read from the remarks."""
    volume = blob(box)
    found = map_to_pseudoatoms(volume, volume > 0.2, 2.0, 2.5, 6.0, 5000)
    write_structure(tmp_path / "ours.pdb", found.structure, remarks=found.remarks())
    words = f"-i ours.pdb -o theirs --sampling 2 --size {box} --fixed_Gaussian --intensityColumn Bfactor -v 0"
    run_xmipp("xmipp_volume_from_pdb", tmp_path, *words.split())
    theirs = read_spider_volume(tmp_path / "theirs.vol", box)
    ours = gaussians_map(found.structure.coords_A, found.structure.weights, 2.5, box, 2.0)
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99999
    scale = float((ours * theirs).sum() / (ours**2).sum())
    assert scale == pytest.approx((2 * np.pi * 2.5**2) ** -1.5, rel=1e-4)


@pytest.mark.parametrize("box", [40, 41])
def test_xmipps_pseudoatoms_are_where_ours_are(tmp_path: Path, box: int) -> None:
    """A map without symmetry, off its centre: both give it back, with weights as different as its density is."""
    needs.program(XMIPP, XMIPP_PSEUDOATOMS)
    volume = np.roll(blob(box), (3, -2, 1), axis=(0, 1, 2))
    inside = volume > 0.2
    theirs = xmipp_pseudoatoms(volume, inside, 2.0, 3.0, 3.0, "", tmp_path / "log", threads=1)
    ours = map_to_pseudoatoms(volume, inside, 2.0, 3.0, 6.0, 5000)
    for found in (theirs, ours):
        assert overlap_with_map(volume, found.structure, 3.0, 2.0) > 0.99
    np.testing.assert_allclose(theirs.structure.center_A, ours.structure.center_A, atol=0.5)
    assert theirs.structure.sigma_A == 3.0
    assert theirs.structure.weights.max() == 1.0
    made = theirs.peak * gaussians_map(theirs.structure.coords_A, theirs.structure.weights, 3.0, box, 2.0)
    assert 100 * mean_error(volume[inside], (volume - made)[inside]) == pytest.approx(
        theirs.mean_error_percent, rel=0.1
    )
    assert theirs.mean_error_percent < 5.0


def test_mean_error_is_xmipps(tmp_path: Path) -> None:
    volume = blob()
    write_volume(tmp_path / "map.mrc", volume, 2.0)
    write_volume(tmp_path / "mask.mrc", (volume > 0.2).astype(np.float32), 2.0)
    words = "-i map.mrc -o p --mask binary_file mask.mrc --sigma 3 --sampling_rate 2 --initialSeeds 40 --targetError 5"
    log = run_xmipp(XMIPP_PSEUDOATOMS, tmp_path, *words.split(), "-v", "2")
    said = re.findall(r"Error with \d+ pseudo-atoms (\S+)", log)
    left = volume - read_spider_volume(tmp_path / "p_approximation.vol", 40)
    assert mean_error(volume[volume > 0.2], left[volume > 0.2]) == pytest.approx(float(said[-1]), rel=0.02)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs.program(XMIPP, XMIPP_PSEUDOATOMS)
    write_volume(tmp_path / "map.mrc", blob(), 2.0)
    arguments = ["pseudoatoms", "--map", str(tmp_path / "map.mrc"), "--output", str(tmp_path / "p.pdb")]
    assert cli.main([*arguments, "--engine", "xmipp", "--threads", "1"]) == 0
    assert overlap_with_map(blob(), read_structure(tmp_path / "p.pdb"), 3.0, 2.0) > 0.98
    assert "Error with" in (tmp_path / "p_xmipp.log").read_text()
    assert cli.main([*arguments, "--engine", "xmipp", "--target-error-percent", "0.1", "--threads", "1"]) == 0
    assert "not the requested 0.1%" in capsys.readouterr().err
    assert cli.main([*arguments, "--engine", "xmipp", "--max-pseudoatoms", "50"]) == 2
    assert "--engine xmipp does not support --max-pseudoatoms" in capsys.readouterr().err


def test_absent_xmipp_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XMIPP_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    write_volume(tmp_path / "map.mrc", blob(), 2.0)
    arguments = ["--map", str(tmp_path / "map.mrc"), "--output", str(tmp_path / "p.pdb"), "--engine", "xmipp"]
    assert cli.main(["pseudoatoms", *arguments]) == 2
    assert "xmipp_volume_to_pseudoatoms is not in" in capsys.readouterr().err
    assert not (tmp_path / "p.pdb").exists()


# 0.01 + 0.99 · (weight - 0.5) / (1.5 - 0.5) of weights 0.5, 1 and 1.5
FAKE = """#!/bin/sh
cat > found.pdb <<END
REMARK xmipp_volume_to_pseudoatoms
REMARK fixedGaussian 3.000000
REMARK intensityColumn Bfactor
ATOM      1 DENS DENS    1     -12.000   0.000   0.000     1  0.01      DENS
ATOM      2 DENS DENS    2       0.000   4.000   0.000     1  0.51      DENS
ATOM      3 DENS DENS    3      12.000   0.000   6.000     1  1.00      DENS
END
"""


def fake_home(folder: Path, script: str) -> str:
    (folder / XMIPP_PSEUDOATOMS).write_text(script)
    (folder / XMIPP_PSEUDOATOMS).chmod(0o755)
    return str(folder)


def test_proportions_that_xmipps_file_loses_are_found_again(tmp_path: Path) -> None:
    home = fake_home(tmp_path, FAKE)
    places, weights = np.array([[-12.0, 0, 0], [0, 4, 0], [12, 0, 6]]), np.array([0.5, 1.0, 1.5])
    volume = gaussians_map(places, weights, 3.0, 32, 2.0)
    found = xmipp_pseudoatoms(volume, volume > 0.05, 2.0, 3.0, 5.0, home, tmp_path / "log")
    order = np.argsort(found.structure.coords_A[:, 0])
    np.testing.assert_allclose(found.structure.weights[order] * found.peak, weights, atol=0.02)
    np.testing.assert_allclose(found.structure.coords_A[order], places)
    assert found.error_percent < 2.0


def test_none_found_is_explained(tmp_path: Path) -> None:
    home = fake_home(tmp_path, "#!/bin/sh\necho 'REMARK xmipp_volume_to_pseudoatoms' > found.pdb\n")
    with pytest.raises(DeepError, match="found no pseudoatoms; see its log"):
        xmipp_pseudoatoms(blob(), blob() > 0.2, 2.0, 3.0, 5.0, home, tmp_path / "log")
