"""A tiny Llama under SmoothQuant's O3: int8 weights with a scale per row, int8 activations with one scale
per tensor, known before from samples.

python static.py writes tests/golden/static/llama-w8a8.safetensors: samples, tokens, and the logits that
transformers computes with tests/golden/models/llama, every projection's input and weight rounded.
"""

import pathlib

import torch
import transformers as hf
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
ALPHA = 0.5


def largest(model, layer, samples):
    """The largest magnitude of each channel that a projection reads on the samples."""
    seen = []
    hook = layer.register_forward_pre_hook(lambda _, x: seen.append(x[0].detach()))
    with torch.no_grad():
        model(input_ids=samples, use_cache=False)
    hook.remove()
    return seen[0].flatten(0, -2).abs().amax(0)


def smoothing(known, readers):
    columns = torch.stack([r.weight.abs().amax(0) for r in readers]).amax(0)
    return known ** ALPHA / columns ** (1 - ALPHA)


def smoothed(model, known):
    """Scales of channels move from activations to weights: into norms, rows of v and rows of up."""
    config = model.config
    for block in model.model.layers:
        a, f = block.self_attn, block.mlp
        for norm, readers in ((block.input_layernorm, [a.q_proj, a.k_proj, a.v_proj]),
                              (block.post_attention_layernorm, [f.gate_proj, f.up_proj])):
            s = smoothing(known[readers[0]], readers)
            norm.weight /= s
            for reader in readers:
                reader.weight *= s
                known[reader] = known[reader] / s
        # Query heads that share a value head share its scales: their geometric mean.
        s = smoothing(known[a.o_proj], [a.o_proj]).view(
            config.num_key_value_heads, -1, config.head_dim).log().mean(1, keepdim=True).exp()
        a.v_proj.weight /= s.flatten().unsqueeze(1)
        s = s.expand(-1, config.num_attention_heads // config.num_key_value_heads, -1).flatten()
        a.o_proj.weight *= s
        known[a.o_proj] = known[a.o_proj] / s
        s = smoothing(known[f.down_proj], [f.down_proj])
        f.up_proj.weight /= s.unsqueeze(1)
        f.down_proj.weight *= s
        known[f.down_proj] = known[f.down_proj] / s


def rounded(x, scale):
    return (x / scale).round().clamp(-128, 127) * scale


def main():
    model = hf.LlamaForCausalLM.from_pretrained(HERE / "models/llama", attn_implementation="eager")
    model = model.double().eval()
    generator = torch.Generator().manual_seed(1)
    samples, ids = (torch.randint(1, 96, (1, n), generator=generator) for n in (24, 20))
    projections = [m for n, m in model.named_modules() if n.endswith("_proj")]
    known = {p: largest(model, p, samples) for p in projections}
    with torch.no_grad():
        smoothed(model, known)
        for p in projections:
            p.weight.copy_(rounded(p.weight, (p.weight.abs().amax(1, keepdim=True) / 127).half().double()))
            scale = (known[p].max() / 127).float().double()
            p.register_forward_pre_hook(lambda _, x, scale=scale: (rounded(x[0], scale),))
        logits = model(input_ids=ids, use_cache=False).logits
    out = HERE / "static/llama-w8a8.safetensors"
    out.parent.mkdir(exist_ok=True)
    save_file(dict(samples=samples, input_ids=ids, logits=logits.contiguous(),
                   logits_std=logits.std().reshape(1)), out)
    print("std", float(logits.std()))


if __name__ == "__main__":
    main()
