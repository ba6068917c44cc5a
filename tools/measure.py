#!/usr/bin/env python3
"""Time this machine's kernels into the CSVs that `cosim calibrate` and `cosim accuracy` read.

Times are medians of batches. A GEMM's weights are cold: copies that outgrow the cache take turns;
other inputs, a KV cache too, are the same in every call. Nothing is fused into an operator.
torch is 2.1 or newer: 2.4 for rmsnorm and silu_mul, 2.5 for grouped heads (else K, V repeated).
"""

import argparse
import csv
import importlib.util
import itertools
import math
import os
import random
import statistics
import sys
import tempfile
import time
from functools import partial

ATTENTION = "device framework version dtype kv_dtype batch q_len kv_len n_heads n_kv_heads head_dim"
FILES = {
    "gemm": ("gemm.csv", "device framework version dtype m n k"),
    "prefill": ("attention_prefill.csv", ATTENTION),
    "decode": ("attention_decode.csv", ATTENTION),
    "elementwise": ("elementwise.csv", "device op rows cols dtype"),
    "all_reduce": ("collectives.csv", "device interconnect op n_devices bytes dtype"),
}
OPS = list(FILES)
ITEM_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "fp8": 1}
MAX_COPIES = 64  # of a GEMM's weights
BATCHES, BATCH_S = 5, 0.005  # how many are timed, and the least length of one
GRAPH_S, GRAPH_CALLS = 0.002, 512  # about the length of a captured graph, and its most calls
POWERS = [2**power for power in range(29)]
QUICK = {  # prefill and decode: batches, lengths, and the most tokens of both together
    "tokens": (1, 4, 16, 64, 128, 256),
    "weights": ((512, 512), (512, 2048), (2048, 512), (1024, 1024), (2048, 2048)),
    "heads": ((8, 8, 64), (8, 2, 64), (16, 4, 128)),
    "prefill": ((1, 4), POWERS[4:10], 512),
    "decode": ((1, 4, 16), POWERS[7:13], 4096),
    "rows": (1, 16, 256, 1024), "cols": (1024, 4096), "bytes": POWERS[12:25:4],
}
FULL = {
    "tokens": (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 256, 512, 1024, 2048, 4096, 8192),
    "weights": (
        (512, 512), (512, 4096), (4096, 512), (1024, 1024), (2048, 2048), (1024, 8192),
        (8192, 1024), (1536, 8960), (4096, 4096), (6144, 4096), (4096, 11008), (11008, 4096),
        (14336, 4096), (4096, 14336), (5120, 13824), (8192, 8192), (16384, 2048), (16384, 16384)),
    "heads": ((32, 32, 128), (32, 8, 128), (64, 8, 128), (16, 16, 64), (14, 2, 64), (8, 1, 128)),
    "prefill": ((1, 4, 16), POWERS[4:15], 16384),
    "decode": ((1, 8, 32, 128), POWERS[8:16], 262144),
    "rows": POWERS[:15:2], "cols": (1024, 4096, 8192), "bytes": POWERS[10:],
}


