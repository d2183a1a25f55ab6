"""Reads the machine: clocks, /proc, control groups, NVML, RAPL, bytes, the gradient's noise. Knows no trial."""
