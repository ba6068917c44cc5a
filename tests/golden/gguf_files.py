"""Tiny GGUF files of the llama and Gemma-3 architectures and of tokenizers, and what other packages
compute with them.

python gguf_files.py writes tests/golden/gguf/CASE.gguf with CASE.safetensors (as
models/CASE/expected.safetensors: what transformers computes with the dequantized weights), and
tokenizers/CASE.gguf with tokenizers.json, the ids that `tokenizers` or `sentencepiece` give texts.
"""

import io
import json
import pathlib
import re
import zlib

import gguf
import libgguf
import numpy as np
import sentencepiece
import tokenizers
import torch
import transformers as hf
from gguf import GGMLQuantizationType as Q, TokenType
from safetensors.torch import save_file
from tokenizers import Regex, models as bpe, pre_tokenizers as pre, trainers

from models import PROMPT, TOKENS, base, fill, greedy

OUT = pathlib.Path(__file__).parent / "gguf"
BY_LIBGGUF = {Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.IQ4_NL, Q.IQ4_XS, Q.NVFP4}
LEGACY = [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.MXFP4, Q.IQ4_NL, Q.NVFP4, Q.F16, Q.BF16]
SUPER = [Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.IQ4_XS, Q.Q4_K, Q.Q6_K, Q.Q8_0]
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)


def llama(**over):
    return hf.LlamaConfig, hf.LlamaForCausalLM, base(**over)


def gemma(**over):
    return hf.Gemma3TextConfig, hf.Gemma3ForCausalLM, base(
        head_dim=16, sliding_window=8, query_pre_attn_scalar=16, intermediate_size=64,
        sliding_window_pattern=6, rope_theta=1000000.0, rope_local_base_freq=10000.0,
        tie_word_embeddings=True, **over)


# case -> (model, types of the matrices in turn, tokenizer)
CASES = {
    "llama-f32": (llama(hidden_size=64, vocab_size=320), [Q.F32], "bpe-gpt-2"),
    "llama-f16-tied-mha": (llama(
        num_key_value_heads=4, tie_word_embeddings=True, rope_theta=500000.0, rms_norm_eps=1e-5,
        rope_scaling=dict(rope_type="linear", factor=2.0)), [Q.F16], None),
    "llama-rope-factors": (llama(hidden_size=64, rope_theta=500000.0, rope_scaling=LLAMA3),
                           [Q.BF16], None),
    "llama-experts": ((hf.MixtralConfig, hf.MixtralForCausalLM, base(
        head_dim=16, intermediate_size=64, num_local_experts=3, num_experts_per_tok=2,
        sliding_window=None)), [Q.Q8_0, Q.Q5_1, Q.BF16], None),
    "llama-blocks": (llama(hidden_size=64, head_dim=32, intermediate_size=128), LEGACY, None),
    "llama-superblocks": (llama(
        hidden_size=256, num_attention_heads=8, intermediate_size=256, num_hidden_layers=1,
        head_dim=32), SUPER, None),
    "gemma3-f16": (gemma(num_hidden_layers=7, vocab_size=384), [Q.F16], "spm-no-prefix"),
    "gemma3-blocks-linear-rope": (gemma(
        num_hidden_layers=6, hidden_size=64, rope_scaling=dict(rope_type="linear", factor=8.0)),
        [Q.Q8_0, Q.Q4_0, Q.Q5_1, Q.NVFP4, Q.Q4_1, Q.MXFP4], None),
}


def encoded(values, kind):
    """The bytes of a tensor in a type, rows whole, and the values that they stand for."""
    if kind == Q.F32:
        return values, values
    if values.ndim > 2:
        raw, found = encoded(values.reshape(-1, values.shape[-1]), kind)
        return raw.reshape(*values.shape[:-1], -1), found.reshape(values.shape)
    if kind in BY_LIBGGUF:
        raw = np.asarray(libgguf.quantize_rows(values, kind)).reshape(len(values), -1)
    else:
        raw = gguf.quants.quantize(values, kind)
    return raw, gguf.quants.dequantize(raw, kind).reshape(values.shape).astype(np.float32)


def reordered(values, heads, back=False):
    """Rows of queries and keys in llama.cpp's order, halves of a head interleaved; or back."""
    halves = (heads, -1, 2) if back else (heads, 2, -1)
    return values.reshape(*halves, values.shape[-1]).swapaxes(1, 2).reshape(values.shape)


