"""Attention over a case of `cosim golden attention --dtype bf16`, computed in f32.

    python3 attention.py CASE OUT.npy [--bug]     with --bug, the head map of another layout
"""
import sys

import numpy as np

case, out_file = sys.argv[1:3]
bug = "--bug" in sys.argv


def load(name):
    bits = np.load(f"{case}/{name}.npy").view(np.uint16).astype(np.uint32)
    return (bits << 16).view(np.float32)


q, k, v = load("q"), load("k"), load("v")
tokens, heads, dim = q.shape[1:]
positions, kv_heads = k.shape[1:3]
seen = np.arange(positions) <= positions - tokens + np.arange(tokens)[:, None]
out = np.zeros_like(q)
for h in range(heads):
    kv = h % kv_heads if bug else h // (heads // kv_heads)
    s = np.einsum("bqd,bkd->bqk", q[:, :, h], k[:, :, kv]) / np.float32(np.sqrt(dim))
    s = np.where(seen, s, -np.inf)
    p = np.exp(s - s.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    out[:, :, h] = np.einsum("bqk,bkd->bqd", p, v[:, :, kv])
np.save(out_file, out)
