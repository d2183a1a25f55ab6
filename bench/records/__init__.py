"""The seam between running and reading: what a trial observed, which trials count, and what makes runs alike."""
