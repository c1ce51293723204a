"""Images that cannot be used, and the particles that are left out of a result because of them."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Floats, Images, Integers, Rows
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.stacks import read_images_with_reasons
from continuousflex_deep.particles import Particles, evenly_spread
from continuousflex_deep.runs.batch import Batch

# an image whose range of grey values is this many times larger or smaller than that of the median image is not an image
# of a particle; a set that varies more is allowed this many robust standard deviations of the logarithm of the range
_WIDER, _DEVIATIONS = 100.0, 8.0
_BLOCK = 256  # images held at a time


@dataclass(frozen=True)
class ImageScreen:
    """Limits of the range of grey values (largest minus smallest) of a usable image."""

    lowest: float
    highest: float

    @staticmethod
    def of(spans: Floats) -> "ImageScreen":
        """From the ranges (n,) of images, a few of which may be unusable."""
        logs = np.log(spans[(spans > 0) & np.isfinite(spans)])
        middle = np.median(logs)
        width = max(np.log(_WIDER), _DEVIATIONS * 1.4826 * np.median(np.abs(logs - middle)))
        return ImageScreen(float(np.exp(middle - width)), float(np.exp(middle + width)))

    def reasons(self, spans: Floats, reasons: NDArray[np.object_]) -> NDArray[np.object_]:
        """The given reasons (k,), with one added for every image whose range of grey values (k,) is outside the
        limits."""
        out = (reasons == "") & ~((self.lowest <= spans) & (spans <= self.highest))
        found = reasons.copy()
        found[out] = [
            f"grey values span {s:.3g}, in other images {self.lowest:.3g} to {self.highest:.3g}" for s in spans[out]
        ]
        return found

    def read(self, particles: Particles, rows: Rows) -> tuple[Batch, Rows, NDArray[np.str_]]:
        """Read some rows: the usable ones with their images, the rows of the others, and the reasons why not."""
        images, reasons = read_images_with_reasons(particles, rows)
        reasons = self.reasons(_spans(images), reasons)
        good = reasons == ""
        usable = images if good.all() else images[good]
        return Batch(rows[good], particles.select(rows[good]), usable), rows[~good], reasons[~good].astype(str)


def calibration_rows(particles: Particles, count: int) -> tuple[Integers, ImageScreen]:
    """About `count` rows with usable images, evenly spread over the set, and the limits for usable images.

    If many images are unusable, more of the set is read. InputError if none is usable.
    """
    tried = min(count, len(particles))
    while True:
        rows = evenly_spread(len(particles), tried)
        spans, reasons = _looked_at(particles, rows)
        if (reasons == "").any():
            screen = ImageScreen.of(spans[reasons == ""])
            good = rows[screen.reasons(spans, reasons) == ""]
            if len(good) >= count / 2 or tried == len(particles):
                return good[evenly_spread(len(good), count)], screen
        elif tried == len(particles):
            raise no_usable_image(reasons)
        tried = min(4 * tried, len(particles))


def no_usable_image(reasons: NDArray[Any]) -> InputError:
    """The error to raise if no image can be used; reasons (n,): what is wrong with each image."""
    return InputError(
        f"none of the {len(reasons)} images can be used ({', '.join(sorted(set(reasons.tolist()))[:3])}); extract or "
        "normalise them again"
    )


def _looked_at(particles: Particles, rows: Integers) -> tuple[Floats, NDArray[np.object_]]:
    """Ranges of grey values (k,) of the images of some rows and what is wrong with each, read block by block."""
    spans, reasons = np.zeros(len(rows)), np.full(len(rows), "", dtype=object)
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        images, reasons[block] = read_images_with_reasons(particles, rows[block])
        spans[block] = _spans(images)
    return spans, reasons


def _spans(images: Images) -> Floats:
    flat = images.reshape(len(images), -1)
    return flat.max(axis=1).astype(np.float64) - flat.min(axis=1)


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Particles (k) that have no result, and the reasons (k,)."""

    particles: Particles
    reasons: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.particles)

    def lines(self, most: int) -> list[str]:
        """A line for each of the first `most` particles: id, image and reason."""
        p = self.particles
        listed = [
            f"particle {p.ids[i]} (image {p.indices[i] + 1} of {p.stacks[i]}): {self.reasons[i]}"
            for i in range(min(most, len(self)))
        ]
        return listed + ([f"and {len(self) - most} more"] if len(self) > most else [])

    def facts(self) -> list[dict[str, object]]:
        """For a record."""
        p = self.particles
        return [
            {"id": int(p.ids[i]), "image": f"{p.indices[i] + 1}@{p.stacks[i]}", "reason": str(self.reasons[i])}
            for i in range(len(self))
        ]

    def write(self, output: Path) -> Path:
        """Write OUTPUT_bad.star beside a particle file, with the reason in the column cfdReason. If no particle was
        left out, remove the file of an earlier run."""
        path = left_out_path(output)
        if len(self):
            named = self.particles.replace(extra=self.particles.extra | {"cfdReason": self.reasons.astype(object)})
            write_particles(named, path)
        else:
            path.unlink(missing_ok=True)
        return path


def left_out_path(output: Path) -> Path:
    """The file that lists the particles without a result."""
    return output.with_name(f"{output.stem}_bad.star")


def tell_left_out(left_out: LeftOut, output: Path) -> None:
    """Report the particles without a result on stderr and in a file beside the output."""
    path = left_out.write(output)
    for line in left_out.lines(most=20):
        print(f"note: left out: {line}", file=sys.stderr)
    if len(left_out):
        print(f"note: the {len(left_out)} particles left out are in '{path}'", file=sys.stderr)
