"""One particle: its image and, where the modes are known, the model in its conformation, both seen alike."""

import numpy as np
from matplotlib.figure import Figure
from scipy import ndimage

from continuousflex_deep.arrays import Floats, Singles
from continuousflex_deep.errors import DeepError
from continuousflex_deep.figures.literal import literal
from continuousflex_deep.figures.trace import Trace, principal_axes
from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.io.landscape_table import LandscapeTable
from continuousflex_deep.io.stacks import read_images_with_reasons
from continuousflex_deep.viewers.modes_data import ModesData

_SMOOTHING_A = 5.0  # deviation of the Gaussian that brings a particle out of its noise
_COLOUR_RMSD = 2.0  # the colours end at the usual displacement times this


class ParticleView:
    """The image of a particle, centred and smoothed, beside the model in its conformation and its pose."""

    def __init__(self, table: LandscapeTable, figure: Figure, model: ModesData | None = None) -> None:
        self.table, self.figure, self.model = table, figure, model
        self.row: int | None = None
        panels = figure.subplots(1, 2 if model is not None else 1, squeeze=False)[0]
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.9, wspace=0.04)
        self._image_axes = panels[0]
        self._image = self._image_axes.imshow(np.zeros((2, 2)), cmap="gray")
        self._told = self._image_axes.text(
            0.5, 0.5, "point at a particle", transform=self._image_axes.transAxes, ha="center", va="center", wrap=True,
            fontsize=8, color="0.4",
        )  # fmt: skip
        self._image.set_visible(False)
        self._image_axes.set_title("image", fontsize=9)
        for axes in panels:
            axes.set(xticks=[], yticks=[])
        if model is not None:
            self._prepare_model(panels[1])

    def _prepare_model(self, axes) -> None:
        model = self.model
        assert model is not None
        self._model_axes = axes
        self._rest_A = model.shown_motion.rest_A - model.structure.center_A
        # as the window of modes shows it, which has y upwards
        self._front = np.diag([1.0, -1.0, -1.0]) @ principal_axes(self._rest_A)
        self._trace = Trace(axes, model.bonds, 1.4)
        usual = self.table.amplitudes[~self.table.outlier].std(axis=0)
        moved = self._displacements(usual)
        self._trace.drawn.set_clim(0, max(_COLOUR_RMSD * float(np.linalg.norm(moved, axis=1).mean()), 1e-3))
        half = max(1.15 * float(np.linalg.norm(self._rest_A, axis=1).max()), self._half_box_A if self._sees_pose else 0)
        axes.set(xlim=(-half, half), ylim=(half, -half), aspect="equal")
        self.show_conformation(np.zeros(len(self.table.mode_ids)))

    @property
    def _half_box_A(self) -> float:
        return self.table.box_px * self.table.pixel_size_A / 2

    @property
    def _sees_pose(self) -> bool:
        return self.table.euler_deg is not None

    def show(self, row: int) -> None:
        """Show the particle of a row of the table."""
        self.row = row
        self._show_image(row)
        if self.model is not None:
            euler = self.table.euler_deg
            rotation = self._front if euler is None else euler_to_matrix(euler[row])
            self._show_model(self.table.amplitudes[row], rotation)
            self._model_axes.set_title("model" if euler is None else "model, seen as the image", fontsize=9)

    def show_conformation(self, amplitudes_A: Floats) -> None:
        """Show the model alone, displaced by amplitudes (M,), from the side on which it is broadest."""
        if self.model is not None:
            self._show_model(np.asarray(amplitudes_A), self._front)
            self._model_axes.set_title("model", fontsize=9)

    def _show_model(self, amplitudes_A: Floats, rotation: Floats) -> None:
        moved = self._displacements(amplitudes_A)
        seen = (self._rest_A + moved) @ rotation.T
        # with x to the right and y downwards, as of images, z leads away from the eye
        self._trace.draw(seen * [1, 1, -1], np.linalg.norm(moved, axis=1))

    def _displacements(self, amplitudes_A: Floats) -> Floats:
        """How far amplitudes along the landscape's modes move the shown atoms (S, 3)."""
        model = self.model
        assert model is not None
        return model.shown_motion.displacements(model.amplitudes_A(self.table.mode_ids, amplitudes_A))

    def _show_image(self, row: int) -> None:
        try:
            images, reasons = read_images_with_reasons(self.table.image(row))
            told = f"the image {reasons[0]}" if reasons[0] else ""
        except DeepError as error:
            told = str(error)
        self._image.set_visible(not told)
        self._told.set_text(literal(told))
        if not told:
            shown = self._centred(images[0], row)
            self._image.set_data(shown)
            d, pixel_A, half_A = len(shown), self.table.pixel_size_A, self._half_box_A
            first, last = (-0.5 - d // 2) * pixel_A, (d - 0.5 - d // 2) * pixel_A  # Å from the centre, pixel d//2
            self._image.set_extent((first, last, last, first))
            self._image.set_clim(*np.percentile(shown, [0.5, 99.8]))
            self._image_axes.set(xlim=(-half_A, half_A), ylim=(half_A, -half_A))

    def _centred(self, image: Singles, row: int) -> Floats:
        pixel_A, shift_A = self.table.pixel_size_A, self.table.shift_A
        smooth = ndimage.gaussian_filter(image.astype(np.float64), _SMOOTHING_A / pixel_A, mode="nearest")
        if shift_A is None:
            return smooth
        return ndimage.shift(smooth, shift_A[row, ::-1] / pixel_A, order=1, mode="nearest")


def describe_particle(table: LandscapeTable, row: int, model: ModesData | None = None) -> str:
    """What is known of the particle of a row, a line each: conformation, pose, CTF, marks."""
    q, sd = table.amplitudes[row], table.amplitudes_sd
    lines = [f"particle {table.ids[row]}, {_source(table, row)}"]
    for i, mode in enumerate(table.mode_ids):
        lines.append(f"q{mode} = {q[i]:.1f}{'' if sd is None else f' ± {sd[row, i]:.1f}'} Å")
    if model is not None:
        lines.append(f"RMSD from the structure {model.rmsd_A(model.amplitudes_A(table.mode_ids, q)):.2f} Å")
    names = [*table.coordinate_names()]
    lines.append(", ".join(f"{n} {c:.4g}" for n, c in zip(names, table.coordinates[row], strict=True)))
    if table.euler_deg is not None:
        spread = "" if table.angle_sd_deg is None else f" ± {table.angle_sd_deg[row]:.2g}"
        lines.append("rot {:.1f}, tilt {:.1f}, psi {:.1f}".format(*table.euler_deg[row]) + f"{spread} °")
    if table.shift_A is not None:
        spread = "" if table.shift_sd_A is None else f" ± {table.shift_sd_A[row]:.2g}"
        lines.append("shift {:.2f}, {:.2f}".format(*table.shift_A[row]) + f"{spread} Å")
    more = []
    if table.score is not None:
        more.append(f"score {table.score[row]:.3g}")
    if table.defocus_A is not None:
        more.append(f"defocus {table.defocus_A[row]:.0f} Å")
    marks = [name for name, marked in (("outlier", table.outlier), ("ambiguous", table.ambiguous))
             if marked is not None and marked[row]]  # fmt: skip
    return "\n".join([*lines, *([", ".join([*more, *marks])] if more or marks else [])])


def _source(table: LandscapeTable, row: int) -> str:
    number = int(table.source[row])
    return table.source_names[number - 1] if number <= len(table.source_names) else f"set {number}"
