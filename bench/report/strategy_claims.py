"""What a run of ``bench_strategies.py`` says of the claims on full batch, online, mini-batch and accumulation."""

from collections.abc import Sequence
from dataclasses import replace

from paceline.bench.analysis.cells import Cell, strategy_pairs
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, pair
from paceline.bench.report import memory
from paceline.bench.report.judging import (
    Finding,
    Judged,
    Said,
    Verdict,
    over_workloads,
    provisos,
    takes_less,
    takes_more,
)
from paceline.bench.report.wording import listed, number, number_of, times

# Of what is claimed to be equal.
EQUAL: dict[str, Verdict] = {"equivalent": "holds", "undecided": "undecided"}


def full_batch_is_faster(results: Results) -> Judged:
    """Judge the claim by seconds to target, and say where throughput bears it out."""
    findings = []
    for workload, full, mini in strategy_pairs(results, "FullBatch", "MiniBatch"):
        rate, seconds = (pair(results, full, mini, metric) for metric in ("samples_per_second", "seconds_to_target"))
        text = (
            f"On {workload} full batch processes {times(rate)} the samples per second of mini-batch, and "
            f"takes {times(seconds)} its seconds to target.{provisos(results, full, mini)}"
        )
        findings.append(_by_target_or_by_rate(takes_less(seconds), takes_more(rate), text, workload))
    return over_workloads(findings, "FullBatch and MiniBatch of bench_strategies.py")


def online_is_slower(results: Results) -> Judged:
    """Judge the claim by seconds to target, and say where throughput bears it out."""
    findings = []
    for workload, online, mini in strategy_pairs(results, "Online", "MiniBatch"):
        rate, seconds = (pair(results, online, mini, metric) for metric in ("samples_per_second", "seconds_to_target"))
        samples = pair(results, online, mini, "samples_to_target")
        text = (
            f"On {workload} online training processes {times(rate)} the samples per second of mini-batch, "
            f"takes {times(seconds)} its seconds to target and {times(samples)} its samples."
            f"{provisos(results, online, mini)}"
        )
        findings.append(_by_target_or_by_rate(takes_more(seconds), takes_less(rate), text, workload))
    return over_workloads(findings, "Online and MiniBatch of bench_strategies.py")


def _by_target_or_by_rate(to_target: Said, in_rate: Said, text: str, where: str) -> Finding:
    """Return what time to target says of a claim of speed; it is all that counts, throughput is beside it."""
    beside = "It holds in throughput, which nobody trains for. "
    aside = beside if to_target.verdict in ("fails", "equivalent") and in_rate.verdict == "holds" else ""
    return Finding(to_target, f"{aside}{text}", where)


def online_needs_little_memory(results: Results) -> Judged:
    """Judge the claim by the memory that online training adds, against both other ways to train, and by its growth.

    That the need does not grow with the data is seen under a limit that these do not fit in (``bench_memory.py``).
    """
    others = {"FullBatch": "full batch", "MiniBatch": "mini-batch"}
    by_workload: dict[str, list[tuple[Cell, Cell, Pair]]] = {}
    for name in others:
        for workload, online, other in strategy_pairs(results, "Online", name):
            found = pair(results, online, other, "training_memory_bytes")
            by_workload.setdefault(workload, []).append((online, other, found))
    findings = []
    for workload, pairs in by_workload.items():
        ratios = listed(f"{times(found)} the memory that {others[other['trainer']]} adds" for _, other, found in pairs)
        online = pairs[0][0]
        text = f"On {workload} training online adds {ratios}.{provisos(results, online, *(p[1] for p in pairs))}"
        findings.append(Finding(_of_both([takes_less(found) for *_, found in pairs]), text, workload))
    flat = memory.flat_findings(results, "Online")
    verdict, why = over_workloads([*findings, *flat], "Online of bench_strategies.py and bench_memory.py")
    if bool(findings) != bool(flat):
        what = "how it grows with the data (bench_memory.py)" if findings else "what others add (bench_strategies.py)"
        why = f"Measured in part: not {what}. {why}"
    return verdict, why


def mini_batches_save(results: Results) -> Judged:
    """Judge the claim by samples to target, for computation, and by training memory."""
    findings = []
    for workload, mini, full in strategy_pairs(results, "MiniBatch", "FullBatch"):
        samples = pair(results, mini, full, "samples_to_target")
        memory = pair(results, mini, full, "training_memory_bytes")
        saved = {"computation": takes_less(samples), "memory": takes_less(memory)}
        text = (
            f"On {workload} mini-batch takes {times(samples)} the samples of full batch to the target, and "
            f"{times(memory)} its training memory.{provisos(results, mini, full)}"
        )
        verdict = _of_both(list(saved.values()))
        if verdict == "depends":
            which = next(name for name, one in saved.items() if one.verdict == "holds")
            text = f"It saves {which} only. {text}"
        findings.append(Finding(verdict, text, workload))
    return over_workloads(findings, "MiniBatch and FullBatch of bench_strategies.py")


def _of_both(said: Sequence[Said]) -> Said | Verdict:
    """Return what several comparisons say of a claim of all: the least certain, unless some hold and others fail."""
    kinds = {one.verdict for one in said}
    if "holds" in kinds and len(kinds) > 1 and "undecided" not in kinds:
        return "depends"
    order = ("undecided", "fails", "equivalent", "holds")
    return min(said, key=lambda one: order.index(one.verdict))


def accumulation_equals_the_large_batch(results: Results) -> Judged:
    """Judge the claim by samples to target at the same rate and batch size."""
    findings = []
    for workload, parts, whole in strategy_pairs(results, "Accumulate", "MiniBatch"):
        if (parts["batch_size"], parts["lr"]) != (whole["batch_size"], whole["lr"]):
            text = f"On {workload} the two ran at different rates or batch sizes: equality cannot be judged."
            findings.append(Finding(None, text, workload))
            continue
        samples = pair(results, parts, whole, "samples_to_target")
        same = replace(takes_less(samples), verdict=EQUAL.get(samples.verdict, "fails"))
        memory = takes_less(pair(results, parts, whole, "training_memory_bytes"))
        purpose = "" if memory.verdict == "holds" else " That it saves memory, its purpose, is not borne out here."
        text = (
            f"On {workload}, B={number_of(whole['batch_size'])} in parts of "
            f"{number_of(parts['micro_batch_size'])}, accumulation takes {times(samples)} the samples of the "
            f"undivided batch to the target{_loss_gap(results, parts, whole)}; it costs "
            f"{times(pair(results, parts, whole, 'seconds_per_step'))} the seconds per step and "
            f"{times(pair(results, parts, whole, 'training_memory_bytes'))} the training memory."
            f"{purpose}{provisos(results, parts, whole)}"
        )
        findings.append(Finding(same, text, workload))
    return over_workloads(findings, "Accumulate and MiniBatch of bench_strategies.py")


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
