"""The compare command: times of both engines on the same particles, and the differences of their results."""

import dataclasses
import json
import resource
import time
from pathlib import Path

import numpy as np

from continuousflex_deep.assessment.evaluation import Evaluation, evaluate, evaluate_between, format_comparison
from continuousflex_deep.commands import align
from continuousflex_deep.errors import InputError
from continuousflex_deep.hemnma.engines.choice import make_engine
from continuousflex_deep.io.file_names import PARTICLES_STAR, RECORD_JSON
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.modes import NormalModes, parse_mode_list
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.records import write_json, write_record
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.stacks import check_images
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.io.tables import format_rows
from continuousflex_deep.messages import note
from continuousflex_deep.options import AlignOptions, CompareOptions, options_of
from continuousflex_deep.particles import STRAIGHT, Particles, evenly_spread
from continuousflex_deep.runs.parts import parts_folder
from continuousflex_deep.runs.sole_writer import sole_writer

ENGINES = options_of(AlignOptions)["engine"].choices


@dataclasses.dataclass(frozen=True)
class Spent:
    """Time of an engine in one uninterrupted run: wall time, and CPU time of this computer."""

    wall_s: float
    cpu_s: float


@sole_writer
def run(options: CompareOptions) -> None:
    """Write embedded.star, xmipp.star and record.json into options.output and print the tables. A comparison that was
    killed continues."""
    folder = require_writable_folder(options.output)
    mode_ids = parse_mode_list(options.mode_list)
    structure, modes = read_reference(options.structure, options.modes, mode_ids, options, STRAIGHT)
    given = read_particles(options.particles, options.pixel_size_A or None, mode_ids)
    truth = read_particles(options.truth, mode_ids=mode_ids) if options.truth else None
    chosen = given.select(evenly_spread(len(given), options.count or len(given)))
    if truth is not None:
        truth = truth.select(truth.rows_of(chosen.ids))
    folder.mkdir(parents=True, exist_ok=True)
    particles = folder / PARTICLES_STAR
    settings = {name: _settings(options, name, particles, folder) for name in ENGINES}
    check_images(chosen)
    for one in settings.values():  # missing or unsuitable input is found before long work starts
        make_engine(structure, modes, one).check(chosen)
    _write_once(chosen, particles)
    spent, found = {}, {}
    for name, one in settings.items():
        spent[name] = _timed(one)
        found[name] = read_particles(one.output, mode_ids=mode_ids)
    first, second = ENGINES
    tables = {f"{second} - {first}": _between(found[second], found[first], structure, modes, options.lost_deg)}
    if truth is not None:
        tables |= {f"{n} - truth": evaluate(p, truth, structure, modes, options.lost_deg) for n, p in found.items()}
    print(format_times(spent, {name: len(p) for name, p in found.items()}))
    print(format_comparison(tables))
    facts = {
        "times": {name: dataclasses.asdict(one) if one else None for name, one in spent.items()},
        "particles_aligned": {name: len(p) for name, p in found.items()},
        "differences": {name: one.as_dict() for name, one in tables.items()},
    }
    write_record(folder / RECORD_JSON, "compare", options, **facts)


def _settings(options: CompareOptions, engine: str, particles: Path, folder: Path) -> AlignOptions:
    """The options of `align` for one engine: those that both commands have and that the engine follows."""
    given = options_of(CompareOptions)
    shared = [o.name for o in options_of(AlignOptions).values() if o.name in given and o.is_followed_by(engine)]
    values = {name: getattr(options, name) for name in shared}
    values |= {"engine": engine, "particles": str(particles), "output": str(folder / f"{engine}.star")}
    return AlignOptions(**values)


def _write_once(chosen: Particles, path: Path) -> None:
    """The particles that both align; a comparison of others in the same folder is an InputError."""
    if path.is_file() and read_particles(path).ids.tolist() != chosen.ids.tolist():
        raise InputError(
            f"'{path}' contains other particles: this folder has another comparison; give another --output or remove it"
        )
    write_particles(chosen, path)


def _between(
    second: Particles, first: Particles, structure: Structure, modes: NormalModes, lost_deg: float
) -> Evaluation:
    """Differences over the particles that both engines could use."""
    if not np.isin(second.ids, first.ids).any():
        raise InputError("no particle was aligned by both engines; the lists *_bad.star give the reasons")
    return evaluate_between(second, first, structure, modes, lost_deg)


def _timed(options: AlignOptions) -> Spent | None:
    """Align and return the time that it took; None for a run that continued an interrupted one, whose time is not
    known. A run that was finished before, with the same options, keeps its time."""
    output = Path(options.output)
    told = output.with_name(f"{output.stem}_time.json")
    resumed, before = parts_folder(output).exists(), _modified(output)
    wall, cpu = time.perf_counter(), _cpu_seconds()
    if resumed:
        told.unlink(missing_ok=True)
    align.run(options)
    if _modified(output) != before:
        told.unlink(missing_ok=True)
        if resumed:
            note(
                f"the run of the engine {options.engine} was interrupted, so that its time is not known; compare in "
                "another folder to have it"
            )
        else:
            write_json(told, dataclasses.asdict(Spent(time.perf_counter() - wall, _cpu_seconds() - cpu)))
    return Spent(**json.loads(told.read_text())) if told.is_file() else None


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


def _cpu_seconds() -> float:
    """CPU seconds of this process and of the programs that it ran."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def format_times(spent: dict[str, Spent | None], counts: dict[str, int]) -> str:
    """Seconds of each engine, in total and per particle, as a table; a dash if they are not known."""
    rows = []
    for name, one in spent.items():
        seconds = (one.wall_s, one.cpu_s) if one else ()
        cells = [f"{s:.1f}" for s in seconds] + [f"{s / counts[name]:.3g}" for s in seconds]
        rows.append([name, str(counts[name]), *(cells or ["–"] * 4)])
    return format_rows(["", "particles", "wall [s]", "CPU [s]", "wall each [s]", "CPU each [s]"], rows)
