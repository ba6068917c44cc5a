"""Cases of single operators: onnx's own node tests, and attention by torch.

python operators.py [OPERATOR...] writes tests/golden/operators/*.safetensors. The tensors of a case
are `CASE/inputs/NAME` and `CASE/outputs/NAME`; the file's metadata `cases` is a JSON object that has
for each case its operator, its version, its attributes, and its inputs and outputs in the operator's
order (null: left out) with their types. Truth values and 8-bit floats are stored as bytes, int4, uint4 and fp4 one
number a byte.
"""

import functools
import json
import pathlib
import sys
import zlib

import ml_dtypes
import numpy as np
import onnx
import torch
from onnx.backend.test.case.node import collect_testcases
from onnx.numpy_helper import to_array
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "operators"
ONNX = ["Attention", "RMSNormalization", "LayerNormalization", "Gelu", "Swish", "Relu"]
# Larger cases say nothing that the small ones leave open.
LARGEST = 40_000


def plain(value):
    return to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def stored(array):
    """The values as a tensor that safetensors has a type for."""
    array = np.ascontiguousarray(array)
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    if array.dtype == bool or array.dtype.name.startswith("float8"):
        return torch.from_numpy(array.view(np.uint8).copy())
    if array.dtype.name in ("int4", "int2"):
        return torch.from_numpy(array.astype(np.int8))
    if array.dtype.name in ("uint4", "uint2"):
        return torch.from_numpy(array.astype(np.uint8))
    if array.dtype.name == "float4_e2m1fn":
        return torch.from_numpy(array.view(np.uint8).copy())
    return torch.from_numpy(array.copy())


def attribute(a):
    value = onnx.helper.get_attribute_value(a)
    return value.decode() if isinstance(value, bytes) else value


@functools.cache
def node_tests():
    """All of onnx's node tests, whose numbers are drawn while they are collected."""
    np.random.seed(0)
    with np.errstate(all="ignore"):
        return collect_testcases()


def of_onnx(operator):
    """Cases of one node of this operator; those whose function body is expanded repeat them."""
    tensors, notes = {}, {}
    for case in node_tests():
        nodes = case.model.graph.node
        if "_expanded" in case.name or [n.op_type for n in nodes] != [operator]:
            continue
        node = nodes[0]
        inputs, outputs = [[plain(v) for v in side] for side in case.data_sets[0]]
        try:
            attributes = {a.name: attribute(a) for a in node.attribute}
            json.dumps(attributes)
        except TypeError:  # a graph as an attribute
            continue
        if sum(v.nbytes for v in [*inputs, *outputs]) > LARGEST:
            print("left out, too large:", case.name)
            continue
        name = case.name.removeprefix("test_")
        note = dict(operator=operator, version=case.model.opset_import[0].version,
                    attributes=attributes)
        for side, wanted, given in (("inputs", node.input, inputs), ("outputs", node.output, outputs)):
            values = iter(given)
            note[side] = []
            for slot in wanted:
                if not slot:
                    note[side].append(None)
                    continue
                value = next(values)
                tensors[f"{name}/{side}/{slot}"] = stored(value)
                note[side].append(dict(name=slot, type=value.dtype.name))
        notes[name] = note
    return tensors, notes


# name -> query heads, key heads, queries, keys, size of a head, window, ALiBi, scale
ATTENTION = {
    "full": (4, 4, 19, 19, 16, None, False, None),
    "causal": (4, 4, 37, 37, 16, None, False, None),
    "causal_gqa": (8, 2, 33, 33, 16, None, False, None),
    "causal_mqa_scaled": (6, 1, 21, 21, 12, None, False, 0.2),
    "bottom_right_gqa": (8, 2, 7, 45, 16, None, False, None),
    "decode_gqa": (8, 2, 1, 50, 16, None, False, None),
    "window_gqa": (4, 2, 40, 40, 8, 9, False, None),
    "window_bottom_right": (4, 2, 6, 40, 8, 9, False, None),
    "alibi": (6, 6, 24, 24, 8, None, True, None),
}


def slopes(heads):
    """ALiBi's slopes (arXiv 2108.12409), as its authors fill up heads that are no power of two."""
    def power(n):
        return [2.0 ** (-8.0 * (i + 1) / n) for i in range(n)]
    whole = 1 << (heads.bit_length() - 1)
    return power(whole) + power(2 * whole)[0::2][:heads - whole]


def of_torch():
    """scaled_dot_product_attention in f64 of f32 inputs, with the mask spelled out: queries stand at
    the end of the keys."""
    tensors, notes = {}, {}
    for name, (heads, kv_heads, queries, keys, size, window, alibi, scale) in ATTENTION.items():
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        shape = lambda h, n: torch.randn(1, h, n, size, generator=generator)
        q, k, v = 1.5 * shape(heads, queries), 1.5 * shape(kv_heads, keys), shape(kv_heads, keys)
        behind = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)[None]
        allowed = torch.ones_like(behind, dtype=bool) if name == "full" else behind >= 0
        if window:
            allowed &= behind < window
        bias = torch.zeros(heads, queries, keys, dtype=torch.float64)
        if alibi:
            bias -= torch.tensor(slopes(heads), dtype=torch.float64)[:, None, None] * behind
        bias = bias.masked_fill(~allowed, -torch.inf)
        out = torch.nn.functional.scaled_dot_product_attention(
            q.double(), k.double(), v.double(), attn_mask=bias, scale=scale,
            enable_gqa=heads != kv_heads)
        if name.startswith("causal"):
            direct = torch.nn.functional.scaled_dot_product_attention(
                q.double(), k.double(), v.double(), is_causal=True, scale=scale,
                enable_gqa=heads != kv_heads)
            assert torch.allclose(out, direct, rtol=1e-12, atol=1e-12)
        for side, key, value in (("inputs", "q", q), ("inputs", "k", k), ("inputs", "v", v),
                                 ("outputs", "out", out)):
            tensors[f"{name}/{side}/{key}"] = value.contiguous()
        notes[name] = dict(
            operator="scaled_dot_product_attention", heads=heads, kv_heads=kv_heads,
            head_dim=size, queries=queries, keys=keys, causal=name != "full", window=window,
            alibi=alibi, scale=scale or size ** -0.5, layout="batch, heads, tokens, head_dim")
    return tensors, notes


def write(name, tensors, notes):
    path = OUT / f"{name}.safetensors"
    save_file(tensors, path, metadata={"cases": json.dumps(notes, sort_keys=True)})
    print(f"{name:24} {len(notes):4} cases {path.stat().st_size / 1e3:8.1f} kB")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    wanted = sys.argv[1:] or ["scaled_dot_product_attention", *ONNX]
    for operator in wanted:
        found = of_torch() if operator == "scaled_dot_product_attention" else of_onnx(operator)
        write(operator, *found)
    print("total", sum(f.stat().st_size for f in OUT.iterdir()) // 1000, "kB")
