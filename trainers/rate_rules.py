"""From the learning rate at one batch size to that at another: pure arithmetic, for whoever has only one of them."""


def linear_rule(lr: float, reference: int, batch_size: int) -> float:
    """Return the rate at ``batch_size`` that makes one step of what were several at ``reference``.

    Exact while the gradient does not change within those steps; too large a rate beyond the noise scale.

    Args:
        lr: rate that is right at ``reference``.
        reference: batch size at which ``lr`` is known.
        batch_size: batch size at which it is asked for.

    Source: Goyal et al. 2017, arXiv 1706.02677, section 2.1.
    """
    return lr * batch_size / reference


def square_root_rule(lr: float, reference: int, batch_size: int) -> float:
    """Return the rate at ``batch_size`` that keeps the variance of the update: for Adam and its like.

    Args:
        lr: rate that is right at ``reference``.
        reference: batch size at which ``lr`` is known.
        batch_size: batch size at which it is asked for.

    Source: Malladi et al. 2022, arXiv 2205.10287.
    """
    return float(lr * (batch_size / reference) ** 0.5)


def adascale_gain(variance: float, squared_norm: float, scale: float) -> float:
    """Return what the rate of SGD is multiplied by where the batch is ``scale`` times as large.

    Between 1, where the gradient has no noise that a larger batch could take away, and ``scale``, where it is all
    noise. With ``variance = tr(Sigma) / B0`` it is ``eps(scale * B0) / eps(B0)`` of McCandlish et al. 2018,
    ``eps(B) = eps_max / (1 + B_simple / B)``.

    Args:
        variance: of the gradient of a batch of the reference size, summed over parameters; an estimate below 0 is 0.
        squared_norm: of the expected gradient; an estimate below 0 is 0.
        scale: batch size over the reference batch size, at least 1.

    Source: Johnson et al. 2020, arXiv 2007.05105, as adaptdl and fairscale implement it.
    """
    variance, squared_norm = max(variance, 0.0), max(squared_norm, 0.0)
    if scale == 1 or variance == 0:
        return 1.0
    return (variance + squared_norm) / (variance / scale + squared_norm)
