"""The `group` command: particles of a landscape, selected by criteria or by a file of named groups.

Criteria select one group: a particle file and, beside it as .json, the record with the group's centroid. From a file of
groups the command writes both for each group into a folder, as 1_NAME.star and 1_NAME.json, …, and groups.json, which
lists the particles that were written.
"""

from pathlib import Path

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.file_names import GROUPS_JSON
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.groups import file_names, read_groups, write_groups
from continuousflex_deep.io.particle_files import read_particles, require_particle_suffix, write_particles
from continuousflex_deep.io.records import write_record
from continuousflex_deep.landscape.landscape import read_landscape
from continuousflex_deep.landscape.named_groups import format_groups, group_facts, select_named
from continuousflex_deep.landscape.selection import Criteria, centroid, group_particles, read_ids, select_group
from continuousflex_deep.options import GroupOptions
from continuousflex_deep.runs.sole_writer import writing_alone


def run(options: GroupOptions) -> None:
    """The `group` command."""
    if options.groups:
        _write_named(options)
    else:
        _write_one(options)


def _write_one(options: GroupOptions) -> None:
    require_particle_suffix(options.output)
    landscape = read_landscape(options.landscape)
    ids = read_ids(options.ids) if options.ids else None
    rows = select_group(landscape, Criteria(options.expression, options.box, ids, options.keep_outliers))
    images = read_particles(options.images) if options.images else None
    group = group_particles(landscape, rows, images)
    facts = centroid(landscape, rows)
    write_particles(group, options.output)
    write_record(Path(options.output).with_suffix(".json"), "group", options, **facts)
    modes = ", ".join(
        f"q{m} {q:.1f} ± {s:.1f}"
        for m, q, s in zip(facts["mode_ids"], facts["centroid_amplitudes"], facts["sd_amplitudes"], strict=True)
    )
    print(f"{len(rows)} of {len(landscape.particles)} particles; centroid: {modes} Å")
    print(f"written: {options.output}")


def _write_named(options: GroupOptions) -> None:
    """Everything is read and checked before anything is written. groups.json is written last, after all its files."""
    others = " and ".join(f"--{name}" for name in ("expression", "box", "ids") if getattr(options, name))
    if others:
        raise InputError(f"--groups already names the particles; give either --groups or {others}")
    folder = require_writable_folder(options.output)
    if folder.suffix in (".star", ".xmd"):
        raise InputError(f"--output: got '{folder}', expected a folder for the particle files of --groups")
    if Path(options.groups).resolve() == (folder / GROUPS_JSON).resolve():
        raise InputError(f"--output: '{folder}' contains the file of groups itself; give another folder")
    groups = read_groups(options.groups)
    landscape = read_landscape(options.landscape)
    selected = select_named(landscape, groups, options.keep_outliers)
    images = read_particles(options.images) if options.images else None
    if images is not None:
        for s in selected:
            images.rows_of(s.group.ids)
    facts = [group_facts(landscape, s) for s in selected]
    with writing_alone(folder):
        _remove_earlier(folder)
        for s, of_it, name in zip(selected, facts, file_names(groups), strict=True):
            write_particles(group_particles(landscape, s.rows, images), folder / f"{name}.star")
            write_record(folder / f"{name}.json", "group", options, **of_it)
        write_groups(folder / GROUPS_JSON, [s.group for s in selected])
    print(format_groups(facts, len(landscape.particles)))
    print(f"written: {folder}")


def _remove_earlier(folder: Path) -> None:
    """Remove the files that an earlier run of this command wrote there, which its groups.json lists."""
    listed = folder / GROUPS_JSON
    if not listed.is_file():
        return
    for name in file_names(read_groups(listed)):
        for suffix in (".star", ".json"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    listed.unlink()
