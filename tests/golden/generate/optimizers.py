"""Ten steps of every optimizer on four parameters with closed-form gradients, in double precision, and tables of the schedules.

usage: optimizers.py FOLDER     writes optimizers.golden and schedules.golden into it

Adam and AdamW are PyTorch's. The others are written down here from their sources, because none is in PyTorch:
  adamw-hf  transformers' AdamW (removed in version 5): step_size = lr sqrt(1 - beta2^t) / (1 - beta1^t);
            w -= step_size m / (sqrt(v) + eps);  w -= lr wd w.  With correct_bias = False, step_size = lr.
  lamb      You et al., arXiv:1904.00962v5, algorithm 2
  nvlamb    NVIDIA/apex, csrc/multi_tensor_lamb.cu: gradients divided by max(1, |g| / max_grad_norm); trust ratio 1 without weight decay unless use_nvlamb
"""

import pathlib
import sys

import numpy as np
import torch
import transformers
from golden import hashed, write

SHAPES = {"a.weight": (37, 11), "a.bias": (37,), "b.weight": (2, 4101), "zero.weight": (5,)}  # b.weight crosses blocks of the norm
STEPS = 10
BETA1, BETA2, WD = 0.9, 0.999, 0.01
RATES = [1e-2 * min(1.0, (t + 1) / 4) for t in range(STEPS)]
MAX_NORM = 1.0


def start():
    return {name: np.zeros(shape) if name == "zero.weight" else hashed(name, int(np.prod(shape))).reshape(shape) / 256 for name, shape in SHAPES.items()}


def gradients(t):
    return {name: hashed(f"{name}@{t}", int(np.prod(shape))).reshape(shape) / 1024 for name, shape in SHAPES.items()}


def decay(name):
    return WD if name.endswith("weight") else 0.0


def by_torch(make, eps):
    parameters = {name: torch.nn.Parameter(torch.from_numpy(w.copy())) for name, w in start().items()}
    optimizer = make([dict(params=[p], weight_decay=decay(n)) for n, p in parameters.items()], lr=1.0, betas=(BETA1, BETA2), eps=eps)
    for t, rate in enumerate(RATES):
        for group in optimizer.param_groups:
            group["lr"] = rate
        for name, g in gradients(t).items():
            parameters[name].grad = torch.from_numpy(g)
        optimizer.step()
    return {name: p.detach().numpy() for name, p in parameters.items()}


def moments(update):
    """Runs update(name, t, rate, w, m, v) -> new w for every parameter and step; gradients may be scaled by update.scale(gradients)."""
    w = start()
    m, v = ({name: np.zeros(shape) for name, shape in SHAPES.items()} for _ in range(2))
    for t, rate in enumerate(RATES, start=1):
        all_g = gradients(t - 1)
        scale = getattr(update, "scale", lambda g: 1.0)(all_g)
        for name in SHAPES:
            g = all_g[name] * scale
            m[name] = BETA1 * m[name] + (1 - BETA1) * g
            v[name] = BETA2 * v[name] + (1 - BETA2) * g * g
            w[name] = update(name, t, rate, w[name], m[name], v[name])
    return w


def adamw_hf(correct_bias):
    def update(name, t, rate, w, m, v):
        step_size = rate * (np.sqrt(1 - BETA2**t) / (1 - BETA1**t) if correct_bias else 1.0)
        w = w - step_size * m / (np.sqrt(v) + 1e-6)
        return w - rate * decay(name) * w
    return moments(update)


def lamb(adapts):
    def update(name, t, rate, w, m, v):
        u = m / (1 - BETA1**t) / (np.sqrt(v / (1 - BETA2**t)) + 1e-6) + decay(name) * w
        norm_w, norm_u = np.linalg.norm(w), np.linalg.norm(u)
        ratio = norm_w / norm_u if adapts(name) and norm_w > 0 and norm_u > 0 else 1.0
        return w - rate * ratio * u
    return update


def nvlamb(adapts):
    update = lamb(adapts)
    update.scale = lambda g: 1 / max(1.0, np.sqrt(sum((x * x).sum() for x in g.values())) / MAX_NORM)
    return moments(update)


def optimizers(folder):
    everything, decayed = (lambda name: True), (lambda name: decay(name) != 0)
    results = {
        "adam": by_torch(torch.optim.Adam, 1e-8),
        "adamw": by_torch(torch.optim.AdamW, 1e-8),
        "adamw-hf": adamw_hf(True),
        "adamw-hf-uncorrected": adamw_hf(False),
        "lamb": moments(lamb(everything)),
        "nvlamb": nvlamb(decayed),
        "nvlamb-all": nvlamb(everything),
    }
    # b.weight is large: of it every 29th element is kept, which still meets all of its blocks.
    keep = lambda name, w: w.reshape(-1)[::29] if name == "b.weight" else w
    tensors = {f"{kind}.{name}": keep(name, w) for kind, all_w in results.items() for name, w in all_w.items()}
    write(folder / "optimizers.golden", dict(torch=torch.__version__, numpy=np.__version__), tensors)


def schedules(folder):
    peak, total, warmup = 2e-3, 40, 7
    dummy = lambda: torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    kinds = {
        "constant": lambda o: transformers.get_constant_schedule_with_warmup(o, warmup),
        "linear": lambda o: transformers.get_linear_schedule_with_warmup(o, warmup, total),
        "cosine": lambda o: transformers.get_cosine_schedule_with_warmup(o, warmup, total),
        "polynomial": lambda o: transformers.get_polynomial_decay_schedule_with_warmup(o, warmup, total, lr_end=1e-4, power=2.0),
    }
    table = {}
    for kind, make in kinds.items():
        optimizer = dummy()
        schedule = make(optimizer)
        rates = []
        for _ in range(total + 1):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        table[kind] = np.array(rates)
    write(folder / "schedules.golden", dict(transformers=transformers.__version__, peak=peak, total=total, warmup=warmup, end=1e-4, power=2), table)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    optimizers(pathlib.Path(sys.argv[1]))
    schedules(pathlib.Path(sys.argv[1]))
