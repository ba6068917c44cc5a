"""Tiny random models of every supported architecture, and what transformers computes with them.

python models.py [CASE...] writes tests/golden/models/CASE/{config.json, model.safetensors,
expected.safetensors}. Some cases are stored in bf16, in several files with an index, or with experts in MXFP4
(`STORED`). Everything is seeded; see README.md.
"""

import copy
import hashlib
import json
import pathlib
import sys

import torch
import transformers as hf
from safetensors.torch import save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors
from transformers.models.deepseek_v3.modeling_deepseek_v3 import yarn_get_mscale

OUT = pathlib.Path(__file__).parent / "models"
TOKENS, PROMPT, GREEDY = 20, 6, 8

BASE = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
            tie_word_embeddings=False, pad_token_id=None, bos_token_id=None, eos_token_id=None)


def base(**over):
    return {**BASE, **over}


def neox(**over):
    return {k: v for k, v in base(**over).items() if k != "num_key_value_heads"}


def gpt(**over):
    return dict(vocab_size=96, tie_word_embeddings=True, bos_token_id=None, eos_token_id=None,
                pad_token_id=None, **over)


def longrope(original, **over):
    return base(intermediate_size=16, **over, original_max_position_embeddings=original,
                rope_scaling=dict(
                    type="longrope", short_factor=[1.0, 1.1, 1.3, 1.6],
                    long_factor=[1.2, 2.5, 5.0, 9.0]))


LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)
MLA = dict(base(), num_hidden_layers=3, num_key_value_heads=4, kv_lora_rank=16, qk_rope_head_dim=8,
           qk_nope_head_dim=12, v_head_dim=10, n_routed_experts=8, num_experts_per_tok=2,
           n_shared_experts=2, moe_intermediate_size=24, first_k_dense_replace=1,
           routed_scaling_factor=1.5)
MLA_YARN = dict(type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=32,
                beta_slow=1, mscale=0.707, mscale_all_dim=0.707)

