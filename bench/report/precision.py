"""What the report shows of ``bench_precision.py``: mixed precision against float32."""

import pandas as pd

from paceline.bench.analysis.cells import Cell
from paceline.bench.analysis.families import together
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, pair, score_difference, speedup
from paceline.bench.analysis.precision import precision_pairs
from paceline.bench.analysis.scores import MARGIN_IN_WORDS, score_gap
from paceline.bench.analysis.statistics import MARGIN
from paceline.bench.report.choice import NOT_DECIDED, Decision, not_run
from paceline.bench.report.equivalence import no_equal, reservations
from paceline.bench.report.judging import Judged, Point, on_the_way, over_sweep, scores_better, takes_less, where
from paceline.bench.report.metrics import median_of, ratio_column
from paceline.bench.report.plots import precision as plots
from paceline.bench.report.wording import interval, listed, number_of, ratio, with_interval

PLOTS = {"precision": plots.precision}

BENCHMARK, FACTORS = "bench_precision.py", "the model's width and the batch size"


def table(results: Results) -> pd.DataFrame:
    """Return mixed precision against float32 over model and batch size."""
    rows = []
    for amp, full, gain in _speedups(results):
        rows.append(
            {
                "workload": amp["workload"],
                "parameters": number_of(amp["parameters"]),
                "batch size": number_of(amp["batch_size"]),
                f"{full['dtype']}, per step": median_of(full, "seconds_per_step"),
                f"{amp['dtype']}, per step": median_of(amp, "seconds_per_step"),
                "speed-up": ratio(gain),
                "verdict": gain.verdict,
                **ratio_column(pair(results, amp, full, "training_memory_bytes"), "training_memory_bytes"),
                "final score, better by": with_interval(*score_difference(results, amp, full)),
                "note": "; ".join(filter(None, [no_equal(results, amp), _turned(amp, full, gain)])),
            }
        )
    found = pd.DataFrame(rows)
    return found if any(row["note"] for row in rows) else found.drop(columns="note", errors="ignore")


def _turned(amp: Cell, full: Cell, gain: Pair) -> str:
    """Return that medians and speed-up point different ways, where they do; or ""."""
    by_medians, ratio_of_pairs = full["seconds_per_step"] / amp["seconds_per_step"], gain.comparison.ratio
    turned = (by_medians > 1) != (ratio_of_pairs > 1) and abs(by_medians / ratio_of_pairs - 1) > MARGIN
    return "the speed-up is taken within blocks: medians over different blocks point the other way" if turned else ""


def decisions(results: Results) -> list[Decision]:
    """Return where mixed precision is faster, in one row."""
    pairs = _speedups(results)
    if not pairs:
        return not_run("precision", BENCHMARK)
    groups: dict[str, list[str]] = {"faster": [], "slower": [], "equivalent": [], "undecided": []}
    for amp, _, found in pairs:
        groups[found.verdict].append(f"{amp['workload']} B={number_of(amp['batch_size'])} ({ratio(found)})")
    low = listed(dict.fromkeys(str(amp["dtype"]) for amp, _, _ in pairs if amp["dtype"]), "or") or "mixed precision"
    full_dtypes = listed(dict.fromkeys(str(full["dtype"]) for _, full, _ in pairs), "or")  # TF32 where a GPU made it so
    heads = {
        "faster": f"{low} is faster at",
        "slower": "slower at",
        "equivalent": "equivalent at",
        "undecided": "not resolved at",
    }
    why = "; ".join(f"{heads[verdict]} {', '.join(where)}" for verdict, where in groups.items() if where)
    why = f"Speed-up of {low} over {full_dtypes}, in throughput: {why}."
    if len(pairs) > 1:
        why += f" The {len(pairs)} verdicts are corrected together (Holm)."
    faster, resolved = len(groups["faster"]), len(pairs) - len(groups["undecided"])
    elsewhere = f"{full_dtypes} or not resolved" if groups["undecided"] else full_dtypes
    if not resolved:
        choice = NOT_DECIDED
    elif not faster:
        choice = full_dtypes if resolved == len(pairs) else f"{full_dtypes} where it is resolved"
    elif faster == len(pairs):
        choice = low
    else:
        choice = f"{low} at {listed(where.split(' (')[0] for where in groups['faster'])}; elsewhere {elsewhere}"
    return [Decision("precision", choice, f"{reservations(results, *(amp for amp, _, _ in pairs))} {why}".strip())]


def _speedups(results: Results) -> list[tuple[Cell, Cell, Pair]]:
    """Return (autocast, float32, speed-up), with the verdicts that stand among all of them."""
    pairs = precision_pairs(results)
    gains = together([speedup(results, amp, full) for amp, full in pairs])
    return [(amp, full, gain) for (amp, full), gain in zip(pairs, gains, strict=True)]


def amp_is_faster(results: Results) -> Judged:
    """Judge the claim in throughput, model by model and batch by batch."""
    points = []
    for amp, full in precision_pairs(results):
        gain = speedup(results, amp, full)
        points.append(Point(where(amp), takes_less(gain), ratio(gain)))
    measure = "Speed-up of mixed precision over float32, in throughput"
    return over_sweep(points, FACTORS, measure, BENCHMARK, _beware_of_amp(results))


def amp_saves_memory(results: Results) -> Judged:
    """Judge the claim by the memory that training added."""
    points = []
    for amp, full in precision_pairs(results):
        memory = pair(results, amp, full, "training_memory_bytes")
        points.append(Point(where(amp), takes_less(memory), ratio(memory)))
    measure = "Ratios of training memory, mixed precision to float32"
    return over_sweep(points, FACTORS, measure, BENCHMARK, _beware_of_amp(results))


def amp_improves_accuracy(results: Results) -> Judged:
    """Judge the claim by the final score after equally many steps."""
    points = []
    for amp, full in precision_pairs(results):
        found = score_gap(results, amp, full)
        points.append(Point(where(amp), scores_better(found), f"{interval(found.interval)}{on_the_way(found)}"))
    measure = (
        "Differences in final score after equally many steps, positive where mixed precision is better; one "
        f"{MARGIN_IN_WORDS}"
    )
    return over_sweep(points, FACTORS, measure, BENCHMARK, _beware_of_amp(results))


def _beware_of_amp(results: Results) -> str:
    return reservations(results, *(amp for amp, _ in precision_pairs(results)))
