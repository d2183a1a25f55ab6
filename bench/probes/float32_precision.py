"""In how many bits a GPU multiplies float32: in all 24, or in TF32's 11, many times faster."""

import torch
from torch.backends import cuda, cudnn
from torch.utils.flop_counter import FlopCounterMode


def multiplied_in_tf32(counter: FlopCounterMode, device: torch.device) -> bool:
    """Return whether float32 work that ``counter`` counted went through TF32 on ``device``.

    By torch's defaults convolutions do, and matrix products do not. Where a step has both, what is said of either is
    said of the step: it may reach more than float32's peak, and no more than TF32's.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    counts = counter.get_flop_counts().get("Global", {})
    convolutions = [count for operation, count in counts.items() if "conv" in str(operation)]
    products = sum(counts.values()) - sum(convolutions)
    return (sum(convolutions) > 0 and convolutions_in_tf32()) or (products > 0 and cuda.matmul.fp32_precision == "tf32")


def convolutions_in_tf32() -> bool:
    """Return whether cuDNN may use TF32 for convolutions of float32."""
    precision = getattr(getattr(cudnn, "conv", None), "fp32_precision", None)
    return bool(cudnn.enabled and precision == "tf32")


def multiply_in(dtype: str) -> torch.dtype:
    """Have matrix products of float32 made in TF32 if ``dtype`` is "tf32", else in full; return torch's dtype."""
    cuda.matmul.fp32_precision = "tf32" if dtype == "tf32" else "ieee"
    found: torch.dtype = getattr(torch, "float32" if dtype == "tf32" else dtype)
    return found
