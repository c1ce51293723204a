"""What the runs before a run tell a viewer: where its modes come from, and its images at original size."""

from collections.abc import Iterator
from typing import Any

from continuousflex_deep.convert import enabled_ids
from continuousflex_deep.protocols.protocol_base import CfdProtBase
from continuousflex_deep.protocols.protocol_preprocess import CfdProtPreprocess


def runs_before(protocol: Any) -> Iterator[Any]:
    """All runs whose outputs led to this one, the nearest first, each once."""
    waiting, seen = [protocol], {protocol.getObjId()}
    while waiting:
        for _, pointer in waiting.pop(0).iterInputAttributes():
            run = pointer.getObjValue()
            if hasattr(run, "iterInputAttributes") and run.getObjId() not in seen:
                seen.add(run.getObjId())
                waiting.append(run)
                yield run


def source_of_modes(protocol: Any) -> CfdProtBase | None:
    """The nearest run before this one that names normal modes; None where there is none."""
    return next(
        (
            run
            for run in runs_before(protocol)
            if isinstance(run, CfdProtBase) and hasattr(run, "inputModes") and run.inputModes.get() is not None
        ),
        None,
    )


def original_images(protocol: Any, particles: Any) -> Any:
    """The largest images that runs before this one were given to reduce, where they are there for all ``particles`` and
    of the same contrast; None where there are none larger."""
    found, width = None, particles.getXDim()
    for run in runs_before(protocol):
        if isinstance(run, CfdProtPreprocess):
            if run.invert.get():
                return None
            images = run.inputParticles.get()
            if images is not None and images.getXDim() > width and enabled_ids(particles) <= enabled_ids(images):
                found, width = images, images.getXDim()
    return found
