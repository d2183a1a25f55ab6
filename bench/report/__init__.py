"""What people see of a run.

A file a benchmark has its tables, its rows of the decision and its verdicts on claims, and names its plots, which
``plots/`` draws: ``null``, ``strategies``, ``tuning``, ``optimizers``, ``batch_size``, ``critical_batch``,
``noise_scale``, ``scaling``, ``precision``, ``regularization``, ``generalization``, ``inputs``, ``reproductions``.
What concerns no single one stands in a file named for what it shows: ``what_was_run``, ``decision``, ``claims``,
``equivalence``, ``memory``, ``failures`` and others. How anything is put into words is said in ``wording`` and
``metrics``. ``page`` makes one page of it all; ``export`` and ``merge`` hand runs on.
"""
