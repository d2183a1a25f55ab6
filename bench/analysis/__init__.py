"""What the numbers mean: records -> frames -> cells, pairs, intervals, fits, costs. No torch, no clock, no words."""