def metadata(writer, config, gemma):
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_vocab_size(config.vocab_size)
    if gemma:
        writer.add_sliding_window(config.sliding_window)
    else:
        writer.add_rope_dimension_count(config.head_dim)
    if hasattr(config, "num_local_experts"):
        writer.add_expert_count(config.num_local_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
    scaling = getattr(config, "rope_scaling", None) or {}
    if scaling.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(scaling["factor"])


def parameters(model):
    """The parameters by name, those of a layer's experts together under one name."""
    found = {}
    for name, p in model.named_parameters():
        found.setdefault(re.sub(r"experts\.\d+\.", "experts.", name), []).append(p)
    return found.items()


def write_tensors(writer, model, kinds, gemma):
    """Writes every tensor as llama.cpp's converter names and orders it; gives the model the values
    that a reader finds."""
    config, turn = model.config, 0
    arch = gguf.MODEL_ARCH.GEMMA3 if gemma else gguf.MODEL_ARCH.LLAMA
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    for name, own in parameters(model):
        values = torch.stack([p.detach() for p in own]).numpy().copy()
        values = values if ".experts." in name else values[0]
        heads = {"q_proj.weight": config.num_attention_heads,
                 "k_proj.weight": config.num_key_value_heads}.get(".".join(name.split(".")[-2:]))
        kind = Q.F32
        if values.ndim > 1:
            kind, turn = kinds[turn % len(kinds)], turn + 1
        if heads and not gemma:
            values = reordered(values, heads)
        if gemma and values.ndim == 1:
            values = values + np.float32(1)
        raw, found = encoded(values, kind)
        writer.add_tensor(names.get_name(name, (".weight", ".bias")), raw, raw_dtype=kind)
        if heads and not gemma:
            found = reordered(found, heads, back=True)
        found = torch.from_numpy(found - 1 if gemma and values.ndim == 1 else found)
        with torch.no_grad():
            for i, p in enumerate(own):
                p.copy_(found[i] if ".experts." in name else found)
    if (getattr(config, "rope_scaling", None) or {}).get("rope_type") == "llama3":
        plain = config.rope_theta ** -(torch.arange(0, config.head_dim, 2) / config.head_dim)
        factors = (plain / model.model.rotary_emb.inv_freq).numpy().astype(np.float32)
        writer.add_tensor("rope_freqs.weight", factors)


def run(case):
    (config_class, model_class, fields), kinds, tokenizer = CASES[case]
    gemma = case.startswith("gemma")
    generator = torch.Generator().manual_seed(zlib.crc32(case.encode()))
    config = config_class(**fields)
    config._attn_implementation = "eager"
    model = model_class(config).eval()
    fill(model, case, generator)
    writer = gguf.GGUFWriter(OUT / f"{case}.gguf", "gemma3" if gemma else "llama")
    metadata(writer, config, gemma)
    if tokenizer:
        VOCABULARIES[tokenizer](writer, config.vocab_size)
    write_tensors(writer, model, kinds, gemma)
    finish(writer)
    model.double()
    ids = torch.randint(1, config.vocab_size, (1, TOKENS), generator=generator)
    with torch.no_grad():
        out = model(input_ids=ids, output_hidden_states=True, use_cache=False)
    tokens, margins = greedy(model, input_ids=ids[:, :PROMPT])
    save_file(dict(input_ids=ids, logits=out.logits.double(), logits_std=out.logits.std().reshape(1),
                   hidden_states=torch.stack(out.hidden_states).float(), greedy_ids=tokens,
                   greedy_margins=margins), OUT / f"{case}.safetensors")
    size = sum((OUT / f"{case}.{e}").stat().st_size for e in ("gguf", "safetensors"))
    print(f"{case:28} std {float(out.logits.std()):6.3f}  margin {float(margins.min()):.4f}  "
          f"{size / 1e3:6.1f} kB")


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


CORPUS = """The miller ground the grain while the river ran under the mill, and the grain became flour.
Nobody remembered when the mill was built; some said 1804, others 1849, and the stone said nothing.
In winter the wheel froze. In summer the water was low, and the miller waited for rain.
He counted sacks: 12, 24, 36, 48; he counted them again, and there were 47. It's not the end, he'd say.
We've seen the river rise. They'll see it rise again, won't they? "Yes," said the child, "I'm sure."
der Müller mahlt das Korn; le meunier moud le grain; el molinero muele el grano.
def total(sacks):
    return sum(sack.weight for sack in sacks if sack.weight > 0)
"""
TEXTS = [
    "", " ", "The river", " the river", "the  river", "  leading and trailing  ", "miller's mill",
    "It's 1849, and they'll count 12345 sacks.", "HE'D SAY: WE'VE", "line\nbreak\n\n  indented\ttab",
    "Müller, naïve café", "東京 and Москва", "emoji \U0001f600 ok", "def total(sacks):\n    return 0",
    "a\r\nb", "3.14159 x^2 >= y_1", "graingraingrain", "\u2581under\u2581", "e\u0301 combining",
]
END = "<|end|>"
LLAMA_WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
               r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = pre.ByteLevel(add_prefix_space=False, use_regex=False)
GPT2_WORDS = pre.ByteLevel(add_prefix_space=False, use_regex=True)
# name -> how a text is cut before merges
BPE = {
    "gpt-2": GPT2_WORDS,
    "smollm": pre.Sequence([pre.Digits(individual_digits=True), GPT2_WORDS]),
    "llama-bpe": pre.Sequence([pre.Split(Regex(LLAMA_WORDS), "isolated"), BYTES]),
    "qwen2": pre.Sequence([
        pre.Split(Regex(LLAMA_WORDS.replace("{1,3}", "")), "isolated"), BYTES]),
}
EXPECTED = {}


def byte_pairs(name):
    """A vocabulary of byte-level BPE, trained on the corpus."""
    def vocabulary(writer, size):
        tokenizer = tokenizers.Tokenizer(bpe.BPE())
        tokenizer.pre_tokenizer = BPE[name]
        # Llama 3 takes a word that is a token at once, although no merges lead to it.
        whole = ["\u0120remembered"] if name == "llama-bpe" else []
        tokenizer.train_from_iterator([CORPUS], trainers.BpeTrainer(
            vocab_size=size - len(whole), special_tokens=[END], show_progress=False,
            initial_alphabet=pre.ByteLevel.alphabet()))
        state = json.loads(tokenizer.to_str())
        for word in whole:
            state["model"]["vocab"][word] = len(state["model"]["vocab"])
        state["model"]["ignore_merges"] = bool(whole)
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(state))
        tokens = sorted(state["model"]["vocab"], key=state["model"]["vocab"].get)
        assert len(tokens) == size, len(tokens)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(name)
        writer.add_token_list(tokens)
        writer.add_token_types([
            TokenType.CONTROL if t == END else TokenType.NORMAL for t in tokens])
        writer.add_token_merges([" ".join(pair) for pair in state["model"]["merges"]])
        writer.add_eos_token_id(0)
        writer.add_add_bos_token(False)
        EXPECTED[f"bpe-{name}"] = {
            t: tokenizer.encode(t).ids for t in [*TEXTS, f"the mill{END}river{END}"]}
    return vocabulary


