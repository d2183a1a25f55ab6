"""Fashion-MNIST while it is read: pixels stay in their file, and what workers augment are the images, moved."""

import gzip
import pickle

import numpy as np
import pytest
import torch

from paceline.bench import Trial, run_trial
from paceline.bench.harness.data_files import DataFiles
from paceline.bench.workloads import fashion_files, find_workload
from paceline.bench.workloads.data import Data
from paceline.bench.workloads.fashion_files import Clothes, augmented, files, folder_of_pixels, mapped_pixels
from paceline.bench.workloads.fashion_mnist import MEAN, STD
from paceline.bench.workloads.mapped_files import described
from paceline.trainers import MiniBatch

N, VALIDATION, TEST = 300, 60, 50


@pytest.fixture(autouse=True)
def published(tmp_path, monkeypatch):
    """Files of the published form: images of noise, one bright pixel in each at (10, 20), the rest below 100."""
    draw = np.random.default_rng(0)
    for part, count in (("train", N), ("t10k", TEST)):
        images = draw.integers(0, 100, (count, 28, 28), dtype=np.uint8)
        images[:, 10, 20] = 255
        for name, array in (("images-idx3", images), ("labels-idx1", draw.integers(0, 10, count, dtype=np.uint8))):
            header = b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">i4").tobytes()
            (tmp_path / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
    monkeypatch.setenv("PACELINE_DATA", str(tmp_path))
    monkeypatch.setattr(fashion_files, "VALIDATION", VALIDATION)
    return tmp_path


def test_pixels_stay_in_a_file_that_is_written_once(published):
    data = Data.of(files())
    assert described(data.train.x) is not None
    assert (data.train.x.dtype, data.train.x.shape) == (torch.uint8, (N - VALIDATION, 784))
    assert [part.n for part in (*data.validation, *data.test)] == [VALIDATION, TEST]
    assert (data.train.x[:, 10 * 28 + 20] == 255).all()
    file = published / "paceline-fashion-mnist" / "train-images.npy"
    made = file.stat().st_mtime_ns
    mapped_pixels(folder_of_pixels())
    assert file.stat().st_mtime_ns == made
    assert len(list(file.parent.iterdir())) == 1


def test_the_model_standardizes():
    pixels = torch.tensor([[0, 255]], dtype=torch.uint8)
    assert fashion_files.Standardized()(pixels)[0].tolist() == pytest.approx([-MEAN / STD, (1 - MEAN) / STD])


def test_augmented_images_are_the_same_ones_moved_or_mirrored():
    torch.manual_seed(0)
    dataset = Clothes(torch.zeros(200, dtype=torch.long))
    seen = set()
    for index in range(200):
        image, _ = dataset[index]
        [[row, column]] = (image.view(28, 28) > (200 / 255 - MEAN) / STD).nonzero().tolist()
        seen.add((row, column))
    # 20, or 7 in the mirror, moved by up to two pixels either way.
    assert seen <= {(row, column) for row in range(8, 13) for column in (*range(18, 23), *range(5, 10))}
    assert len(seen) > 40
    assert not torch.equal(dataset[0][0], dataset[0][0])


def test_the_dataset_is_sent_without_its_pixels():
    dataset, *held_out = augmented()
    dataset[0]
    assert len(pickle.dumps(dataset)) < 10_000
    assert [len(part) for part in held_out] == [VALIDATION, VALIDATION, TEST, TEST]
    assert len(dataset) == N - VALIDATION


@pytest.mark.parametrize("name", ["fashion-cnn", "fashion-files"])
def test_it_trains(name):
    record = run_trial(Trial(find_workload(name), MiniBatch(), steps=5, threads=1))
    assert record.status == "missed", record.reason
    assert record.curve["step"][-1] == 5


@pytest.mark.parametrize("name", ["fashion-cnn", "fashion-files"])
def test_missing_files_are_told_in_one_line(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PACELINE_DATA", str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"apt-get install dataset-fashion-mnist.*PACELINE_DATA$"):
        DataFiles().prepare(find_workload(name))
