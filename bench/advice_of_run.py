"""What a run of trials comes to: the advice, as of now."""

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from paceline.bench.advised_run import SEARCH, AdvisedRun, Candidate, alike, mean_steps
from paceline.bench.analysis import step_times
from paceline.bench.analysis.advice import Advice, Configuration, Prediction, Quantity, Rival, Standing, Tried, quantity
from paceline.bench.analysis.advising import seconds_of
from paceline.bench.analysis.statistics import ERROR, Comparison, median_interval
from paceline.bench.analysis.step_times import line_of
from paceline.bench.analysis.verification import FEWEST, Verified, blocks_wanted, expected_loss
from paceline.bench.harness.as_python import as_python, imports_of
from paceline.bench.harness.rate_search import rate_of
from paceline.bench.records import quantities
from paceline.bench.records.contamination import contaminated
from paceline.bench.records.files import write_whole
from paceline.bench.records.metrics import METRICS
from paceline.bench.records.record import Record
from paceline.trainers import Trainer

# Rates are as good where they took up to so many times the steps of the best.
AS_GOOD = 1.1

FILE, VARIABLE = "advice.py", "ADVISED"


def advice_of(run: AdvisedRun) -> Advice:
    """Return what ``run`` has found so far, and keep it in the run's folder, as ``advice.json`` and ``advice.py``."""
    candidates = run.candidates()
    found = run.verified(candidates) if candidates else Verified("", {}, {}, 0)
    chosen, standing, reason = _chosen(run, candidates, found)
    advice = _nothing(run, reason)
    if chosen is not None:
        advice = replace(_advice(run, candidates, found, chosen), standing=standing, reason=reason)
    folder = run.trials.folder.path
    write_whole(folder / "advice.json", advice.json)
    if chosen is not None:
        write_whole(folder / FILE, _as_file(advice, chosen.trainer))
    return advice


def _chosen(
    run: AdvisedRun, candidates: Sequence[Candidate], found: Verified
) -> tuple[Candidate | None, Standing, str]:
    if not candidates:
        return None, "not known", _why_none(run)
    barred = run.barred(candidates)
    left = [one for one in candidates if one.name not in barred]
    if not left:
        return None, "not known", "on fresh seeds, all that the search had found took more memory than they may"
    if found.blocks == 0:
        return left[0], "not verified", "one search, and no time to verify what it found on other seeds"
    seeds = f"{found.blocks} fresh seed{'s' if found.blocks > 1 else ''}"
    if not found.winner:
        if found.blocks < FEWEST:
            return left[0], "not verified", f"the search reached it, {seeds} did not: too few to judge by"
        return None, "not known", f"on {seeds}, what the search had found ended without the target"
    winner = next(one for one in candidates if one.name == found.winner)
    if not found.others:
        alone = "nothing else that was run reached the target, so that it was compared with nothing"
        return winner, "not verified", f"{seeds}; {alone}"
    if found.blocks < FEWEST:
        return winner, "not verified", f"{seeds}, too few for an interval"
    if found.decided:
        return winner, "any of these" if found.tied else "decided", seeds
    return winner, "not decided", seeds


def _why_none(run: AdvisedRun) -> str:
    asked, searched = run.asked, run.trials.of(SEARCH)
    if not searched:
        return "no run of the search has ended yet"
    target = f"the target {asked.workload.target:g}"
    within = f" within {asked.deadline:g} s" if asked.deadline is not None else ""
    once = ", each sample looked at once" if asked.once else ""
    runs = f"none of {len(searched)} runs of the search" if len(searched) > 1 else "the one run of the search never"
    nearest = run.nearest()
    if nearest is None:
        return f"{runs} reached {target}{within}{once}: {searched[-1].reason}"
    score = quantities.last_known(nearest, "score")
    size, lr = int(quantities.batch_size(nearest)), quantities.learning_rate(nearest)
    more = "; it ended with the time, so that more --minutes may get there" if nearest.cut_short else ""
    return (
        f"{runs} reached {target}{within}{once}; nearest came {score:.4g}, at {size:,} samples a step and a rate of "
        f"{lr:g}{more}"
    )


