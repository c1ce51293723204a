"""One run of Xmipp's HEMNMA program in its own folder: inputs, command, results."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Images, Table
from continuousflex_deep.errors import DeepError, FormatError
from continuousflex_deep.io.columns import Columns
from continuousflex_deep.io.files import atomic_path
from continuousflex_deep.io.modes import NormalModes, write_modes
from continuousflex_deep.io.stacks import stack_writer
from continuousflex_deep.io.star import read_star
from continuousflex_deep.io.structures import Structure, write_structure
from continuousflex_deep.io.xmipp import NMA_DISPLACEMENTS, modes_table, write_xmd
from continuousflex_deep.progress import progress_bar

_STACK, _IMAGES, _MODES, _ATOMS = "images.mrcs", "images.xmd", "modes.xmd", "atoms.pdb"
_DONE, _RESULT, _LOG = "nmaDone.xmd", "result.xmd", "log.txt"
_SCRATCH = ("_node*", "nmaTodo.xmd")  # files that a killed program leaves


@dataclass(frozen=True, eq=False)
class XmippFound:
    """What the program found for k images: euler_deg (k, 3), shift_px (k, 2), amplitudes (k, M), cost (k,)."""

    euler_deg: np.ndarray
    shift_px: np.ndarray
    amplitudes: np.ndarray
    cost: np.ndarray


class XmippRun:
    """The folder in which the program aligns `count` images. A run that was interrupted there is continued."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count

    @property
    def is_done(self) -> bool:
        return (self.folder / _RESULT).is_file()

    def write_inputs(self, structure: Structure, modes: NormalModes, images: Images, pixel_size_A: float) -> None:
        """Write images (k, d, d) and reference in the program's formats. Files of an interrupted run are kept."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / _IMAGES).is_file():
            return
        with stack_writer(self.folder / _STACK, len(images), images.shape[-1], pixel_size_A) as writer:
            writer.write(images)
        write_structure(self.folder / _ATOMS, structure)
        if structure.is_pseudoatomic:
            _rename_pseudoatoms(self.folder / _ATOMS)
        write_modes(self.folder / "modes", modes)
        write_xmd(self.folder / _MODES, modes_table({m: f"modes/vec.{m}" for m in modes.mode_ids}))
        names = np.array([_name(image) for image in range(len(images))], dtype=object)
        write_xmd(self.folder / _IMAGES, {"enabled": np.full(len(images), "1", dtype=object), "image": names})

    def command(
        self,
        program: Path,
        pixel_size_A: float,
        step_deg: float,
        trust_region: float,
        projections: bool,
        sigma_A: float | None,
        cutoff_A: float,
    ) -> list[str]:
        """The command, to be run in the folder. sigma_A: of pseudoatoms; cutoff_A: of a low-pass filter, 0 for none."""
        command = [str(program), "-i", _IMAGES, "--pdb", _ATOMS, "--modes", _MODES, "-o", _RESULT, "--odir", "."]
        command += ["--sampling_rate", f"{pixel_size_A:.6f}", "--discrAngStep", f"{step_deg:g}"]
        command += ["--trustradius_scale", f"{trust_region:g}", "--centerPDB", "--resume"]
        if projections:
            command.append("--projMatch")
        if sigma_A is not None:
            command += ["--fixed_Gaussian", f"{sigma_A:.4f}"]
        if cutoff_A:
            command += ["--filterVol", f"{cutoff_A:g}"]
        return command

    @property
    def log(self) -> Path:
        """The file with the program's messages."""
        return self.folder / _LOG

    def clear_scratch(self) -> int:
        """Prepare a folder that a killed program left, so that it can continue there. Returns the number of finished
        images."""
        for pattern in _SCRATCH:
            for path in self.folder.glob(pattern):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        done = self.folder / _DONE
        if not done.is_file():
            return 0
        kept, finished = _whole_rows(done.read_text(errors="replace"))
        if not finished:  # only a header, which the program writes again
            done.unlink()
        else:
            with atomic_path(done) as temporary:
                temporary.write_text(kept)
        if finished >= self.count:  # killed before the last step, which renames the file
            done.replace(self.folder / _RESULT)
        return min(finished, self.count)

    def first_unfinished(self) -> int | None:
        """The first image (from 0) without a result, at which a serial program stopped; None if all have one."""
        done = self.folder / _DONE
        finished = _images_of(done.read_text(errors="replace")) if done.is_file() else set()
        return next((image for image in range(self.count) if _name(image) not in finished), None)

    def give_up(self, image: int) -> None:
        """Mark an image (from 0) as a failed fit, as the program does: cost -1."""
        done = self.folder / _DONE
        text, _ = _whole_rows(done.read_text(errors="replace"))
        columns = [line.split()[0].lstrip("_") for line in text.splitlines() if line.lstrip().startswith("_")]
        modes = len(read_star(self.folder / _MODES)["noname"]["order_"])
        values = {"image": _name(image), "enabled": "1", "cost": "-1", NMA_DISPLACEMENTS: f"'{' 0' * modes} '"}
        with atomic_path(done) as temporary:
            temporary.write_text(text + " ".join(values.get(column, "0") for column in columns) + "\n")

    @contextlib.contextmanager
    def watched(self, finished: int) -> Iterator[Callable[[], None]]:
        """Show the number of finished images; yields a function that updates it."""
        with progress_bar("Xmipp, this batch", self.count, initial=finished) as bar:

            def look() -> None:
                with contextlib.suppress(OSError):
                    now = len(_images_of((self.folder / _DONE).read_text(errors="replace")))
                    if now > bar.n:  # a bar that is redrawn every second fills the log of a run of days
                        bar.update(min(now, self.count) - bar.n)

            yield look

    def found(self) -> XmippFound:
        """Results in the order of the images, in whatever order they were finished.

        Raises DeepError if some are missing and FormatError for a file that the program did not write.
        """
        path = self.folder / _RESULT
        if not path.is_file():
            raise DeepError(f"Xmipp ended without writing '{path}'; its log '{self.log}' may say why")
        table = next(iter(read_star(path).values()))
        needed = ("image", "angleRot", "angleTilt", "anglePsi", "shiftX", "shiftY", NMA_DISPLACEMENTS, "cost")
        if missing := [name for name in needed if name not in table]:
            raise FormatError(f"'{path}' has no columns {missing}, which Xmipp's HEMNMA writes; got {sorted(table)}")
        rows = _rows_of_images(path, table, self.count)
        chosen: Table = {name: column[rows] for name, column in table.items()}
        return _sound(
            XmippFound(
                euler_deg=_numbers(chosen, ["angleRot", "angleTilt", "anglePsi"]),
                shift_px=_numbers(chosen, ["shiftX", "shiftY"]),
                amplitudes=Columns(path, chosen).vectors(NMA_DISPLACEMENTS),
                cost=_numbers(chosen, ["cost"])[:, 0],
            )
        )

    def drop_images(self) -> None:
        """Remove the copies of images after the results exist."""
        (self.folder / _STACK).unlink(missing_ok=True)


