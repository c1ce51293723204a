"""A network in training: weights, their average, the optimiser, and the passes over images."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from continuousflex_deep.devices import mixed_precision
from continuousflex_deep.errors import DeepError, InputError
from continuousflex_deep.io.training_curves import History
from continuousflex_deep.messages import say
from continuousflex_deep.nn.augment import draw_motion, move_images, move_labels
from continuousflex_deep.nn.checkpoint import LAST, Checkpoint, Weights, load_checkpoint, new_network
from continuousflex_deep.nn.checkpointing import copied
from continuousflex_deep.nn.data import ctf_of, image_batches
from continuousflex_deep.nn.distributed import Team
from continuousflex_deep.nn.labels import Labels
from continuousflex_deep.nn.loss import Loss
from continuousflex_deep.nn.optimizer import optimizers_of
from continuousflex_deep.nn.preparation import Training
from continuousflex_deep.nn.schedule import Epoch
from continuousflex_deep.nn.second_pass import TwoPasses

# steps between checks that the loss is finite; every check waits for the GPU
_LOOK_EVERY = 16
# images, their labels, and the number of images of all workers together
Batches = Iterator[tuple[Tensor, Labels, int]]


class Learner:
    """A network that learns: its weights, their average, and the optimiser."""

    def __init__(self, training: Training, team: Team) -> None:
        self.training, self.team, recipe = training, team, training.recipe
        torch.manual_seed(training.seed)
        network = new_network(
            training.options.backbone, recipe.head, recipe.dropout, training.coder, training.preprocess
        )
        if training.start:
            network.load_state_dict(training.start.weights)
        self.network = network.to(training.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._passes: TwoPasses | None = None
        if training.recipe.second_pass:
            assert training.start is not None, "a recipe with a second pass names the first network"
            first = training.start.network(training.device)
            self._passes = TwoPasses(first, self.network, training.coder, training.preprocess.field_A)
        self.average = None
        if recipe.average:
            horizon = max(1.0, recipe.average * training.timetable.total_steps)
            self.average = AveragedModel(
                self.network, multi_avg_fn=get_ema_multi_avg_fn(1 - 1 / horizon), use_buffers=True
            )
        self.optimizers = optimizers_of(self.network, recipe)
        # gradients of the uncertainties, which can be large, must not reduce those of the outputs by clipping
        doubts = list(self.network.doubt.parameters()) if self.network.doubt is not None else []
        others = [p for name, p in self.network.named_parameters() if not name.startswith("doubt.")]
        self._clipped_apart = [p for p in (others, doubts) if p]
        self._wrapped = team.wrapped(self.network)
        self.loss = Loss(training.coder, recipe.loss)

    @property
    def predictor(self) -> nn.Module:
        """The network that learns as it predicts: with averaged weights if the recipe averages."""
        return self.network if self.average is None else self.average.module

    @property
    def whole(self) -> nn.Module:
        """What predicts images as they are: the predictor, after the first network if this is a second pass."""
        if self._passes is None:
            return self.predictor
        return TwoPasses(self._passes.first, self.predictor, self._passes.coder, self._passes.field_A)

    @property
    def rate(self) -> float:
        """The learning rate of the latest step."""
        return self.optimizers[0].param_groups[0]["lr"]

    def _set_rate(self, rate: float) -> None:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate

    def train_epoch(self, epoch: Epoch, done: Callable[[int], object]) -> float:
        """One epoch; returns its mean loss. All random numbers follow from the seed and the epoch's number, so that a
        training that was interrupted continues identically."""
        training, recipe, device = self.training, self.training.recipe, self.training.device
        torch.manual_seed(training.seed * 1_000_003 + epoch.number)
        total, seen = torch.zeros((), device=device), 0
        timetable = training.timetable
        self._wrapped.train()
        batches = self._simulated(epoch) if epoch.simulated else self._labelled(epoch)
        for step, (images, labels, count) in enumerate(batches):
            share_done = (epoch.done_before + step) / timetable.total_steps
            self._set_rate(recipe.rate(share_done, epoch.labelled))
            with mixed_precision(device, recipe.mixed_precision):
                if self._passes is not None:
                    images, labels = self._passes.upright(images, labels)
                outputs = self._wrapped(images.contiguous(memory_format=torch.channels_last))
            loss = self.loss(outputs, labels)
            self.network.zero_grad(set_to_none=True)
            (loss + self.loss.of_doubts(outputs, labels)).backward()
            if recipe.gradient_norm:
                for parameters in self._clipped_apart:
                    nn.utils.clip_grad_norm_(parameters, recipe.gradient_norm)
            for optimizer in self.optimizers:
                optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.network)
            total, seen = total + loss.detach() * len(images), seen + len(images)
            if step % _LOOK_EVERY == 0 or step + 1 == epoch.steps:
                self._require_finite(self.team.summed(total), epoch, step)
            done(count)
        sums = self.team.summed(torch.stack([total, total.new_tensor(float(seen))]))
        return float(sums[0] / sums[1])

    def _labelled(self, epoch: Epoch) -> Batches:
        """One pass over the training particles in random order, on copies of their images if the recipe augments."""
        t, recipe, device = self.training, self.training.recipe, self.training.device
        generator = torch.Generator().manual_seed(t.seed * 1_000_003 + epoch.number)
        order = t.train_rows[torch.randperm(len(t.train_rows), generator=generator).numpy()]
        wholes = np.array_split(order, epoch.steps)
        mine = [whole[self.team.share(len(whole))] for whole in wholes]
        reading = image_batches(t.particles, mine, t.options.readers, device)
        for whole, (rows, raw) in zip(wholes, reading, strict=True):
            images = t.preprocess(raw, ctf_of(t.particles, rows))
            labels = t.labels.select(torch.from_numpy(rows)).to(device)
            if recipe.augment != "off":
                motion = draw_motion(len(whole), recipe.shift_percent, generator, recipe.augment == "mirror")
                motion = motion[self.team.share(len(whole))].to(device)
                images, labels = move_images(images, motion), move_labels(labels, motion, t.preprocess.field_A)
            yield images, labels, len(whole)

    def _simulated(self, epoch: Epoch) -> Batches:
        """Images made for this epoch."""
        made, team = self.training.simulated, self.team
        assert made is not None, "an epoch of simulated images is planned only where they can be made"
        generator = torch.Generator(self.training.device)
        for step in range(epoch.steps):
            seed = ((self.training.seed * 1_000_003 + epoch.number) * 1_000_003 + step) * 4096 + team.rank
            generator.manual_seed(seed % 2**63)
            share = team.share(epoch.batch)
            with torch.no_grad():
                images, labels = made.batch(share.stop - share.start, generator)
            yield images, labels, epoch.batch

    def _require_finite(self, total: Tensor, epoch: Epoch, step: int) -> None:
        if torch.isfinite(total):
            return
        raise DeepError(
            f"training diverged: the loss is {float(total)} in epoch {epoch.number}, by step {step + 1}; the best "
            f"weights before it are kept in '{self.training.folder}'. Train again with a smaller --learning-rate than "
            f"{self.training.recipe.learning_rate:g}"
        )

    def describe(self, history: History, to_resume: bool) -> Checkpoint:
        """The checkpoint of this state."""
        t = self.training
        return Checkpoint(
            preprocess=t.preprocess,
            coder=t.coder,
            backbone=t.options.backbone,
            head=t.recipe.head,
            dropout=t.recipe.dropout,
            weights=copied(self.predictor),
            doubt_scale={n.removesuffix("_doubt"): v for n, v in history[-1].items() if n.endswith("_doubt")},
            recipe=t.recipe.to_dict(),
            options=asdict(t.options),
            half=t.half,
            reference=t.simulated.digest() if t.simulated else "",
            history=list(history),
            training_ids=torch.from_numpy(t.particles.ids[t.train_rows]),
            validation_ids=torch.from_numpy(t.particles.ids[t.validation_rows]),
            state=self._state() if to_resume else {},
            first=t.start.weights if t.start and t.recipe.second_pass else {},
        )

    def _state(self) -> dict[str, Any]:
        weights: Weights = copied(self.network) if self.average is not None else {}
        averaged = 0 if self.average is None else int(self.average.n_averaged)
        return {"weights": weights, "averaged": averaged, "optimizers": [o.state_dict() for o in self.optimizers]}

    def resumed(self) -> History:
        """Take weights, optimiser and history from the last checkpoint, if there is one and it belongs to this
        training."""
        path = self.training.folder / LAST
        if not path.is_file():
            return []
        last = load_checkpoint(path)
        require_same_training(last, self.training)
        self.predictor.load_state_dict(last.weights)
        if self.average is not None:
            self.network.load_state_dict(last.state["weights"])
            self.average.n_averaged.fill_(last.state["averaged"])
        for optimizer, state in zip(self.optimizers, last.state["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        say(f"resuming after epoch {len(last.history)}")
        return last.history


def require_same_training(last: Checkpoint, training: Training) -> None:
    """InputError unless a checkpoint belongs to this training."""
    started = lambda options: options.get("start_from", "")  # noqa: E731
    same = {
        "recipe, epochs, batch, learning rate or rotation": last.recipe == training.recipe.to_dict(),
        "seed": last.options["seed"] == training.options.seed,
        "backbone": last.backbone == training.options.backbone,
        "network to start from": started(last.options) == training.options.start_from,
        "box, pixel size, phase flipping or noise": last.preprocess == training.preprocess,
        "structure or modes": last.reference == (training.simulated.digest() if training.simulated else ""),
        "particles": np.array_equal(last.training_ids.numpy(), training.particles.ids[training.train_rows]),
        "targets or labels": last.coder == training.coder,
    }
    different = [name for name, equal in same.items() if not equal]
    if different:
        raise InputError(
            f"cannot resume '{training.folder / LAST}': it was trained with other {'; other '.join(different)}. Give "
            "the same options and particles, or train into another folder"
        )
