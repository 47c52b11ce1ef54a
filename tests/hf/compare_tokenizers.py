#!/usr/bin/env python3
"""Compares snug's ids with those of the `tokenizers` package (of `sentencepiece` and `tiktoken`, where a folder has
tokenizer.model or tekken.json alone), for every checkpoint folder given.

    compare_tokenizers.py --probe build/release/tokenizer_probe [--bytes N] [--text FILE] FOLDER[:ARCHITECTURE] ...

The folder's tokenizer becomes GGUF metadata, snug's own tokenizer runs on that, and both encode the same texts.
Where llama.cpp is known to differ from the publisher's tokenizer, and snug follows llama.cpp, texts that show it are
counted apart. Exit code 1 where any other text differs.
"""
import argparse
import json
import re
import struct
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))
import mixed_text  # noqa: E402

MARKS_OR_NON_ASCII_UPPER = "a letter beyond ASCII that is upper case, or a mark"


def rows_of(folder: Path) -> int:
    config = folder / "config.json"
    return json.loads(config.read_text()).get("vocab_size", 0) if config.exists() else 0


def convert(probe: str, folder: Path, architecture: str, out: Path) -> str:
    done = subprocess.run([probe, "convert", folder, architecture, str(rows_of(folder)), out], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{folder.name}: {done.stderr}")
    return done.stdout


def snug_ids(probe: str, gguf: Path, texts: list) -> list:
    with tempfile.NamedTemporaryFile() as file:
        for text in texts:
            raw = text.encode()
            file.write(struct.pack("<I", len(raw)) + raw)
        file.flush()
        out = subprocess.run([probe, "ids", gguf, file.name, "--special"], capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def key_of(gguf: Path, key: str) -> str:
    raw = gguf.read_bytes()[:1 << 16]
    at = raw.find(key.encode())
    if at < 0:
        return ""
    at += len(key) + 4
    (length,) = struct.unpack_from("<Q", raw, at)
    return raw[at + 8:at + 8 + length].decode()


def known_difference(text: str, frame: dict, pre: str, model: str) -> str:
    """Why llama.cpp gives this text other ids than the publisher's tokenizer; empty where it should not."""
    if "NFC" in json.dumps(frame["normalizer"]) and unicodedata.normalize("NFC", text) != text:
        return "not in NFC"
    if pre in ("gpt-4o", "tekken") and any(
            c > "\x7f" and (unicodedata.category(c) in ("Lu", "Lt") or unicodedata.category(c)[0] == "M") for c in text):
        return MARKS_OR_NON_ASCII_UPPER
    if "\u017f" in text:
        return "a contraction with ſ"
    if pre in ("deepseek-coder", "deepseek-llm") and re.search("[\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]", text):
        return "white space among CJK characters"
    if pre == "falcon" and re.search("[\u166d\u2e43-\u2e5d]", text):
        return "punctuation by tables of another age"
    if model == "llama" and "▁" in text:
        return "a literal U+2581"
    if "Metaspace" in json.dumps(frame["pre_tokenizer"]) and (
            text.startswith(" ") or any(t["content"] + " " in text for t in frame["added_tokens"])):
        return "a blank in front, which Metaspace does not double"
    if model == "llama" and re.search(" {17}", text):
        return "a long run of blanks"
    return ""


class Pieces:
    """A SentencePiece model, with the same calls as the other tokenizers."""

    def __init__(self, path: Path):
        import sentencepiece
        self.model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        self.id_to_token = self.model.id_to_piece

    def encode(self, text: str, add_special_tokens: bool):
        return type("Encoding", (), {"ids": self.model.encode(text)})


class Tekken(Pieces):
    """Mistral's tekken.json by the package tiktoken."""

    def __init__(self, path: Path):
        import base64
        import tiktoken
        file = json.loads(path.read_text())
        config = file["config"]
        self.first = config["default_num_special_tokens"]
        ranks = {base64.b64decode(t["token_bytes"]): t["rank"] for t in file["vocab"][:config["default_vocab_size"] - self.first]}
        self.model = tiktoken.Encoding("tekken", pat_str=config["pattern"], mergeable_ranks=ranks, special_tokens={})
        self.id_to_token = lambda i: self.model.decode_single_token_bytes(i - self.first)

    def encode(self, text: str, add_special_tokens: bool):
        return type("Encoding", (), {"ids": [i + self.first for i in self.model.encode_ordinary(text)]})


def reference_of(folder: Path):
    """The publisher's tokenizer of a folder, and its tokenizer.json."""
    frame = {"normalizer": None, "pre_tokenizer": None, "added_tokens": []}
    if (folder / "tokenizer.json").exists():
        return Tokenizer.from_file(str(folder / "tokenizer.json")), json.loads((folder / "tokenizer.json").read_text())
    if (folder / "tekken.json").exists():
        return Tekken(folder / "tekken.json"), frame
    return Pieces(folder / "tokenizer.model"), frame


def compare(args, spec: str, corpus: str) -> int:
    path, _, architecture = spec.partition(":")
    folder = Path(path)
    theirs, frame = reference_of(folder)
    added = [t["content"] for t in frame.get("added_tokens") or []]
    texts = mixed_text.records(args.seed, args.bytes, added, corpus)
    if isinstance(theirs, Pieces):
        texts = [text.replace("\0", "") for text in texts]  # ends a text there
    with tempfile.TemporaryDirectory() as temp:
        gguf = Path(temp) / "vocab.gguf"
        remarks = convert(args.probe, folder, architecture or "llama", gguf)
        ours = snug_ids(args.probe, gguf, texts)
        pre, model = key_of(gguf, "tokenizer.ggml.pre"), key_of(gguf, "tokenizer.ggml.model")
    known, wrong, tokens = {}, [], 0
    for text, got in zip(texts, ours, strict=True):
        wanted = theirs.encode(text, add_special_tokens=False).ids
        tokens += len(wanted)
        if got == wanted:
            continue
        why = known_difference(text, frame, pre, model)
        if why:
            known[why] = known.get(why, 0) + 1
        else:
            wrong.append((text, got, wanted))
    print(f"{folder.name}: model {model}, pre {pre}; {len(texts)} texts, {tokens} tokens: {len(wrong)} differ"
          + "".join(f", {n} known ({why})" for why, n in known.items()))
    print("".join("  " + line + "\n" for line in remarks.splitlines()), end="")
    for text, got, wanted in wrong[:args.show]:
        show_difference(theirs, text, got, wanted)
    return len(wrong)


def show_difference(theirs, text, got, wanted) -> None:
    at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
    pieces = lambda ids: [(i, theirs.id_to_token(i)) for i in ids[max(0, at - 2):at + 4]]
    print(f"    got {pieces(got)}\n    not {pieces(wanted)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--probe", required=True)
    parser.add_argument("--bytes", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=3)
    parser.add_argument("--text", default=None, help="prose to take pieces of")
    args = parser.parse_args()
    corpus = Path(args.text).read_text(errors="ignore") if args.text else " ".join(mixed_text.WORDS)
    return 1 if sum(compare(args, spec, corpus) for spec in args.folders) else 0


if __name__ == "__main__":
    sys.exit(main())
