"""The modes of the amplitudes of ContinuousFlex's particles, which are listed in its runs, not in its sets."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pwem.objects import SetOfParticles

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.xmipp import IMAGES_XMD, MODES_XMD, amplitudes_of, read_mode_list

_AGREEMENT = 1e-3  # of amplitudes in Å, which its files contain with six digits


def modes_of_its_amplitudes(image_set: SetOfParticles, item_id: int, amplitudes: Floats) -> tuple[int, ...]:
    """The modes of a set's amplitudes: those of the run beside it or, for a subset or union, those of the run of the
    project that found the same amplitudes (M,) for the particle with this id.

    Raises InputError if there is no such run, or if the run beside the set has another number of modes.
    """
    run = Path(image_set.getFileName()).absolute().parent
    if (listed := run / "extra" / MODES_XMD).is_file():
        mode_ids = read_mode_list(listed)
        if len(mode_ids) != len(amplitudes):
            raise InputError(
                f"particles have {len(amplitudes)} amplitudes each, but '{listed}', the list of modes beside their "
                f"set, has {len(mode_ids)} modes {list(mode_ids)}; analyse the particles again"
            )
        return mode_ids
    found = {read_mode_list(extra / MODES_XMD) for extra in _runs(run) if _found(extra, item_id, amplitudes)}
    if len(found) == 1:
        return found.pop()
    raise InputError(
        f"the particles of '{image_set.getFileName()}' have amplitudes of unknown modes, and no run of this project "
        f"found these amplitudes; import the file extra/{IMAGES_XMD} of the run that found them by 'import particles "
        "with poses', and give the modes there"
    )


def _runs(run: Path) -> Iterator[Path]:
    """The folders "extra" of the project's runs that list modes."""
    for folder in (run.parent, Path("Runs")):
        for listed in sorted(folder.glob(f"*/extra/{MODES_XMD}")):
            if (listed.parent / IMAGES_XMD).is_file():
                yield listed.parent.absolute()


def _found(extra: Path, item_id: int, amplitudes: Floats) -> bool:
    """Whether a run found these amplitudes for this particle."""
    if len(read_mode_list(extra / MODES_XMD)) != len(amplitudes):
        return False
    found = amplitudes_of(extra / IMAGES_XMD, item_id)
    return found is not None and len(found) == len(amplitudes) and np.abs(found - amplitudes).max() < _AGREEMENT
