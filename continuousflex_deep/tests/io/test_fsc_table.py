"""FSC curves as files."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.fsc_table import read_fsc, write_fsc


def test_curves_are_read_as_they_were_written(tmp_path: Path) -> None:
    frequency, curves = np.arange(5) / 30, {"centroid, masked": np.linspace(1, -0.2, 5), "b": np.ones(5)}
    write_fsc(tmp_path / "fsc.csv", frequency, curves)
    found = read_fsc(tmp_path / "fsc.csv")
    assert list(found) == list(curves)
    for name, curve in curves.items():
        np.testing.assert_allclose(found[name], (frequency, curve), atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frequency_per_A,a\n0.1,1\n0.2\n", "rows of different lengths"),
        ("frequency_per_A,a\n0.1,high\n", "high"),
        ("frequency_per_A,a\n", "0 rows"),
        ("epoch,loss\n1,2\n", r"got columns \['epoch', 'loss'\]"),
        ("frequency_per_A,a\n0.1,1,2\n", "rows of different lengths"),
    ],
)
def test_other_tables_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "fsc.csv").write_text(text)
    with pytest.raises(FormatError, match=rf"fsc\.csv.*{message}"):
        read_fsc(tmp_path / "fsc.csv")
    with pytest.raises(InputError, match="no such file"):
        read_fsc(tmp_path / "none.csv")
