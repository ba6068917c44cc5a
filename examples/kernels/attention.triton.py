"""Flash attention in Triton over a case of `cosim golden attention --dtype bf16`, summed in f32.

    python3 attention.triton.py CASE OUT.npy [--bug]     with --bug, no rescale of sums when the maximum grows

It runs on a GPU, or with TRITON_INTERPRET=1 in Triton's interpreter.
"""
import sys

import numpy as np
import torch
import triton
import triton.language as tl


@triton.jit
def attention(q, k, v, out, tokens, positions, heads, kv_heads, scale,
              DIM: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, BUG: tl.constexpr):
    b, h = tl.program_id(1) // heads, tl.program_id(1) % heads
    kv = h // (heads // kv_heads)
    t = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    d = tl.arange(0, DIM)
    rows = ((b * tokens + t[:, None]) * heads + h) * DIM + d[None, :]
    x = tl.load(q + rows, mask=t[:, None] < tokens, other=0.0)
    top = tl.full([ROWS], -1e30, tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    sums = tl.zeros([ROWS, DIM], tl.float32)
    for start in range(0, positions, TILE):
        s = start + tl.arange(0, TILE)
        keys = ((b * positions + s[:, None]) * kv_heads + kv) * DIM + d[None, :]
        y = tl.load(k + keys, mask=s[:, None] < positions, other=0.0)
        z = tl.load(v + keys, mask=s[:, None] < positions, other=0.0)
        seen = (s[None, :] <= positions - tokens + t[:, None]) & (s[None, :] < positions)
        score = tl.where(seen, tl.dot(x, tl.trans(y), input_precision="ieee") * scale, -1e30)
        grown = tl.maximum(top, tl.max(score, 1))
        p = tl.where(seen, tl.exp(score - grown[:, None]), 0.0)
        if not BUG:
            total *= tl.exp(top - grown)
            sums *= tl.exp(top - grown)[:, None]
        total += tl.sum(p, 1)
        sums += tl.dot(p, z, input_precision="ieee")
        top = grown
    tl.store(out + rows, sums / total[:, None], mask=t[:, None] < tokens)


case, out_file = sys.argv[1:3]
device = "cuda" if torch.cuda.is_available() else "cpu"


def load(name):
    bits = np.load(f"{case}/{name}.npy").view(np.uint16).astype(np.uint32)
    return torch.from_numpy((bits << 16).view(np.float32)).to(device)


q, k, v = load("q"), load("k"), load("v")
batch, tokens, heads, dim = q.shape
positions, kv_heads = k.shape[1:3]
out = torch.empty_like(q)
attention[(triton.cdiv(tokens, 16), batch * heads)](
    q, k, v, out, tokens, positions, heads, kv_heads, dim**-0.5,
    DIM=dim, ROWS=16, TILE=32, BUG="--bug" in sys.argv)
np.save(out_file, out.cpu().numpy())
