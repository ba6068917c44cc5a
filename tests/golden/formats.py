"""Writes tests/golden/formats/: number formats as ml_dtypes, gguf, libgguf and torchao compute them.

    pip install -r tests/golden/requirements-formats.txt
    python tests/golden/formats.py
"""

from pathlib import Path

import gguf
import libgguf
import ml_dtypes
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file
from torchao.prototype.mx_formats.config import ScaleCalculationMode
from torchao.prototype.mx_formats.kernels import unpack_uint4
from torchao.prototype.mx_formats.mx_tensor import to_dtype, to_mx
from torchao.prototype.mx_formats.nvfp4_tensor import (
    NVFP4Tensor,
    nvfp4_quantize,
    per_tensor_amax_to_scale,
)

OUT = Path(__file__).parent / "formats"
RANDOM = np.random.default_rng(20261124)
np.seterr(all="ignore")

FLOATS = [
    "bfloat16", "float16", "float8_e5m2", "float8_e5m2fnuz", "float8_e4m3", "float8_e4m3fn",
    "float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e3m4", "float6_e3m2fn", "float6_e2m3fn",
    "float4_e2m1fn", "float8_e8m0fnu",
]  # fmt: skip
INTEGERS = ["int2", "int4", "uint2", "uint4", "int8"]
EXACT = [Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.MXFP4]
SEARCHED = [Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K, Type.IQ4_NL, Type.IQ4_XS]
ELEMENTS = {
    "float8_e4m3fn": torch.float8_e4m3fn,
    "float8_e5m2": torch.float8_e5m2,
    "float6_e3m2fn": "fp6_e3m2",
    "float6_e2m3fn": "fp6_e2m3",
    "float4_e2m1fn": torch.float4_e2m1fn_x2,
}


def spread(count):
    """f32 values that a test makes again: every other one any pattern, the others of moderate exponents."""
    i = np.arange(count, dtype=np.uint64)
    bits = ((i * np.uint64(2654435761)) % np.uint64(1 << 32)).astype(np.uint32)
    exponent = np.uint32(103) + (bits >> np.uint32(23) & np.uint32(255)) % np.uint32(48)
    moderate = (bits & np.uint32(0x807FFFFF)) | exponent << np.uint32(23)
    values = np.where(i % 2 == 0, bits, moderate).view(np.float32)
    return np.where(np.isnan(values), np.float32(0.1), values)


def edges(dtype, values):
    """Values of a format, the middles between them and what lies beyond, each with both neighbours."""
    finite = np.unique(np.abs(values[np.isfinite(values)]))
    if finite.size > 256:
        finite = np.concatenate([finite[:32], finite[32:-32:512], finite[-32:]])
    beyond = finite[-1] * np.array([1.02, 1.0357142857, 1.0625, 1.125, 1.25, 1.5, 2.0])
    at = np.concatenate([finite, (finite[1:] + finite[:-1]) / 2, beyond]).astype(np.float32)
    at = np.concatenate([at, np.nextafter(at, np.float32(0)), np.nextafter(at, np.float32(np.inf))])
    special = np.array([0.0, np.inf, np.nan], dtype=np.float32)
    return np.concatenate([at, -at, special, -special])


def floats():
    out = {}
    for name in FLOATS:
        dtype = np.dtype(getattr(ml_dtypes, name, None) or getattr(np, name))
        bits = np.uint8 if dtype.itemsize == 1 else np.uint16
        width = {"float4": 4, "float6": 6, "bfloat": 16}.get(name.split("_")[0].rstrip("1"), None)
        width = width or 8 * dtype.itemsize
        patterns = np.arange(1 << width).astype(bits)
        values = patterns.view(dtype).astype(np.float32)
        # Of the wide formats one pattern in 31, and both ends.
        kept = patterns if width <= 8 else np.unique(np.r_[:64, 0:65536:31, 31700:31800, 65400:65536])
        out[f"{name}.patterns"] = kept.astype(np.uint16)
        out[f"{name}.values"] = values[kept]
        out[f"{name}.edges"] = edges(dtype, values.astype(np.float64))
        for kind, x in (("edges", out[f"{name}.edges"]), ("spread", spread(60_000))):
            out[f"{name}.{kind}.cast"] = x.astype(dtype).view(bits)
    x = np.concatenate([np.arange(-40, 40) / 4, [100.0, 127.9, 300.0, -300.0, np.inf, np.nan]])
    out["integers"] = x.astype(np.float32)
    for name in INTEGERS:
        dtype = np.dtype(getattr(ml_dtypes, name, None) or getattr(np, name))
        out[f"{name}.cast"] = x.astype(np.float32).astype(dtype).astype(np.int8)
    save_file(out, OUT / "floats.safetensors")


