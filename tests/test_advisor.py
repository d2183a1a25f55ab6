"""`advise` on a simulated machine, whose best configuration is known; and once on a real one."""

import html
import math
import sys
from dataclasses import dataclass, replace

import pytest

from paceline.bench import advise
from paceline.bench.__main__ import main
from paceline.bench.advised_run import SEEDS_ALONE, VERIFY, AdvisedRun
from paceline.bench.advised_timings import TIMING, Asked
from paceline.bench.advisor import carry_out, start
from paceline.bench.analysis.advice import Advice
from paceline.bench.analysis.advising import Ask
from paceline.bench.analysis.card_of_run import cards
from paceline.bench.analysis.frames import load_results
from paceline.bench.analysis.quadratic_advisor import QuadraticAdvisor
from paceline.bench.analysis.step_times import Line
from paceline.bench.analysis.tried import everything_tried
from paceline.bench.harness.advised_trials import AdvisedTrials
from paceline.bench.harness.budget import Budget
from paceline.bench.harness.run_folder import RunFolder
from paceline.bench.harness.trial import Trial
from paceline.bench.report import card_page
from paceline.bench.report.advice_text import LINES, WIDTH, advice_text
from paceline.trainers import Accumulate, MiniBatch, Online, Sgd
from tests.simulated_machine import MB, SIMULATED, Machine, N, mini_batch

DEFAULT = Trial(SIMULATED, MiniBatch(Sgd(lr=0.1)), threads=2)


def asked(minutes=5.0, **limits):
    usual = Asked(SIMULATED, "mine.py:MINE", DEFAULT, Sgd(lr=0.1), N, 60 * minutes, (64, 0.1), cores=2)
    return replace(usual, **limits)


def a_run(folder, machine, minutes=5.0, advisor=None, **limits):
    folder.mkdir(exist_ok=True)
    if not (folder / "environment.json").exists():
        (folder / "environment.json").write_text("{}")
    trials = AdvisedTrials(RunFolder(folder), Budget(60 * minutes, clock=machine.clock), lambda line: None, machine.run)
    return AdvisedRun(asked(minutes, **limits), trials, advisor or QuadraticAdvisor())


def exhaustive(machine, trials):
    """Return the least seconds to target of all ``trials``, by the laws and not by what was run."""
    return min(machine.seconds_per_step(one) * machine.steps(machine.batch_size(one), rate(one)) for one in trials)


def rate(trial):
    return trial.trainer.optimizer.lr


def grid(machine, threads=(1, 2), sizes=(4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, N), trainer=None):
    rates = [0.1 * 2 ** (k / 2) for k in range(-12, 13)]
    return [mini_batch(size, lr, n) for size in sizes for lr in rates for n in threads]


def seconds_of(machine, advice):
    """Return what the advised configuration takes by the laws."""
    found = advice.configuration
    trial = mini_batch(found.batch_size, found.lr, found.ranks * found.threads)
    if found.micro_batch_size:
        trial = replace(trial, trainer=Accumulate(Sgd(found.lr), found.batch_size, found.micro_batch_size))
    return machine.seconds_per_step(trial) * machine.steps(found.batch_size, found.lr)


