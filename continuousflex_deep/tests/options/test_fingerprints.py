"""The fingerprint of finished parts changes with whatever changes a result, and with nothing else."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.commands.align import part_store
from continuousflex_deep.nn.inference import inference_store
from continuousflex_deep.options import AlignOptions, InferOptions, Option, options_of
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.nn_toy import MODE_IDS, toy_model, toy_model_files
from continuousflex_deep.tests.helpers.options_of_commands import another_value

# whose contents both commands put into the fingerprint; one more input needs the same
INPUTS = {AlignOptions: {"particles", "structure", "modes"}, InferOptions: {"particles", "structure", "modes", "model"}}
CASES = [(cls, option) for cls in INPUTS for option in options_of(cls).values()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fingerprints")
    (folder / "stack.mrcs").write_bytes(b"images")
    toy_model_files(folder)
    return folder


def fingerprint(folder: Path, options: AlignOptions | InferOptions) -> str:
    particles = Particles(
        ids=np.arange(1, 4),
        stacks=np.full(3, str(folder / "stack.mrcs"), dtype=object),
        indices=np.arange(3),
        pixel_size_A=1.0,
        box_px=16,
        mode_ids=MODE_IDS,
    )
    if isinstance(options, AlignOptions):
        structure, modes = toy_model()
        return part_store(options, particles, structure, modes.moving(options.motion)).fingerprint
    return inference_store([], None, particles, options).fingerprint


@pytest.mark.parametrize(("cls", "option"), CASES, ids=[f"{cls.__name__}-{option.name}" for cls, option in CASES])
def test_fingerprint_changes_with_the_settings_alone(folder: Path, cls: type, option: Option) -> None:
    given = cls(structure=str(folder / "toy.pdb"), modes=str(folder / "modes"))
    value = {"mode_list": "7", "motion": "helical"}.get(option.name) or another_value(option)
    changed = dataclasses.replace(given, **{option.name: value})
    same = fingerprint(folder, changed) == fingerprint(folder, given)
    assert same is (not option.changes_result or option.name in INPUTS[cls])


@pytest.mark.parametrize("cls", list(INPUTS))
def test_contents_of_all_inputs_are_in_the_fingerprint(cls: type) -> None:
    assert {option.name for option in options_of(cls).values() if option.traits.role == "input"} == INPUTS[cls]


def test_a_list_of_modes_may_be_written_in_any_way(folder: Path) -> None:
    written = (AlignOptions(modes="given", mode_list=text) for text in ("7-9", "7 8 9"))
    assert len({fingerprint(folder, options) for options in written}) == 1


def test_the_motion_of_the_modes_may_be_named_or_not(folder: Path) -> None:
    """That of the toy modes is straight."""
    options = (AlignOptions(modes="given", motion=name) for name in ("modes", "straight"))
    assert len({fingerprint(folder, o) for o in options}) == 1
