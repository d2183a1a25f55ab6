"""In how many bits float32 is multiplied: in all 24, in a GPU's TF32 (11), in a CPU's bfloat16 (8), much faster."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.backends import cuda, cudnn, mkldnn
from torch.utils.flop_counter import FlopCounterMode

# What oneDNN makes of a CPU's products and convolutions; an older torch has no such settings.
PRODUCTS: Any = getattr(mkldnn, "matmul", None)
CONVOLUTIONS: Any = getattr(mkldnn, "conv", None)

# What float32 is called whose products a CPU makes in bfloat16, as "medium" precision allows it to.
IN_BFLOAT16 = "float32 in bfloat16"


def multiplied_in_tf32(counter: FlopCounterMode, device: torch.device) -> bool:
    """Return whether float32 work that ``counter`` counted went through TF32 on ``device``.

    By torch's defaults convolutions do, and matrix products do not. Where a step has both, what is said of either is
    said of the step: it may reach more than float32's peak, and no more than TF32's.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    products, convolutions = _counted(counter)
    return (convolutions > 0 and convolutions_in_tf32()) or (products > 0 and cuda.matmul.fp32_precision == "tf32")


def _counted(counter: FlopCounterMode) -> tuple[int, int]:
    """Return the FLOPs of matrix products and of convolutions."""
    counts = counter.get_flop_counts().get("Global", {})
    convolutions = sum(count for operation, count in counts.items() if "conv" in str(operation))
    return sum(counts.values()) - convolutions, convolutions


def multiplied_in_bfloat16(counter: FlopCounterMode, device: torch.device) -> bool:
    """Return whether float32 work that ``counter`` counted goes through bfloat16 on a CPU; of either kind, as above.

    Settings allow it, and not every processor does it.
    """
    if device.type != "cpu" or PRODUCTS is None:
        return False
    products, convolutions = _counted(counter)
    used = [kind for kind, count in ((PRODUCTS, products), (CONVOLUTIONS, convolutions)) if count]
    return any(kind.fp32_precision == "bf16" for kind in used) and _cpu_can()


@torch.no_grad()
def _cpu_can() -> bool:
    """Return whether this processor multiplies so where it may: by a number that bfloat16 does not hold."""
    x, one = torch.full((64, 64), 1 + 2**-12, dtype=torch.float32), torch.eye(64, dtype=torch.float32)
    before = PRODUCTS.fp32_precision
    try:
        PRODUCTS.fp32_precision = "bf16"
        return not torch.equal(x @ one, x)
    finally:
        PRODUCTS.fp32_precision = before


def may_multiply_in_bfloat16(settings: Mapping[str, Any]) -> bool:
    """Return whether ``settings`` of torch (``workloads.torch_settings``) allow a CPU to."""
    return "bf16" in (settings.get(f"mkldnn.{kind}.fp32_precision") for kind in ("matmul", "conv"))


def convolutions_in_tf32() -> bool:
    """Return whether cuDNN may use TF32 for convolutions of float32."""
    precision = getattr(getattr(cudnn, "conv", None), "fp32_precision", None)
    return bool(cudnn.enabled and precision == "tf32")


def multiply_in(dtype: str) -> torch.dtype:
    """Have matrix products of float32 made as ``dtype`` says, in TF32, in bfloat16 or in full; return torch's dtype."""
    cuda.matmul.fp32_precision = "tf32" if dtype == "tf32" else "ieee"
    if PRODUCTS is not None:
        PRODUCTS.fp32_precision = "bf16" if dtype == IN_BFLOAT16 else "ieee"
    found: torch.dtype = getattr(torch, "float32" if dtype in ("tf32", IN_BFLOAT16) else dtype)
    return found
