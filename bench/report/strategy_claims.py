"""What a run of ``bench_strategies.py`` says of the claims on full batch, online, mini-batch and accumulation."""

from paceline.bench.analysis.cells import Cell, strategy_pairs
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import pair
from paceline.bench.report.judging import (
    Finding,
    Judged,
    as_verdict,
    over_workloads,
    provisos,
    takes_less,
    takes_more,
)
from paceline.bench.report.wording import number, number_of, times


def full_batch_is_faster(results: Results) -> Judged:
    """Judge the claim by seconds to target; it depends where only throughput bears it out."""
    findings = []
    for workload, full, mini in strategy_pairs(results, "FullBatch", "MiniBatch"):
        rate, seconds = (pair(results, full, mini, metric) for metric in ("samples_per_second", "seconds_to_target"))
        text = (
            f"On {workload} full batch processes {times(rate)} the samples per second of mini-batch, and "
            f"takes {times(seconds)} its seconds to target.{provisos(results, full, mini)}"
        )
        findings.append(_by_target_or_by_rate(takes_less(seconds), takes_more(rate), text))
    return over_workloads(findings, "FullBatch and MiniBatch of bench_strategies.py")


def online_is_slower(results: Results) -> Judged:
    """Judge the claim by seconds to target; it depends where only throughput bears it out."""
    findings = []
    for workload, online, mini in strategy_pairs(results, "Online", "MiniBatch"):
        rate, seconds = (pair(results, online, mini, metric) for metric in ("samples_per_second", "seconds_to_target"))
        samples = pair(results, online, mini, "samples_to_target")
        text = (
            f"On {workload} online training processes {times(rate)} the samples per second of mini-batch, "
            f"takes {times(seconds)} its seconds to target and {times(samples)} its samples."
            f"{provisos(results, online, mini)}"
        )
        findings.append(_by_target_or_by_rate(takes_more(seconds), takes_less(rate), text))
    return over_workloads(findings, "Online and MiniBatch of bench_strategies.py")


def _by_target_or_by_rate(to_target: bool | None, in_rate: bool | None, text: str) -> Finding:
    """Return what time to target says of a claim of speed; it depends where throughput alone bears the claim out."""
    if to_target is False and in_rate:
        return Finding("depends", f"It depends on what is counted. {text}")
    return Finding(as_verdict(to_target), text)


def online_needs_little_memory(results: Results) -> Judged:
    """Judge nothing: say what it would take, and what online training added here."""
    missing = "no benchmark varies the size of the data, or streams them, yet."
    seen = [
        f"On {workload} training online adds "
        f"{times(pair(results, online, full, 'training_memory_bytes'))} the memory that full batch adds."
        f"{provisos(results, online, full)}"
        for workload, online, full in strategy_pairs(results, "Online", "FullBatch")
    ]
    return "not measured here", " ".join([f"Measured in part at most: {missing}", *seen])


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
        if set(saved.values()) == {True, False}:
            which = next(name for name, less in saved.items() if less)
            findings.append(Finding("depends", f"It saves {which} only. {text}"))
        else:
            both = None if None in saved.values() else all(saved.values())
            findings.append(Finding(as_verdict(both), text))
    return over_workloads(findings, "MiniBatch and FullBatch of bench_strategies.py")


def accumulation_equals_the_large_batch(results: Results) -> Judged:
    """Judge the claim by samples to target at the same rate and batch size."""
    findings = []
    for workload, parts, whole in strategy_pairs(results, "Accumulate", "MiniBatch"):
        if (parts["batch_size"], parts["lr"]) != (whole["batch_size"], whole["lr"]):
            text = f"On {workload} the two ran at different rates or batch sizes: equality cannot be judged."
            findings.append(Finding(None, text))
            continue
        samples = pair(results, parts, whole, "samples_to_target")
        same = True if samples.verdict == "equivalent" else None if samples.verdict == "undecided" else False
        text = (
            f"On {workload}, B={number_of(whole['batch_size'])} in parts of "
            f"{number_of(parts['micro_batch_size'])}, accumulation takes {times(samples)} the samples of the "
            f"undivided batch to the target{_loss_gap(results, parts, whole)}; it costs "
            f"{times(pair(results, parts, whole, 'seconds_per_step'))} the seconds per step and "
            f"{times(pair(results, parts, whole, 'training_memory_bytes'))} the training memory."
            f"{provisos(results, parts, whole)}"
        )
        findings.append(Finding(as_verdict(same), text))
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