# case -> (configuration class, model class, fields)
CASES = {
    "llama": (hf.LlamaConfig, hf.LlamaForCausalLM, base()),
    "llama-llama3-rope-bias-tied": (hf.LlamaConfig, hf.LlamaForCausalLM, base(
        rope_scaling=LLAMA3, attention_bias=True, mlp_bias=True, tie_word_embeddings=True)),
    "llama-linear-rope-mha": (hf.LlamaConfig, hf.LlamaForCausalLM, base(
        num_key_value_heads=4, head_dim=12, rope_scaling=dict(rope_type="linear", factor=2.5))),
    "llama-yarn": (hf.LlamaConfig, hf.LlamaForCausalLM, base(head_dim=16, rope_scaling=YARN)),
    "llama-sharded": (hf.LlamaConfig, hf.LlamaForCausalLM, base(
        rms_norm_eps=1e-5, rope_theta=500000.0)),
    "mistral": (hf.MistralConfig, hf.MistralForCausalLM, base(sliding_window=8, head_dim=12)),
    "mistral-no-window": (hf.MistralConfig, hf.MistralForCausalLM, base(
        sliding_window=None, rope_theta=1000000.0, num_key_value_heads=1)),
    "mixtral": (hf.MixtralConfig, hf.MixtralForCausalLM, base(
        num_local_experts=5, num_experts_per_tok=2, sliding_window=None)),
    "qwen2": (hf.Qwen2Config, hf.Qwen2ForCausalLM, base()),
    "qwen2-bf16-tied": (hf.Qwen2Config, hf.Qwen2ForCausalLM, base(
        hidden_size=40, num_attention_heads=5, num_key_value_heads=1, tie_word_embeddings=True)),
    "qwen3": (hf.Qwen3Config, hf.Qwen3ForCausalLM, base(head_dim=12, tie_word_embeddings=True)),
    "qwen3-moe": (hf.Qwen3MoeConfig, hf.Qwen3MoeForCausalLM, base(
        head_dim=12, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=24,
        norm_topk_prob=True)),
    "qwen3-moe-raw-weights": (hf.Qwen3MoeConfig, hf.Qwen3MoeForCausalLM, base(
        head_dim=8, num_experts=4, num_experts_per_tok=3, moe_intermediate_size=20,
        norm_topk_prob=False)),
    "gpt2": (hf.GPT2Config, hf.GPT2LMHeadModel, gpt(
        n_embd=32, n_layer=2, n_head=4, n_positions=64, activation_function="gelu_new")),
    "gpt-neox": (hf.GPTNeoXConfig, hf.GPTNeoXForCausalLM, neox(rotary_pct=0.25)),
    "gpt-neox-sequential": (hf.GPTNeoXConfig, hf.GPTNeoXForCausalLM, neox(
        rotary_pct=1.0, use_parallel_residual=False, tie_word_embeddings=True)),
    "opt": (hf.OPTConfig, hf.OPTForCausalLM, gpt(
        hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, word_embed_proj_dim=32)),
    "falcon-multi-query": (hf.FalconConfig, hf.FalconForCausalLM, gpt(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, multi_query=True,
        new_decoder_architecture=False, parallel_attn=True, bias=False, alibi=False)),
    "falcon-grouped": (hf.FalconConfig, hf.FalconForCausalLM, gpt(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_kv_heads=2,
        new_decoder_architecture=True, bias=False, alibi=False)),
    "falcon-grouped-one-norm": (hf.FalconConfig, hf.FalconForCausalLM, gpt(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_kv_heads=2,
        num_ln_in_parallel_attn=1, new_decoder_architecture=True, bias=False, alibi=False)),
    # The slopes of the last 4 of 12 heads are no numbers of bf16.
    "falcon-alibi": (hf.FalconConfig, hf.FalconForCausalLM, gpt(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=12, multi_query=False,
        new_decoder_architecture=False, parallel_attn=False, bias=True, alibi=True)),
    "bloom": (hf.BloomConfig, hf.BloomForCausalLM, gpt(hidden_size=36, n_layer=2, n_head=6)),
    "gemma2": (hf.Gemma2Config, hf.Gemma2ForCausalLM, base(
        head_dim=12, sliding_window=8, query_pre_attn_scalar=20, attn_logit_softcapping=5.0,
        final_logit_softcapping=4.0, tie_word_embeddings=True)),
    "gemma3": (hf.Gemma3TextConfig, hf.Gemma3ForCausalLM, base(
        head_dim=12, sliding_window=8, query_pre_attn_scalar=20, num_hidden_layers=7,
        sliding_window_pattern=6, rope_theta=100000.0, rope_local_base_freq=1000.0,
        tie_word_embeddings=True)),
    "gemma3-linear-rope": (hf.Gemma3TextConfig, hf.Gemma3ForCausalLM, base(
        head_dim=12, sliding_window=8, query_pre_attn_scalar=12, num_hidden_layers=6,
        rope_theta=10000.0, rope_local_base_freq=500.0,
        rope_scaling=dict(rope_type="linear", factor=8.0), tie_word_embeddings=True)),
    "phi3": (hf.Phi3Config, hf.Phi3ForCausalLM, base()),
    "phi3-window": (hf.Phi3Config, hf.Phi3ForCausalLM, base(
        sliding_window=8, num_key_value_heads=4)),
    # Phi-4-mini turns three quarters of a head.
    "phi3-partial-rotary-tied": (hf.Phi3Config, hf.Phi3ForCausalLM, base(
        hidden_size=64, partial_rotary_factor=0.75, tie_word_embeddings=True)),
    # The 20 tokens are longer than the original 10, and greedy tokens cross it; or all are within 32.
    "phi3-longrope": (hf.Phi3Config, hf.Phi3ForCausalLM, longrope(10)),
    "phi3-longrope-short": (hf.Phi3Config, hf.Phi3ForCausalLM, longrope(32, num_hidden_layers=1)),
    "cohere": (hf.CohereConfig, hf.CohereForCausalLM, base(
        logit_scale=0.25, tie_word_embeddings=True)),
    "cohere-qk-norm": (hf.CohereConfig, hf.CohereForCausalLM, base(
        logit_scale=0.5, use_qk_norm=True, tie_word_embeddings=True)),
    "olmo2": (hf.Olmo2Config, hf.Olmo2ForCausalLM, base()),
    "olmo2-mha": (hf.Olmo2Config, hf.Olmo2ForCausalLM, base(num_key_value_heads=4)),
    "deepseek-v2": (hf.DeepseekV2Config, hf.DeepseekV2ForCausalLM, dict(
        MLA, q_lora_rank=None, topk_method="greedy", rope_scaling=None)),
    "deepseek-v2-groups": (hf.DeepseekV2Config, hf.DeepseekV2ForCausalLM, dict(
        MLA, q_lora_rank=20, topk_method="group_limited_greedy", n_group=4, topk_group=2,
        rope_scaling=None)),
    "deepseek-v2-yarn": (hf.DeepseekV2Config, hf.DeepseekV2ForCausalLM, dict(
        MLA, q_lora_rank=None, topk_method="greedy", routed_scaling_factor=1.0,
        rope_scaling=MLA_YARN)),
    "deepseek-v3": (hf.DeepseekV3Config, hf.DeepseekV3ForCausalLM, dict(
        MLA, q_lora_rank=20, n_shared_experts=1, n_group=4, topk_group=2, norm_topk_prob=True,
        routed_scaling_factor=2.5, rope_scaling=dict(MLA_YARN, mscale=1.0, mscale_all_dim=1.0))),
    "deepseek-v3-plain": (hf.DeepseekV3Config, hf.DeepseekV3ForCausalLM, dict(
        MLA, q_lora_rank=None, n_shared_experts=1, n_group=1, topk_group=1, norm_topk_prob=True,
        rope_scaling=None)),
    "gpt-oss": (hf.GptOssConfig, hf.GptOssForCausalLM, base(
        head_dim=12, sliding_window=8, num_local_experts=4, num_experts_per_tok=2,
        rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16,
                          beta_fast=32.0, beta_slow=1.0, truncate=False))),
    "gpt-oss-mxfp4": (hf.GptOssConfig, hf.GptOssForCausalLM, base(
        head_dim=12, intermediate_size=32, num_local_experts=3, num_experts_per_tok=2, sliding_window=8,
        rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16,
                          beta_fast=32.0, beta_slow=1.0, truncate=False))),
    # Classes without a head: what they give is their last hidden state.
    "llama-base": (hf.LlamaConfig, hf.LlamaModel, base()),
    "gpt2-base": (hf.GPT2Config, hf.GPT2Model, gpt(
        n_embd=16, n_layer=1, n_head=4, n_positions=24, activation_function="gelu_new")),
    "gpt-neox-base": (hf.GPTNeoXConfig, hf.GPTNeoXModel, neox(
        rotary_pct=0.5, hidden_size=16, intermediate_size=24)),
    "gemma3-base": (hf.Gemma3TextConfig, hf.Gemma3TextModel, base(
        hidden_size=16, intermediate_size=16, head_dim=4, sliding_window=8,
        query_pre_attn_scalar=20, tie_word_embeddings=True)),
    "t5-encoder": (hf.T5Config, hf.T5EncoderModel, dict(
        vocab_size=96, d_model=32, d_kv=8, d_ff=16, num_layers=2, num_heads=4,
        relative_attention_num_buckets=8, relative_attention_max_distance=16,
        feed_forward_proj="relu", pad_token_id=0, decoder_start_token_id=0)),
    "t5": (hf.T5Config, hf.T5ForConditionalGeneration, dict(
        vocab_size=96, d_model=32, d_kv=12, d_ff=48, num_layers=2, num_decoder_layers=3,
        num_heads=4, relative_attention_num_buckets=8, relative_attention_max_distance=16,
        feed_forward_proj="relu", pad_token_id=0, decoder_start_token_id=0)),
    "t5-v1_1": (hf.T5Config, hf.T5ForConditionalGeneration, dict(
        vocab_size=96, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, pad_token_id=0,
        decoder_start_token_id=0)),
    "whisper": (hf.WhisperConfig, hf.WhisperForConditionalGeneration, dict(
        vocab_size=96, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, num_mel_bins=8,
        max_source_positions=12, max_target_positions=32, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=3, suppress_tokens=None,
        begin_suppress_tokens=None)),
}

