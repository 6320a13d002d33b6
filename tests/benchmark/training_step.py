"""Whole training steps of mpibert beside PyTorch's, in one run, interleaved.

usage: training_step.py --program build/release/mpibert [--cases base-fp32,...] [--device cpu|cuda] [--peers eager,compile] [--repeats 5] [--threads 2] [--json FILE]

Needs torch and transformers for the peers; --peers none measures mpibert alone. Each case is run --repeats times, mpibert and its peers in turn, each
run a process that warms up and times several steps; the median of the medians is reported, and the ratio of sequences/s. Dropout 0.1, AdamW, clipping,
on random tokens. PyTorch: fp32 weights, autocast to bf16, fused AdamW, scaled_dot_product_attention; it pads to the longest sequence and computes the
logits of all rows, mpibert those of the masked ones. Peer "compile": each encoder layer through torch.compile.

  base-*         BERT-base, classification, 16 sequences of 128 tokens
  base-mrpc-*    BERT-base, classification, 32 sequences of MRPC-like lengths
  minilm-*       L6 H384, the same
  tiny-*         L4 H128, pre-training (masked LM and next sentence), 64 sequences of 128
  large-s128-*   BERT-large, pre-training, 128 sequences of 128: phase 1
  large-mix512-* BERT-large, pre-training, 64 sequences with the lengths of MLPerf's data, up to 512
  toy-*          L2 H32, pre-training, 4 sequences: proves the script

MFU: floating-point operations of the matrix products of tokens that exist (training_flops in include/mpibert/model/config.h), for mpibert and PyTorch
alike, over the card's dense peak.
"""
import argparse, json, os, platform, statistics, subprocess, sys, tempfile

# Tokens of MRPC's training pairs: the 32 quantiles 1/64, 3/64, ... of their distribution (mean 53.2), in an order without trend.
MRPC_LENGTHS = [37, 43, 72, 59, 58, 40, 28, 46, 52, 66, 55, 60, 68, 62, 35, 61, 38, 64, 41, 56, 48, 75, 45, 49, 53, 54, 44, 32, 50, 69, 81, 63]
# The same of MLPerf's Wikipedia at 512: the 64 quantiles 1/128, 3/128, ... (mean 255.8; a quarter are full). Counts of the 16.3 million sequences:
# Krell, Kosec, Perez, Fitzgibbon 2021, "Efficient sequence packing without cross-contamination", arXiv:2107.02027, published with its code.
MLPERF_LENGTHS = [121, 69, 512, 37, 102, 45, 512, 512, 33, 221, 62, 55, 178, 151, 143, 58, 400, 96, 512, 65, 471, 323, 82, 306, 512, 512, 210, 127, 512, 379,
                  114, 423, 359, 234, 246, 446, 108, 512, 274, 77, 512, 512, 21, 290, 159, 512, 28, 512, 48, 73, 135, 341, 188, 168, 512, 198, 51, 86, 41, 498,
                  512, 512, 260, 91]
# Dense bf16 peak of tensor cores, TFLOP/s, by the card's name; the first that the name contains. NVIDIA's data sheets.
PEAK_TFLOPS = {"GH200": 989.4, "H200": 989.4, "H100 PCIe": 756.4, "H100 NVL": 835.5, "H100": 989.4, "H800": 989.4, "A100": 311.9, "A800": 311.9, "L40S": 362.1, "A40": 149.7}
MODELS = {"base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
          "large": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
          "minilm": dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
          "tiny": dict(hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=512),
          "toy": dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)}
KINDS = {"base": ("base", "classification", [128] * 16), "base-mrpc": ("base", "classification", MRPC_LENGTHS), "minilm": ("minilm", "classification", MRPC_LENGTHS),
         "tiny": ("tiny", "pretraining", [128] * 64), "large-s128": ("large", "pretraining", [128] * 128), "large-mix512": ("large", "pretraining", MLPERF_LENGTHS),
         "toy": ("toy", "pretraining", [16, 9, 12, 5])}
CASES = {f"{kind}-{precision}": (model, precision, head, lengths) for kind, (model, head, lengths) in KINDS.items() for precision in ("fp32", "bf16")}
DEFAULT_CASES = [f"{kind}-{precision}" for kind in ("base", "minilm", "tiny") for precision in ("fp32", "bf16")]


