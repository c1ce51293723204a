"""A set of particles aligned batch by batch, each finished batch kept."""

from typing import TYPE_CHECKING

from continuousflex_deep.hemnma.parts import PartStore
from continuousflex_deep.hemnma.results import BatchResult, merged_results
from continuousflex_deep.particles import Particles
from continuousflex_deep.progress import progress_bar

if TYPE_CHECKING:
    from continuousflex_deep.hemnma.embedded import EmbeddedEngine


def align_in_batches(engine: "EmbeddedEngine", particles: Particles, store: PartStore | None) -> Particles:
    """Poses, amplitudes and error bars of all particles; with a store, finished batches are kept there and not done
    again."""
    calibration = engine.calibration(particles, store)
    parts = []
    with progress_bar("aligning", len(particles)) as bar:
        for rows in engine.batches(particles):
            name = f"part-{rows[0]:08d}-{len(rows)}"  # another device may take other batches
            kept = store.load(name) if store else None
            part = BatchResult(**kept) if kept else engine.align_batch(particles, rows, calibration)
            if store and not kept:
                store.save(name, vars(part))
            parts.append(part)
            bar.update(len(rows))
    return merged_results(particles, engine.mode_ids, parts, engine.options.fit)