# case -> how its weights are stored; else f32 in one file.
STORED = {"llama-sharded": "sharded", "qwen2-bf16-tied": "bf16", "gpt-oss-mxfp4": "mxfp4"}


def mxfp4(values):
    """Blocks [..., rows, columns / 32, 16] (first number in the low nibble) and E8M0 scales of
    [..., rows, columns], as the published gpt-oss files have them."""
    levels = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    groups = values.unflatten(-1, (-1, 32))
    exponent = groups.abs().amax(-1, keepdim=True).log2().floor() - 2
    scaled = groups / 2.0 ** exponent
    code = (scaled.abs().unsqueeze(-1) - levels).abs().argmin(-1) + 8 * (scaled < 0)
    packed = code[..., 0::2] | code[..., 1::2] << 4
    return packed.to(torch.uint8), (exponent.squeeze(-1) + 127).to(torch.uint8)


def store_mxfp4(model, folder):
    """Rounds the model to what the hub's form holds, and writes that form: experts in MXFP4, the
    rest in bf16."""
    state = {}
    for name, p in model.named_parameters():
        with torch.no_grad():
            if name.endswith("_proj") and "experts" in name:
                state[name + "_blocks"], state[name + "_scales"] = mxfp4(p.transpose(1, 2))
                p.copy_(convert_moe_packed_tensors(
                    state[name + "_blocks"], state[name + "_scales"], dtype=torch.float32))
            else:
                state[name] = p.bfloat16()
                p.copy_(state[name])
    config = json.loads((folder / "config.json").read_text())
    config["dtype"] = "bfloat16"
    config["quantization_config"] = dict(quant_method="mxfp4", modules_to_not_convert=[
        "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"])
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    save_file({k: v.contiguous() for k, v in state.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})


