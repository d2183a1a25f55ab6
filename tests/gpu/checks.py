"""What of Paceline only a GPU can show, beside the same work done by hand. ``tests/gpu.sh`` runs it.

Each check is a line: "ok", "WRONG", or "open" where this machine does not tell; and what was seen. The trials' records
are written beside them. On the CPU, where the tests run it, all that needs a GPU is open.
"""

import argparse
import json
import math
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from paceline.bench import Workload
from paceline.bench.analysis.frames import peak_flops, trials_frame
from paceline.bench.analysis.trial_laws import broken
from paceline.bench.harness.environment import capture
from paceline.bench.harness.equivalence import gate
from paceline.bench.harness.peak import measured
from paceline.bench.records.contamination import gpu_shared
from paceline.bench.records.quantities import energy_joules, samples_per_second, seconds_per_step, train_seconds
from paceline.bench.records.record import WITH_RESULT
from paceline.trainers import Accumulate, Amp, Ddp, FullBatch, MiniBatch, Online
from tests.gpu import real_workloads
from tests.gpu.machine import MIB, Check, Machine, within
from tests.gpu.wide import TOO_LARGE, in_tf32, wide


def equivalence(machine: Machine) -> Iterator[Check]:
    """Each strategy's gradient is that of MiniBatch, on this device."""
    small = wide(128, 256)  # of 32 units a ReLU that flips in bfloat16 is already 9 % of the gradient
    trainers = [FullBatch(), MiniBatch(), Online(), Accumulate(), Amp(), Ddp()]
    if machine.device == "cuda":
        trainers.append(Amp(dtype="float16"))
    for trainer in trainers:
        for found in gate([machine.trial(small, trainer, 1.0)]):
            name = found["trainer"] + (f" in {trainer.dtype}" if hasattr(trainer, "dtype") else "")
            seen = f"gap {found['gap']}, bound {found['bound']}" if found["passed"] else found["reason"]
            yield Check(f"equivalence of {name}", "ok" if found["passed"] else "WRONG", seen)


def peaks(machine: Machine) -> Iterator[Check]:
    """The peak of each precision is measured."""
    trainers = [MiniBatch(), Amp(), Amp(dtype="float16")] if machine.device == "cuda" else [MiniBatch()]
    trials = [machine.trial(machine.workload, trainer, 1.0) for trainer in trainers]
    machine.environment["gemm_peaks"] = measured(trials, lambda line: None)
    for peak in machine.environment["gemm_peaks"]:
        rate = peak["flops_per_second"]
        verdict, seen = ("WRONG", peak["reason"]) if rate is None else ("ok", f"{rate / 1e12:.4g} TFLOP/s")
        yield Check(f"peak of {peak['dtype']}", verdict, seen)


def precisions(machine: Machine) -> Iterator[Check]:
    """Each precision trains, says its name, and keeps all laws, MFU at most 1 among them."""
    batch_size, workload = machine.batch_size, machine.workload
    runs: dict[str, tuple[Workload, Any]] = {"float32": (workload, MiniBatch(batch_size=batch_size))}
    if machine.device == "cuda":
        runs |= {
            "tf32": (in_tf32(workload), MiniBatch(batch_size=batch_size)),
            "bfloat16": (workload, Amp(batch_size=batch_size)),
            "float16": (workload, Amp(batch_size=batch_size, dtype="float16")),
        }
    for dtype, (of, trainer) in runs.items():
        # Float32 for longer: the energy counter tells of stretches of a second.
        record = machine.run(dtype, of, trainer, machine.seconds * (3 if dtype == "float32" else 1))
        if record.status not in WITH_RESULT:
            yield Check(f"training in {dtype}", "WRONG", f"{record.status}: {record.reason}")
            continue
        peak = peak_flops(record, machine.environment)
        laws = broken(record, peak, trials_frame((record,)).iloc[0].to_dict())
        named = record.dtype == dtype or f"named {record.dtype}"
        rate = (record.flops_per_sample or math.nan) * samples_per_second(record)
        share = f"{rate / peak:.0%} of the peak" if peak else "no peak"
        seen = f"{seconds_per_step(record) * 1e3:.4g} ms a step, {rate / 1e12:.4g} TFLOP/s, {share}"
        wrong = [text for text in (*laws, named) if text is not True]
        yield Check(f"training in {dtype}", "WRONG" if wrong else "ok", "; ".join([seen, *map(str, wrong)]))


