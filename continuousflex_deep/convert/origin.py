"""Which modes the amplitudes of ContinuousFlex's particles are along: its sets do not say, its runs do."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pwem.objects import SetOfParticles

from continuousflex_deep.arrays import Floats
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.xmipp import IMAGES_XMD, MODES_XMD, amplitudes_of, read_mode_list

_AGREEMENT = 1e-3  # of amplitudes in Å, which its files hold with six digits


def modes_of_its_amplitudes(image_set: SetOfParticles, item_id: int, amplitudes: Floats) -> tuple[int, ...]:
    """The modes of a set's amplitudes, told by the run beside it or, for a subset or union, by the run of the project
    that found the same amplitudes (M,) for the particle of this id.

    Raises InputError where no run tells, or the one beside the set names another number of modes.
    """
    run = Path(image_set.getFileName()).absolute().parent
    if (listed := run / "extra" / MODES_XMD).is_file():
        mode_ids = read_mode_list(listed)
        if len(mode_ids) != len(amplitudes):
            raise InputError(
                f"particles have {len(amplitudes)} amplitudes each, but '{listed}', the list of modes beside their "
                f"set, names {len(mode_ids)} modes {list(mode_ids)}; analyse the particles again"
            )
        return mode_ids
    told = {read_mode_list(extra / MODES_XMD) for extra in _runs(run) if _found(extra, item_id, amplitudes)}
    if len(told) == 1:
        return told.pop()
    raise InputError(
        f"the particles of '{image_set.getFileName()}' have amplitudes, but do not say along which modes, and no run "
        f"of this project that found them tells; import the file extra/{IMAGES_XMD} of the run that did by 'import "
        "particles with poses', with the modes given there"
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