def store(model, folder, form):
    """The model's files; rounds its parameters to what they hold."""
    if form == "bf16":
        # Parameters alone: the tables of rotation stay as they are.
        stored = copy.deepcopy(model).bfloat16()
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(p.bfloat16().float())
    else:
        stored = model
    stored.save_pretrained(folder, max_shard_size="40KB" if form == "sharded" else "5GB")
    if form == "mxfp4":
        store_mxfp4(model, folder)
    for extra in folder.glob("generation_config.json"):
        extra.unlink()


def fill(model, case, generator):
    """Values for every parameter and every buffer that a checkpoint holds, large enough to show."""
    gemma = case.startswith("gemma")
    for name, p in list(model.named_parameters()) + [
            (n, b) for n, b in model.named_buffers() if "e_score_correction_bias" in n]:
        leaf = name.rsplit(".", 1)[-1]
        normal = torch.randn(p.shape, generator=generator, dtype=torch.float32)
        if "norm" in name.lower() or "ln_" in name or "layer_norm" in name:
            value = 0.3 * normal + (0.0 if gemma or leaf == "bias" else 1.0)
        elif "bias" in leaf and p.dim() <= 2 or leaf == "sinks":
            value = 0.3 * normal
        elif p.dim() == 1:
            value = 0.3 * normal
        elif any(k in name for k in ("embed", "wte", "wpe", "shared", "relative_attention_bias")):
            value = (0.15 if gemma else 0.7) * normal
        elif "conv" in name:
            value = normal * 1.2 / (p.shape[1] * p.shape[2]) ** 0.5
        else:
            inputs = p.shape[-2] if p.dim() == 3 or case.startswith("gpt2") else p.shape[-1]
            value = normal * (1.3 if p.dim() == 2 else 1.0) / inputs ** 0.5
        with torch.no_grad():
            p.copy_(value)


