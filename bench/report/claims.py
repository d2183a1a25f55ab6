"""Common claims about training strategies, each judged by what a run measured.

A claim **holds** or **fails** where the interval of the comparison decides it, is **equivalent** where the interval
lies within the margin, **depends** where it turns on something that was measured, and is **undecided** where what was
measured does not decide it, with how many more seeds might. What has no benchmark, or was not run, is **not measured**.
All comparisons are of trials in the same block; those of one claim are corrected together. That larger batches reduce
the variance of updates is no claim but arithmetic: the report has it among the checks (``noise_scale.sampling_law``).
"""

from dataclasses import dataclass

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.report import (
    critical_batch,
    generalization,
    inputs,
    optimizers,
    phases,
    precision,
    regularization,
    scaling,
    strategy_claims,
    stream,
)
from paceline.bench.report.judging import Judge, Judged, Verdict


@dataclass(frozen=True)
class Judgement:
    """What a run says of one claim.

    Attributes:
        number: of the claim, from 1.
        claim: the claim, as it is commonly stated.
        verdict: holds, fails, equivalent, undecided, depends or not measured.
        why: a sentence with the numbers and intervals that it rests on, or what would measure it.
    """

    number: int
    claim: str
    verdict: Verdict
    why: str


def judge(results: Results) -> list[Judgement]:
    """Return the judgement of every claim in ``CLAIMS``, in order; missing comparisons are no error."""
    return [Judgement(i, claim, *judged(results)) for i, (claim, judged) in enumerate(CLAIMS, 1)]


def table(results: Results) -> pd.DataFrame:
    """Return the judgements as a table to read."""
    return pd.DataFrame(
        [
            {"#": str(found.number), "the claim": found.claim, "verdict": found.verdict, "why": found.why}
            for found in judge(results)
        ]
    )


def _none_yet(needs: str) -> Judge:
    why = f"No benchmark measures this yet: it needs {needs}."

    def judged(results: Results) -> Judged:
        return "not measured", why

    return judged


CLAIMS: tuple[tuple[str, Judge], ...] = (
    (
        "Full-batch training is the faster way, since it uses the parallel hardware best",
        strategy_claims.full_batch_is_faster,
    ),
    ("Online training is slower", strategy_claims.online_is_slower),
    ("Online training needs little memory, whatever the size of the data", strategy_claims.online_needs_little_memory),
    (
        "Online training follows changing data, batch training cannot",
        stream.claim_follows,
    ),
    ("Mini-batches save computation and memory against full batch", strategy_claims.mini_batches_save),
    (
        "The learning rate should grow with the batch size (linearly; as the square root)",
        critical_batch.rate_should_grow,
    ),
    (
        "Decaying the learning rate trains better than a fixed one",
        optimizers.decay_trains_better,
    ),
    (
        "Adaptive methods (Adagrad, Adadelta, Adam) train faster than plain SGD",
        optimizers.adaptive_methods_are_faster,
    ),
    ("Mixed precision is faster", precision.amp_is_faster),
    ("Mixed precision saves memory", precision.amp_saves_memory),
    ("Mixed precision improves accuracy", precision.amp_improves_accuracy),
    ("More workers shorten training", scaling.more_workers_are_faster),
    ("Synchronization is what costs", phases.synchronization_is_what_costs),
    ("Gradient accumulation equals the large batch", strategy_claims.accumulation_equals_the_large_batch),
    ("Large batches generalize worse", generalization.large_batches_generalize_worse),
    (
        "Regularization (L1, L2, dropout, early stopping, augmentation) prevents overfitting",
        regularization.prevents_overfitting,
    ),
    ("Normalized inputs train better", inputs.normalized_inputs_train_better),
    (
        "Compression (pruning, quantization, distillation) saves time and memory at little loss",
        _none_yet("bytes, samples per second and score before and after"),
    ),
)