def _rename_pseudoatoms(path: Path) -> None:
    """Give pseudoatoms the atom name with which Xmipp finds their centre.

    It looks for EN, which older releases read from the middle of DENS. The sources of July 2025 read the whole name,
    find no weights, and centre on NaN, so that the reference is empty.
    """
    lines = path.read_text().splitlines(keepends=True)
    named = [line[:12] + " EN " + line[16:] if line.startswith(("ATOM", "HETATM")) else line for line in lines]
    path.write_text("".join(named))


def _name(image: int) -> str:
    """The program's name of an image (from 0)."""
    return f"{image + 1:06d}@{_STACK}"


def _images_of(text: str) -> set[str]:
    """Names of the images that have a complete row in a table."""
    return {word for line in _whole_rows(text)[0].splitlines() for word in line.split() if "@" in word}


def _numbers(table: Table, columns: list[str]) -> np.ndarray:
    """Columns as numbers, which may be NaN."""
    return np.stack([table[name].astype(np.float64) for name in columns], axis=1)


def _sound(found: XmippFound) -> XmippFound:
    """The same with the marks of failed fits in place of NaN, so that one image does not stop the others."""
    parts = (found.euler_deg, found.shift_px, found.amplitudes, found.cost[:, None])
    bad = ~np.isfinite(np.concatenate(parts, axis=1)).all(axis=1)
    euler_deg, shift_px, amplitudes, _ = (np.where(bad[:, None], 0.0, part) for part in parts)
    return XmippFound(euler_deg, shift_px, amplitudes, np.where(bad, -1.0, found.cost))


def _rows_of_images(path: Path, table: Table, count: int) -> np.ndarray:
    """Row of each image, by its number in the stack."""
    row_of: dict[int, int] = {}
    for row, name in enumerate(table["image"]):
        number = name.partition("@")[0]
        if not number.isdigit():
            raise FormatError(f"'{path}', row {row + 1}: image name '{name}'; expected NUMBER@STACK")
        row_of[int(number) - 1] = row  # the later result of an image that was processed twice
    missing = sorted(set(range(count)) - row_of.keys())
    if missing:
        raise DeepError(
            f"Xmipp gave results for {count - len(missing)} of {count} images in '{path}'; the first without is image "
            f"{missing[0] + 1}; its log may say why"
        )
    return np.array([row_of[image] for image in range(count)])


def _whole_rows(text: str) -> tuple[str, int]:
    """A table that Xmipp wrote, without rows that were cut off, and the number of different images in it."""
    lines = text.splitlines(keepends=True)
    columns = sum(line.lstrip().startswith("_") for line in lines)
    kept, images = [], set()
    for line in lines:
        if not line.endswith("\n"):
            continue
        if line.strip() and not line.lstrip().startswith(("_", "#", "data_", "loop_")):
            if _fields(line) != columns:
                continue
            images.add(next((word for word in line.split() if "@" in word), line))
        kept.append(line)
    return "".join(kept), len(images)


def _fields(line: str) -> int:
    """Number of fields of a row, one of which may contain blanks between quotes; -1 if a quote is not closed."""
    pieces: Sequence[str] = line.split("'")
    if len(pieces) % 2 == 0:
        return -1
    return sum(len(piece.split()) for piece in pieces[::2]) + len(pieces) // 2