def greedy(model, **start):
    """Greedy tokens by full recomputation, with the margin of each choice."""
    ids, key = [], next(k for k in ("decoder_input_ids", "input_ids") if k in start)
    margins = []
    for _ in range(GREEDY):
        with torch.no_grad():
            logits = model(**start, use_cache=False).logits[0, -1]
        top = logits.topk(2)
        ids.append(int(top.indices[0]))
        margins.append(float(top.values[0] - top.values[1]))
        start[key] = torch.cat([start[key], top.indices[:1].view(1, 1)], 1)
    return torch.tensor(ids), torch.tensor(margins, dtype=torch.float64)


def run(case):
    config_class, model_class, fields = CASES[case]
    seed = int(hashlib.sha256(case.encode()).hexdigest()[:8], 16)
    generator = torch.Generator().manual_seed(seed)
    config = config_class(**fields)
    # Falcon's eager attention adds ALiBi twice, with the mask and again (transformers 4.57.1).
    config._attn_implementation = "sdpa" if case == "falcon-alibi" else "eager"
    config.architectures = [model_class.__name__]
    torch.manual_seed(seed)
    model = model_class(config).eval()
    fill(model, case, generator)
    folder = OUT / case
    folder.mkdir(parents=True, exist_ok=True)
    store(model, folder, STORED.get(case))
    if case == "deepseek-v2-yarn":
        # YaRN's factor of the scores, which DeepSeek's own code has and transformers 4.57 leaves out.
        for layer in model.model.layers:
            layer.self_attn.scaling *= yarn_get_mscale(MLA_YARN["factor"], MLA_YARN["mscale_all_dim"]) ** 2
    # DeepSeek-V3's experts add up in the router's float32, whatever the model's type is.
    model = model.float() if case.startswith("deepseek-v3") else model.double()
    vocabulary = config.vocab_size
    ids = torch.randint(1, vocabulary, (2, TOKENS), generator=generator)
    given, saved = {}, {}
    if case.startswith("t5"):
        source = torch.randint(1, vocabulary, (2, 14), generator=generator)
        given = dict(input_ids=source)
        saved["encoder_input_ids"] = source
    elif case == "whisper":
        features = torch.randn(
            (2, config.num_mel_bins, 2 * config.max_source_positions), generator=generator)
        given = dict(input_features=features.to(model.dtype))
        saved["input_features"] = features
    key = "decoder_input_ids" if given else "input_ids"
    if case == "t5-encoder":
        with torch.no_grad():
            saved["encoder_hidden"] = model(**given).last_hidden_state.double()
        return write(case, folder, saved, saved["encoder_hidden"])
    with torch.no_grad():
        out = model(**given, **{key: ids}, output_hidden_states=True, use_cache=False)
    saved[key] = ids
    base = not hasattr(out, "logits")
    logits = (out.last_hidden_state if base else out.logits).double()
    hidden = out.decoder_hidden_states if given else out.hidden_states
    if given:
        saved["encoder_hidden"] = out.encoder_last_hidden_state.double()
    saved.update(logits=logits, hidden_states=torch.stack(hidden).float(),
                 logits_std=logits.std().reshape(1))
    if not base:
        first = {k: v[:1] for k, v in given.items()}
        tokens, margins = greedy(model, **first, **{key: ids[:1, :PROMPT]})
        saved.update(greedy_ids=tokens, greedy_margins=margins)
    write(case, folder, saved, logits)


def write(case, folder, saved, result):
    save_file({k: v.contiguous() for k, v in saved.items()}, folder / "expected.safetensors")
    size = sum(f.stat().st_size for f in folder.iterdir())
    margin = f"margin {float(saved['greedy_margins'].min()):.4f}" if "greedy_margins" in saved else ""
    print(f"{case:30} std {float(result.std()):6.3f}  {margin:13}  {size/1e3:6.1f} kB")


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        run(name)
    print("total", sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file()) // 1000, "kB")