def by_hand(machine: Machine) -> Iterator[Check]:
    """The same steps in plain torch take as long, hold as much, and take as much power."""
    record = machine.records["float32"]
    if machine.device != "cuda":
        yield Check("beside plain torch", "open", "no GPU: nothing to compare")
        return
    command = [sys.executable, "-m", "tests.gpu.by_hand", "--width", str(machine.width), "--seconds", "5"]
    command += ["--samples", str(machine.samples), "--batch-size", str(machine.batch_size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    if done.returncode:
        yield Check("beside plain torch", "open", f"it failed by hand: {done.stderr.strip().splitlines()[-1:]}")
        return
    hand = machine.hand = json.loads(done.stdout)
    (rank,) = record.ranks

    def known(value: float | None) -> float:
        return math.nan if value is None else float(value)

    seen, true = seconds_per_step(record), hand["seconds_per_step"]
    verdict = within(seen, true, 0.10)
    yield Check("seconds per step, by hand", verdict, f"{seen * 1e3:.4g} ms, by hand {true * 1e3:.4g} ms")
    table = [  # what, seen, by hand, share and bytes by which they may differ: libraries load what they like
        ("allocated by torch", rank.get("peak_allocated_bytes"), hand["allocated"], 0.05, 32 * MIB),
        ("reserved by torch", rank.get("peak_reserved_bytes"), hand["reserved"], 0.10, 64 * MIB),
        ("process by NVML", rank.get("nvml_process_peak_bytes"), hand["process"], 0.10, 256 * MIB),
        ("parameters", rank.get("parameter_bytes"), hand["parameters"], 0.0, 0),
        ("gradients", rank.get("gradient_bytes"), hand["parameters"], 0.0, 0),
        ("state of plain SGD", rank.get("optimizer_bytes"), 0, 0.0, 0),
    ]
    for what, seen, true, share, slack in table:
        verdict = within(known(seen), known(true), share, slack)
        yield Check(f"memory, {what}", verdict, f"{known(seen) / MIB:.6g} MiB, by hand {known(true) / MIB:.6g} MiB")
    process, reserved = known(rank.get("nvml_process_peak_bytes")), known(rank.get("peak_reserved_bytes"))
    verdict = "open" if math.isnan(process + reserved) else "ok" if process > reserved else "WRONG"
    yield Check("memory, the process holds more than torch reserved", verdict, f"{(process - reserved) / MIB:.6g} MiB")
    watts = energy_joules(record) / train_seconds(record)
    for how in ("energy", "power"):
        true = known(hand[f"watts_by_{how}"])
        told = record.unmeasured.get("energy_joules", "")
        seen_text = f"{watts:.4g} W over {train_seconds(record):.3g} s, by hand {true:.4g} W" + (told and f"; {told}")
        yield Check(f"energy / seconds, beside the {how} counter by hand", within(watts, true, 0.15), seen_text)


def distributed(machine: Machine) -> Iterator[Check]:
    """DDP trains on one rank: with NCCL on a GPU."""
    record = machine.run("ddp", machine.workload, Ddp(batch_size=machine.batch_size), min(2.0, machine.seconds))
    (rank,) = record.ranks
    held, context = (rank.get(f"beyond_torch_{name}_bytes") for name in ("communication", "context"))
    seen = record.reason if record.status not in WITH_RESULT else f"{seconds_per_step(record) * 1e3:.4g} ms a step"
    if held is not None and context is not None:
        seen += f"; {(held - context) / MIB:.4g} MiB of NCCL"
    yield Check("DDP on one rank", "ok" if record.status in WITH_RESULT else "WRONG", seen)
    if machine.device == "cuda":
        left = rank["start_allocated_bytes"] - rank["workspaces_bytes"] - rank["dataset_bytes"]
        seen = f"{left / MIB:.4g} MiB beside samples and workspaces"
        yield Check("DDP begins without what its warm-up took", "ok" if left < MIB else "WRONG", seen)


def out_of_memory(machine: Machine) -> Iterator[Check]:
    """Memory that runs out is a row that says so, at once."""
    for name, trainer in (("MiniBatch", MiniBatch()), ("Ddp", Ddp())):
        record = machine.run(f"out-of-memory-{name}", TOO_LARGE, trainer, 1.0)
        took = record.elapsed_seconds or math.inf
        verdict = "ok" if record.status == "out_of_memory" and took < 45 else "WRONG"
        yield Check(f"out of memory, {name}", verdict, f"{record.status} after {took:.3g} s: {record.reason[:120]}")


def neighbours(machine: Machine) -> Iterator[Check]:
    """A trial alone is clean, one beside another process is contaminated."""
    if machine.device != "cuda":
        yield Check("neighbours on the GPU", "open", "no GPU")
        return
    (alone,) = machine.records["float32"].ranks
    told = alone.get("gpu_other_processes")
    why = "" if told is not None else machine.records["float32"].unmeasured.get("gpu_other_processes", "")
    verdict = "open" if told is None else "WRONG" if gpu_shared(machine.records["float32"]) else "ok"
    yield Check("alone on the GPU", verdict, why or f"{told} others, {alone.get('gpu_others_share')} of it theirs")
    command = [sys.executable, "-m", "tests.gpu.by_hand", "--width", str(machine.width), "--seconds", "25"]
    command += ["--samples", str(machine.samples), "--batch-size", str(machine.batch_size)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        try:
            time.sleep(8)  # until it has loaded torch
            record = machine.run("beside-another", machine.workload, MiniBatch(batch_size=machine.batch_size), 5.0)
        finally:
            other.kill()
    (rank,) = record.ranks
    seen = f"{rank.get('gpu_other_processes')} others, {rank.get('gpu_others_share')} of it theirs"
    verdict = "open" if told is None else "ok" if gpu_shared(record) else "WRONG"
    yield Check("beside another process", verdict, f"{seen}; {seconds_per_step(record) * 1e3:.4g} ms a step")


CHECKS: tuple[Callable[[Machine], Iterator[Check]], ...] = (
    peaks, precisions, by_hand, distributed, out_of_memory, neighbours, equivalence, *real_workloads.CHECKS,
)  # fmt: skip


def run(machine: Machine) -> list[Check]:
    """Make all checks, print each and write them down; one that fails itself is WRONG, and the others go on."""
    machine.folder.mkdir(parents=True, exist_ok=True)
    machine.environment = capture()
    found = []
    for check in CHECKS:
        try:
            for line in check(machine):
                found.append(line)
                print(line, flush=True)
        except Exception:
            traceback.print_exc()
            found.append(Check(check.__name__, "WRONG", traceback.format_exc().strip().splitlines()[-1]))
            print(found[-1], flush=True)
        (machine.folder / "checks.txt").write_text("".join(f"{line}\n" for line in found))
        (machine.folder / "environment.json").write_text(json.dumps(machine.environment, indent=1))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    machine = Machine("cuda", 8192, 4096, 16_384, 4.0, parser.parse_args().folder)
    sys.exit(any(check.verdict == "WRONG" for check in run(machine)))


if __name__ == "__main__":
    main()
