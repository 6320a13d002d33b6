"""Whole training steps of mpibert beside PyTorch's, in one run, interleaved.

usage: training_step.py --program build/release/mpibert [--cases base-fp32,...] [--repeats 5] [--threads 2] [--json FILE]

Needs torch and transformers. Each case is run --repeats times, mpibert and PyTorch in turn, each run a process that warms up and times several
steps; the median of the medians is reported, and the ratio of sequences/s. Dropout 0.1, AdamW, clipping, on random tokens.

  base-*      BERT-base, classification, 16 sequences of 128 tokens
  minilm-*    L6 H384, classification, 32 sequences of MRPC-like lengths; PyTorch pads to the longest
  tiny-*      L4 H128, pre-training (masked LM and next sentence), 64 sequences of 128; PyTorch computes all rows, mpibert the masked ones
"""
import argparse, json, os, platform, statistics, subprocess, sys, tempfile

# Tokens of MRPC's training pairs: the 32 quantiles 1/64, 3/64, ... of their distribution (mean 53.2), in an order without trend.
MRPC_LENGTHS = [37, 43, 72, 59, 58, 40, 28, 46, 52, 66, 55, 60, 68, 62, 35, 61, 38, 64, 41, 56, 48, 75, 45, 49, 53, 54, 44, 32, 50, 69, 81, 63]
MODELS = {"base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
          "minilm": dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
          "tiny": dict(hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=512)}
CASES = {f"{model}-{precision}": (model, precision, head, lengths)
         for model, head, lengths in (("base", "classification", [128] * 16), ("minilm", "classification", MRPC_LENGTHS), ("tiny", "pretraining", [128] * 64))
         for precision in ("fp32", "bf16")}


def run_torch(model, precision, head, lengths, threads, steps):
    import time, torch
    from transformers import BertConfig, BertForPreTraining, BertForSequenceClassification
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net = (BertForPreTraining if head == "pretraining" else BertForSequenceClassification)(BertConfig(**MODELS[model])).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5, fused=True)
    sequences, longest = len(lengths), max(lengths)
    mask = torch.tensor([[1] * n + [0] * (longest - n) for n in lengths])
    batch = dict(input_ids=torch.randint(1000, 30000, (sequences, longest)) * mask, attention_mask=mask)
    if head == "classification":
        batch["labels"] = torch.randint(0, 2, (sequences,))
    else:
        labels = torch.full((sequences, longest), -100)
        for row, n in zip(labels, lengths):
            row[torch.randperm(n)[:max(1, round(0.15 * n))]] = 2003
        batch.update(labels=labels, next_sentence_label=torch.randint(0, 2, (sequences,)))
    times = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = net(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - start)
    print(json.dumps({"sequences_per_s": sequences / statistics.median(times[2:]), "torch": torch.__version__}))


def last_json(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def run_mpibert(program, model, precision, head, lengths, threads, steps):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as config:
        json.dump(dict(MODELS[model], vocab_size=30522, model_type="bert"), config)
        config.flush()
        command = [program, "bench", "step", "--model", config.name, "--precision", precision, "--head", head, "--batch-size", str(len(lengths)),
                   "--steps", str(steps), "--lengths", *map(str, lengths)]
        return last_json(command, env=dict(os.environ, OMP_NUM_THREADS=str(threads)))


def machine():
    with open("/proc/cpuinfo") as lines:
        info = dict(map(str.strip, line.split(":", 1)) for line in lines if ":" in line)
    flags = info.get("flags", "").split()
    return {"processor": info.get("model name", platform.machine()), "family": info.get("cpu family"), "model": info.get("model"),
            "cores": os.cpu_count(), "bf16": [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    parser.add_argument("--torch-case", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.torch_case:
        return run_torch(*CASES[a.torch_case], a.threads, a.steps)
    if not a.program:
        parser.error("--program says where mpibert is")
    rows = []
    for case in a.cases.split(","):
        ours, theirs = [], []
        for _ in range(a.repeats):
            ours.append(run_mpibert(a.program, *CASES[case], a.threads, a.steps)["sequences_per_s"])
            theirs.append(last_json([sys.executable, __file__, "--torch-case", case, "--threads", str(a.threads), "--steps", str(a.steps)]))
        torch_rates = [t["sequences_per_s"] for t in theirs]
        rows.append({"case": case, "mpibert": ours, "pytorch": torch_rates, "ratio": statistics.median(ours) / statistics.median(torch_rates), "torch": theirs[0]["torch"]})
        print(f"{case:12}  mpibert {statistics.median(ours):8.2f}  PyTorch {statistics.median(torch_rates):8.2f} sequences/s  ratio {rows[-1]['ratio']:.2f}", flush=True)
    if a.json:
        with open(a.json, "w") as out:
            version = last_json([a.program, "--version", "--json"])
            json.dump({"machine": machine(), "mpibert": version, "threads": a.threads, "repeats": a.repeats, "steps": a.steps, "cases": rows}, out, indent=1)


if __name__ == "__main__":
    main()
