"""Common claims about training strategies, each judged by what a run measured.

A claim **holds** or **fails** where the interval of the comparison decides it, **depends** where it turns
on something that was measured, and is otherwise not measured here, with what would measure it. All
comparisons are of trials in the same block.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from paceline.bench.analysis import batch_size_sweep, regularization
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.noise_scale import variance_exponent
from paceline.bench.analysis.statistics import Comparison, median_interval
from paceline.bench.report import optimizer_claims
from paceline.bench.report.noise_scale import cells as noise_cells
from paceline.bench.report.noise_scale import optimizer_of
from paceline.bench.report.tables import (
    Cell,
    Pair,
    by_workload,
    cells_of,
    find,
    in_order,
    listed,
    number,
    number_of,
    pair,
    precision_pairs,
    ratio,
    reservations,
    scalings,
    score_difference,
    speedup,
    with_interval,
)

Verdict = Literal["holds", "fails", "depends", "not measured here"]

# Scores within this share of each other are called equal, if the whole interval is.
SCORE_MARGIN = 0.01


@dataclass(frozen=True)
class Judgement:
    """What a run says of one claim.

    Attributes:
        number: of the claim, from 1.
        claim: the claim, as it is commonly stated.
        verdict: holds, fails, depends or not measured here.
        why: a sentence with the numbers and intervals that it rests on, or what would measure it.
    """

    number: int
    claim: str
    verdict: Verdict
    why: str


@dataclass(frozen=True)
class Finding:
    """What one workload, or one cell of a sweep, says of a claim; ``verdict`` None is undecided."""

    verdict: Verdict | None
    text: str


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


Judged = tuple[Verdict, str]
Judge = Callable[[Results], Judged]


# From findings to a verdict


def _together(findings: list[Finding], needs: str) -> Judged:
    """Return the verdict of all workloads that are decided; it depends where they contradict each other."""
    text = " ".join(finding.text for finding in findings)
    decided = [finding.verdict for finding in findings if finding.verdict is not None]
    if not findings:
        return "not measured here", f"It needs {needs}."
    if not decided:
        return "not measured here", f"Undecided. {text}"
    verdicts = set(decided)
    return (decided[0] if len(verdicts) == 1 else "depends"), text


@dataclass(frozen=True)
class Point:
    """One cell of a sweep: where it is, whether the claim holds there (None: undecided), and the numbers."""

    where: str
    holds: bool | None
    numbers: str


def _over(points: list[Point], factors: str, measure: str, needs: str, beware: str = "") -> Judged:
    """Return the verdict of a claim over a sweep: it depends where resolved points contradict each other.

    Where fewer than half of the points are resolved, nothing is said of the whole. ``beware`` stands at the end.
    """
    if not points:
        return "not measured here", f"It needs {needs}."
    yes = [point for point in points if point.holds is True]
    no = [point for point in points if point.holds is False]
    open_ = [point for point in points if point.holds is None]
    groups = (("It holds at", yes), ("It does not hold at", no), ("Not resolved at", open_))
    text = f"{measure}. " + " ".join(f"{head} {_places(group)}." for head, group in groups if group)
    text = f"{text} {beware}".strip()
    if yes and no:
        return "depends", f"It turns on {factors}. {text}"
    if 2 * len(open_) > len(points) or len(open_) == len(points):
        return "not measured here", f"Undecided. {text}"
    return ("holds" if yes else "fails"), text


def _places(points: Iterable[Point]) -> str:
    return "; ".join(f"{point.where} ({point.numbers})" for point in points)


def _less(comparison: Pair | Comparison) -> bool | None:
    """Return whether a is less (or faster) than b; None if that is undecided. Equivalent is not less."""
    verdicts = {"faster": True, "less": True, "slower": False, "more": False, "equivalent": False}
    return verdicts.get(comparison.verdict)


def _more(comparison: Pair | Comparison) -> bool | None:
    """Return whether a is more (or slower) than b; None if that is undecided. Equivalent is not more."""
    verdicts = {"faster": False, "less": False, "slower": True, "more": True, "equivalent": False}
    return verdicts.get(comparison.verdict)


def _verdict(holds: bool | None) -> Verdict | None:
    return None if holds is None else ("holds" if holds else "fails")


def _provisos(results: Results, *cells: Cell) -> str:
    """Return how often the target was reached, where that was not always, and which cells are no equals."""
    missed = [f"{c['trainer']} in {c['n_reached']} of {c['n']} trials" for c in cells if c["n_reached"] < c["n"]]
    reached = f"The target was reached by {listed(missed)}." if missed else ""
    said = f"{reached} {reservations(results, *cells)}".strip()
    return f" {said}" if said else ""


def _pairs(results: Results, a: str, b: str) -> list[tuple[str, Cell, Cell]]:
    """Return (workload, cell of strategy a, cell of strategy b) wherever both were measured."""
    found = []
    cells_in_order = in_order(cells_of(results, "strategies"), "workload", "cell")
    for workload, cells in by_workload(cells_in_order).items():
        first, second = find(cells, a), find(cells, b)
        if first is not None and second is not None:
            found.append((workload, first, second))
    return found


# The claims that the benchmarks of this suite can judge


def _full_batch_is_faster(results: Results) -> Judged:
    findings = []
    for workload, full, mini in _pairs(results, "FullBatch", "MiniBatch"):
        rate, seconds = (pair(results, full, mini, metric) for metric in ("samples_per_second", "seconds_to_target"))
        text = (
            f"On {workload} full batch processes {rate.times} the samples per second of mini-batch, and "
            f"takes {seconds.times} its seconds to target.{_provisos(results, full, mini)}"
        )
        findings.append(_by_target_or_by_rate(_less(seconds), _more(rate), text))
    return _together(findings, "FullBatch and MiniBatch of bench_strategies.py")


def _online_is_slower(results: Results) -> Judged:
    findings = []
    for workload, online, mini in _pairs(results, "Online", "MiniBatch"):
        rate, seconds = (pair(results, online, mini, metric) for metric in ("samples_per_second", "seconds_to_target"))
        samples = pair(results, online, mini, "samples_to_target")
        text = (
            f"On {workload} online training processes {rate.times} the samples per second of mini-batch, "
            f"takes {seconds.times} its seconds to target and {samples.times} its samples."
            f"{_provisos(results, online, mini)}"
        )
        findings.append(_by_target_or_by_rate(_more(seconds), _less(rate), text))
    return _together(findings, "Online and MiniBatch of bench_strategies.py")


def _by_target_or_by_rate(to_target: bool | None, in_rate: bool | None, text: str) -> Finding:
    """Return what time to target says of a claim of speed; it depends where throughput alone bears the claim out."""
    if to_target is False and in_rate:
        return Finding("depends", f"It depends on what is counted. {text}")
    return Finding(_verdict(to_target), text)


def _online_needs_little_memory(results: Results) -> Judged:
    missing = "no benchmark varies the size of the data, or streams them, yet."
    seen = [
        f"On {workload} training online adds "
        f"{pair(results, online, full, 'training_memory_bytes').times} the memory that full batch adds."
        f"{_provisos(results, online, full)}"
        for workload, online, full in _pairs(results, "Online", "FullBatch")
    ]
    return "not measured here", " ".join([f"Measured in part at most: {missing}", *seen])


def _mini_batches_save(results: Results) -> Judged:
    findings = []
    for workload, mini, full in _pairs(results, "MiniBatch", "FullBatch"):
        samples = pair(results, mini, full, "samples_to_target")
        memory = pair(results, mini, full, "training_memory_bytes")
        saved = {"computation": _less(samples), "memory": _less(memory)}
        text = (
            f"On {workload} mini-batch takes {samples.times} the samples of full batch to the target, and "
            f"{memory.times} its training memory.{_provisos(results, mini, full)}"
        )
        if set(saved.values()) == {True, False}:
            which = next(name for name, less in saved.items() if less)
            findings.append(Finding("depends", f"It saves {which} only. {text}"))
        else:
            both = None if None in saved.values() else all(saved.values())
            findings.append(Finding(_verdict(both), text))
    return _together(findings, "MiniBatch and FullBatch of bench_strategies.py")


PRECISION_FACTORS = "the model's width and the batch size"
PRECISION_BENCHMARK = "bench_precision.py"


def _amp_is_faster(results: Results) -> Judged:
    points = []
    for amp, full in precision_pairs(results):
        gain = speedup(results, amp, full)
        points.append(Point(_where(amp), _less(gain), gain.ratio))
    measure = "Speed-up of mixed precision over float32, in throughput"
    return _over(points, PRECISION_FACTORS, measure, PRECISION_BENCHMARK, _beware_of_amp(results))


def _amp_saves_memory(results: Results) -> Judged:
    points = []
    for amp, full in precision_pairs(results):
        memory = pair(results, amp, full, "training_memory_bytes")
        points.append(Point(_where(amp), _less(memory), memory.ratio))
    measure = "Ratios of training memory, mixed precision to float32"
    return _over(points, PRECISION_FACTORS, measure, PRECISION_BENCHMARK, _beware_of_amp(results))


def _amp_improves_accuracy(results: Results) -> Judged:
    points = []
    for amp, full in precision_pairs(results):
        better, low, high, n = score_difference(results, amp, full)
        margin = SCORE_MARGIN * abs(full["final_score"])
        holds = True if low > 0 else False if high < 0 or (-margin <= low and high <= margin) else None
        points.append(Point(_where(amp), holds, with_interval(better, low, high, n)))
    measure = (
        "Differences in final score after equally many steps, positive where mixed precision is better; one "
        f"within {100 * SCORE_MARGIN:g} % of the score counts as none"
    )
    return _over(points, PRECISION_FACTORS, measure, PRECISION_BENCHMARK, _beware_of_amp(results))


def _beware_of_amp(results: Results) -> str:
    return reservations(results, *(amp for amp, _ in precision_pairs(results)))


def _where(cell: Cell) -> str:
    return f"{cell['workload']} B={number_of(cell['batch_size'])}"


def _more_workers_are_faster(results: Results) -> Judged:
    measured = [found for found in scalings(results) if found.kind != "weak" and not found.cell["oversubscribed"]]
    points = [
        Point(
            f"{_where(found.cell)} on {found.cell['world_size']} ranks",
            _more(found.speedup),
            f"speed-up {ratio(found.speedup)}",
        )
        for found in measured
        if found.speedup is not None
    ]
    shared = any(cell["oversubscribed"] for cell in cells_of(results, "scaling"))
    measure = "Throughput against one rank at the same batch, which takes the same steps: the hardware's part"
    if shared:
        measure += "; more ranks than cores are left out"
    needs = "bench_scaling.py on a machine with room for more than one rank"
    beware = reservations(results, *(found.cell for found in measured))
    verdict, why = _over(points, "the number of ranks", measure, needs, beware)
    statistical = [
        f"On {workload} at equal cores and batch, ranks take "
        f"{pair(results, ddp, mini, 'samples_to_target').times} the samples of one process and "
        f"{pair(results, ddp, mini, 'seconds_to_target').times} its seconds to target, each at the learning "
        f"rate found for it.{_provisos(results, ddp, mini)}"
        for workload, ddp, mini in _pairs(results, "Ddp", "MiniBatch")
        if ddp["batch_size"] == mini["batch_size"]
    ]
    return verdict, " ".join([why, *statistical])


def _accumulation_equals_the_large_batch(results: Results) -> Judged:
    findings = []
    for workload, parts, whole in _pairs(results, "Accumulate", "MiniBatch"):
        if (parts["batch_size"], parts["lr"]) != (whole["batch_size"], whole["lr"]):
            text = f"On {workload} the two ran at different rates or batch sizes: equality cannot be judged."
            findings.append(Finding(None, text))
            continue
        samples = pair(results, parts, whole, "samples_to_target")
        same = True if samples.verdict == "equivalent" else None if samples.verdict == "undecided" else False
        text = (
            f"On {workload}, B={number_of(whole['batch_size'])} in parts of "
            f"{number_of(parts['micro_batch_size'])}, accumulation takes {samples.times} the samples of the "
            f"undivided batch to the target{_loss_gap(results, parts, whole)}; it costs "
            f"{pair(results, parts, whole, 'seconds_per_step').times} the seconds per step and "
            f"{pair(results, parts, whole, 'training_memory_bytes').times} the training memory."
            f"{_provisos(results, parts, whole)}"
        )
        findings.append(Finding(_verdict(same), text))
    return _together(findings, "Accumulate and MiniBatch of bench_strategies.py")


def _loss_gap(results: Results, a: Cell, b: Cell) -> str:
    """Return how far the training losses of the two are apart at steps that both recorded in a block."""
    trials = results.trials[results.trials["comparison"] == a["comparison"]]
    curves = results.curves.merge(trials[["trial", "cell", "seed", "block"]], on="trial")
    keys = ["seed", "block", "step"]
    loss_a, loss_b = (curves[curves["cell"] == cell["cell"]].set_index(keys)["loss"] for cell in (a, b))
    gap = (loss_a - loss_b).abs().dropna()
    if gap.empty:
        return ""
    return f"; their training losses differ by {number(float(gap.max()))} at most over {len(gap):,} common steps"


def _larger_batches_vary_less(results: Results) -> Judged:
    findings, seen = [], set()
    for records in noise_cells(results).values():
        first = records[0]
        if first.workload in seen or optimizer_of(first) != "Sgd":
            continue  # strategies that make the same steps say the same; only Sgd's updates are in proportion
        seen.add(first.workload)
        found = median_interval([variance_exponent(record) for record in records], positive=False)
        less = True if found.high < 0 else False if found.low > 0 else None
        sizes = first.noise["batch_sizes"][0]
        law = "" if less is None else ", which is 1/B" if found.low <= -1 <= found.high else ", which is not 1/B"
        findings.append(
            Finding(
                _verdict(less),
                f"On {first.workload} at weights along the run, the variance of the gradient over batches of "
                f"{number_of(min(sizes))} to {number_of(max(sizes))} samples, and so of SGD's updates at one rate, "
                f"goes as the batch size to the power of "
                f"{with_interval(found.median, found.low, found.high, found.n)}{law} (n={found.n}; what batches lack "
                "by being drawn without replacement is divided out).",
            )
        )
    return _together(findings, "bench_noise_scale.py")


def _rate_should_grow(results: Results) -> Judged:
    findings = []
    for sweep in batch_size_sweep.sweeps(results):
        power, where = batch_size_sweep.exponent(sweep), f"On {sweep.workload} ({sweep.trainer})"
        if power.reason:
            findings.append(Finding(None, f"{where} no exponent is known: {power.reason}."))
            continue
        rules = [name for name, rule in (("linear", 1.0), ("root", 0.5)) if power.low <= rule <= power.high]
        fits = f"the {listed(rules, 'or')} rule fits" if rules else "neither rule fits"
        grown = f"{number(power.value)} [{number(power.low)}, {number(power.high)}]"
        ended = power.ends < power.batch_sizes[-1]
        end = f"and no more from B={number_of(power.ends)} on" if ended else "and no end of it was seen"
        text = f"{where} the best rate grows as the batch size to the power of {grown}: {fits}, {end}."
        if power.high < 0.5 or power.low > 1:
            findings.append(Finding("fails", text))
        elif power.low <= 0:
            findings.append(Finding(None, text))
        elif ended or not rules:
            findings.append(Finding("depends", f"It depends on the batch size. {text}" if ended else text))
        else:
            findings.append(Finding("holds", text))
    return _together(findings, batch_size_sweep.BENCHMARK)


def _large_batches_generalize_worse(results: Results) -> Judged:
    needs = (
        "final scores over batch size, each tuned, in trials that do not stop at the target, once at equal steps and "
        "once at equal samples: the two can contradict each other"
    )
    seen = []
    for sweep in batch_size_sweep.sweeps(results):
        reached = [cell for cell in sweep.cells if cell["n_reached"] == cell["n"]]
        if reached and all(
            record.stop_at_target for record in results.records if record.comparison == batch_size_sweep.COMPARISON
        ):
            seen.append(
                f"On {sweep.workload} ({sweep.trainer}) every batch size from {number_of(reached[0]['batch_size'])} to "
                f"{number_of(reached[-1]['batch_size'])} that reached the target in every trial got as far as that "
                f"({len(reached)} of {len(sweep.cells)} did); what lies beyond it was not trained for."
            )
    return "not measured here", " ".join([f"It needs {needs}.", *seen])


# The claims that need a benchmark which does not exist yet


def _none_yet(needs: str) -> Judge:
    why = f"No benchmark measures this yet: it needs {needs}."

    def judged(results: Results) -> Judged:
        return "not measured here", why

    return judged


CLAIMS: tuple[tuple[str, Judge], ...] = (
    (
        "Full-batch training is the faster way, since it uses the parallel hardware best",
        _full_batch_is_faster,
    ),
    ("Online training is slower", _online_is_slower),
    ("Online training needs little memory, whatever the size of the data", _online_needs_little_memory),
    (
        "Online training follows changing data, batch training cannot",
        _none_yet("data that drift, scored before they are learned from, against retraining"),
    ),
    ("Mini-batches save computation and memory against full batch", _mini_batches_save),
    (
        "Larger batches reduce the variance of the updates",
        _larger_batches_vary_less,
    ),
    (
        "The learning rate should grow with the batch size (linearly; as the square root)",
        _rate_should_grow,
    ),
    (
        "Decaying the learning rate trains better than a fixed one",
        lambda results: _over(
            [Point(*point) for point in optimizer_claims.decay(results)],
            "the schedule",
            optimizer_claims.DECAY_MEASURE,
            "Sgd with and without a schedule in bench_optimizers.py",
        ),
    ),
    (
        "Adaptive methods (Adagrad, Adadelta, Adam) train faster than plain SGD",
        lambda results: _over(
            [Point(*point) for point in optimizer_claims.adaptive(results)],
            "the method and on what is counted",
            optimizer_claims.adaptive_measure(results),
            "Sgd and an adaptive method in bench_optimizers.py",
        ),
    ),
    ("Mixed precision is faster", _amp_is_faster),
    ("Mixed precision saves memory", _amp_saves_memory),
    ("Mixed precision improves accuracy", _amp_improves_accuracy),
    ("More workers shorten training", _more_workers_are_faster),
    ("Synchronization is what costs", _none_yet("the share of a step spent waiting in collectives")),
    ("Gradient accumulation equals the large batch", _accumulation_equals_the_large_batch),
    ("Large batches generalize worse", _large_batches_generalize_worse),
    (
        "Regularization (L1, L2, dropout, early stopping, augmentation) prevents overfitting",
        lambda results: _over(
            [Point(*point) for point in regularization.points(results)],
            "the regularizer and on what is counted",
            regularization.MEASURE,
            "bench_regularization.py",
        ),
    ),
    ("Normalized inputs train better", _none_yet("samples to target with and without it, both tuned")),
    (
        "Compression (pruning, quantization, distillation) saves time and memory at little loss",
        _none_yet("bytes, samples per second and score before and after"),
    ),
)
