"""Options of the commands about the network: train, infer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from continuousflex_deep.options.schema import Paths, option, required, required_list
from continuousflex_deep.options.shared import Hardware, ParticleFile, StructureAtoms, WorkerOptions, pixel_size_option


@dataclass(frozen=True)
class TrainOptions(StructureAtoms, ParticleFile, Hardware):
    """Train a network on labelled particles to predict poses and amplitudes."""

    output: str = required("Folder for the model, its checkpoints and its curves.", "output")
    structure: str = option(
        "", "Structure of the labels. Give it, with the modes, to train on simulated images of it first.", role="input"
    )
    modes: str = option("", "Folder of the normal modes of the labels, for simulated images.", role="input")
    pixel_size_A: float = pixel_size_option()
    recipe: Literal["default", "paper"] = option(
        "default",
        "Set of training parameters: ours (default), or the article's (paper). Choose paper to reproduce the article.",
    )
    targets: Literal["recipe", "all", "separate", "amplitudes", "angles", "shifts"] = option(
        "recipe",
        "Parameters that the network learns: all three by one joint network (default recipe), each by a network of its "
        "own (separate; the article's), or one of them alone.",
        label="Parameters to learn",
    )
    backbone: Literal["resnet18", "resnet34", "resnet50", "resnet101"] = option(
        "resnet34", "Feature extractor; the article's is resnet34. Choose resnet18 to train on a CPU."
    )
    rotation: Literal["recipe", "euler", "quaternion", "matrix"] = option(
        "recipe",
        "Representation of a rotation by the network: Euler angles, a quaternion or a matrix (3, 4 or 9 numbers).",
        level="advanced",
        label="Representation of rotations",
    )
    augment: Literal["recipe", "off", "in-plane", "mirror"] = option(
        "recipe",
        "Augmentation of the images: none (off), rotated and shifted copies (in-plane), or also mirrored copies, which "
        "are views from the opposite side (mirror).",
        level="advanced",
        label="Augmentation",
    )
    box: int = option(
        0,
        "Box to which images are downsampled for the network; 0 keeps theirs. Choose 32 to 48 to train on a CPU.",
        "px",
        low=0,
    )
    epochs: int = option(0, "Passes over the training set; 0 takes the recipe's number.", low=0)
    simulated_images: int = option(
        -1,
        "Number of simulated images to train on first, with a structure and modes; -1 takes the recipe's number, or "
        "none to fine-tune a network. Increase it for a better network; the training takes longer.",
        low=-1,
    )
    batch: int = option(
        0,
        "Images in a training step; 0 takes the recipe's number. Reduce it if memory is short.",
        low=0,
        level="advanced",
    )
    learning_rate: float = option(
        0.0, "Largest learning rate of Adam; 0 takes the recipe's.", low=0.0, level="advanced"
    )
    change: str = option(
        "",
        "Other values of the recipe, such as 'schedule=step patience=20'; docs/network.md lists them.",
        level="advanced",
        label="Other changes of the recipe",
    )
    start_from: str = option(
        "", "Folder of a trained model to start from, instead of random weights (fine-tuning).", role="input"
    )
    second_pass: bool = option(
        False,
        "Train a second network, which sees each image rotated upright and centred by the predictions of the one to "
        "start from; inference then runs both. Set it for smaller errors, once a first network is good.",
    )
    validation_percent: float = option(
        10.0,
        "Share of the particles that is held out for validation.",
        "%",
        low=1.0,
        high=50.0,
        level="advanced",
        label="Held out for validation (%)",
    )
    outlier_distance: float = option(
        3.2,
        "Mahalanobis distance of the amplitudes above which a particle is left out as an outlier; 0 keeps all.",
        low=0.0,
    )
    keep_ambiguous: bool = option(
        False,
        "Also train on particles that are marked as ambiguous. Their labels may be wrong by a whole orientation.",
        level="advanced",
    )
    half_sets: bool = option(
        False,
        "Also train two networks on halves of the particles, whose disagreement shows how much trainings vary "
        "(infer --half-sets). Set it if no truth is known; training takes three times as long.",
        label="Half-set networks",
    )
    checkpoint_seconds: float = option(
        60.0,
        "Time between checkpoints. A killed training loses at most this.",
        "s",
        low=0.0,
        role="resource",
        label="Time between checkpoints (s)",
    )
    resume: bool = option(
        False,
        "Continue from the last checkpoint in the output folder, if there is one.",
        role="resource",
        level="hidden",
    )
    deterministic: bool = option(
        False,
        "Use only algorithms that give the same result every time. Set it to repeat a training exactly; it may be "
        "slower.",
        level="advanced",
    )
    seed: int = option(0, "Random seed. Change it to see how much trainings vary.", low=0, level="advanced")
    readers: int = option(
        2, "Threads that read images ahead. Increase it if a GPU waits for images.", low=0, role="resource"
    )


@dataclass(frozen=True)
class InferOptions(StructureAtoms, ParticleFile, WorkerOptions):
    """Predict poses and amplitudes of particles with trained networks."""

    model: Paths = required_list("Folder of a trained model. Repeat it for networks trained separately.", "input")
    output: str = required("Particle file with the predictions (.star or .xmd).", "output")
    pixel_size_A: float = pixel_size_option()
    mode_list: str = option(
        "",
        "Modes that the network must predict, for example 7-9; by default those that it was trained on.",
        level="advanced",
        label="Modes to predict",
    )
    copies: Literal["network", "off", "rotated", "mirrored"] = option(
        "network",
        "Average the predictions for copies of each image: as in the validation of the network (network), no copies "
        "(off), four that are rotated by multiples of 90° (rotated), or also their mirror images (mirrored). Choose "
        "off for a quick look, which is four times as fast; choose mirrored for smaller errors where particles are "
        "seen from all sides.",
        level="advanced",
        label="Average over copies",
    )
    polish: bool = option(
        False,
        "Refine each prediction with the HEMNMA engine. Set it for final results.",
        label="Polish the predictions",
    )
    structure: str = option("", "Structure for polishing.", role="input")
    modes: str = option("", "Folder of normal modes for polishing.", role="input")
    search_above_deg: float = option(
        20.0,
        "Search all orientations of particles whose predicted angle has an error bar above this, and of particles that "
        "have low contrast when polished; 0 searches none. Reduce it if polished particles are misaligned.",
        "°",
        0,
        180,
        level="advanced",
        label="Search if uncertain by more than (°)",
        when={"polish": (True,)},
    )
    half_sets: bool = option(
        False,
        "Also predict with the networks trained on halves (train --half-sets), and report their disagreement beside "
        "the predicted uncertainties. Set it if no truth is known.",
        level="advanced",
        label="Use half-set networks",
    )
    batch: int = option(
        0,
        "Images that are predicted together; 0 takes 256 on a CPU and up to 1,024 on a GPU, as its memory allows. "
        "Reduce it if memory is short.",
        low=0,
        role="resource",
    )
    readers: int = option(
        2, "Threads that read images ahead. Increase it if a GPU waits for images.", low=0, role="resource"
    )
