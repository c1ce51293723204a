"""The infer command: poses and amplitudes of every particle from one or several trained networks."""

from continuousflex_deep.devices import choose_device
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.particle_files import read_particles, require_particle_suffix
from continuousflex_deep.nn.halves import load_half_sets
from continuousflex_deep.nn.inference import Inference, determining_inference, require_fit
from continuousflex_deep.nn.predict import load_models
from continuousflex_deep.options import InferOptions
from continuousflex_deep.runs.parts import PartStore, carried, parts_folder
from continuousflex_deep.runs.shared_run import SharedRun, require_free_names


def run(options: InferOptions) -> None:
    """Predict, polish if asked, and write the particle file and its record; resumes what a killed run left."""
    output = require_particle_suffix(options.output)
    require_writable_folder(output.parent)
    device = choose_device(options.device, options.threads)
    particles = read_particles(options.particles, options.pixel_size_A or None)
    models = [model for source in options.model for model in load_models(source)]
    halves = load_half_sets(options.model) if options.half_sets else None
    require_fit(models, particles, options)
    for model in (*halves.first, *halves.second) if halves else ():
        model.checkpoint.preprocess.require_same_images(particles, model.source)
    require_free_names(output, options.particles, options.structure)

    def store_now() -> PartStore:
        content = determining_inference(models, halves, particles, options)
        return PartStore(parts_folder(output), content, carried(particles))

    store = store_now()
    inference = Inference(models, halves, particles, options, device, store)
    SharedRun(store, output, inference.complete, lambda: inference.write(output), store_now).finish()
