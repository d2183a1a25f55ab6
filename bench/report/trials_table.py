"""The table of all trials: filtered and sorted on the page itself."""

import html
import math

from paceline.bench.analysis.frames import Results
from paceline.bench.report.tips import explained
from paceline.bench.report.wording import MISSING, in_words, number, number_of

COLUMNS = (
    "comparison", "workload", "strategy", "optimizer", "rate", "batch size", "workers", "precision", "seed", "ended",
    "seconds to target", "samples to target", "final score", "memory (MB)",
)  # fmt: skip


def fragment(results: Results) -> str:
    """Return every trial that counts, those of searches included, as a table with a box to filter it by words."""
    optimizers = {record.trial: _optimizer(record.hyperparameters) for record in results.records}
    rows = []
    for trial in results.trials.to_dict("records"):
        cells = (
            in_words(trial["comparison"]) + (" (search)" if trial["search"] else ""),
            trial["workload"],
            trial["trainer"],
            optimizers.get(trial["trial"], ""),
            MISSING if math.isnan(trial["lr"]) else f"{trial['lr']:g}",
            number_of(trial["batch_size"]),
            f"{trial['world_size']} x {trial['threads']}",
            trial["dtype"] or MISSING,
            str(trial["seed"]),
            in_words(trial["status"]),
            number(trial["seconds_to_target"]),
            number_of(trial["samples_to_target"]),
            number(trial["final_score"]),
            number(trial["peak_rss_bytes"] / 1e6),
        )
        rows.append("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>")
    if not rows:
        return "<p>This run holds no trial.</p>"
    head = explained("".join(f"<th data-sort>{name}</th>" for name in COLUMNS))
    return (
        '<div class="trials"><label>Show only trials with all of these words: '
        '<input type="search" placeholder="MiniBatch 64 reached" aria-label="filter trials"></label>'
        f'<p class="key"><output>{len(rows)} of {len(rows)} trials</output>; a heading sorts by its column.</p>'
        f'<div class="table long"><table class="numbers"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></div>"
    )


def _optimizer(hyperparameters: dict[str, object]) -> str:
    found = hyperparameters.get("optimizer")
    return str(found.get("name", "")) if isinstance(found, dict) else ""
