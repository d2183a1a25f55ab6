"""The run behind an advice: steps are timed, batch size and rate searched, the best verified on fresh seeds.

Seconds to target = steps to target (batch size, rate) x seconds per step (batch size, ways to make a step). The second
factor takes no training to the end, so that all of it is timed; an advisor asks for runs of the first only. What is
said in the end rests on neither, but on trials of other seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from paceline.bench.advised_timings import TIMING, Asked, StepTimings
from paceline.bench.analysis.advising import Advisor, Ask, Outcome, Space, seconds_of
from paceline.bench.analysis.step_times import memory_bytes
from paceline.bench.analysis.verification import FEWEST, Verified, verified
from paceline.bench.harness.advised_trials import AdvisedTrials
from paceline.bench.harness.comparison import schedule
from paceline.bench.harness.learning_rates import FIRST_SEED
from paceline.bench.harness.rate_search import rate_of
from paceline.bench.harness.trial import Trial
from paceline.bench.harness.ways import Way, between
from paceline.bench.records import quantities
from paceline.bench.records.record import WITH_RESULT, Record
from paceline.trainers import Trainer

SEARCH, VERIFY = "advise-search", "advise-verify"

# By which share of the run's time the search is to end; later while there is nothing to compare what it found with.
SEARCHED_BY, SEARCHED_ALONE_BY = 0.6, 0.8

# Of the time left to the search, what part a run may take before any has reached the target.
FIRST_RUNS = 8

# Of no search, here or of ``paceline tune``, nor of a benchmark: what was chosen is not judged on what chose it.
VERIFY_SEED = 5000

# A verified trial is given up at so many times the seconds that the best is expected to take.
GIVEN_UP = 5.0

# Whether they are decided is looked at after so many times the blocks of the last look: ever more would change less.
LOOKS = 1.1

# Seeds of a candidate that is alone: more would decide nothing.
SEEDS_ALONE = 10

DEFAULT = "default"


@dataclass(frozen=True)
class Candidate:
    """A configuration to be verified.

    Attributes:
        trial: that trains with it, seed and budget apart.
        batch_size, lr: its batch size and rate.
        way: to make its steps.
        steps: to the target, by the search; NaN of the user's default.
        name: of its cell.
    """

    trial: Trial
    batch_size: int
    lr: float
    way: Way
    steps: float
    name: str

    @property
    def trainer(self) -> Trainer:
        """Its strategy."""
        return self.trial.trainer


class AdvisedRun:
    """Times, searches and verifies; at any time it tells what it has found. All of its state is in the trials."""

    def __init__(self, asked: Asked, trials: AdvisedTrials, advisor: Advisor) -> None:
        """Begin with what ``trials`` has."""
        self.asked, self.trials, self.advisor = asked, trials, advisor
        self.timings = StepTimings(asked, trials)

    # Search

    @cached_property
    def rates(self) -> tuple[float, ...]:
        """The rates that may be asked for: a root of 2 apart, from 64 times below to 64 times above the first."""
        return tuple(float(f"{self.asked.first[1] * 2 ** (k / 2):.3g}") for k in range(-12, 13))

    def space(self) -> Space:
        """Return where a configuration may lie, by what was timed.

        Raises:
            ValueError: if no way to make a step keeps to the limits; one line.
        """
        found = {}
        for size in between(self.timings.sizes, None if self.asked.once else self.asked.samples):
            way = self.timings.way_at(size)
            if way is not None:
                found[size] = self.timings.price(way.label, size)
        if not found:
            raise ValueError(self._nothing_fits())
        return Space(tuple(found), self.rates, found, self.asked.first)

    def _nothing_fits(self) -> str:
        least = min((one.memory_bytes for one in self.timings.times.values() if one.memory_bytes > 0), default=math.nan)
        if self.asked.memory_bytes is not None and math.isfinite(least):
            return (
                f"--memory: no way to make a step takes less than {least / 1e6:,.0f} MB, of "
                f"{self.asked.memory_bytes / 1e6:,.0f} MB allowed; allow more"
            )
        reasons = {record.reason for record in self.trials.of(TIMING) if not record.curve["step"]}
        return f"no step of {self.asked.workload.name!r} could be timed: {'; '.join(sorted(reasons)) or 'no time'}"

    def seen(self, space: Space) -> list[Outcome]:
        """Return how the runs of the search went, oldest first."""
        found = [_outcome(record) for record in self.trials.of(SEARCH)]
        return [outcome for outcome in found if outcome.batch_size in space.batch_sizes]

    def search(self) -> None:
        """Run what the advisor asks for, until it has seen enough or the search's time is over."""
        space, launch = self.space(), self.trials.budget.pace.launch
        while (now := self.trials.budget.spent()) + launch() < (ends := self._search_ends()):
            ask = self.advisor.next(space, self.seen(space))
            if ask is None:
                break
            # Until one has reached the target none may take all: at a rate without hope it would never end.
            first = now + launch() + max((ends - now) / FIRST_RUNS, launch())
            if not self._search(ask, ends if self._reached() else min(first, ends)):
                break  # no limit allows for more of what it asks for
        if not self._reached():
            self._insist(space)

    def _search_ends(self) -> float:
        return self.trials.ends(SEARCHED_ALONE_BY if len(self.candidates()) == 1 else SEARCHED_BY)

    def _reached(self) -> list[Record]:
        return [record for record in self.trials.of(SEARCH) if record.status == "reached"]

    def _insist(self, space: Space) -> None:
        """Have the most promising run, where none reached the target, take what is left of the time."""
        best = self._most_promising()
        outcome = self.advisor.next(space, []) if best is None else _outcome(best)
        if outcome is not None and self.trials.budget.left() > self.trials.budget.pace.launch():
            self._search(Ask(outcome.batch_size, outcome.lr, seed=outcome.seed), self.trials.budget.total)

    def _most_promising(self) -> Record | None:
        """Return the run of the best score after as many steps as each has made, the first of those alike.

        Not by its last score: where others keep the cores busy, one run may have made a step and another a thousand.
        """
        going = [r for r in self.trials.of(SEARCH) if r.curve["step"] and not _outcome(r).ended]
        common = min((r.curve["step"][-1] for r in going), default=0)
        sign = 1 if self.asked.workload.higher_is_better else -1

        def score(record: Record) -> float:
            points = zip(record.curve["step"], record.curve["score"], strict=True)
            scores = [sign * score for step, score in points if step <= common and score is not None]
            return scores[-1] if scores else -math.inf

        return max(going, key=score, default=self.nearest())

    def nearest(self) -> Record | None:
        """Return the run of the search whose last score was the best; None where none was scored."""
        sign = 1 if self.asked.workload.higher_is_better else -1
        scored = [(quantities.last_known(record, "score"), record) for record in self.trials.of(SEARCH)]
        known = [(sign * score, record) for score, record in scored if not math.isnan(score)]
        return max(known, key=lambda each: each[0])[1] if known else None

    def _search(self, ask: Ask, ends: float) -> bool:
        """Run what is asked for; return whether that told more than was known."""
        before = self.trials.held(SEARCH, _cell(ask), ask.seed)
        left = ends - self.trials.budget.spent()
        if before is not None and quantities.train_seconds(before) >= left:  # it would not get as far as it did
            return False
        return self.trials.run(self._search_trial(ask), SEARCH, _cell(ask), ask.seed, ends) is not before

    def _search_trial(self, ask: Ask) -> Trial:
        way = self.timings.fastest_at(ask.batch_size)
        assert way is not None, "an advisor asks for what is in the space"
        caps = [ask.most_steps, self.asked.most_steps(ask.batch_size) or math.inf]
        steps = None if math.isinf(min(caps)) else max(1, math.ceil(min(caps)))
        trial = self.timings.trial(way, ask.batch_size, ask.lr)
        limit = self.asked.deadline or self.trials.budget.total
        return replace(trial, seed=FIRST_SEED + ask.seed, steps=steps, seconds=limit)

    # Verification

    def candidates(self) -> list[Candidate]:
        """Return the best two of the search, and the user's default; none where no run reached the target."""
        if not self.trials.of(SEARCH):
            return []
        space = self.space()
        seen = self.seen(space)
        choice = self.advisor.choice(space, seen)
        if choice is None:
            return []
        steps = mean_steps(seen)
        ranked = sorted(steps, key=lambda place: steps[place] * space.seconds_per_step[place[0]])
        # One that the advisor puts between those that ran: of the steps of the best that did.
        known = steps.get(choice) or min(steps.values())
        second = [(*place, steps[place]) for place in ranked if place != choice][:1]
        found = [self._candidate(*place) for place in [(*choice, known), *second]]
        default = self.default()
        same = any(alike(one.trial, default.trial) for one in found)
        return found if same else [*found, default]

    def default(self) -> Candidate:
        """Return what the user would have run."""
        trial = self.asked.default
        size = int(getattr(trial.trainer, "batch_size", 0))
        way = Way(trial.world_size, trial.threads_per_rank)
        return Candidate(trial, size, rate_of(trial.trainer), way, math.nan, DEFAULT)

    def _candidate(self, batch_size: int, lr: float, steps: float) -> Candidate:
        way = self.timings.way_at(batch_size, steps)
        assert way is not None, "a candidate ran"
        name = f"{way.label}-B{batch_size}-lr{lr:g}"
        return Candidate(self.timings.trial(way, batch_size, lr), batch_size, lr, way, steps, name)

    def verify(self) -> None:
        """Run the candidates in blocks on fresh seeds, until they are decided or the time is used up."""
        for candidate in self.candidates():
            if math.isfinite(candidate.steps):
                self.timings.compile_if_it_pays(candidate.batch_size, candidate.steps, candidate.way)
        candidates = running = self.candidates()
        block, look, most = 0, FEWEST, SEEDS_ALONE if len(candidates) == 1 else math.inf
        while running and block < most and self._has_time_for(running, block):
            if block >= look:
                found = self.verified(candidates)
                if found.decided:
                    return
                running, look = [one for one in candidates if one.name in found.running], math.ceil(LOOKS * (block + 1))
            named = {candidate.name: candidate for candidate in running}
            for _, position, name in schedule(VERIFY, named, [block]):
                trial = self._verify_trial(named[name], block)
                self.trials.run(trial, VERIFY, name, block, self.trials.budget.total, position)
            block += 1

    def _verify_trial(self, candidate: Candidate, block: int) -> Trial:
        limit = self.asked.deadline or max(1.0, GIVEN_UP * self._least_seconds())
        steps = self.asked.most_steps(candidate.batch_size)
        return replace(candidate.trial, seed=VERIFY_SEED + block, seconds=limit, steps=steps)

    def _least_seconds(self) -> float:
        """Return the seconds of the fastest run to the target: by what was timed, or as it was if that took longer."""
        space = self.space()
        timed = min(seconds_of(space, outcome) for outcome in self.seen(space) if outcome.reached)
        return max(timed, min(quantities.crossing(record).seconds for record in self._reached()))

    def _has_time_for(self, candidates: list[Candidate], block: int) -> bool:
        ahead = [one for one in candidates if (VERIFY, one.name, block) not in self.trials]
        return sum(map(self.expected_seconds, ahead)) <= self.trials.budget.left()

    def expected_seconds(self, candidate: Candidate) -> float:
        """Return what a verified trial is expected to take: as those before, else by the search."""
        pace = self.trials.budget.pace
        if self.records_of(candidate):
            return pace.known(VERIFY, candidate.name)
        return pace.launch() + self._least_seconds()

    def verified(self, candidates: Sequence[Candidate]) -> Verified:
        """Return what the blocks so far say."""
        records = {one.name: self.records_of(one) for one in candidates}
        weights = {one.name: self.timings.weight(one.way) for one in candidates}
        return verified(records, weights, self.barred(candidates))

    def barred(self, candidates: Sequence[Candidate]) -> list[str]:
        """Return the candidates that were seen to take more memory than they may."""
        limit = self.asked.memory_bytes
        if limit is None:
            return []
        return [one.name for one in candidates if any(memory_bytes(r) > limit for r in self.records_of(one))]

    def records_of(self, candidate: Candidate) -> list[Record]:
        """Return the verified trials of a candidate: one that the end of the time cut short tells nothing."""
        own = [record for record in self.trials.of(VERIFY) if record.cell == candidate.name]
        return [record for record in own if not record.cut_short or record.status == "reached"]


def _cell(ask: Ask) -> str:
    return f"B{ask.batch_size}-lr{ask.lr:g}"


def alike(one: Trial, other: Trial) -> bool:
    """Return whether two trials train alike, seed and budget apart."""
    return (one.trainer, one.world_size, one.threads_per_rank, one.workload.workers) == (
        other.trainer, other.world_size, other.threads_per_rank, other.workload.workers,
    )  # fmt: skip


def _outcome(record: Record) -> Outcome:
    size, lr = int(quantities.batch_size(record)), quantities.learning_rate(record)
    ended = record.status in ("diverged", "plateaued") or record.status not in WITH_RESULT
    return Outcome(size, lr, record.seed - FIRST_SEED, quantities.steps(record), record.status == "reached", ended)


def mean_steps(seen: list[Outcome]) -> dict[tuple[int, float], float]:
    """Return the mean steps at each batch size and rate that reached the target, at least those of runs given up."""
    runs: dict[tuple[int, float], list[Outcome]] = {}
    for outcome in seen:
        runs.setdefault((outcome.batch_size, outcome.lr), []).append(outcome)
    return {
        place: sum(o.steps for o in own) / len(own) for place, own in runs.items() if any(o.reached for o in own)
    }  # fmt: skip
