"""Options of the commands about the network: train, infer."""

from dataclasses import dataclass
from typing import Literal

from continuousflex_deep.options.schema import option, required, required_list
from continuousflex_deep.options.shared import Hardware, ParticleFile


@dataclass(frozen=True)
class TrainOptions(ParticleFile, Hardware):
    """Train the network on labelled particles."""

    output: str = required("folder for the model, its checkpoints and curves")
    structure: str = option("", "structure of the labels, to learn from simulated images of it first (with --modes)")
    modes: str = option("", "folder of the normal modes of the labels, for simulated images")
    pixel_size_A: float = option(0.0, "pixel size of the images where their file does not say", "Å", low=0.0)
    recipe: Literal["default", "paper"] = option("default", "ours, or the article's to the letter")
    targets: Literal["recipe", "all", "separate", "amplitudes", "angles", "shifts"] = option(
        "recipe",
        "what the network learns: all three by one joint network (default recipe), each by a network of its own "
        "(separate; the article's), or one of them alone",
    )
    backbone: Literal["resnet18", "resnet34", "resnet50", "resnet101"] = option(
        "resnet34", "feature extractor; the article's is resnet34"
    )
    rotation: Literal["recipe", "euler", "quaternion", "matrix"] = option(
        "recipe", "how the network expresses a rotation: 3, 4 or 9 numbers"
    )
    augment: Literal["recipe", "off", "in-plane", "mirror"] = option(
        "recipe", "train on copies: off, in-plane (turned and displaced), or mirror (seen from the other side, too)"
    )
    box: int = option(0, "images are reduced to this box for the network; 0 keeps theirs", "px", low=0)
    epochs: int = option(0, "passes over the training set; 0 is the recipe's", low=0)
    simulated_images: int = option(
        -1,
        "simulated images to learn from first, with --structure and --modes; -1 is the recipe's, or none where a "
        "network is fine-tuned",
        low=-1,
    )
    batch: int = option(0, "images a step; 0 is the recipe's", low=0)
    learning_rate: float = option(0.0, "Adam's largest step; 0 is the recipe's", low=0.0)
    change: str = option(
        "", "other values of the recipe, such as 'schedule=step patience=20'; docs/network.md lists them"
    )
    start_from: str = option("", "model folder to start from instead of random weights (fine-tuning)")
    validation_percent: float = option(10.0, "share of particles held out for validation", "%", low=1.0, high=50.0)
    outlier_distance: float = option(
        3.2, "labels farther than this Mahalanobis distance in amplitude are left out; 0 keeps all", low=0.0
    )
    keep_ambiguous: bool = option(
        False, "also train on particles marked ambiguous, whose labels may be wrong by a whole orientation"
    )
    half_sets: bool = option(
        False,
        "also train two networks on halves of the particles, whose disagreement tells how far trainings vary, "
        "where no truth is known (infer --half-sets); takes three times as long",
    )
    checkpoint_seconds: float = option(
        60.0, "time between checkpoints; a killed training loses at most this", "s", low=0.0
    )
    resume: bool = option(False, "go on from the last checkpoint in the output folder, where there is one")
    deterministic: bool = option(False, "use only algorithms that give the same result every time, even if slower")
    seed: int = option(0, "random seed", low=0)
    workers: int = option(2, "threads that read images ahead", low=0)


@dataclass(frozen=True)
class InferOptions(ParticleFile, Hardware):
    """Predict poses and amplitudes with a trained network."""

    model: tuple[str, ...] = required_list("model folder; repeat for networks trained separately")
    output: str = required("particle file with the predictions (.star or .xmd)")
    pixel_size_A: float = option(0.0, "pixel size of the images where their file does not say", "Å", low=0.0)
    mode_list: str = option(
        "", "modes that the prediction must be for, for example 7-9; by default those of the network"
    )
    polish: bool = option(False, "refine each prediction by the HEMNMA engine")
    structure: str = option("", "structure, for polishing")
    modes: str = option("", "folder of normal modes, for polishing")
    search_above_deg: float = option(
        20.0,
        "when polishing, particles whose predicted angle is uncertain by more than this, and those that show weakly in "
        "their polished pose, get the engine's full search; 0: none",
        "°",
        0,
        180,
    )
    half_sets: bool = option(
        False,
        "also ask the networks trained on halves (train --half-sets), and report how far they disagree, beside the "
        "errors that the network expects of itself",
    )
    batch: int = option(256, "images at a time", low=1)
    workers: int = option(2, "threads that read images ahead", low=0)
