#!/usr/bin/env python3
"""Writes adam_golden.h: ten steps of torch.optim.Adam and AdamW on 9 weights, in fp32. Usage: generate_adam_golden.py > adam_golden.h"""

import torch

STEPS, SIZE = 10, 9
torch.manual_seed(7)
start = torch.randn(SIZE)
gradients = [torch.randn(SIZE) * (0.1 + step) for step in range(STEPS)]


def row(values):
    return "{" + ", ".join(f"{float(v).hex()}f" for v in values) + "}"


def steps(optimizer_class):
    weight = torch.nn.Parameter(start.clone())
    optimizer = optimizer_class([weight], lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, foreach=False, fused=False)
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    state = optimizer.state[weight]
    return weight.detach(), state["exp_avg"], state["exp_avg_sq"]


print(f"// Written by generate_adam_golden.py with PyTorch {torch.__version__}: lr 2e-3, betas 0.9, 0.999, eps 1e-8, weight decay 0.01.")
print("#pragma once\n\n#include <array>\n\nnamespace mpibert::test {\n")
print(f"using GoldenRow = std::array<float, {SIZE}>;")
print("struct AdamGolden {\n  GoldenRow weight, exp_avg, exp_avg_sq;\n};\n")
print(f"inline constexpr GoldenRow kAdamStart = {row(start)};")
print(f"inline constexpr std::array<GoldenRow, {STEPS}> kAdamGradients = {{{{")
for gradient in gradients:
    print(f"    {row(gradient)},")
print("}};")
for name, optimizer_class in (("kAdam", torch.optim.Adam), ("kAdamW", torch.optim.AdamW)):
    print(f"inline constexpr AdamGolden {name}Golden = {{")
    for values in steps(optimizer_class):
        print(f"    {row(values)},")
    print("};")
print("\n}  // namespace mpibert::test")
