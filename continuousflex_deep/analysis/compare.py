"""The compare command: both engines on the same particles, how long each takes and how far they are apart."""

import dataclasses
import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args, get_type_hints

from continuousflex_deep.analysis.evaluate import Evaluation, evaluate, format_comparison
from continuousflex_deep.analysis.tables import format_rows
from continuousflex_deep.errors import InputError
from continuousflex_deep.hemnma import command as align
from continuousflex_deep.hemnma.engines import make_engine
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.modes import NormalModes, parse_mode_list
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.records import write_json, write_record
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.options import AlignOptions, CompareOptions
from continuousflex_deep.particles import Particles, evenly_spread

ENGINES: tuple[str, ...] = get_args(get_type_hints(AlignOptions)["engine"])


@dataclasses.dataclass(frozen=True)
class Spent:
    """Seconds that an engine took, over all runs until it had finished: by the clock, and of CPUs."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


def run(options: CompareOptions) -> None:
    """Write embedded.star, xmipp.star and record.json into options.output and print the tables. A comparison that was
    killed goes on where it was."""
    folder = require_writable_folder(options.output)
    mode_ids = parse_mode_list(options.mode_list)
    structure, modes = read_reference(options.structure, options.modes, mode_ids)
    given = read_particles(options.particles, options.pixel_size_A or None, mode_ids)
    truth = read_particles(options.truth, mode_ids=mode_ids) if options.truth else None
    chosen = given.select(evenly_spread(len(given), options.count or len(given)))
    if truth is not None:
        truth = truth.select(truth.rows_of(chosen.ids))
    folder.mkdir(parents=True, exist_ok=True)
    particles = folder / "particles.star"
    settings = {name: _settings(options, name, particles, folder) for name in ENGINES}
    for one in settings.values():  # what is missing or does not fit is found before the long work
        make_engine(structure, modes, one).check(chosen)
    _write_once(chosen, particles)
    spent, found = {}, {}
    for name, one in settings.items():
        with _timed(folder / f"{name}_time.json"):
            align.run(one)
        spent[name] = _read_time(folder / f"{name}_time.json")
        found[name] = read_particles(one.output, mode_ids=mode_ids)
    first, second = ENGINES
    tables = {f"{second} - {first}": _between(found[second], found[first], structure, modes, options.lost_deg)}
    if truth is not None:
        tables |= {f"{n} - truth": evaluate(p, truth, structure, modes, options.lost_deg) for n, p in found.items()}
    print(format_times(spent, {name: len(p) for name, p in found.items()}))
    print(format_comparison(tables))
    facts = {
        "times": {name: dataclasses.asdict(one) for name, one in spent.items()},
        "particles_aligned": {name: len(p) for name, p in found.items()},
        "differences": {name: one.as_dict() for name, one in tables.items()},
    }
    write_record(folder / "record.json", "compare", options, **facts)


def _settings(options: CompareOptions, engine: str, particles: Path, folder: Path) -> AlignOptions:
    """The options of `align` for one engine: those that both commands have, Xmipp's for Xmipp's engine only."""
    shared = {f.name for f in dataclasses.fields(AlignOptions)} & {f.name for f in dataclasses.fields(options)}
    values = {name: getattr(options, name) for name in shared if engine == "xmipp" or not name.startswith("xmipp_")}
    values |= {"engine": engine, "particles": str(particles), "output": str(folder / f"{engine}.star")}
    return AlignOptions(**values)


def _write_once(chosen: Particles, path: Path) -> None:
    """The particles that both align; a comparison of others in the same folder is an InputError."""
    if path.is_file() and read_particles(path).ids.tolist() != chosen.ids.tolist():
        raise InputError(
            f"'{path}' holds other particles: this folder has another comparison; give another --output or remove it"
        )
    write_particles(chosen, path)


def _between(
    second: Particles, first: Particles, structure: Structure, modes: NormalModes, lost_deg: float
) -> Evaluation:
    """Differences over the particles that both engines could use, without error bars, which are not about them."""
    both = sorted(set(second.ids.tolist()) & set(first.ids.tolist()))
    if not both:
        raise InputError("no particle was aligned by both engines; the lists *_bad.star say why each left some out")
    bare = second.select(second.rows_of(both)).replace(amplitudes_sd=None, angle_sd_deg=None, shift_sd_A=None)
    return evaluate(bare, first, structure, modes, lost_deg)


@contextmanager
def _timed(path: Path) -> Iterator[None]:
    """Add the time of the block, however it ends, to what a file tells."""
    before, wall, cpu = _read_time(path), time.perf_counter(), _cpu_seconds()
    try:
        yield
    finally:
        after = Spent(before.wall_s + time.perf_counter() - wall, before.cpu_s + _cpu_seconds() - cpu)
        write_json(path, dataclasses.asdict(after))


def _read_time(path: Path) -> Spent:
    return Spent(**json.loads(path.read_text())) if path.is_file() else Spent()


def _cpu_seconds() -> float:
    """Of this process and of the programs that it ran."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def format_times(spent: dict[str, Spent], counts: dict[str, int]) -> str:
    """Seconds of each engine, in all and for each particle, as a table."""
    rows = []
    for name, one in spent.items():
        each = [f"{seconds / counts[name]:.3g}" for seconds in (one.wall_s, one.cpu_s)]
        rows.append([name, str(counts[name]), f"{one.wall_s:.1f}", f"{one.cpu_s:.1f}", *each])
    return format_rows(["", "particles", "wall [s]", "CPU [s]", "wall each [s]", "CPU each [s]"], rows)
