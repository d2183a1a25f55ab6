"""A user's own samples come in: a Dataset with workers, mapped files, a stream, ragged texts; or they get one line."""

import os
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from paceline.bench import Trial as AnyTrial
from paceline.bench import Workload, run_trial
from paceline.bench.analysis.frames import trials_frame
from paceline.bench.harness.data_files import DATA_FILES, DataFiles
from paceline.bench.harness.equivalence import gate
from paceline.bench.harness.fingerprint import fingerprint
from paceline.bench.workloads.data import Data
from paceline.bench.workloads.workload import accuracy, mean_over_samples
from paceline.trainers import Accumulate, Amp, Ddp, FullBatch, MiniBatch, Online, Sgd
from tests.problems import GAUSSIANS, N, gaussians, network

Trial = partial(AnyTrial, threads=1, seconds=20.0)


class Rows(Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


def sets():
    x, y, held_out_x, held_out_y = gaussians()
    return Rows(x, y), Rows(held_out_x, held_out_y)


DATASETS = Workload(name="rows", model=network, data=sets, target=0.9)


def arriving():
    """Begin an endless stream."""
    generator = torch.Generator().manual_seed(0)
    x, y, *_ = gaussians()
    while True:
        index = int(torch.randint(N, (), generator=generator))
        yield x[index], y[index]


def few_arriving():
    x, y, *_ = gaussians()
    yield from zip(x[:100], y[:100], strict=True)


STREAM = Workload(name="arriving", model=network, data=lambda: (arriving, *gaussians()[2:]), target=0.9)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataset_trains_as_its_tensors_do(workers):
    """To the last bit: losses and scores are those of the four tensors."""
    for trainer in (MiniBatch(Sgd(0.1), batch_size=60), Accumulate(Sgd(0.1), batch_size=60), FullBatch(Sgd(0.5))):
        expected, found = (
            run_trial(Trial(workload, trainer, steps=12, stop_at_target=False))
            for workload in (GAUSSIANS, replace(DATASETS, workers=workers))
        )
        common = [step for step in found.curve["step"] if step in expected.curve["step"]]
        assert len(common) > 3
        for column in ("loss", "score"):
            pairs = [dict(zip(record.curve["step"], record.curve[column], strict=True)) for record in (expected, found)]
            assert [pairs[0][step] for step in common] == [pairs[1][step] for step in common]
        assert found.test_score == expected.test_score
        assert found.train_samples == N
        row = trials_frame((found,)).iloc[0]
        assert row.broken_laws == ""
        assert row.data_wait_seconds > 0


def test_ranks_share_a_datasets_batches():
    one, two = (
        run_trial(Trial(replace(DATASETS, workers=w), Ddp(Sgd(0.1), batch_size=60), world_size=2, steps=8,
                        stop_at_target=False))
        for w in (0, 1)
    )  # fmt: skip
    assert one.curve["loss"] == pytest.approx(two.curve["loss"], rel=1e-6)
    assert two.curve["samples"][-1] == 4 * 60 + 16 + 3 * 60


def test_every_strategy_passes_the_gate_on_it():
    for found in gate([Trial(DATASETS, t) for t in (FullBatch(), Accumulate(), Amp(), Ddp())]):
        assert found["passed"], found


class TestStream:
    def test_online_and_mini_batch_train_on_it(self):
        for trainer in (Online(Sgd(0.02)), MiniBatch(Sgd(0.1), batch_size=16)):
            record = run_trial(Trial(STREAM, trainer))
            assert record.status == "reached", record.reason
            assert record.train_samples is None
            assert set(record.final_losses) == {"validation", "test"}
            assert trials_frame((record,)).iloc[0].broken_laws == ""

    def test_full_batch_is_a_row_with_a_reason(self):
        record = run_trial(Trial(STREAM, FullBatch()))
        assert record.status == "failed"
        assert "a stream has no whole that a step could take in" in record.reason

    def test_one_that_ends_early_says_so(self):
        workload = replace(STREAM, data=lambda: (few_arriving, *gaussians()[2:]), target=0.999)
        record = run_trial(Trial(workload, MiniBatch(Sgd(0.01), batch_size=16)))
        assert record.status == "missed"
        assert record.reason == "target 0.999 not reached: the stream ended after 100 samples"

    def test_each_trial_begins_it_anew(self):
        first, second = (run_trial(Trial(STREAM, MiniBatch(Sgd(0.1)), steps=5, stop_at_target=False)) for _ in "ab")
        assert first.curve["loss"] == second.curve["loss"]

    def test_an_iterator_is_refused_before_anything_runs(self):
        with pytest.raises(ValueError, match="which can be read once, and each trial reads its samples anew: return"):
            run_trial(Trial(replace(STREAM, data=lambda: (arriving(), *gaussians()[2:])), MiniBatch()))


def mapped(folder):
    """Return GAUSSIANS with its training inputs in a file."""
    x, y, *held_out = gaussians()
    file = folder / "x.float32"
    x.numpy().tofile(file)

    def data():
        return np.memmap(file, "float32", "r", shape=(N, 20)), y, *held_out

    return replace(GAUSSIANS, name="mapped", data=data), file


class TestMapped:
    def test_it_trains_as_in_memory_and_is_not_copied(self, tmp_path):
        workload, file = mapped(tmp_path)
        expected, found = (
            run_trial(Trial(w, MiniBatch(Sgd(0.1)), steps=9, stop_at_target=False)) for w in (GAUSSIANS, workload)
        )
        assert found.curve["loss"] == expected.curve["loss"]
        kept, _ = DATA_FILES.prepare(workload)
        assert kept.stat().st_size < DATA_FILES.prepare(GAUSSIANS)[0].stat().st_size - 15_000
        assert found.ranks[0]["dataset_bytes"] < expected.ranks[0]["dataset_bytes"] - 15_000
        assert str(file) in str(torch.load(kept)[0])

    def test_a_slice_of_it_is_found_again(self, tmp_path):
        workload, _ = mapped(tmp_path)
        x, y, *held_out = workload.data()
        kept, _ = DataFiles().prepare(replace(workload, data=lambda: (x[7:100], y[7:100], *held_out)))
        assert torch.equal(Data.load(kept).train.x, gaussians()[0][7:100])

    def test_columns_of_it_are_refused(self, tmp_path):
        workload, _ = mapped(tmp_path)
        x, y, *held_out = workload.data()
        with pytest.raises(ValueError, match="must be one stretch of its file"):
            DataFiles().prepare(replace(workload, data=lambda: (x[:, :7], y, *held_out)))

    def test_a_file_that_has_become_shorter_is_named(self, tmp_path):
        workload, file = mapped(tmp_path)
        DATA_FILES.prepare(workload)
        os.truncate(file, 400)
        with pytest.raises(ValueError, match=r"x.float32 has become shorter: 400 bytes of the 20480 that it had"):
            run_trial(Trial(workload, MiniBatch()))

    def test_other_samples_in_it_are_other_samples(self, tmp_path):
        workload, file = mapped(tmp_path)
        first = fingerprint(Trial(workload, MiniBatch()))
        file.write_bytes(bytes(N * 20 * 4))
        again = replace(workload, data=lambda: workload.data())
        assert fingerprint(Trial(again, MiniBatch()))["data"] != first["data"]


# Ragged


def texts():
    """Return texts of 3 to 9 numbers; each one's class is told by the number that it repeats."""
    generator = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(300):
        label = int(torch.randint(3, (), generator=generator))
        n = int(torch.randint(3, 10, (), generator=generator))
        others = torch.randint(3, 9, (n - 2,), generator=generator)
        samples.append((torch.cat([torch.full((2,), label), others]), label))
    return samples[:200], samples[200:]


def padded(samples):
    x = nn.utils.rnn.pad_sequence([text for text, _ in samples], batch_first=True, padding_value=9)
    return {"tokens": x, "there": x != 9}, torch.tensor([label for _, label in samples])


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.out = nn.Embedding(10, 8), nn.Linear(8, 3)

    def forward(self, x):
        there = x["there"].unsqueeze(2)
        return self.out((self.embedding(x["tokens"]) * there).sum(dim=1))


TEXTS = Workload(name="texts", model=Bag, data=texts, target=0.95, collate=padded)


def test_ragged_texts_are_put_together_by_a_function_and_scored_in_pieces():
    record = run_trial(Trial(TEXTS, MiniBatch(Sgd(0.5), batch_size=16)))
    assert record.status == "reached", record.reason
    assert [one["passed"] for one in gate([Trial(TEXTS, Accumulate()), Trial(TEXTS, Ddp())])] == [True, True]


def test_without_one_it_says_what_to_do():
    with pytest.raises(ValueError, match=r"could not be read: .*equal size.*by a collate= of its own"):
        run_trial(Trial(replace(TEXTS, collate=None), MiniBatch()))


def test_a_score_that_needs_all_outputs_at_once_says_so_where_they_are_of_several_shapes():
    def of_all(outputs, targets):
        return accuracy(outputs, targets)

    class Echo(nn.Module):
        def forward(self, x):
            return nn.functional.one_hot(x["tokens"], 10).float()

    model = Echo()
    pieces = [padded(texts()[0][start : start + 20]) for start in (0, 20, 40)]
    from paceline.bench.workloads.data import Samples

    parts = [Samples(x, y) for x, y in pieces]
    with pytest.raises(ValueError, match="write @mean_over_samples above the score"):
        replace(TEXTS, score=of_all).evaluate(model, *parts)
    mean = mean_over_samples(lambda outputs, targets: float(outputs.mean()))
    assert replace(TEXTS, score=mean).evaluate(model, *parts) == pytest.approx(0.1)


# Bad input


@dataclass
class Dies(Rows):
    """Its workers die at a sample."""

    x: torch.Tensor
    y: torch.Tensor

    def __getitem__(self, index):
        if torch.utils.data.get_worker_info() is not None and index == 17:
            os._exit(3)
        return super().__getitem__(index)


@dataclass
class Raises(Rows):
    x: torch.Tensor
    y: torch.Tensor

    def __getitem__(self, index):
        if index == 17:
            raise KeyError("no image 17")
        return super().__getitem__(index)


def of(kind):
    x, y, *held_out = gaussians()
    return lambda: (kind(x, y), Rows(*held_out))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Dies, "a process that reads samples died"),
        (Raises, "KeyError: 'no image 17'"),
    ],
)
def test_what_fails_while_samples_are_read_is_one_line(kind, said):
    record = run_trial(Trial(replace(DATASETS, data=of(kind), workers=2), MiniBatch()))
    assert record.status == "failed"
    assert said in record.reason
    assert "\n" not in record.reason


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda: (arriving, few_arriving), "in place of held-out x, held-out y a Dataset; it returned a function"),
        (lambda: (Rows([], []), sets()[1]), "x is empty"),
        (lambda: (*gaussians()[:2], {"a": gaussians()[2]}, gaussians()[3][:-1]), "held-out x has 128 samples"),
        (lambda: ({"a": gaussians()[0], "b": gaussians()[0][:9]}, *gaussians()[1:]), "x holds tensors of 256 and 9"),
        (lambda: sets()[0], "it returned a Rows of 256"),
    ],
)
def test_what_data_may_not_be_is_one_line(data, said):
    with pytest.raises(ValueError, match=said) as error:
        DataFiles().prepare(replace(DATASETS, data=data))
    assert "\n" not in str(error.value)
