"""Runs trials: plans them, starts their processes, drives the trainer, keeps each record. Knows nothing of analysis."""