class Numpy:
    """Matrix products by numpy's BLAS, everything else in passes over arrays."""

    framework, ops, dtypes = "numpy", OPS[:4], dict.fromkeys(OPS, ["fp32"])
    flop, memory, graphs = 4e10, 4 << 30, False  # the most of a shape; whether graphs are timed
    sync = staticmethod(lambda: None)

    def __init__(self, np, cache):
        self.np, self.version, self.cache = np, np.__version__, cache or 64 << 20
        self.randn = partial(np.random.default_rng(0).standard_normal, dtype=np.float32)

    def gemm(self, _dtype, m, n, k):
        a, weights, out = self.randn((m, k)), self.randn((n, k)), self.np.empty((m, n), "float32")
        turns = min(MAX_COPIES, self.cache // weights.nbytes + 1)
        return [partial(self.np.matmul, a, weights.copy().T, out=out) for _ in range(turns)]

    def attention(self, _dtype, batch, q_len, kv_len, heads, kv_heads, dim):
        np, group = self.np, heads // kv_heads
        q = self.randn((batch, kv_heads, group * q_len, dim))
        k, v = (self.randn((batch, kv_heads, kv_len, dim)) for _ in range(2))
        scores, out = np.empty((*q.shape[:3], kv_len), np.float32), np.empty_like(q)
        seen = np.tri(q_len, kv_len, kv_len - q_len, dtype=np.float32)
        mask = np.tile((seen - 1) * np.float32(1e9), (group, 1))

        def call():
            np.matmul(q, k.transpose(0, 1, 3, 2), out=scores)
            np.multiply(scores, np.float32(1 / math.sqrt(dim)), out=scores)
            if q_len > 1:
                np.add(scores, mask, out=scores)
            np.subtract(scores, scores.max(-1, keepdims=True), out=scores)
            np.exp(scores, out=scores)
            np.divide(scores, scores.sum(-1, keepdims=True), out=scores)
            np.matmul(scores, v, out=out)

        return [call]

    def elementwise(self, _dtype, name, rows, cols):
        np, a, b = self.np, self.randn((rows, cols)), self.randn((rows, cols))
        out, weight = np.empty_like(a), b[0].copy()

        def rmsnorm():
            np.multiply(a, a, out=out)
            np.multiply(a, 1 / np.sqrt(out.mean(-1, keepdims=True) + np.float32(1e-6)), out=out)
            np.multiply(out, weight, out=out)

        def silu_mul():
            np.exp(np.negative(a, out=out), out=out)
            np.divide(a, np.add(out, np.float32(1), out=out), out=out)
            np.multiply(out, b, out=out)

        return [{"rmsnorm": rmsnorm, "silu_mul": silu_mul}.get(name, partial(np.add, a, b, out))]


class Torch:
    """torch on a GPU; with CUDA and ROCm all work, capture too, is on one side stream."""

    framework, ops, flop, memory, gqa = "torch", OPS[:4], math.inf, math.inf, True

    def __init__(self, torch, cache, where):
        self.torch, self.version, self.cache = torch, torch.__version__, cache or 512 << 20
        self.where, self.graphs, self.types = where, where == "cuda", {}
        self.sync = getattr(torch, where).synchronize
        torch.manual_seed(0)
        if self.graphs:
            torch.cuda.set_stream(torch.cuda.Stream())
            self.memory = torch.cuda.mem_get_info()[0]
            self.ops = OPS if torch.cuda.device_count() > 1 else OPS[:4]
        # NVIDIA's GPUs before Ampere only emulate bf16.
        new = not self.graphs or torch.version.hip or torch.cuda.get_device_capability()[0] >= 8
        for dtype, kind in [("bf16", "bfloat16")][:bool(new)] + [
                ("fp16", "float16"), ("fp8", "float8_e4m3fn"), ("fp8", "float8_e4m3fnuz")]:
            if dtype not in self.types and hasattr(torch, kind):
                self.types[dtype] = getattr(torch, kind)
                if not self.works("gemm", dtype, 32, 32, 32):
                    del self.types[dtype]
        wide = [dtype for dtype in self.types if dtype != "fp8"]
        if not wide:
            sys.exit("measure.py: error: torch multiplies no 16-bit matrices on this GPU")
        self.dtypes = dict.fromkeys(OPS, wide[:1])
        self.dtypes.update(gemm=list(self.types), prefill=wide, decode=wide)
        self.gqa = self.works("attention", wide[0], 1, 1, 16, 4, 1, 64)

    def works(self, method, *shape):
        """Whether a small shape is computed; what is missing shows in many kinds of exception."""
        try:
            getattr(self, method)(*shape)[0]()
            self.sync()
            return True
        except Exception:
            return False

    def randn(self, dtype, *shape):
        kind = self.types["fp16" if dtype == "fp8" else dtype]
        return self.torch.randn(shape, device=self.where, dtype=kind).to(self.types[dtype])

    def gemm(self, dtype, m, n, k):
        torch, a, weights = self.torch, self.randn(dtype, m, k), self.randn(dtype, n, k)
        if dtype == "fp8":  # quantized beforehand, one scale a tensor
            one = torch.ones((), device=self.where, dtype=torch.float32)
            product = partial(torch._scaled_mm, scale_a=one, scale_b=one, use_fast_accum=True,
                              out_dtype=torch.bfloat16)
        else:
            product = partial(torch.mm, out=torch.empty((m, n), device=self.where, dtype=a.dtype))
        turns = min(MAX_COPIES, self.cache // (n * k * ITEM_BYTES[dtype]) + 1)
        return [partial(product, a, weights.clone().t()) for _ in range(turns)]

    def attention(self, dtype, batch, q_len, kv_len, heads, kv_heads, dim):
        q = self.randn(dtype, batch, heads, q_len, dim)
        k, v = (self.randn(dtype, batch, kv_heads, kv_len, dim) for _ in range(2))
        grouped = {"enable_gqa": True} if heads != kv_heads and self.gqa else {}
        if heads != kv_heads and not self.gqa:
            k, v = (tensor.repeat_interleave(heads // kv_heads, 1) for tensor in (k, v))
        attend = partial(self.torch.nn.functional.scaled_dot_product_attention, **grouped)
        return [partial(attend, q, k, v, is_causal=q_len > 1)]

    def elementwise(self, dtype, name, rows, cols):
        """add as it is; the others compiled, which makes one kernel of each."""
        torch, a, b = self.torch, self.randn(dtype, rows, cols), self.randn(dtype, rows, cols)
        if name == "add":
            return [partial(torch.add, a, b, out=torch.empty_like(a))]
        body = {"rmsnorm": lambda x, y: torch.rms_norm(x, x.shape[-1:], y[0]),
                "silu_mul": lambda x, y: torch.nn.functional.silu(x) * y}[name]
        torch.compiler.reset()
        return [partial(torch.compile(body, fullgraph=True, dynamic=False), a, b)]


def kernel_time(backend, calls):
    """Seconds of a call: by the wall clock, or with this for warm-up and guess by graphs."""
    turns = itertools.cycle(calls)

    def batch(count):
        begin = time.perf_counter()
        for call in itertools.islice(turns, count):
            call()
        backend.sync()
        return time.perf_counter() - begin

    count, took = 1, min(batch(1) for _ in range(3))
    while took < BATCH_S:
        count = math.ceil(count * min(100, max(2, 1.2 * BATCH_S / took)))
        took = batch(count)
    seconds = statistics.median(batch(count) for _ in range(BATCHES)) / count
    if backend.graphs:
        cycles = min(math.ceil(GRAPH_S / seconds / len(calls)), GRAPH_CALLS // len(calls))
        seconds = graph_time(backend.torch, calls * cycles)
    return seconds


def graph_time(torch, calls, count=None):
    """Median device seconds of a call, by replays of a graph of all, made before on this stream."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        for call in calls:
            call()

    def batch(count):
        graph.replay()  # one ahead, behind which the launches of the others are hidden
        begin.record()
        for _ in range(count):
            graph.replay()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3 / count

    count = count or math.ceil(BATCH_S / batch(1))
    seconds = statistics.median(batch(count) for _ in range(BATCHES))
    graph.reset()
    return seconds / len(calls)


def size(op, dtype, shape, cache):
    """FLOP of a call, and about the bytes of memory that its arrays take."""
    item = ITEM_BYTES[dtype]
    if op == "gemm":
        m, n, k = shape
        return 2 * m * n * k, 2 * n * k * item + cache + m * (k * item + n * max(item, 2))
    if op == "elementwise":
        return shape[1] * shape[2], 4 * shape[1] * shape[2] * item
    batch, q_len, kv_len, heads, kv_heads, dim = shape
    scores, ends = batch * heads * q_len * kv_len, 2 * batch * (heads * q_len + kv_heads * kv_len)
    return 4 * scores * dim, ends * dim * item + (4 * scores if dtype == "fp32" else 0)


def cases(op, backend, grid):
    """(dtype, shape) in a seeded order, so that a run that is cut short is spread."""
    if op == "gemm":
        shapes = [(m, n, k) for m in grid["tokens"] for n, k in grid["weights"]]
    elif op == "elementwise":
        names = ("add", "rmsnorm", "silu_mul")
        if backend.framework == "torch" and not backend.works(op, "fp16", "rmsnorm", 16, 64):
            say("rmsnorm and silu_mul skipped: this torch does not compile them")
            names = ("add",)
        shapes = list(itertools.product(names, grid["rows"], grid["cols"]))
    else:
        batches, lengths, tokens = grid[op]
        shapes = [(batch, length if op == "prefill" else 1, length, *heads)
                  for heads in grid["heads"] for batch in batches for length in lengths
                  if batch * length <= tokens]
    every = list(itertools.product(backend.dtypes[op], shapes))
    random.Random(0).shuffle(every)
    return [case for case in every if size(op, *case, backend.cache)[0] <= backend.flop]


def measure(op, backend, args, deadline):
    """The rows of one operator."""
    rows, todo = [], cases(op, backend, args.grid)
    prepare = backend.attention if op in ("prefill", "decode") else getattr(backend, op)
    for index, (dtype, shape) in enumerate(todo):
        if time.monotonic() > deadline:
            say(f"{op}: out of time, {len(todo) - index} of {len(todo)} shapes skipped")
            break
        what = f"{op} {dtype} {'x'.join(map(str, shape))}"
        say(f"{index + 1}/{len(todo)} {what}", end="")
        try:
            if size(op, dtype, shape, backend.cache)[1] > backend.memory:
                raise MemoryError("it does not fit the memory")
            seconds = kernel_time(backend, prepare(dtype, *shape))
        except (RuntimeError, MemoryError) as error:
            reason = str(error).strip() or type(error).__name__
            say(f"{what} skipped: {reason.splitlines()[0]}")
            continue
        stack = [backend.framework, backend.version, *[dtype] * (1 if op == "gemm" else 2)]
        cells = [*shape, dtype] if op == "elementwise" else [*stack, *shape]
        rows.append([args.device, *cells, seconds])
    return rows


def all_reduce(op, backend, args, deadline):
    """The rows of all_reduce, one process a device."""
    rows, dtype, mp = [], backend.dtypes[op][0], backend.torch.multiprocessing
    for world in [n for n in (2, 4, 8, 16) if n <= backend.torch.cuda.device_count()]:
        if time.monotonic() > deadline:
            say(f"{op} on {world} devices or more skipped: out of time")
            break
        times = mp.get_context("spawn").SimpleQueue()
        with tempfile.TemporaryDirectory() as folder:
            try:
                mp.spawn(rank_of, (world, folder, args.grid["bytes"], dtype, times), world)
            except Exception as error:  # a rank's, whose text ends with the cause
                cause = str(error).strip() or type(error).__name__
                say(f"{op} on {world} devices skipped: {cause.splitlines()[-1]}")
                continue
        rows += [[args.device, args.interconnect, op, world, *timed] for timed in times.get()]
    return rows


def rank_of(rank, world, folder, sizes, dtype, times):
    """One rank of all_reduce; all make the same calls, the first gives the slowest's times."""
    torch, dist = map(importlib.import_module, ("torch", "torch.distributed"))
    torch.cuda.set_device(rank)
    torch.cuda.set_stream(torch.cuda.Stream())
    dist.init_process_group("nccl", f"file://{folder}/start", rank=rank, world_size=world)
    kind, slowest = torch.bfloat16 if dtype == "bf16" else torch.float16, []
    for length in sizes:
        reduce = partial(dist.all_reduce, torch.zeros(length // 2, device="cuda", dtype=kind))
        for _ in range(3):
            reduce()
        mine = graph_time(torch, [reduce] * 20, max(1, min(20, (64 << 20) // length)))
        shared = torch.tensor(mine, device="cuda")
        dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        slowest.append((length, dtype, shared.item()))
    if rank == 0:
        times.put(slowest)
    dist.destroy_process_group()


def say(text, end="\n"):
    """A note on stderr; with no end the progress line, for terminals only."""
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    if clear or end:
        print(clear + (text if end else text[:78]), end=end, file=sys.stderr, flush=True)


def write(folder, op, rows):
    """A whole file or none: written under another name, then renamed."""
    path = os.path.join(folder, FILES[op][0])
    with open(f"{path}.tmp", "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow([*FILES[op][1].split(), "time_us", "source"])
        for *cells, seconds in sorted(rows):
            out.writerow([*cells, f"{seconds * 1e6:.3f}", "measure.py"])
    os.replace(f"{path}.tmp", path)
    print(f"{path}: {len(rows)} rows", flush=True)


def choose(name, cache):
    """The backend asked for; by itself torch on a GPU, else numpy."""
    torch, numpy = (name in ("auto", each) and importlib.util.find_spec(each)
                    and importlib.import_module(each) for each in ("torch", "numpy"))
    if torch and torch.cuda.is_available():
        return Torch(torch, cache, "cuda")
    if torch and torch.backends.mps.is_available():
        return Torch(torch, cache, "mps")
    if numpy:
        return Numpy(numpy, cache)
    if torch:
        sys.exit("measure.py: error: torch finds no CUDA, ROCm or MPS device")
    return sys.exit(f"measure.py: error: {name.replace('auto', 'numpy')} is not installed")


def arguments():
    parser = argparse.ArgumentParser(prog="measure.py", description=__doc__.splitlines()[0])
    parser.error = lambda message: parser.exit(2, f"measure.py: error: {message}\n")
    add = parser.add_argument
    add("--device", required=True, metavar="NAME", help="the device's name in the files")
    add("-o", "--out", required=True, metavar="DIR", help="folder that the files go to")
    add("--backend", choices=("auto", "torch", "numpy"), default="auto", help="auto: GPU, else CPU")
    add("--ops", metavar="LIST", help=f"of {','.join(OPS)}; default all that can be timed")
    add("--quick", dest="grid", action="store_const", const=QUICK, default=FULL, help="few shapes")
    add("--seconds", type=float, default=math.inf, metavar="N", help="no new shape after N seconds")
    add("--cache", type=int, metavar="BYTES", help="what weights outgrow; GPU 512 MiB, CPU 64 MiB")
    add("--interconnect", default="unspecified", metavar="NAME", help="of the devices' links")
    args = parser.parse_args()
    if not args.seconds > 0 or not (args.cache is None or args.cache > 0):
        parser.error("--seconds and --cache are positive")
    return args


def run(args):
    """Measures and writes each operator; the time that is left is shared between those to come."""
    end, written = time.monotonic() + args.seconds, 0
    backend = choose(args.backend, args.cache)
    ops = backend.ops if args.ops is None else args.ops.split(",")
    if not set(ops) <= set(backend.ops):
        sys.exit(f"measure.py: error: {backend.framework} times {','.join(backend.ops)} here")
    os.makedirs(args.out, exist_ok=True)
    for index, op in enumerate(ops):
        deadline = time.monotonic() + (end - time.monotonic()) / (len(ops) - index)
        rows = (all_reduce if op == "all_reduce" else measure)(op, backend, args, deadline)
        say("", end="")
        if rows:
            write(args.out, op, rows)
            written += 1
    if not written:
        sys.exit("measure.py: error: nothing was measured")


if __name__ == "__main__":
    try:
        run(arguments())
    except (ImportError, OSError) as error:
        sys.exit(f"measure.py: error: {error}")
    except KeyboardInterrupt:
        sys.exit("measure.py: interrupted")