def data(count):
    """Numbers like weights: Gaussian, heavy-tailed, and rows of different size with outlier channels."""
    rows = RANDOM.standard_normal((count // 256, 256)) * np.exp(RANDOM.standard_normal((count // 256, 1)))
    rows[:, ::64] *= 8
    return {
        "gaussian": RANDOM.standard_normal(count).astype(np.float32),
        "heavy": RANDOM.standard_t(3, count).astype(np.float32),
        "rows": (0.05 * rows).ravel().astype(np.float32),
    }


def blocks():
    out = {}
    for kind in EXACT + SEARCHED + [Type.NVFP4]:
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        raw = RANDOM.integers(0, 256, (3072 // elements, size), dtype=np.uint8)
        name = kind.name.lower()
        out[f"{name}.bytes"] = raw.ravel()
        out[f"{name}.values"] = dequantize(raw, kind).ravel()
    sets = data(256 * 32)
    hard = np.concatenate([x[:1024] for x in sets.values()] + [spread(4096)])
    hard[100:164] = 0
    hard[64:96] = 3
    hard[200:232] = np.nextafter(np.float32(1024), np.float32(0))
    hard[~np.isfinite(hard)] = 1
    out["hard"] = hard
    for kind in EXACT:
        out[f"{kind.name.lower()}.hard"] = quantize(hard.reshape(-1, 256), kind).ravel()
    for which, x in sets.items():
        out[which] = x
        for kind in SEARCHED:
            elements, size = gguf.GGML_QUANT_SIZES[kind]
            raw = np.asarray(libgguf.quantize_rows(x.reshape(-1, 256), kind)).reshape(-1, size)
            off = x.astype(np.float64) - dequantize(raw, kind).ravel()
            out[f"{kind.name.lower()}.{which}.rms"] = np.array([np.sqrt(np.mean(off**2))])
    save_file(out, OUT / "blocks.safetensors")


def microscaling():
    x = np.concatenate([v[:1024] for v in data(1024).values()] + [spread(2048)])
    x = np.where(np.abs(x) > 1e37, np.float32(3), x)
    x[320:352] = 0
    # Largest magnitudes at and beside powers of two times the largest element.
    for i, largest in enumerate([448.0, 57344.0, 28.0, 7.5, 6.0, 1.0]):
        for j, to in enumerate([0.0, np.inf]):
            x[512 + 64 * i + 32 * j] = np.nextafter(np.float32(32 * largest), np.float32(to))
    out = {"values": x}
    rows = torch.tensor(x).reshape(-1, 256)
    for name, element in ELEMENTS.items():
        for mode in ScaleCalculationMode:
            scale, codes = to_mx(rows, element, 32, mode)
            values = to_dtype(codes, scale, element, 32, torch.float32)
            codes = codes.view(torch.uint8)
            codes = unpack_uint4(codes) if name.startswith("float4") else codes
            out[f"{name}.{mode.value}.scales"] = scale.view(torch.uint8).numpy().ravel()
            out[f"{name}.{mode.value}.codes"] = codes.numpy().ravel()
            if mode == ScaleCalculationMode.FLOOR:
                out[f"{name}.{mode.value}.values"] = values.numpy().ravel()
    small = rows[:12]
    for name, tensor in (("one", None), ("tensor", per_tensor_amax_to_scale(small.abs().max()))):
        scale, codes = nvfp4_quantize(small, 16, tensor)
        values = NVFP4Tensor(codes, scale, 16, torch.float32, tensor).dequantize(torch.float32)
        out[f"nvfp4.{name}.scales"] = scale.view(torch.uint8).numpy().ravel()
        out[f"nvfp4.{name}.codes"] = unpack_uint4(codes.view(torch.uint8)).numpy().ravel()
        out[f"nvfp4.{name}.values"] = values.numpy().ravel()
    save_file(out, OUT / "microscaling.safetensors")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    floats()
    blocks()
    microscaling()