def sentence_pieces(prefix):
    """A vocabulary of SentencePiece's BPE with bytes to fall back on, like Llama 2's (a space is put
    before a text) or Gemma's (none is, and runs of spaces and lines are tokens of their own)."""
    def vocabulary(writer, size):
        runs = [] if prefix else ["\u2581\u2581", "\n\n"]
        trained = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS.splitlines()), model_writer=trained, model_type="bpe",
            vocab_size=size, byte_fallback=True, add_dummy_prefix=prefix, split_digits=True,
            remove_extra_whitespaces=False, normalization_rule_name="identity",
            character_coverage=1.0, user_defined_symbols=runs, minloglevel=2, num_threads=1)
        pieces = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
        def kind(i):
            for test, kind in ((pieces.IsUnknown, TokenType.UNKNOWN), (pieces.IsByte, TokenType.BYTE),
                               (pieces.IsControl, TokenType.CONTROL)):
                if test(i):
                    return kind
            own = pieces.IdToPiece(i) in runs
            return TokenType.USER_DEFINED if own else TokenType.NORMAL
        kinds = [kind(i) for i in range(size)]
        # llama.cpp's converter writes the spaces of user-defined tokens plainly.
        plain = lambda i: pieces.IdToPiece(i).replace("\u2581", " ")
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list([plain(i) if kinds[i] == TokenType.USER_DEFINED
                               else pieces.IdToPiece(i) for i in range(size)])
        writer.add_token_scores([pieces.GetScore(i) for i in range(size)])
        writer.add_token_types(kinds)
        writer.add_bos_token_id(pieces.bos_id())
        writer.add_eos_token_id(pieces.eos_id())
        writer.add_unk_token_id(pieces.unk_id())
        writer.add_add_space_prefix(prefix)
        name = "spm-prefix" if prefix else "spm-no-prefix"
        EXPECTED[name] = {t: pieces.EncodeAsIds(t) for t in TEXTS}
    return vocabulary


VOCABULARIES = {
    **{f"bpe-{name}": byte_pairs(name) for name in BPE},
    "spm-prefix": sentence_pieces(True),
    "spm-no-prefix": sentence_pieces(False),
}
SIZES = {"bpe-gpt-2": 320, "spm-prefix": 384, "spm-no-prefix": 384}


def vocabularies():
    folder = OUT / "tokenizers"
    folder.mkdir(parents=True, exist_ok=True)
    for name, vocabulary in VOCABULARIES.items():
        writer = gguf.GGUFWriter(folder / f"{name}.gguf", "llama")
        vocabulary(writer, SIZES.get(name, 400))
        finish(writer)
    text = json.dumps(EXPECTED, indent=1, ensure_ascii=False)
    (folder / "tokenizers.json").write_text(text + "\n")


if __name__ == "__main__":
    vocabularies()
    for case in CASES:
        run(case)
    print("total", sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file()) // 1000, "kB")