def _advice(run: AdvisedRun, candidates: Sequence[Candidate], found: Verified, chosen: Candidate) -> Advice:
    """Return the advice to take ``chosen``, standing and reason left open."""
    places = [tried for tried in _tried(run) if tried.reached and tried.batch_size == chosen.batch_size]
    good = [tried.lr for tried in places if tried.steps <= AS_GOOD * min(one.steps for one in places)]
    barred = run.barred(candidates)
    others = [one for one in candidates if one.name in found.others]
    return replace(
        _nothing(run, ""),
        configuration=configuration(run, chosen),
        rates=(min(*good, chosen.lr), max(*good, chosen.lr)) if len(good) > 1 else None,
        python=as_python(chosen.trainer),
        command=_command(run, chosen),
        prediction=_prediction(run.records_of(chosen)[: found.blocks] if found.winner else _of_search(run, chosen)),
        rivals=tuple(_rival(run, one, found, one.name not in barred) for one in others),
        step=line_of(run.timings.times, chosen.way.label),
        steps_timed=_steps_timed(run, chosen.way.label),
        cell=chosen.name if found.winner else f"B{chosen.batch_size}-lr{chosen.lr:g}",
    )


def _nothing(run: AdvisedRun, reason: str) -> Advice:
    asked = run.asked
    return Advice(
        workload=asked.workload.name,
        target=asked.workload.target,
        standing="not known",
        reason=reason,
        configuration=None,
        rates=None,
        python="",
        command="",
        resume=resume(run),
        prediction=None,
        rivals=(),
        step=None,
        steps_timed=(),
        tried=_tried(run),
        not_tried=_not_tried(run),
        constraints=_constraints(run),
        price=_price(run),
        disturbed=sum(map(contaminated, run.trials.all())),
        minutes=run.trials.budget.spent() / 60,
        trials=_counts(run),
        folder=str(run.trials.folder.path),
    )


def configuration(run: AdvisedRun, one: Candidate) -> Configuration:
    """Return a candidate in plain values."""
    optimizer = getattr(one.trainer, "optimizer")  # noqa: B009  # a field of every trainer that is advised
    return Configuration(
        strategy=type(one.trainer).__name__,
        batch_size=one.batch_size,
        micro_batch_size=one.way.micro_batch_size,
        optimizer=as_python(optimizer),
        lr=rate_of(one.trainer),
        schedule=as_python(getattr(optimizer, "schedule", None)),
        precision=one.way.precision,
        compiled=one.way.compiled,
        ranks=one.way.ranks,
        threads=one.way.threads,
        workers=one.way.workers,
        device=run.asked.device,
    )


def _rival(run: AdvisedRun, one: Candidate, found: Verified, fits: bool) -> Rival:
    pair = found.others[one.name]
    loss, more = expected_loss(pair), pair.verdict == "undecided" and one.name in found.running
    return Rival(
        name="the default" if alike(one.trial, run.asked.default) else "the next best",
        configuration=configuration(run, one),
        python=as_python(one.trainer),
        ratio=_ratio(pair),
        verdict=pair.verdict,
        expected_loss=loss if math.isfinite(loss) else None,
        more_minutes=_more_minutes(run, pair, found) if more else None,
        reached=found.reached[one.name],
        fits=fits,
        cell=one.name,
    )


def _ratio(pair: Comparison) -> Quantity:
    if math.isnan(pair.ratio):
        return Quantity(None, reason="no seed on which both are known")
    low, high = (float(end) if math.isfinite(end) and end > 0 else None for end in (pair.low, pair.high))
    return Quantity(float(pair.ratio), low, high, pair.n)


def _more_minutes(run: AdvisedRun, pair: Comparison, found: Verified) -> float | None:
    blocks = blocks_wanted(pair, ERROR / math.comb(len(found.others) + 1, 2))
    seconds = sum(run.expected_seconds(one) for one in run.candidates() if one.name in found.running)
    return max(1.0, blocks * seconds / 60) if math.isfinite(blocks) else None


def _steps_timed(run: AdvisedRun, label: str) -> tuple[tuple[int, float], ...]:
    times = run.timings.times
    return tuple(sorted((size, one.seconds) for (of, size), one in times.items() if of == label and one.seconds > 0))


def _prediction(records: Sequence[Record]) -> Prediction:
    def over_seeds(name: str, reason: str) -> Quantity:
        values = [METRICS[name].value(record) for record in records]
        missed = [record.status != "reached" for record in records]
        if name.endswith("_to_target"):
            values = [math.inf if late else value for late, value in zip(missed, values, strict=True)]
        return quantity(median_interval(values, seeds=[record.seed for record in records]), reason)

    memory = [step_times.memory_bytes(record) for record in records]
    why_no_memory = "the system does not tell it"
    why = next((record.unmeasured["energy_joules"] for record in records if "energy_joules" in record.unmeasured), "")
    return Prediction(
        seconds=over_seeds("seconds_to_target", "half of the runs missed the target"),
        steps=over_seeds("steps_to_target", "half of the runs missed the target"),
        samples=over_seeds("samples_to_target", "half of the runs missed the target"),
        memory_bytes=quantity(median_interval(memory, seeds=[record.seed for record in records]), why_no_memory),
        energy_joules=over_seeds("energy_joules", why or "no counter of energy could be read"),
        compile_seconds=max(map(step_times.compile_seconds, records), default=0.0),
        reached=sum(record.status == "reached" for record in records) / max(1, len(records)),
    )


