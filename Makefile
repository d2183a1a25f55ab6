# Everything runs in an environment of its own, made on first use.
VENV := .venv
PYTHON ?= python3
SUITE ?= standard

.PHONY: bench test lint report gpu clean

# The benchmarks, then the report: ends with the decision and where the plots and the page are.
bench: $(VENV)/report
	$(VENV)/bin/paceline run --suite $(SUITE) $(ARGS)

report: $(VENV)/report
	$(VENV)/bin/paceline report $(RESULTS)

# First what times nothing, two at once, a file to a worker; then what does, alone.
test: $(VENV)/dev
	$(VENV)/bin/pytest tests -m "not times" -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)
	$(VENV)/bin/pytest tests -m times $(ARGS)

# What only a GPU can show, with python3 as it is: no environment, no network, 7 minutes (docs/gpus.md).
gpu:
	@PYTHON=$(PYTHON) bash tests/gpu.sh $(RESULTS)

lint: $(VENV)/dev $(VENV)/mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/nbstripout --keep-id --verify report.ipynb  # ids are what links on the page lead to

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# A file named after the extra marks that it is installed as pyproject.toml and constraints.txt say.
$(VENV)/report $(VENV)/dev: $(VENV)/%: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	touch $@

# mypy does not follow setuptools' finder: the folders under the names that they are installed by.
$(VENV)/mypy: | $(VENV)/bin/python
	mkdir -p $@/paceline
	ln -sfn ../../../bench $@/paceline/bench
	ln -sfn ../../../trainers $@/paceline/trainers

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache
