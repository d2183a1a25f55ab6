"""What the numbers mean: records -> frames -> intervals, comparisons, fits. Neither torch nor a clock in here."""