def _of_search(run: AdvisedRun, chosen: Candidate) -> list[Record]:
    """Return the search's runs at the place of ``chosen``; one that the end of the time cut short tells nothing."""
    return [
        record
        for record in run.trials.of(SEARCH)
        if quantities.learning_rate(record) == chosen.lr and quantities.batch_size(record) == chosen.batch_size
        if record.status == "reached" or not record.cut_short
    ]


def _tried(run: AdvisedRun) -> tuple[Tried, ...]:
    if not run.trials.of(SEARCH):
        return ()
    space = run.space()
    seen = run.seen(space)
    means = mean_steps(seen)
    found = {}
    for outcome in seen:
        place = outcome.batch_size, outcome.lr
        steps = means.get(place, outcome.steps)
        found[place] = Tried(*place, steps, place in means, steps * seconds_of(space, outcome._replace(steps=1.0)))
    return tuple(found[place] for place in sorted(found))


# In words


def _price(run: AdvisedRun) -> str:
    return "device-seconds" if run.asked.device_seconds else "seconds"


def _counts(run: AdvisedRun) -> dict[str, int]:
    counts = Counter(record.comparison.removeprefix("advise-") for record in run.trials.all())
    return {name: counts[name] for name in ("timing", "search", "verify")}


def _constraints(run: AdvisedRun) -> tuple[str, ...]:
    asked = run.asked
    found = []
    if asked.memory_bytes is not None:
        found.append(f"at most {asked.memory_bytes / 1e6:,.0f} MB of memory, all processes together")
    if asked.stream:
        found.append("each sample is looked at once")
    if asked.deadline is not None:
        found.append(f"at most {asked.deadline:g} s of training")
    if asked.device_seconds:
        found.append(f"the least {'GPU' if asked.device == 'cuda' else 'core'}-seconds, in place of seconds")
    return tuple(found)


def _not_tried(run: AdvisedRun) -> tuple[str, ...]:
    asked = run.asked
    optimizer = type(asked.optimizer).__name__
    found = [f"other optimizers than {optimizer} (--optimizer), other settings of it than its rate, and schedules"]
    compiled = run.timings.why_not_compiled()
    if compiled:
        found.append(f"a compiled model: {compiled}")
    smallest, largest = run.timings.sizes[0], run.timings.sizes[-1]
    found.append(f"batch sizes below {smallest:,} and above {largest:,}")
    missing = [label for label in run.timings.ways if label not in {of for of, _ in run.timings.times}]
    if missing:
        found.append(f"steps made as {', '.join(missing)}: no time, or too few samples")
    return tuple(found)


def _command(run: AdvisedRun, chosen: Candidate) -> str:
    asked, way = run.asked, chosen.way
    trainer = f"{run.trials.folder.path / FILE}:{VARIABLE}"
    words = ["paceline", "run", "strategies", "--workload", asked.reference, "--trainer", trainer]
    words += ["--ranks", str(way.ranks)] if way.ranks > 1 else []
    words += ["--cores", str(way.ranks * way.threads)] if way.ranks * way.threads != asked.cores else []
    return shlex.join([*words, *_where(run)])


def resume(run: AdvisedRun) -> str:
    """Return the command that goes on with ``run``, the limits it was given included."""
    asked = run.asked
    words = ["paceline", "advise", "--workload", asked.reference, "--minutes", f"{asked.seconds / 60:g}"]
    words += ["--memory", f"{asked.memory_bytes / 1e6:g}MB"] if asked.memory_bytes is not None else []
    words += ["--stream"] if asked.stream else []
    words += ["--deadline", f"{asked.deadline:g}"] if asked.deadline is not None else []
    words += ["--device-seconds"] if asked.device_seconds else []
    words += ["--optimizer", asked.optimizer_as_given] if asked.optimizer_as_given else []
    results = str(run.trials.folder.path.parent)
    words += ["--results", results] if results != "results" else []
    return shlex.join([*words, *_where(run), "--resume"])


def _where(run: AdvisedRun) -> list[str]:
    return [] if run.asked.device_as_given == "auto" else ["--device", run.asked.device_as_given]


def _as_file(advice: Advice, trainer: Trainer) -> str:
    lines = [
        f'"""What `paceline advise` found for the workload {advice.workload!r}; measure it with',
        "",
        f"    {advice.command}",
        '"""',
        "",
        *imports_of(trainer),
        "",
        f"{VARIABLE} = {advice.python}",
    ]
    return "\n".join(lines) + "\n"
