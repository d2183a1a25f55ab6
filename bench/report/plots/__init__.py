"""The drawing of each plot: a file a question, from results to a figure."""
