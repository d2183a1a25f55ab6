"""Files are written whole or not at all."""

import pytest

from paceline.bench.records.files import newest_run, point_to_newest, write_whole


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "environment.json"
    write_whole(file, "old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_whole(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def runs(results, *names):
    for name in names:
        (results / name).mkdir()
        (results / name / "environment.json").write_text("{}")


def test_the_newest_run_is_where_latest_points(tmp_path):
    assert newest_run(tmp_path) is None
    runs(tmp_path, "2026-01-02T00-00-00.000", "2026-01-03T00-00-00.000")
    point_to_newest(tmp_path, tmp_path / "2026-01-02T00-00-00.000")
    assert newest_run(tmp_path) == tmp_path / "2026-01-02T00-00-00.000"


def test_where_there_are_no_links_the_newest_run_is_the_last_by_name(tmp_path, monkeypatch):
    def refused(self, target):
        raise OSError(1, "Operation not permitted")  # as on exFAT

    monkeypatch.setattr("pathlib.Path.symlink_to", refused)
    runs(tmp_path, "2026-01-03T00-00-00.000", "2026-01-02T00-00-00.000", "reference")
    point_to_newest(tmp_path, tmp_path / "2026-01-02T00-00-00.000")
    assert newest_run(tmp_path) == tmp_path / "2026-01-03T00-00-00.000"
