#!/usr/bin/env python3
"""Trains a small tokenizer in every pre-tokenizer form that snug knows, as checkpoint folders to compare with
compare_tokenizers.py.

    train_tokenizers.py OUT_DIR [--text FILE]      needs the package tokenizers
"""
import argparse
import json
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

sys.path.insert(0, str(Path(__file__).parent))
import mixed_text  # noqa: E402

CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
OLD_TAIL = r"\s*[\r\n]|\s+(?!\S)|\s+"
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
KANA = "[一-龥\u3040-ゟ゠-ヿ]+"
CJK_WIDE = "[一-龥ࠀ-一가-\ud7ff]+"
DEEPSEEK3 = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"""
             + TAIL)
PORO = r" ?[^(\s|[.,!?…。，、।۔،])]+"


def llama3(digits):
    return f"{CONTRACTION}|{WORD}|{digits}" + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL


def o200k(digits, suffix):
    lead = r"[^\r\n\p{L}\p{N}]?"
    return (f"{lead}{UPPER}*{LOWER}+{suffix}|{lead}{UPPER}+{LOWER}*{suffix}|{digits}" + r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + TAIL)


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
DIGITS, DIGIT_RUNS = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Digits(individual_digits=False)

FORMS = {  # name in GGUF: (steps, model.ignore_merges)
    "llama-bpe": ([split(llama3(r"\p{N}{1,3}")), BYTES], True),
    "dbrx": ([split(llama3(r"\p{N}{1,3}"), "removed", True), BYTES], False),
    "qwen2": ([split(llama3(r"\p{N}")), BYTES], False),
    "qwen35": ([split(CONTRACTION + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + TAIL), BYTES], False),
    "gpt-4o": ([split(o200k(r"\p{N}{1,3}", CONTRACTION + "?")), BYTES], False),
    "tekken": ([split(o200k(r"\p{N}", "")), BYTES], True),
    "deepseek-v3": ([split(r"\p{N}{1,3}"), split(KANA), split(DEEPSEEK3), BYTES], False),
    "deepseek-coder": ([split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(CJK_WIDE), DIGITS, BYTES], False),
    "smollm": ([DIGITS, GPT2], False),
    "gpt-2": ([GPT2], False),
    "falcon": ([pre_tokenizers.Punctuation("contiguous"), GPT2, DIGIT_RUNS, split("[0-9][0-9][0-9]")], False),
    "seed-coder": ([split(f"{CONTRACTION}|{WORD}" + r"|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|" + TAIL), BYTES], False),
    "bailingmoe": ([split(r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|" + OLD_TAIL), BYTES], False),
    "exaone-moe": ([split(CONTRACTION + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|" + OLD_TAIL),
                    BYTES], False),
    "minicpm5": ([split(r"\p{N}{1,3}"), split(llama3(r"\p{N}+")), BYTES], True),
    "superbpe": ([split(r"\p{N}+"), split(r"(?=(\d{3})+(?!\d))"), BYTES], False),
    "poro-chat": ([split(PORO), BYTES], False),
    "viking": ([split(PORO), DIGITS, BYTES], False),
    "laguna": ([split(r"[^\n]+|\n+"), split(llama3(r"\p{N}")), BYTES], False),
}


def special_tokens(tokenizer):
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", special=True), AddedToken("<|im_start|>", special=True)])
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("    ", normalized=False)])


def train_bytes(texts, steps, ignore_merges):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=1500, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    special_tokens(tokenizer)
    return tokenizer


def every_split(frame):
    """Merges of every way to part a token in two, tokens in the order of their ids: as SentencePiece converts."""
    vocab = frame["model"]["vocab"]
    merges = []
    for token in sorted(vocab, key=vocab.get):
        parts = [(token[:i], token[i:]) for i in range(1, len(token))]
        merges += sorted((p for p in parts if p[0] in vocab and p[1] in vocab), key=lambda p: (vocab[p[0]], vocab[p[1]]))
    frame["model"]["merges"] = [list(pair) for pair in merges]
    return frame


def train_characters(texts, blanks):
    """blanks: how they are marked: by Prepend and Replace, by Metaspace, or by Replace alone (Gemma)."""
    alphabet = [f"<0x{b:02X}>" for b in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    if blanks == "metaspace":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    elif blanks == "prepend":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
    trainer = trainers.BpeTrainer(vocab_size=2500, limit_alphabet=300, show_progress=False,
                                  special_tokens=["<unk>", "<s>", "</s>"] + alphabet)
    lines = [line for text in texts for line in text.replace(" ", " \n").split("\n")]
    tokenizer.train_from_iterator(lines, trainer)
    frame = json.loads(tokenizer.to_str())
    frame["added_tokens"] = [t for t in frame["added_tokens"] if t["content"] not in alphabet]
    return every_split(frame)


def save(folder: Path, frame: dict, architecture: str):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(frame, ensure_ascii=False))
    size = max(max(frame["model"]["vocab"].values()), max(t["id"] for t in frame["added_tokens"])) + 1
    (folder / "config.json").write_text(json.dumps({"vocab_size": size + 3, "architectures": [architecture]}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--text", default=None)
    args = parser.parse_args()
    corpus = Path(args.text).read_text(errors="ignore") if args.text else " ".join(mixed_text.WORDS)
    texts = mixed_text.records(2, 200_000, [], corpus)
    for name, (steps, ignore_merges) in FORMS.items():
        save(args.out / name, json.loads(train_bytes(texts, steps, ignore_merges).to_str()), "LlamaForCausalLM")
    for blanks in ("prepend", "metaspace", "replace"):
        save(args.out / f"spm-{blanks}", train_characters(texts, blanks), "LlamaForCausalLM")
    print(f"{len(FORMS) + 3} tokenizers in {args.out}")


if __name__ == "__main__":
    main()
