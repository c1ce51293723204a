"""Inference: by id, whatever the order and batches, merged from several networks, refused where it cannot be right."""

import numpy as np
import pytest
import torch

from continuousflex_deep.cli import main
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.geometry import euler_to_matrix, rotation_distance_deg
from continuousflex_deep.hemnma.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.parts import PartStore
from continuousflex_deep.io.modes import NormalModes, write_modes
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.io.structures import Structure, write_structure
from continuousflex_deep.nn import infer, train
from continuousflex_deep.nn.checkpoint import BEST, load_model
from continuousflex_deep.nn.predict import Model, with_prediction
from continuousflex_deep.nn.targets import Prediction
from continuousflex_deep.options import InferOptions, TrainOptions
from continuousflex_deep.tests.nn_toy import BLOBS_A, MODE_IDS, MODES, WEIGHTS, toy_particles
from continuousflex_deep.tests.worker_data import Running, ended_well

N = 20


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with labelled particles and networks: one for everything, and one each for amplitudes and angles."""
    folder = tmp_path_factory.mktemp("trained")
    path, particles = toy_particles(
        folder, n=N, noise=0.3, extra={"rlnMicrographName": np.array([f"m{i}.mrc" for i in range(N)], dtype=object)}
    )
    for targets in ("all", "amplitudes", "angles"):
        train.run(TrainOptions(
            particles=path, output=str(folder / targets), targets=targets, backbone="resnet18", epochs=1, batch=9,
            threads=1, device="cpu",
        ))  # fmt: skip
    return folder, path, particles


def predicted(trained, output, *models, **changes):
    folder, path, _ = trained
    values = {
        "particles": path, "model": tuple(str(folder / m) for m in models), "output": str(output), "threads": 1,
        "device": "cpu",
    }  # fmt: skip
    infer.run(InferOptions(**{**values, **changes}))
    return read_particles(output)


def test_command_line_from_labels_to_predictions_by_id(tmp_path):
    """Train and predict by the commands; the predicted file's rows are shuffled, and every row gets its own particle's
    prediction.
    """
    path, particles = toy_particles(tmp_path, n=N, noise=0.3)
    model, straight, shuffled = (str(tmp_path / name) for name in ("model", "straight.star", "shuffled.star"))
    arguments = ["--backbone", "resnet18", "--epochs", "1", "--batch", "9", "--threads", "1", "--device", "cpu"]
    assert main(["train", "--particles", path, "--output", model, *arguments]) == 0
    order = np.random.default_rng(0).permutation(N)[:15]
    bare = particles.select(order).replace(euler_deg=None, shift_A=None, amplitudes=None, mode_ids=())
    write_particles(bare, tmp_path / "bare.star")
    common = ["--model", model, "--threads", "1", "--device", "cpu"]
    assert main(["infer", "--particles", path, "--output", straight, *common]) == 0
    assert main(["infer", "--particles", str(tmp_path / "bare.star"), "--output", shuffled, *common]) == 0
    first, second = read_particles(straight), read_particles(shuffled)
    assert np.array_equal(second.ids, particles.ids[order]), "ids are the particles' own, in the file's order"
    matched = first.select(first.rows_of(second.ids))
    assert second.mode_ids == MODE_IDS
    assert second.amplitudes == pytest.approx(matched.amplitudes, abs=1e-3)
    assert second.shift_A == pytest.approx(matched.shift_A, abs=1e-3)
    assert rotation_distance_deg(*(euler_to_matrix(p.euler_deg) for p in (second, matched))).max() < 0.01
    assert np.ptp(matched.amplitudes, axis=0).min() > 1e-3, "particles differ, so a wrong join would be seen"
    assert (tmp_path / "shuffled.json").is_file()


def test_predictions_do_not_depend_on_the_batch(trained, tmp_path):
    one, seven, many = (predicted(trained, tmp_path / f"{b}.star", "all", batch=b) for b in (1, 7, 64))
    for other in (seven, many):
        assert other.amplitudes == pytest.approx(one.amplitudes, abs=1e-3)
        assert other.shift_A == pytest.approx(one.shift_A, abs=1e-3)
        assert other.euler_deg == pytest.approx(one.euler_deg, abs=0.01)


def test_everything_else_of_the_particles_is_kept(trained, tmp_path):
    _, _, particles = trained
    result = predicted(trained, tmp_path / "out.star", "all")
    assert np.array_equal(result.extra["rlnMicrographName"], particles.extra["rlnMicrographName"])
    assert np.array_equal(result.indices, particles.indices)
    assert result.pixel_size_A == pytest.approx(particles.pixel_size_A)


def test_networks_trained_separately_are_merged_and_the_rest_stays(trained, tmp_path):
    _, _, particles = trained
    amplitudes = predicted(trained, tmp_path / "a.star", "amplitudes")
    angles = predicted(trained, tmp_path / "b.star", "angles")
    both = predicted(trained, tmp_path / "c.star", "amplitudes", "angles")
    assert both.amplitudes == pytest.approx(amplitudes.amplitudes, abs=1e-4)
    assert both.euler_deg == pytest.approx(angles.euler_deg, abs=1e-3)
    assert amplitudes.euler_deg == pytest.approx(particles.euler_deg, abs=1e-4), "angles were not predicted"
    assert both.shift_A == pytest.approx(particles.shift_A, abs=1e-4), "shifts were predicted by neither"
    assert np.abs(both.amplitudes - particles.amplitudes).max() > 0.1


def test_error_bars_of_replaced_values_are_dropped(trained, tmp_path):
    _, _, particles = trained
    ones = np.ones(N)
    labelled = particles.replace(
        amplitudes_sd=np.ones((N, 2)), angle_sd_deg=ones, shift_sd_A=ones, score=ones, ambiguous=ones > 2
    )
    models = [Model("m", load_model(trained[0] / "angles"))]
    result = with_prediction(labelled, Prediction(rotation=np.repeat(np.eye(3)[None], N, axis=0)), models)
    assert result.angle_sd_deg is None
    assert result.score is None
    assert result.ambiguous is None
    assert result.amplitudes_sd is not None


def test_two_networks_for_one_thing_are_refused(trained, tmp_path):
    with pytest.raises(InputError, match="both predict amplitudes"):
        predicted(trained, tmp_path / "o.star", "all", "amplitudes")


def test_other_modes_are_refused(trained, tmp_path):
    _, _, particles = trained
    with pytest.raises(InputError, match=r"trained for modes \[7, 8\], asked for \[7, 9\]"):
        predicted(trained, tmp_path / "o.star", "all", mode_list="7 9")
    write_particles(particles.replace(mode_ids=(7, 9)), tmp_path / "other.star")
    with pytest.raises(InputError, match=r"carry amplitudes of modes \[7, 9\].*--mode-list '7 8'"):
        predicted(trained, tmp_path / "o.star", "all", particles=str(tmp_path / "other.star"))
    replaced = predicted(trained, tmp_path / "o.star", "all", particles=str(tmp_path / "other.star"), mode_list="7 8")
    assert replaced.mode_ids == (7, 8)


def test_other_box_is_refused_before_any_work(trained, tmp_path, capsys):
    path, _ = toy_particles(tmp_path, n=3, box_px=48)
    command = ["infer", "--particles", path, "--model", str(trained[0] / "all"), "--output", str(tmp_path / "o.star")]
    assert main(command) == 2
    assert "preprocess --box 32" in capsys.readouterr().err
    assert not (tmp_path / "o.star").exists()


def test_output_is_checked_before_any_work(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(infer, "predict", lambda *_: pytest.fail("it began to predict"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"expected \.star"):
        predicted(trained, tmp_path / "o.txt", "all")
    with pytest.raises(InputError, match="is a file"):
        predicted(trained, tmp_path / "file" / "o.star", "all")


def test_files_that_are_no_network_are_refused(trained, tmp_path):
    with pytest.raises(InputError, match=f"has no {BEST}"):
        load_model(tmp_path)
    (tmp_path / BEST).write_bytes(b"not a checkpoint")
    with pytest.raises(FormatError, match=r"cannot|not a checkpoint"):
        load_model(tmp_path)
    torch.save({"weights": {}}, tmp_path / BEST)
    with pytest.raises(FormatError, match="not a network trained by this program"):
        load_model(tmp_path)
    content = torch.load(trained[0] / "angles" / BEST, weights_only=True)
    torch.save(content | {"format_version": 99}, tmp_path / BEST)
    with pytest.raises(FormatError, match="format 99"):
        load_model(tmp_path)


class Dangerous:
    """Unpickling this would call print."""

    def __reduce__(self):
        return print, ("code from a file was run",)


def test_no_code_from_the_file_is_run(tmp_path, capsys):
    torch.save({"format": Dangerous()}, tmp_path / BEST)
    with pytest.raises(FormatError, match="read safely"):
        load_model(tmp_path)
    assert "was run" not in capsys.readouterr().out


def toy_structure(folder):
    """The toy as pseudoatoms and modes in files."""
    names = lambda text: np.array([text] * len(BLOBS_A), dtype=object)  # noqa: E731
    structure = Structure(
        coords_A=BLOBS_A, atomic_number=np.full(9, 6), weights=WEIGHTS, atom_names=names("DENS"),
        residue_names=names("DEN"), residue_numbers=np.arange(1, 10), chain_ids=names("A"),
    )  # fmt: skip
    write_structure(folder / "toy.pdb", structure)
    write_modes(folder / "modes", NormalModes(MODE_IDS, MODES))
    return {"structure": str(folder / "toy.pdb"), "modes": str(folder / "modes")}


def test_polish_brings_predictions_nearer_to_the_truth(tmp_path):
    """From 5°, 1.3 Å and 5 Å off (medians), as a good network would be, to nearly nothing."""
    path, truth = toy_particles(tmp_path, n=12, box_px=48, noise=0.1)
    rng = np.random.default_rng(1)
    off = truth.replace(
        euler_deg=truth.euler_deg + rng.normal(scale=4, size=(12, 3)),
        shift_A=truth.shift_A + rng.normal(scale=2, size=(12, 2)),
        amplitudes=truth.amplitudes + rng.normal(scale=8, size=(12, 2)),
    )
    options = InferOptions(
        particles=path,
        model=("m",),
        output=str(tmp_path / "o.star"),
        polish=True,
        threads=1,
        device="cpu",
        **toy_structure(tmp_path),
    )
    store = PartStore(tmp_path / "o.parts", "same")
    with store.joined():
        polished, left_out = infer.polishing(off, options, store).run()
    assert len(left_out) == 0

    def errors(p):
        angle = rotation_distance_deg(euler_to_matrix(p.euler_deg), euler_to_matrix(truth.euler_deg))
        return (
            np.median(angle),
            np.median(np.abs(p.shift_A - truth.shift_A)),
            np.median(np.abs(p.amplitudes - truth.amplitudes)),
        )

    assert np.array_equal(polished.ids, truth.ids)
    assert polished.mode_ids == MODE_IDS
    assert all(after < before / 3 for after, before in zip(errors(polished), errors(off), strict=True))

    # killed before it was written: the parts hold all, and nothing is computed again
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(EmbeddedEngine, "align_batch")
        patch.delattr(EmbeddedEngine, "calibrate")
        with store.joined():
            again, _ = infer.polishing(off, options, store).run()
    np.testing.assert_array_equal(again.amplitudes, polished.amplitudes)
    store.remove()
    assert not (tmp_path / "o.parts").exists()


def test_bad_images_are_left_out_and_named(trained, tmp_path, capsys):
    _, _, particles = trained
    images = read_images(particles)
    images[3], images[7, 2, 2] = 1.0, np.inf
    write_stack(tmp_path / "bad.mrcs", images, particles.pixel_size_A)
    write_particles(particles.replace(stacks=np.full(N, str(tmp_path / "bad.mrcs"), dtype=object)), tmp_path / "b.star")
    found = predicted(trained, tmp_path / "o.star", "all", particles=str(tmp_path / "b.star"))
    whole = predicted(trained, tmp_path / "w.star", "all")
    good = np.delete(particles.ids, [3, 7])
    assert found.ids.tolist() == good.tolist()
    assert found.amplitudes == pytest.approx(whole.select(whole.rows_of(good)).amplitudes, abs=1e-3)
    assert read_particles(tmp_path / "o_bad.star").ids.tolist() == particles.ids[[3, 7]].tolist()
    assert f"left out: particle {particles.ids[3]} " in capsys.readouterr().err


def test_killed_inference_goes_on_and_finished_one_is_not_done_again(trained, tmp_path, monkeypatch, capsys):
    calls, original = [], infer.predict

    def killed_at_the_second(*arguments):
        calls.append(arguments[3].tolist())
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    whole = predicted(trained, tmp_path / "w.star", "all", batch=1)
    monkeypatch.setattr(infer, "_BATCHES_A_PART", 7)
    monkeypatch.setattr(infer, "predict", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        predicted(trained, tmp_path / "o.star", "all", batch=1)
    resumed = predicted(trained, tmp_path / "o.star", "all", batch=1)
    assert [rows[0] for rows in calls] == [0, 7, 7, 14]
    assert resumed.amplitudes == pytest.approx(whole.amplitudes, abs=1e-4)
    predicted(trained, tmp_path / "o.star", "all", batch=1)
    assert len(calls) == 4
    assert "is there already" in capsys.readouterr().err


def test_two_workers_predict_and_polish_what_one_does(trained, tmp_path):
    folder, path, _ = trained
    files = [f"--{name}={file}" for name, file in toy_structure(tmp_path).items()]
    command = ["infer", "--particles", path, "--model", str(folder / "all"), "--device", "cpu", "--threads", "1"]
    command += ["--batch", "1", "--polish", *files, "--output"]
    ended_well(Running([*command, str(tmp_path / "one.star")], {}))
    ended_well(*(Running([*command, str(tmp_path / "two.star")], {}) for _ in range(2)))
    assert (tmp_path / "two.star").read_text() == (tmp_path / "one.star").read_text()
    assert read_particles(tmp_path / "two.star").amplitudes_sd is not None
    assert not (tmp_path / "two.parts").exists()


def test_polish_needs_structure_modes_and_a_whole_prediction(trained, tmp_path):
    files = toy_structure(tmp_path)
    with pytest.raises(InputError, match="--structure is not given"):
        predicted(trained, tmp_path / "o.star", "all", polish=True)
    bare = trained[2].replace(shift_A=None, euler_deg=None)
    write_particles(bare, tmp_path / "bare.star")
    with pytest.raises(InputError, match="angles and shifts are neither predicted"):
        predicted(
            trained, tmp_path / "o.star", "amplitudes", polish=True, particles=str(tmp_path / "bare.star"), **files
        )
    np.savetxt(tmp_path / "modes" / "vec.7", MODES[0][:8] / np.linalg.norm(MODES[0][:8]))
    np.savetxt(tmp_path / "modes" / "vec.8", MODES[1][:8] / np.linalg.norm(MODES[1][:8]))
    with pytest.raises(InputError, match="8 atoms"):
        predicted(trained, tmp_path / "o.star", "all", polish=True, **files)
