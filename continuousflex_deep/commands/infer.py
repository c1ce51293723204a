"""The infer command: poses and amplitudes of every particle from one or several trained networks."""

from pathlib import Path

from continuousflex_deep.devices import choose_device
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.particle_files import read_particles, require_particle_suffix, write_particles
from continuousflex_deep.nn.disagreement import load_half_sets, told
from continuousflex_deep.nn.inference import Inference, Inferred, inference_store, require_fit
from continuousflex_deep.nn.predict import Model, load_models
from continuousflex_deep.options import InferOptions
from continuousflex_deep.runs.left_out import tell_left_out
from continuousflex_deep.runs.output import making, require_free_names, write_record_of
from continuousflex_deep.runs.workers import Workers, with_workers


@with_workers
def run(options: InferOptions, workers: Workers) -> None:
    """Predict, polish if asked, and write the particle file and its record; continues a run that was killed."""
    output = require_particle_suffix(options.output)
    require_writable_folder(output.parent)
    choose_device(options.device, options.threads)  # which may not be there
    particles = read_particles(options.particles, options.pixel_size_A or None)
    models = [model for source in options.model for model in load_models(source)]
    halves = load_half_sets(options.model) if options.half_sets else None
    reference = require_fit(models, particles, options)
    for model in (*halves.first, *halves.second) if halves else ():
        model.checkpoint.preprocess.require_same_images(particles, model.source)
    require_free_names(output, options.particles, options.structure)

    store = inference_store(models, halves, particles, options, reference)
    with making(output, store) as unfinished:
        if unfinished:
            found = Inference(models, halves, particles, options, store, reference, workers).run()
            store.require_unchanged()
            write_particles(found.particles, output)
            tell_left_out(found.left_out, output)
            write_record_of(output, store, "infer", options, **_facts(found, models))
            print(_report(found, models, output))


def _facts(found: Inferred, models: list[Model]) -> dict[str, object]:
    """Facts for the record."""
    networks = [{"model": m.source, "targets": m.targets, "mode_ids": m.checkpoint.coder.mode_ids} for m in models]
    facts = {"particles": len(found.particles), "networks": networks, "left_out": found.left_out.facts()}
    return facts | ({"half_sets": found.half_sets} if found.half_sets else {})


def _report(found: Inferred, models: list[Model], output: Path) -> str:
    """What the command prints: the errors estimated by networks on half sets, and what was predicted."""
    targets = ", ".join(t for m in models for t in m.targets)
    halves = [told(found.half_sets["disagreement"], found.half_sets["expected"])] if found.half_sets else []
    return "\n".join([*halves, f"predicted {targets} of {len(found.particles)} particles: {output}"])
