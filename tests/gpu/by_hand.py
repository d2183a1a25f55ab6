"""Train the wide network in plain torch, without Paceline, and print what torch and NVML count meanwhile, as JSON."""

import argparse
import json
import os
import threading
import time

import torch
from torch import nn

from tests.gpu.wide import network, taught


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()

    import pynvml

    device = torch.device("cuda", 0)
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
    x, y, *held_out = (part.to(device) for part in taught(arguments.samples))
    with device:
        model = network(arguments.width)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)

    def step() -> None:
        batch = torch.randperm(len(x), device=device)[: arguments.batch_size]
        loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(10):
        step()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()

    watts, done = [], threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            watts.append(pynvml.nvmlDeviceGetPowerUsage(handle) / 1e3)

    thread = threading.Thread(target=watch)
    thread.start()
    joules = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < arguments.seconds:
        for _ in range(10):
            step()
        torch.cuda.synchronize()
        steps += 10
    seconds = time.perf_counter() - began
    joules = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3 - joules
    done.set()
    thread.join()
    processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    second_half = watts[len(watts) // 2 :]
    print(
        json.dumps(
            {
                "allocated": torch.cuda.max_memory_allocated(),
                "reserved": torch.cuda.max_memory_reserved(),
                "process": next((p.usedGpuMemory for p in processes if p.pid == os.getpid()), None),
                "parameters": sum(p.nbytes for p in model.parameters()),
                "seconds_per_step": seconds / steps,
                "watts_by_energy": joules / seconds,
                "watts_by_power": sum(second_half) / len(second_half) if second_half else None,
                "held_out": sum(part.nbytes for part in held_out),
            }
        )
    )


if __name__ == "__main__":
    main()
