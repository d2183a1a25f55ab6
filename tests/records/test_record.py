"""Records survive the disk, a crash while writing, and time."""

import json
import multiprocessing as mp
import os
from dataclasses import replace
from pathlib import Path

import pytest

from paceline.bench.analysis.frames import trials_frame
from paceline.bench.records.record import SCHEMA, append, read, to_line
from tests.planted import a_record


def test_a_record_survives_the_disk(tmp_path):
    records = [a_record(seed=seed) for seed in range(3)]
    for record in records:
        append(tmp_path / "trials.jsonl", record)
    assert list(read(tmp_path / "trials.jsonl")) == records


def test_a_torn_last_line_is_left_out(tmp_path):
    file = tmp_path / "trials.jsonl"
    append(file, a_record(seed=0))
    whole = file.read_text()
    for cut in (1, len(whole) // 2, len(whole) - 2):
        file.write_text(whole + whole[:cut])
        assert list(read(file)) == [a_record(seed=0)]


def test_writing_goes_on_after_a_torn_line(tmp_path):
    file = tmp_path / "trials.jsonl"
    append(file, a_record(seed=0))
    with file.open("a") as cut_off:
        cut_off.write('{"schema":1,"trial":"half')
    append(file, a_record(seed=1))
    assert [record.seed for record in read(file)] == [0, 1]


def test_a_newer_schema_is_refused(tmp_path):
    file = tmp_path / "trials.jsonl"
    file.write_text(to_line(replace(a_record(), schema=SCHEMA + 1)))
    with pytest.raises(ValueError, match=rf"newer Paceline \(schema {SCHEMA + 1}.*update Paceline"):
        list(read(file))


def test_what_is_no_record_is_refused(tmp_path):
    file = tmp_path / "trials.jsonl"
    file.write_text('{"a": 1}\n')
    with pytest.raises(ValueError, match=r"trials\.jsonl:1: not a trial's record"):
        list(read(file))


def test_lines_are_strict_json():
    record = a_record(
        curve={"step": [1], "samples": [4], "seconds": [0.1], "loss": [float("nan")], "score": [float("inf")]}
    )

    def refuse(constant):
        raise AssertionError(constant)

    read_back = json.loads(to_line(record), parse_constant=refuse)
    assert read_back["curve"]["loss"] == [None]
    assert read_back["curve"]["score"] == [None]


def _append_many(path, writer):
    for seed in range(100):
        append(path, a_record(seed=seed, block=writer))


def test_lines_of_several_writers_never_mix(tmp_path):
    file = tmp_path / "trials.jsonl"
    writers = [mp.get_context("forkserver").Process(target=_append_many, args=(file, w)) for w in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = [(record.block, record.seed) for record in read(file)]
    assert sorted(found) == [(w, s) for w in range(3) for s in range(100)]


def test_a_disk_that_takes_only_a_part_is_an_error_and_leaves_no_record(tmp_path, monkeypatch):
    """A nearly full disk writes what fits and reports no error; the next write is refused."""
    path = tmp_path / "trials.jsonl"
    append(path, a_record(trial="first"))
    write, calls = os.write, []

    def nearly_full(descriptor, data):
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:100])

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(OSError, match="No space"):
        append(path, a_record(trial="lost"))
    monkeypatch.undo()
    append(path, a_record(trial="next"))
    assert [record.trial for record in read(path)] == ["first", "next"]


def test_a_record_of_before_there_were_test_samples_is_read():
    """Its one held-out set decided and judged: the final score is the last of the curve."""
    (old,) = read(Path(__file__).with_name("of_schema_2.jsonl"))
    assert (old.schema, old.test_score) == (2, None)
    row = trials_frame((old,)).iloc[0]
    assert row.final_score == row.validation_score == old.curve["score"][-1]
    assert row.held_out_loss == old.final_losses["held_out"]
    assert row.broken_laws == ""
