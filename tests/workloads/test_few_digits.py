"""Few digits to learn by heart: the data, and regularizers that act where they train and nowhere else."""

import torch

from paceline.bench.workloads.few_digits import Shift, few_digits, with_dropout


def test_the_training_set_holds_fifty_of_each_digit() -> None:
    x, y, validation_x, _, test_x, _ = few_digits()
    assert (x.shape, len(validation_x), len(test_x)) == ((500, 784), 500, 500)
    assert torch.bincount(y).tolist() == [50] * 10


def test_a_shift_moves_a_pixel_by_up_to_its_size_and_fills_in_background() -> None:
    torch.manual_seed(0)
    images = torch.full((1000, 28, 28), -0.5)
    images[:, 10, 20] = 1.0
    shift, flat = Shift(2), images.flatten(1)
    moved = shift(flat).view(1000, 28, 28)
    _, rows, columns = (moved == 1.0).nonzero().T
    assert len(rows) == 1000  # one bright pixel each
    assert set(zip((rows - 10).tolist(), (columns - 20).tolist(), strict=True)) == {
        (down, right) for down in range(-2, 3) for right in range(-2, 3)
    }
    assert ((moved == 1.0) | (moved == -0.5)).all()
    assert torch.equal(shift.eval()(flat), flat)


def test_dropout_drops_while_training_only() -> None:
    torch.manual_seed(0)
    model, x = with_dropout(0.5), torch.randn(4, 784)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))
