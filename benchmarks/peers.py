"""The same particles by this program, cryoDRGN and RECOVAR: what each finds of known conformations, at what cost.

    python benchmarks/peers.py [--only mode-7 eq-1 igg] [--programs ours cryodrgn recovar] [--images 2000]
                               [--poses unknown given] [--cryodrgn PYTHON] [--recovar PYTHON] [--output peers.json]

mode-7: adenylate kinase with uniform amplitudes along mode 7. eq-1: the same along the article's Eq. 1, modes 7 to 9.
Both at SNR 0.1, 83.2 Å wide; we align along modes 7 to 9. igg: CryoBench's IgG-1D, an antibody (1HZH, of the data) of
which one Fab turns within ±108°; SNR 0.01, 384 Å wide; we align its Cα atoms along modes 7 to 12. Peers have the true
poses (of the part that does not move). We have none in a first row, and the same in a second.

Peers are not installed with this program. Each needs an environment of its own:

    python -m venv drgn;    drgn/bin/pip install cryodrgn==4.3.1;   then --cryodrgn drgn/bin/python
    python -m venv recovar; recovar/bin/pip install recovar==1.0.5; then --recovar recovar/bin/python

Python 3.11 suits both. A peer that is not installed, fails, or is not at its end after --limit seconds is named, and
has no row. cryoDRGN inverts the contrast by default and RECOVAR finds it; both are right for the bright particles here.
Images are not phase flipped, which no peer knows of.

order       Spearman's rank correlation of the place on the way with the direction of latent space that follows it best
R2          share of the variance of the true amplitudes that a linear map from latent space predicts; this direction
            and this map are fitted to four fifths of the particles, and measured on the others
neighbours  share of the nearest particles in the truth that are nearest in latent space too (--neighbours of them)
to truth    information imbalance from latent space to the truth: 0 at best, 1 where it tells nothing
from truth  the same from the truth to latent space
auc N       area under the FSC of maps with those of the true structures, in N px; mean over --states regions of the
            way, each with the map at the mean latent of its particles. Peers: their maps. We: reconstructions of as
            many particles as the region has, the nearest ones to this point
model N     the same of our deformed structure. It is flattered: the atoms were known before, and so were the modes in
            which they move. No peer has that
rmsd        median RMSD in Å of our structures from the true ones, superposed
wall, cpu   seconds for the latent coordinates, training or calibration and start included
GiB         peak memory of the largest process
maps        seconds for the maps of all regions, of the clock

Rows "sorted by the truth" are reconstructions of the regions' own particles with the true poses, which a reconstruction
of that many particles can reach; those of "one map" are of all particles together. Maps are compared within a sphere of
0.85 boxes. Maps of peers and deformed structures use more particles, or more knowledge, than such a group has.
--recovar-box gives RECOVAR images of a smaller box over the same width; all are then compared there as well.

Fills "Beside other programs" of docs/results.md. The default size takes days on one core (estimated from 600 images),
nearly all of it for peers, which are made for GPUs. --size small, of 600 images of 64 px, takes about two hours. With
--folder, what has finished is not repeated.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from cases import ARTICLE, TINY
from command_line import FULL, SMALLEST, add_data, add_hardware, add_only, benchmark_parser, parse
from measuring import Figures, Table, folder_or_temporary, require_settings, run_command, write_figures
from peers_measures import area_under_fsc, explained, fsc, information_imbalance, neighbourhood_similarity, order
from peers_ours import Alignment, density_of, reconstructed
from peers_programs import PEERS, Cost, Processes, Unfinished, require_installed
from peers_sets import SETS, ParticleSet

from continuousflex_deep.arrays import Floats, Map
from continuousflex_deep.io.file_names import PARTICLES_STAR
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.reconstruction.maps import resize_map

OURS, UNKNOWN, GIVEN = "ours", "unknown", "given"
POSES = (UNKNOWN, GIVEN)
_SETTINGS = ("images", "box", "recovar_box", "states", "neighbours", "dimensions", "epochs", "width", "threads")
_MASK, _EDGE = 0.85, 0.05  # diameter of the sphere and width of its edge, in boxes
SIZES = {
    FULL: {"only": list(SETS), "images": 2000, "box": 128, "recovar_box": 0, "states": 10, "neighbours": 50,
           "dimensions": 4, "epochs": 50, "width": 256, "limit": 36_000.0, "setting": ARTICLE},
    "small": {"only": list(SETS), "images": 600, "box": 64, "recovar_box": 32, "states": 5, "neighbours": 50,
              "dimensions": 4, "epochs": 30, "width": 128, "limit": 3600.0, "setting": ARTICLE},
    SMALLEST: {"only": ["mode-7"], "images": 20, "box": 40, "recovar_box": 0, "states": 2, "neighbours": 4,
               "dimensions": 1, "epochs": 1, "width": 16, "limit": 300.0, "poses": [GIVEN], "setting": TINY},
}  # fmt: skip


def main() -> None:
    """Print rows of each set and program, and write the figures."""
    parser = benchmark_parser(__doc__, "peers.json")
    add_only(parser, tuple(SETS))
    programs = (OURS, *PEERS)
    parser.add_argument("--programs", nargs="+", choices=programs, default=list(programs), help="to run (default all)")
    for name in PEERS:
        shown = f"Python of the environment in which {name} is installed (default: this one)"
        parser.add_argument(f"--{name}", type=Path, metavar="PYTHON", default=Path(sys.executable), help=shown)
    shown = "poses with which we start: none, or those that peers have (default both)"
    parser.add_argument("--poses", nargs="+", choices=POSES, default=list(POSES), help=shown)
    parser.add_argument("--images", type=int, help="of a set")
    parser.add_argument("--box", type=int, help="of the images in pixels, over the width of the set")
    parser.add_argument("--recovar-box", type=int, help="to which RECOVAR's images are reduced; 0 keeps the box")
    parser.add_argument("--states", type=int, help="regions of the way, of which maps are compared")
    parser.add_argument("--neighbours", type=int, help="nearest particles that are compared")
    parser.add_argument("--dimensions", type=int, help="of the latent space of peers")
    parser.add_argument("--epochs", type=int, help="of cryoDRGN's training")
    parser.add_argument("--width", type=int, help="of cryoDRGN's layers, three in encoder and decoder each")
    parser.add_argument("--limit", type=float, help="seconds after which a program is ended")
    parser.add_argument("--folder", type=Path, help="where images and results are kept (default: nowhere)")
    add_hardware(parser)
    add_data(parser)
    arguments = parse(parser, SIZES)
    settings = {key: vars(arguments)[key] for key in _SETTINGS}
    table, rows, unfinished = Table("particles", 34), list[dict[str, object]](), dict[str, str]()
    with folder_or_temporary(arguments.folder) as base:
        require_settings(base, settings)
        for name in arguments.only:
            comparison = Comparison(arguments, name, base.absolute() / name)
            for program in arguments.programs:
                try:
                    for row, figures in comparison.of(program):
                        table.row(f"{name}, {row}", figures)
                        rows.append({"set": name, "row": row, **figures})
                except Unfinished as reason:
                    unfinished[f"{name}, {program}"] = str(reason)
                    print(f"{name}, {program}: {reason}", flush=True)
    write_figures(arguments.output, {"settings": settings, "rows": rows, "unfinished": unfinished})


class Comparison:
    """A set of particles, and the rows of programs that ran on it."""

    def __init__(self, arguments: argparse.Namespace, name: str, folder: Path) -> None:
        self.arguments, self.folder = arguments, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.particles: ParticleSet = SETS[name](arguments, folder)
        self.states = self.particles.states(arguments.states)
        self.processes = Processes(folder, arguments.threads, arguments.limit)
        images, shown = read_particles(self.particles.given), self.particles.shown
        in_the_middle = [shown.replace_coords(self.particles.coords_A(state.middle)) for state in self.states]
        self.true_maps = [density_of(conformation, images) for conformation in in_the_middle]

    def of(self, program: str) -> Iterator[tuple[str, Figures]]:
        """Rows of a program; Unfinished where it is not installed or does not come to its end."""
        return self._ours() if program == OURS else self._peer(program)

    def _ours(self) -> Iterator[tuple[str, Figures]]:
        hardware = {"device": self.arguments.device, "threads": self.arguments.threads}
        particles = read_particles(self.particles.given)
        maps, _ = reconstructed(self.folder / "sorted", [particles.select(s.rows) for s in self.states], hardware)
        yield "sorted by the truth", self._figures(None, None, maps)
        maps, _ = reconstructed(self.folder / "one", [particles], hardware)
        yield "one map", self._figures(None, None, maps * len(self.states))
        for name in self.arguments.poses:
            output = self.folder / f"ours_{name}"
            alignment = Alignment(self.processes, self.particles, output, name == GIVEN, hardware)
            cost = alignment.cost
            points = self.points(alignment.latents)
            maps, maps_s = alignment.group_maps(points, self.states)
            models = alignment.structure_maps(points, self.states)
            figures = self._figures(alignment.latents, cost, maps, maps_s, models, alignment.rmsd_A())
            yield f"ours, poses {name}", figures

    def _peer(self, program: str) -> Iterator[tuple[str, Figures]]:
        programs = require_installed(program, vars(self.arguments)[program])
        output, source = self.folder / program, self.particles.given
        output.mkdir(exist_ok=True)
        if program == "recovar" and self.arguments.recovar_box:
            run_command("preprocess", {"particles": source, "output": output, "box": self.arguments.recovar_box})
            source = output / PARTICLES_STAR
        sizes = self.arguments.dimensions, self.arguments.epochs, self.arguments.width
        peer = PEERS[program](self.processes, programs, source, output, *sizes)
        latents, cost = peer.latents()
        maps, of_maps = peer.maps(self.points(latents))
        yield program, self._figures(latents, cost, maps, of_maps.wall_s)

    def points(self, latents: Floats) -> Floats:
        """The mean latent coordinates (states, z) of the particles of each state."""
        return np.stack([latents[state.rows].mean(axis=0) for state in self.states])

    def _figures(
        self,
        latents: Floats | None,
        cost: Cost | None,
        maps: Sequence[Map],
        maps_s: float | None = None,
        models: Sequence[Map] | None = None,
        rmsd_A: float | None = None,
    ) -> Figures:
        """One row; None for what there is not."""
        found: Figures = dict.fromkeys(("order", "R2", "neighbours", "to truth", "from truth"))
        if latents is not None:
            truth = self.particles.amplitudes
            found = {
                "order": order(latents, self.particles.place),
                "R2": explained(latents, truth),
                "neighbours": neighbourhood_similarity(truth, latents, self.arguments.neighbours),
                "to truth": information_imbalance(latents, truth),
                "from truth": information_imbalance(truth, latents),
            }
        for box in sorted({self.arguments.box, self.arguments.recovar_box or self.arguments.box}):
            found[f"auc {box}"] = self._area(maps, box)
            found[f"model {box}"] = None if models is None else self._area(models, box)
        return found | {
            "rmsd": rmsd_A,
            "wall": None if cost is None else cost.wall_s,
            "cpu": None if cost is None else cost.cpu_s,
            "GiB": None if cost is None else cost.memory_GiB,
            "maps": maps_s,
        }

    def _area(self, maps: Sequence[Map], box: int) -> float | None:
        """Mean area under the FSC of maps of the states with the true ones, all reduced to a box; None where they are
        smaller."""
        from continuousflex_deep.reconstruction.fsc import spherical_mask  # imports torch

        if len(maps[0]) < box:
            return None
        mask = spherical_mask(box, _MASK * box, _EDGE * box)
        pairs = zip(maps, self.true_maps, strict=True)
        areas = [area_under_fsc(fsc(resize_map(a, box) * mask, resize_map(b, box) * mask)) for a, b in pairs]
        return float(np.mean(areas))


if __name__ == "__main__":
    main()
