"""Inference: by id, whatever the order and batches, merged from several networks, refused where it cannot be right."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from continuousflex_deep.cli import main
from continuousflex_deep.commands import infer, train
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix, random_rotations, rotation_distance_deg
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.nn import data, inference
from continuousflex_deep.nn.checkpoint import BEST, load_checkpoint
from continuousflex_deep.nn.copies import COPIES, outputs_for_copies
from continuousflex_deep.nn.data import ctf_of
from continuousflex_deep.nn.disagreement import disagreement
from continuousflex_deep.nn.doubt import DEVIATION_OF_MEAN, ROOT_MEAN_SQUARE_OF_MEAN_ANGLE
from continuousflex_deep.nn.predict import Model, Predictor, load_models, with_prediction
from continuousflex_deep.nn.targets import Prediction
from continuousflex_deep.options import InferOptions, TrainOptions
from continuousflex_deep.runs.parts import PartStore
from continuousflex_deep.tests.helpers.nn_toy import (
    MODE_IDS,
    MODES,
    toy_ctf,
    toy_model_files,
    toy_particles,
)

N = 20
pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with labelled particles and networks: one for everything (and of halves), one each for amplitudes and
    angles, and three together in a folder."""
    folder = tmp_path_factory.mktemp("trained")
    path, particles = toy_particles(
        folder, n=N, noise=0.3, extra={"rlnMicrographName": np.array([f"m{i}.mrc" for i in range(N)], dtype=object)}
    )
    for targets in ("all", "amplitudes", "angles", "separate"):
        train.run(TrainOptions(
            particles=path, output=str(folder / targets), targets=targets, backbone="resnet18", epochs=1, batch=9,
            threads=1, device="cpu", half_sets=targets == "all", change="mixed_precision=false",
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
    models = [Model("m", load_checkpoint(trained[0] / "angles" / BEST))]
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
    with pytest.raises(InputError, match=r"trained for modes \[7, 8\], requested are \[7, 9\]"):
        predicted(trained, tmp_path / "o.star", "all", mode_list="7 9")
    write_particles(particles.replace(mode_ids=(7, 9)), tmp_path / "other.star")
    with pytest.raises(InputError, match=r"have amplitudes of modes \[7, 9\].*--mode-list '7 8'"):
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
    monkeypatch.setattr(Predictor, "predict", lambda *_: pytest.fail("it began to predict"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"expected \.star"):
        predicted(trained, tmp_path / "o.txt", "all")
    with pytest.raises(InputError, match="is a file"):
        predicted(trained, tmp_path / "file" / "o.star", "all")


def test_files_that_are_no_network_are_refused(trained, tmp_path):
    with pytest.raises(InputError, match=f"has no {BEST}"):
        load_models(tmp_path)
    (tmp_path / BEST).write_bytes(b"not a checkpoint")
    with pytest.raises(FormatError, match=r"cannot|not a checkpoint"):
        load_models(tmp_path)
    torch.save({"weights": {}}, tmp_path / BEST)
    with pytest.raises(FormatError, match="not a network of this program"):
        load_models(tmp_path)
    content = torch.load(trained[0] / "angles" / BEST, weights_only=True)
    torch.save(content | {"format_version": 99}, tmp_path / BEST)
    with pytest.raises(FormatError, match="format 99"):
        load_models(tmp_path)


class Dangerous:
    """Unpickling this would call print."""

    def __reduce__(self):
        return print, ("code from a file was run",)


def test_no_code_from_the_file_is_run(tmp_path, capsys):
    torch.save({"format": Dangerous()}, tmp_path / BEST)
    with pytest.raises(FormatError, match="read safely"):
        load_models(tmp_path)
    assert "was run" not in capsys.readouterr().out


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
        **toy_model_files(tmp_path),
    )
    store = PartStore(tmp_path / "o.parts", "same")
    reference = read_reference(options.structure, options.modes, MODE_IDS)
    with store.opened():
        polished, left_out = inference.polishing(off, reference, options, store).run()
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
        with store.opened():
            again, _ = inference.polishing(off, reference, options, store).run()
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
    calls, original = [], Predictor.predict

    def killed_at_the_second(self, particles, rows):
        calls.append(rows.tolist())
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, particles, rows)

    whole = predicted(trained, tmp_path / "w.star", "all")
    monkeypatch.setattr(inference, "PARTICLES_A_PART", 7)
    monkeypatch.setattr(Predictor, "predict", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        predicted(trained, tmp_path / "o.star", "all")
    resumed = predicted(trained, tmp_path / "o.star", "all")
    assert [rows[0] for rows in calls] == [0, 7, 7, 14]
    assert resumed.amplitudes == pytest.approx(whole.amplitudes, abs=1e-4)
    predicted(trained, tmp_path / "o.star", "all")
    assert len(calls) == 4
    assert "exists already" in capsys.readouterr().err


def test_doubts_are_written_as_error_bars(trained, tmp_path):
    """As the network's numbers and its validation say, of each particle its own."""
    folder, _, particles = trained
    result = predicted(trained, tmp_path / "o.star", "all", copies="off")
    text = (tmp_path / "o.star").read_text()
    assert all(f"_{name} " in text for name in ("cfdAmplitude7Sd", "cfdAmplitude8Sd", "cfdAngleSd", "cfdShiftSd"))
    checkpoint = load_checkpoint(folder / "all" / BEST)
    with torch.inference_mode():
        images = checkpoint.preprocess(torch.from_numpy(read_images(particles)))
        logs = checkpoint.network(torch.device("cpu"))(images)[:, -4:].double().numpy()
    scale, coder = checkpoint.doubt_scale, checkpoint.coder
    amplitudes_sd = DEVIATION_OF_MEAN * np.exp(logs[:, :2]) * coder.amplitude_sd * scale["amplitudes"]
    assert result.amplitudes_sd == pytest.approx(amplitudes_sd, rel=1e-3)
    angle_sd = ROOT_MEAN_SQUARE_OF_MEAN_ANGLE * np.degrees(np.exp(logs[:, 2])) * scale["angles"]
    assert result.angle_sd_deg == pytest.approx(angle_sd, rel=1e-3)
    assert result.shift_sd_A == pytest.approx(
        DEVIATION_OF_MEAN * np.exp(logs[:, 3]) * coder.shift_scale_A * scale["shifts"], rel=1e-3
    )
    assert set(scale) == {"amplitudes", "angles", "shifts"}
    assert any(abs(value - 1) > 0.01 for value in scale.values())


def test_predictions_are_averaged_over_the_copies_that_the_network_was_validated_with(trained, tmp_path):
    """Unless other copies, or none, are requested; each with the uncertainties that its validation showed."""
    folder, _, particles = trained
    (model,) = load_models(folder / "all")
    checkpoint = model.checkpoint
    found = {kind: predicted(trained, tmp_path / f"{kind}.star", "all", copies=kind) for kind in ("network", *COPIES)}
    with torch.inference_mode():
        images = checkpoint.preprocess(torch.from_numpy(read_images(particles)))
        outputs = outputs_for_copies(checkpoint.network(torch.device("cpu")), images, COPIES["rotated"])
    expected = checkpoint.coder.decode_copies(outputs, COPIES["rotated"], checkpoint.copies_doubt_scale)
    for name in ("network", "rotated"):
        assert found[name].amplitudes == pytest.approx(expected.amplitudes, abs=1e-3)
        assert found[name].shift_sd_A == pytest.approx(expected.shift_sd_A, rel=1e-3)
    for name in ("off", "mirrored"):
        assert np.abs(found[name].amplitudes - expected.amplitudes).max() > 0.01
    assert model.doubt_scale("mirrored") == model.doubt_scale("off") == checkpoint.doubt_scale
    assert model.doubt_scale("rotated") == checkpoint.copies_doubt_scale != checkpoint.doubt_scale
    assert set(checkpoint.copies_doubt_scale) == {"amplitudes", "angles", "shifts"}


def test_networks_of_earlier_versions_predict_what_they_did(trained, tmp_path):
    """Their checkpoints know nothing of copies: single images are predicted, with the old uncertainties."""
    folder = trained[0]
    file = folder / "all" / BEST
    content = torch.load(file, weights_only=True)
    del content["copies_doubt_scale"], content["recipe"]["copies"]
    (tmp_path / "old").mkdir()
    torch.save(content, tmp_path / "old" / BEST)
    old = predicted(trained, tmp_path / "o.star", tmp_path / "old")
    same = predicted(trained, tmp_path / "s.star", "all", copies="off")
    for name in ("amplitudes", "euler_deg", "shift_A", "amplitudes_sd", "angle_sd_deg", "shift_sd_A"):
        assert np.array_equal(getattr(old, name), getattr(same, name))
    content["recipe"]["copies"] = "upside down"
    torch.save(content, tmp_path / "old" / BEST)
    with pytest.raises(FormatError, match="damaged"):
        load_checkpoint(tmp_path / "old" / BEST)


def test_neither_threads_nor_parts_change_predictions(trained, tmp_path, monkeypatch):
    whole = predicted(trained, tmp_path / "w.star", "all", readers=0)
    monkeypatch.setattr(inference, "PARTICLES_A_PART", 6)
    for readers in (0, 3):
        other = predicted(trained, tmp_path / f"{readers}.star", "all", readers=readers, batch=4)
        assert other.ids.tolist() == whole.ids.tolist()
        assert other.amplitudes == pytest.approx(whole.amplitudes, abs=1e-3)
        assert other.angle_sd_deg == pytest.approx(whole.angle_sd_deg, rel=1e-3)


def test_a_folder_of_separate_networks_is_one_model(trained, tmp_path):
    _, _, particles = trained
    result = predicted(trained, tmp_path / "o.star", "separate")
    one_by_one = predicted(trained, tmp_path / "p.star", *(f"separate/{t}" for t in ("shifts", "amplitudes", "angles")))
    for name in ("amplitudes", "euler_deg", "shift_A", "angle_sd_deg"):
        assert getattr(result, name) == pytest.approx(getattr(one_by_one, name), abs=1e-3)
        assert not np.allclose(getattr(result, name), getattr(particles, name) if "sd" not in name else 0)
    facts = json.loads((tmp_path / "o.json").read_text())
    assert [n["targets"] for n in facts["networks"]] == [["amplitudes"], ["angles"], ["shifts"]]


def test_a_single_checkpoint_file_is_a_model(trained, tmp_path):
    whole, file = (predicted(trained, tmp_path / f"{i}.star", m) for i, m in enumerate(("all", f"all/{BEST}")))
    assert file.amplitudes == pytest.approx(whole.amplitudes, abs=1e-4)


def test_images_are_read_once_for_all_networks(trained, tmp_path, monkeypatch):
    read, original = [], data.read_images_with_reasons

    def noted(particles, rows):
        read.extend(rows)
        return original(particles, rows)

    monkeypatch.setattr(data, "read_images_with_reasons", noted)
    predicted(trained, tmp_path / "o.star", "separate", readers=0, batch=7)
    assert sorted(read) == list(range(N))


@pytest.mark.parametrize("part", [4096, 6])
def test_networks_of_halves_tell_their_disagreement(trained, tmp_path, monkeypatch, capsys, part):
    """In the record, as computed from what each predicts; the result is that of the network of all."""
    monkeypatch.setattr(inference, "PARTICLES_A_PART", part)
    path = str(tmp_path / "others.star")
    write_particles(trained[2].replace(ids=trained[2].ids + 100_000), path)
    names = {"half1": "all/half1", "half2": "all/half2", "plain": "all"}
    first, second, plain = (predicted(trained, tmp_path / f"{n}.star", m, particles=path) for n, m in names.items())
    result = predicted(trained, tmp_path / "o.star", "all", particles=path, half_sets=True)
    assert result.amplitudes == pytest.approx(plain.amplitudes, abs=1e-4)
    both = json.loads((tmp_path / "o.json").read_text())["half_sets"]
    told, expected = both["disagreement"], both["expected"]
    angle = rotation_distance_deg(*(euler_to_matrix(p.euler_deg) for p in (first, second)))
    assert set(told) == {"amplitude_error_A", "angle_error_deg", "shift_error_A"}
    differ = np.abs(first.amplitudes - second.amplitudes).mean() / 2**0.5
    assert told["amplitude_error_A"] == pytest.approx(differ, rel=1e-3)
    assert told["shift_error_A"] == pytest.approx(np.abs(first.shift_A - second.shift_A).mean() / 2**0.5, rel=1e-3)
    assert 0.3 * angle.mean() < told["angle_error_deg"] < angle.mean()
    assert expected["amplitude_error_A"] == pytest.approx(result.amplitudes_sd.mean() * (2 / np.pi) ** 0.5, rel=1e-3)
    assert "two trainings on halves disagree by" in capsys.readouterr().out
    assert "half_sets" not in json.loads((tmp_path / "plain.json").read_text())


def test_particles_that_the_halves_know_tell_nothing(trained, tmp_path, capsys):
    predicted(trained, tmp_path / "o.star", "all", half_sets=True)
    assert "half_sets" not in json.loads((tmp_path / "o.json").read_text())
    assert "trained on all of these particles" in capsys.readouterr().err


def test_halves_that_were_not_trained_are_refused(trained, tmp_path):
    with pytest.raises(InputError, match=r"amplitudes' has no networks trained on halves.*--half-sets"):
        predicted(trained, tmp_path / "o.star", "amplitudes", half_sets=True)


def bad_particles(trained, tmp_path, bad):
    """A particle file some of whose images cannot be used."""
    _, _, particles = trained
    images = read_images(particles)
    images[bad] = np.nan
    write_stack(tmp_path / "bad.mrcs", images, particles.pixel_size_A)
    write_particles(particles.replace(stacks=np.full(N, str(tmp_path / "bad.mrcs"), dtype=object)), tmp_path / "b.star")
    return str(tmp_path / "b.star")


@pytest.mark.parametrize("half_sets", [False, True])
def test_a_whole_part_of_bad_images_is_left_out(trained, tmp_path, monkeypatch, half_sets):
    monkeypatch.setattr(inference, "PARTICLES_A_PART", 5)
    path = bad_particles(trained, tmp_path, [0, 1, 2, 3, 4, 7])
    found = predicted(trained, tmp_path / "o.star", "all", particles=path, half_sets=half_sets, batch=2)
    assert found.ids.tolist() == np.delete(trained[2].ids, [0, 1, 2, 3, 4, 7]).tolist()
    facts = json.loads((tmp_path / "o.json").read_text())
    assert facts["particles"] == N - 6


def test_no_good_image_at_all_is_an_error(trained, tmp_path):
    with pytest.raises(InputError, match=rf"none of the {N} images can be used"):
        predicted(trained, tmp_path / "o.star", "all", particles=bad_particles(trained, tmp_path, slice(None)))


def test_phases_are_flipped_batch_by_batch_with_each_particles_own_ctf(tmp_path):
    """A network that whitens: the outputs are those of images preprocessed by hand."""
    path, particles = toy_particles(tmp_path, n=20, noise=0.3, through=toy_ctf(np.linspace(9000, 40_000, 20)))
    train.run(TrainOptions(
        particles=path, output=str(tmp_path / "m"), targets="shifts", backbone="resnet18", epochs=1, batch=9,
        threads=1, device="cpu", change="mixed_precision=false",
    ))  # fmt: skip
    (model,) = load_models(tmp_path / "m")
    rows = np.random.default_rng(0).permutation(20)
    found = Predictor.of([model], torch.device("cpu"), 3, 1, "off").predict(particles, rows)
    raw, network = torch.from_numpy(read_images(particles)), model.checkpoint.network(torch.device("cpu"))
    with torch.inference_mode():
        expected, blind = (
            model.checkpoint.coder.decode(network(model.checkpoint.preprocess(raw, ctf))).shift_A
            for ctf in (ctf_of(particles, np.arange(20)), None)
        )
    assert found.rows.tolist() == rows.tolist()
    assert found.prediction.shift_A == pytest.approx(expected[rows], abs=1e-3)
    assert np.abs(blind - expected).max() > 0.02 * expected.std()


def test_mixed_precision_changes_predictions_only_a_little(trained):
    """Where this machine has no bfloat16 both are the same."""
    folder, _, particles = trained
    (model,) = load_models(folder / "all")
    fast = Model(model.source, replace(model.checkpoint, recipe=model.checkpoint.recipe | {"mixed_precision": True}))
    one, other = (
        Predictor.of([m], torch.device("cpu"), 8, 0).predict(particles, np.arange(N)).prediction for m in (model, fast)
    )
    assert np.abs(one.amplitudes - other.amplitudes).max() < 0.05 * particles.amplitudes.std()
    assert np.abs(one.shift_A - other.shift_A).max() < 0.05 * particles.shift_A.std()
    assert np.median(rotation_distance_deg(one.rotation, other.rotation)) < 2


def test_disagreement_of_independent_networks_is_the_error_of_one():
    """Gaussian errors of two networks about the same truth: mean size of their difference over √2."""
    rng, n = np.random.default_rng(0), 20_000
    truth = Rotation.from_matrix(random_rotations(n, rng))

    def predicts():
        vector = rng.normal(scale=np.radians(2.0), size=(n, 3))
        return Prediction(
            amplitudes=rng.normal(scale=[3.0, 5.0], size=(n, 2)),
            rotation=(Rotation.from_rotvec(vector) * truth).as_matrix(),
            shift_A=rng.normal(scale=1.5, size=(n, 2)),
        )

    first, second = predicts(), predicts()
    differ = {name: values.mean() for name, values in disagreement(first, second).items()}
    angle = axes_distance_deg(first.rotation, truth.as_matrix()).mean()
    assert differ["amplitude_error_A"] == pytest.approx(np.abs(first.amplitudes).mean(), rel=0.02)
    assert differ["shift_error_A"] == pytest.approx(np.abs(first.shift_A).mean(), rel=0.02)
    assert differ["angle_error_deg"] == pytest.approx(angle, rel=0.02)
    assert disagreement(first, Prediction(shift_A=second.shift_A)).keys() == {"shift_error_A"}


def test_polish_needs_structure_modes_and_a_whole_prediction(trained, tmp_path):
    files = toy_model_files(tmp_path)
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