class TestTheKnownBest:
    @pytest.mark.parametrize(
        ("a", "b", "critical", "best_rate"),
        [(1e-3, 20e-6, 100, 0.4), (1e-4, 20e-6, 100, 0.1), (5e-3, 2e-6, 1000, 0.4), (1e-3, 20e-6, 10, 0.05)],
    )
    def test_is_found_within_5_percent(self, tmp_path, a, b, critical, best_rate):
        machine = Machine(a=a, b=b, critical=critical, best_rate=best_rate)
        advice = carry_out(a_run(tmp_path / "run", machine))
        assert seconds_of(machine, advice) <= 1.05 * exhaustive(machine, grid(machine))
        assert machine.now <= 300

    def test_and_bfloat16_where_it_is_faster(self, tmp_path):
        advice = carry_out(a_run(tmp_path / "run", Machine(amp=0.5)))
        assert (advice.configuration.strategy, advice.configuration.precision) == ("Amp", "bfloat16")

    def test_what_it_takes_is_that_of_fresh_seeds_and_not_of_the_search(self, tmp_path):
        machine = Machine(noise=0.3)
        advice = carry_out(a_run(tmp_path / "run", machine))
        seeds = {trial.seed for trial in machine.ran if trial.stop_at_target and trial.seed >= 5000}
        found = advice.configuration
        own = [mini_batch(found.batch_size, found.lr, found.threads, seed=seed) for seed in seeds]
        steps = sorted(machine.steps_of(trial) for trial in own)
        assert steps[0] <= advice.prediction.steps.value <= steps[-1]
        assert advice.prediction.steps.n == len(seeds) >= 4

    def test_the_regret_of_the_default_is_what_the_laws_say(self, tmp_path):
        machine = Machine(noise=0.05)
        advice = carry_out(a_run(tmp_path / "run", machine))
        (default,) = [rival for rival in advice.rivals if rival.name == "the default"]
        true = exhaustive(machine, [DEFAULT]) / seconds_of(machine, advice)
        assert default.verdict == "slower"
        assert default.ratio.low <= true <= default.ratio.high

    def test_the_other_machine_is_the_one_asked_for(self, tmp_path):
        advice = carry_out(a_run(tmp_path / "run", Machine()))
        assert advice.step.a == pytest.approx(1e-3, rel=0.01)
        steps = advice.prediction.steps.value
        assert advice.seconds(1.0, 0.5) == steps * (1 + 0.5 * advice.configuration.batch_size)
        assert advice.best_at(1.0, 0.0).batch_size > advice.best_at(0.0, 1.0).batch_size


class TestLimitsChangeTheAdvice:
    def test_memory_has_it_accumulate(self, tmp_path):
        """A step costs 5 ms, a pass within it a fiftieth: in pieces of 64, a large batch is as good as it was whole."""
        machine = Machine(a=5e-3, b=2e-6, critical=500, bytes_of_a_sample=MB, share_of_a_pass=0.02)
        free = carry_out(a_run(tmp_path / "free", machine))
        assert free.configuration.batch_size > 100
        assert free.prediction.memory_bytes.value > 300 * MB
        tight = carry_out(a_run(tmp_path / "tight", replace(machine, now=0.0, ran=[]), memory_bytes=300 * MB))
        assert tight.prediction.memory_bytes.value <= 300 * MB
        assert (tight.configuration.strategy, tight.configuration.micro_batch_size) == ("Accumulate", 64)
        whole = grid(machine, sizes=(4, 8, 16, 32, 64))
        pieces = [
            replace(one, trainer=Accumulate(one.trainer.optimizer, one.trainer.batch_size, 64))
            for one in grid(machine, sizes=(256, 512, 1024, 2048))
        ]
        assert seconds_of(machine, tight) <= 1.05 * exhaustive(machine, [*whole, *pieces])

    def test_a_memory_that_nothing_fits_is_said(self, tmp_path):
        with pytest.raises(ValueError, match="no way to make a step takes less than 200 MB, of 100 MB allowed"):
            carry_out(a_run(tmp_path / "run", Machine(), memory_bytes=100 * MB))

    def test_core_seconds_have_it_take_one_core(self, tmp_path):
        machine = Machine()
        advice = carry_out(a_run(tmp_path / "run", machine, device_seconds=True))
        assert (advice.configuration.ranks, advice.configuration.threads) == (1, 1)
        assert seconds_of(machine, advice) <= 1.05 * exhaustive(machine, grid(machine, threads=(1,)))

    def test_a_stream_is_looked_at_once(self, tmp_path):
        machine = Machine(least=10, critical=20)
        advice = carry_out(a_run(tmp_path / "run", machine, stream=True))
        found = advice.configuration
        assert found.strategy in ("MiniBatch", "Online")
        assert advice.prediction.samples.value <= N
        sizes = [size for size in (1, 2, 4, 8, 16) if size * machine.steps(size, 0.4 * math.sqrt(size / 64)) <= N]
        assert seconds_of(machine, advice) <= 1.05 * exhaustive(machine, grid(machine, sizes=sizes))
        most = [trial.steps for trial in machine.ran if isinstance(trial.trainer, Online)]
        assert all(steps <= N for steps in most)

    def test_a_deadline_with_core_seconds_is_kept(self, tmp_path):
        machine = Machine(second_core=0.4, b=1e-4)
        free = carry_out(a_run(tmp_path / "free", machine, device_seconds=True))
        assert free.configuration.threads == 1
        limits = {"device_seconds": True, "deadline": 0.9 * free.prediction.seconds.value}
        tight = carry_out(a_run(tmp_path / "tight", replace(machine, now=0.0, ran=[]), **limits))
        assert tight.prediction.seconds.value <= limits["deadline"]
        assert tight.configuration.threads == 2

    def test_a_deadline_that_nothing_keeps_is_said(self, tmp_path):
        advice = carry_out(a_run(tmp_path / "run", Machine(), deadline=0.01))
        assert advice.configuration is None
        assert advice.standing == "not known"
        assert "reached the target 0.9 within 0.01 s" in advice.reason


