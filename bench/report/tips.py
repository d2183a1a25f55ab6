"""What the words at the head of a table mean: shown where a reader points at one."""

import html
import re

TIPS = {
    "workload": "What is trained: a model, its data, its loss, and the score at which training is done.",
    "cell": "A workload and a trainer with all its settings, which trials repeat.",
    "cells": "Workloads and trainers with all their settings, which trials repeat.",
    "blocks": "One trial of every cell, back to back, in random order: cells are compared within blocks.",
    "reached": "Trials that got to the target score, of all that ran.",
    "ranks x threads": "Processes of distributed training, and threads of each; not workers that read samples.",
    "seconds to target": "Training seconds until the score first reaches the target, without set-up, warm-up and "
    "evaluation. The median, and in brackets its 95 % interval.",
    "steps to target": "Parameter updates until the score first reaches the target.",
    "samples to target": "Samples trained on until the score first reaches the target; it depends on no clock.",
    "throughput": "Samples a second, once warm.",
    "peak RSS": "Memory of all the processes at their peak: libraries and data too. A limit on memory is one of this.",
    "training memory": "What training added to the process at its peak.",
    "success": "The share of all trials that reached the target, failed ones included, with its exact interval.",
    "level at the crossing": "The score by the trend of the evaluations before the first hit, which may be luck.",
    "restricted mean": "Mean seconds to target, where a trial that missed counts with its budget.",
    "PAR-2": "Mean seconds to target, where a trial that missed counts with twice its budget.",
    "flag": "What makes one doubt the first crossing: a lucky crossing is scatter that hit the target.",
    "verdict": "Faster, slower, less, more: the 95 % interval excludes 1. Equivalent: it lies close to 1. "
    "Undecided: neither.",
    "basin": "The rates around the best that lose no more than 20 % of its samples to target, or 10 % of its error.",
    "optimism": "By how much the best rate looks better on the seeds that chose it than on others.",
    "best rate [not resolved]": "The best rate, and the range of those that are not resolved to be worse.",
    "label": "Tuning-dependent: with fewer rates another would have been the best.",
    "S_min (steps)": "The fewest steps that even huge batches need.",
    "E_min (samples)": "The fewest samples that even tiny batches need.",
    "B_crit (samples)": "The critical batch size, at which samples are twice the fewest: beyond it batches pay little.",
    "rms residual": "How far the measured samples lie off the fitted curve, as a root mean square.",
    "left out: median inside": "How far they lie off a curve that was fitted without that batch size: the median.",
    "left out: the largest": "Likewise for the largest batch size, which the others have to foresee.",
    "identifiable": "Whether the critical batch size is known to a factor of two, within what was measured.",
    "regime": "Perfect scaling: twice the batch, half the steps. Maximal parallelism: no fewer steps. Else in between.",
    "noise scale": "The batch size whose gradient has as much noise as signal.",
    "without a value": "Points at which the noise hides the gradient, so that |G|^2 is not above 0.",
    "regret": "Seconds to target of what was predicted, over those of the fastest, less 1.",
    "speed-up": "How many times the throughput is that of what it is compared with; above 1 is faster.",
    "efficiency": "Speed-up over the number of ranks: 1 is perfect.",
    "a single pair differs by": "What two trials of the same strategy in one block differ by: noise alone.",
    "floor (null test)": "The smallest difference that could be seen if only the machine and the clock were noisy.",
    "energy": "Joules of the whole device over training, where it tells them.",
    "rates x seeds": "How many learning rates the search tried, each on how many seeds.",
    "ended": "Missed: out of budget before the target. Plateaued: stopped, since its score had not improved for long. "
    "Diverged: its loss grew far beyond its beginning.",
    "how they ended": "Timed: for a fixed time or number of steps. Reached, missed: trained towards the target.",
    "does not know": "The share of searches in which nothing had reached the target before they might cost no more.",
    "cost, of the grid's": "What the search took, with the timing of steps, over training every configuration once.",
    "the best, on other seeds": "The regret of the best configuration itself from one set of seeds to another: noise.",
}
OF_K = "What to expect of so many of the rates, drawn at random: how much tuning buys."


def explained(table: str) -> str:
    """Return a table's HTML with what its headings mean, where ``TIPS`` has it."""

    def heading(found: re.Match[str]) -> str:
        word = html.unescape(found[2])
        tip = OF_K if word.startswith("best of ") else TIPS.get(word)
        return f'<th{found[1]} title="{html.escape(tip)}">{found[2]}</th>' if tip else found[0]

    return re.sub(r"<th((?:\s[^>]*)?)>([^<]*)</th>", heading, table)