def run_torch(model, precision, head, lengths, device, peer, threads, steps):
    import time, torch
    from transformers import BertConfig, BertForPreTraining, BertForSequenceClassification
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    with torch.device(device):
        net = (BertForPreTraining if head == "pretraining" else BertForSequenceClassification)(BertConfig(**MODELS[model], attn_implementation="sdpa")).train()
    if peer == "compile":
        for layer in net.bert.encoder.layer:
            layer.compile()
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
    batch = {name: tensor.to(device) for name, tensor in batch.items()}
    warmup, times = 3, []
    for _ in range(steps + warmup):
        start = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            loss = net(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    print(json.dumps({"sequences_per_s": sequences / statistics.median(times[warmup:]), "torch": torch.__version__}))


def last_json(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def run_mpibert(program, model, precision, head, lengths, device, threads, steps):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as config:
        json.dump(dict(MODELS[model], vocab_size=30522, model_type="bert"), config)
        config.flush()
        command = [program, "bench", "step", "--model", config.name, "--device", device, "--precision", precision, "--head", head, "--batch-size", str(len(lengths)),
                   "--micro-tokens", str(max(8192, sum(lengths))), "--steps", str(steps), "--warmup", "3", "--lengths", *map(str, lengths)]
        return last_json(command, env=dict(os.environ, OMP_NUM_THREADS=str(threads)))


def run_peer(case, peer, a):
    """Its rate and version, or why there is none: a peer that fails is no failure of ours."""
    command = [sys.executable, __file__, "--torch-case", case, "--device", a.device, "--peers", peer, "--threads", str(a.threads), "--steps", str(a.steps)]
    try:
        return last_json(command, timeout=a.peer_seconds)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {a.peer_seconds} s"}
    except RuntimeError as error:
        return {"error": str(error).strip().splitlines()[-1][:200]}


def machine():
    with open("/proc/cpuinfo") as lines:
        info = dict(map(str.strip, line.split(":", 1)) for line in lines if ":" in line)
    flags = info.get("flags", "").split()
    return {"processor": info.get("model name", platform.machine()), "family": info.get("cpu family"), "model": info.get("model"),
            "cores": os.cpu_count(), "bf16": [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags]}


def peak_of(card):
    return next((peak for name, peak in PEAK_TFLOPS.items() if name in card), None)


def measure(case, a, peak):
    """One row of the results: raw rates, sequences/s; medians' ratios; MFU where the peak is known."""
    ours, theirs = [], {peer: [] for peer in a.peers}
    for _ in range(a.repeats):
        ours.append(run_mpibert(a.program, *CASES[case], a.device, a.threads, a.steps))
        for peer in a.peers:
            if not any("error" in run for run in theirs[peer]):
                theirs[peer].append(run_peer(case, peer, a))
    rate = statistics.median(run["sequences_per_s"] for run in ours)
    flops_per_sequence = ours[0]["gflops"] / ours[0]["sequences_per_s"] * 1e9
    row = {"case": case, "mpibert": [run["sequences_per_s"] for run in ours], "gflops_per_sequence": flops_per_sequence / 1e9}
    share = lambda sequences_per_s: sequences_per_s * flops_per_sequence / (peak * 1e12)
    text = f"mpibert {rate:.2f} sequences/s"
    if peak:
        row["mfu"] = share(rate)
        text += f" MFU {100 * row['mfu']:.1f} %"
    for peer, runs in theirs.items():
        error = next((run["error"] for run in runs if "error" in run), None)
        if error:
            row[peer] = {"error": error}
            text += f"; PyTorch {peer} failed: {error}"
            continue
        rates = [run["sequences_per_s"] for run in runs]
        median = statistics.median(rates)
        row[peer] = {"sequences_per_s": rates, "ratio": rate / median, "torch": runs[0]["torch"]}
        text += f"; PyTorch {peer} {median:.2f}"
        if peak:
            row[peer]["mfu"] = share(median)
            text += f" MFU {100 * row[peer]['mfu']:.1f} %"
        text += f" ratio {row[peer]['ratio']:.2f}"
    print(f"{case:12}  {text}", flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program")
    parser.add_argument("--cases", default=",".join(DEFAULT_CASES))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--peers", default="eager", help="of eager and compile, or none")
    parser.add_argument("--peer-seconds", type=int, default=600, help="most time of one run of a peer")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    parser.add_argument("--torch-case", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.torch_case:
        return run_torch(*CASES[a.torch_case], a.device, a.peers, a.threads, a.steps)
    if not a.program:
        parser.error("--program says where mpibert is")
    a.peers = [] if a.peers == "none" else a.peers.split(",")
    unknown = [case for case in a.cases.split(",") if case not in CASES] + [peer for peer in a.peers if peer not in ("eager", "compile")]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; cases are {', '.join(CASES)}")
    card = last_json([a.program, "doctor", "--json"]).get("cuda:0", {}).get("value", "") if a.device == "cuda" else ""
    peak = peak_of(card)
    results = {"machine": machine(), "device": card or "cpu", "peak_tflops": peak, "mpibert": last_json([a.program, "--version", "--json"]), "threads": a.threads,
               "repeats": a.repeats, "steps": a.steps, "cases": []}
    for case in a.cases.split(","):
        try:
            results["cases"].append(measure(case, a, peak))
        except RuntimeError as error:
            sys.exit(str(error))
        if a.json:  # after each case: what was measured is not lost when a later one hangs
            with open(a.json, "w") as out:
                json.dump(results, out, indent=1)


if __name__ == "__main__":
    main()