class TestHowSureItIs:
    def test_two_of_one_price_are_a_tie(self, tmp_path):
        """Steps do not depend on the rate, so that the best two take the same."""
        machine = Machine(width=1000.0, noise=0.03)
        advice = carry_out(a_run(tmp_path / "run", machine, minutes=4, first=(64, 0.8)))
        ties = {rival.name: rival.verdict for rival in advice.rivals if rival.tied}
        assert "the next best" in ties
        assert "the next best" in advice.sentence

    def test_what_cannot_be_told_apart_says_how_much_longer_would_tell(self, tmp_path):
        machine = Machine(best_rate=0.2, noise=0.5)
        advice = carry_out(a_run(tmp_path / "run", machine, minutes=1.3))
        assert advice.standing in ("not decided", "not verified")
        undecided = [rival for rival in advice.rivals if rival.verdict == "undecided"]
        assert undecided
        assert any(rival.more_minutes is not None and rival.more_minutes >= 1 for rival in undecided)

    def test_without_a_run_that_reached_the_target_it_abstains(self, tmp_path):
        advice = carry_out(a_run(tmp_path / "run", Machine(least=1e9), minutes=2))
        assert advice.configuration is None
        assert advice.sentence.startswith("Not known: none of")

    def test_where_none_reached_the_target_the_nearest_takes_what_is_left_of_the_time(self, tmp_path):
        machine = Machine(least=12_000)  # a minute and a half at the best rate
        advice = carry_out(a_run(tmp_path / "run", machine, minutes=4, first=(64, 0.4)))
        assert advice.standing == "not verified"
        assert advice.configuration.batch_size == 64
        assert machine.now <= 242

    @pytest.mark.parametrize("minutes", [0.5, 1, 3, 10])
    def test_it_keeps_to_its_minutes(self, tmp_path, minutes):
        machine = Machine(noise=0.3)
        carry_out(a_run(tmp_path / "run", machine, minutes=minutes))
        assert machine.now <= 60 * minutes + 2

    def test_what_is_slower_leaves_the_seeds_to_those_that_are_not_told_apart(self, tmp_path):
        machine = Machine(width=2.0, noise=0.15)
        run = a_run(tmp_path / "run", machine, minutes=4)
        advice = carry_out(run)
        seeds = {one.name: len(run.records_of(one)) for one in run.candidates()}
        (default,) = [rival for rival in advice.rivals if rival.name == "the default"]
        assert (default.verdict, default.ratio.n) == ("slower", seeds["default"])
        assert seeds["default"] < min(n for name, n in seeds.items() if name != "default")
        true = exhaustive(machine, [DEFAULT]) / seconds_of(machine, advice)
        assert default.ratio.low <= true <= default.ratio.high


@dataclass(frozen=True)
class OfOnePlace(QuadraticAdvisor):
    """Asks for the default until so many seconds are over, and for another batch size and rate then."""

    machine: Machine | None = None
    until: float = math.inf

    def next(self, space, seen):
        place = (64, 0.1) if self.machine.now < self.until else (128, 0.141)
        return Ask(*place, seed=sum((one.batch_size, one.lr) == place for one in seen))


class TestAlone:
    def test_is_not_verified_and_says_so(self, tmp_path):
        machine = Machine(best_rate=0.1, least=300, noise=0.1)
        advice = carry_out(a_run(tmp_path / "run", machine, minutes=2, advisor=OfOnePlace(machine=machine)))
        assert advice.rivals == ()
        assert advice.standing == "not verified"
        assert "compared with nothing" in " ".join(advice_text(advice).split())
        assert advice.trials["verify"] == SEEDS_ALONE

    def test_has_the_search_go_on(self, tmp_path):
        machine = Machine(best_rate=0.1, least=300, noise=0.1)
        advisor = OfOnePlace(machine=machine, until=0.62 * 60)  # the search of two ends at 60 %
        advice = carry_out(a_run(tmp_path / "run", machine, minutes=1, advisor=advisor))
        assert {tried.batch_size for tried in advice.tried} == {64, 128}
        assert len(advice.rivals) == 1
        assert machine.now <= 62

    def test_what_the_search_reached_is_named_where_a_first_seed_missed(self, tmp_path):
        """The longest run leaves time for one seed, which takes 7 times as long as the search's and is given up."""
        machine = Machine(best_rate=0.1, least=1500, noise=1.0)
        advice = carry_out(a_run(tmp_path / "run", machine, minutes=1.5))
        assert advice.configuration is not None
        assert advice.standing == "not verified"


class TestNothingIsLost:
    @pytest.mark.parametrize("after", [3, 45, 70])
    def test_what_was_interrupted_goes_on_and_runs_nothing_twice(self, tmp_path, after):
        whole = carry_out(a_run(tmp_path / "whole", Machine()))
        first, then = Machine(interrupts=after), Machine()
        with pytest.raises(KeyboardInterrupt):
            carry_out(a_run(tmp_path / "run", first))
        kept = load_results(tmp_path / "run")
        assert len(kept.records) + len(kept.superseded) == after
        gone_on = carry_out(a_run(tmp_path / "run", then))
        places = [(t.trainer, t.threads, t.world_size, t.seed, t.steps) for t in [*first.ran, *then.ran]]
        assert len(places) == len(set(places))
        assert gone_on.configuration == whole.configuration
        assert gone_on.trials == whole.trials

    def test_the_best_so_far_is_kept_at_an_interrupt(self, tmp_path):
        machine = Machine(interrupts=55)
        with pytest.raises(KeyboardInterrupt):
            carry_out(a_run(tmp_path / "run", machine))
        kept = Advice.of_json((tmp_path / "run" / "advice.json").read_text())
        assert kept.configuration is not None
        assert kept.resume.endswith("--resume")

    def test_a_later_run_starts_from_its_best(self, tmp_path):
        advice = carry_out(a_run(tmp_path / "run", Machine()))
        size, lr = start(SIMULATED, DEFAULT.trainer, tmp_path / "run")
        assert Machine().steps(size, lr) <= 1.05 * Machine().steps(advice.configuration.batch_size, lr)
        assert (size, lr) != (64, 0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("handed") / "run"


@pytest.fixture(scope="module")
def advice(folder):
    return carry_out(a_run(folder, Machine(noise=0.1), minutes=2))


class TestWhatIsHandedOver:
    def test_the_python_constructs_what_was_run(self, advice, folder):
        names = {}
        exec((folder / "advice.py").read_text(), names)
        ran = [r for r in load_results(folder).records if r.comparison == VERIFY and r.cell != "default"]
        wanted = {str(record.hyperparameters) for record in ran}
        from paceline.bench.harness.trial import hyperparameters

        assert str(hyperparameters(names["ADVISED"])) in wanted
        assert names["ADVISED"] == eval(advice.python, dict(names))

    def test_the_command_finds_it(self, advice, folder):
        from paceline.bench.harness.plan import find_trainer

        words = advice.command.split()
        _, trainer = find_trainer(words[words.index("--trainer") + 1])
        assert trainer.batch_size == advice.configuration.batch_size
        assert words[:3] == ["paceline", "run", "strategies"]

    def test_the_json_is_all_of_it(self, advice, folder):
        assert Advice.of_json(advice.json) == advice
        assert Advice.of_json((folder / "advice.json").read_text()) == advice

    def test_it_is_an_ordinary_run(self, advice, folder):
        results = load_results(folder)
        assert len(results.trials) == sum(advice.trials.values())
        assert set(results.trials["comparison"]) == {TIMING, "advise-search", VERIFY}

    def test_the_text_says_how_wrong_such_a_search_was_where_that_is_known(self, advice, monkeypatch):
        from paceline.bench.report import advice_text as text

        monkeypatch.setattr(text, "in_short", lambda found: "How wrong: planted.")
        assert "How wrong: planted." in advice_text(advice).splitlines()
        monkeypatch.setattr(text, "in_short", lambda found: "")
        assert "How wrong" not in advice_text(advice)

    def test_the_text_begins_with_the_answer_and_fits_a_screen(self, advice):
        lines = advice_text(advice).splitlines()
        assert lines[0].startswith("Train simulated with ")
        assert len(lines) <= LINES
        commands = ("measure it", "go on", "kept in")
        assert all(len(line) <= WIDTH for line in lines if not line.startswith(commands))

    def test_a_line_that_does_not_fit_is_not_printed_but_what_was_timed(self, advice):
        def said(error):
            return " ".join(advice_text(replace(advice, step=Line(1e-3, 2e-5, error, 3))).split())

        assert "A step of B samples takes 1.00 ms + B x 20.0 us" in said(0.2)
        assert "What a step takes does not follow a + b B: timed were" in said(0.3)
        assert "A step of B samples" not in said(0.3)
        size, seconds = advice.steps_timed[0]
        assert seconds == pytest.approx(1e-3 + 2e-5 * size, rel=0.5)
        assert f"timed were {1e3 * seconds:.2f} ms of {size}, " in said(0.3)

    def test_what_a_tie_costs_is_not_known_of_few_seeds(self, advice):
        tie = replace(advice.rivals[0], verdict="undecided", expected_loss=None)
        said = " ".join(advice_text(replace(advice, rivals=(tie,))).split())
        assert "what it costs to take it is not known yet" in said
        said = " ".join(advice_text(replace(advice, rivals=(replace(tie, expected_loss=0.031),))).split())
        assert "to take it costs 3.1 % on average" in said

    def test_the_report_begins_with_it(self, advice, folder):
        results = load_results(folder)
        (card,) = cards(results)
        assert card.use.python == advice.python
        assert card.use.seconds.median == advice.prediction.seconds.value
        page = card_page.fragment(results)
        assert html.escape(advice.python) in page
        assert page.count("<img") == 1
        roles = [one.role for one in everything_tried(results, card)]
        assert (roles.count("chosen"), roles.count("default")) == (1, 1)
        assert len(roles) >= 6

    def test_the_command_says_where_its_picture_is(self, advice, folder, monkeypatch, capsys):
        monkeypatch.setattr("paceline.bench.advisor.advise", lambda *_, **__: advice)
        monkeypatch.setattr(sys, "argv", ["paceline", "advise", "--workload", "linear"])
        main()
        last = capsys.readouterr().out.splitlines()[-1]
        assert last == f"{'picture':11} {folder / 'plots' / 'tried.png'}"
        assert (folder / "plots" / "tried.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--memory", "lots"], "write it as 8GB"),
        (["--optimizer", "Nothing"], "unknown 'Nothing'; known are Sgd"),
        (["--minutes", "0"], "must be more than 0"),
        (["--resume", "--results", "/nowhere/at/all"], "there is no run in"),
    ],
)
def test_options_that_cannot_be_are_one_line(options, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["paceline", "advise", "--workload", "linear", *options])
    with pytest.raises(SystemExit, match="2"):
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.times
def test_a_minute_on_digits_ends_within_it_and_advises(tmp_path):
    advice = advise("mnist5k", 1.0, results=tmp_path, tell=lambda line: None)
    assert advice.configuration is not None
    assert advice.minutes <= 1.3
    assert advice.prediction.reached > 0.5
