#!/usr/bin/env python3
"""Lets the real llama.cpp run the files that `snug convert` writes of checkpoint folders.

    compare_llama.py SNUG LLAMA_JUDGE FOLDER ...

For each folder that make_checkpoints.py has filled: the file loads, and the 32 tokens that llama.cpp finds likeliest
are those that transformers finds. The file is in f32, because beside 16-bit weights llama.cpp rounds activations to 16 bits,
which sends tokens to other experts. Its GELU is rounded all the same, and where two tokens are nearly alike they may
change places: how many are the same up to there is said, and fewer than a quarter is a failure.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

from compare_checkpoints import UNSAYABLE

RUN = 32
PHI3 = ('<unk>', '<s>', '</s>', '<|endoftext|>')  # looked up, come what may, in a model called phi3


def byte_characters():
    """The characters that stand for the 256 bytes in byte-level vocabularies."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(others)}


def with_tokenizer(folder, scratch):
    """The folder again, with a tokenizer that has as many tokens as the model: llama.cpp loads no model without."""
    copy = scratch / folder.name
    copy.mkdir()
    for file in folder.glob('*.safetensors*'):
        (copy / file.name).symlink_to(file.resolve())
    config = json.loads((folder / 'config.json').read_text())
    rows = (config.get('text_config') or config)['vocab_size']
    characters = byte_characters()
    vocabulary = {characters[i] if i < 256 else f'<{i}>': i for i in range(rows - len(PHI3))}
    vocabulary |= {token: rows - len(PHI3) + i for i, token in enumerate(PHI3)}
    (copy / 'config.json').write_text(json.dumps(config))
    (copy / 'tokenizer.json').write_text(json.dumps(dict(
        added_tokens=[], normalizer=None, pre_tokenizer=dict(type='ByteLevel', add_prefix_space=False, use_regex=True),
        model=dict(type='BPE', vocab=vocabulary, merges=[]))))
    return copy


def run(*command):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr.strip() or f'exit code {result.returncode}')
    return result.stdout


def alike(said, expected):
    return next((i for i, (a, b) in enumerate(zip(said, expected)) if a != b), len(expected))


def compare(snug, judge, folder):
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        gguf = scratch / 'model.gguf'
        run(snug, 'convert', with_tokenizer(folder, scratch), '-o', gguf, '--type', 'f32', '--quiet')
        said = run(judge, 'ids', gguf, (folder / 'tokens.txt').read_text(), RUN)
        return [int(t) for t in said.split(',')], [int(t) for t in (folder / 'greedy.txt').read_text().split(',')]


def main():
    failed = 0
    for name in sys.argv[3:]:
        folder = pathlib.Path(name)
        if any(folder.name.startswith(name) for name, _ in UNSAYABLE):
            continue
        try:
            said, expected = compare(sys.argv[1], sys.argv[2], folder)
            same = alike(said, expected)
            verdict = f'loads; {same} of {RUN} tokens are transformers\''
            failed += same < RUN // 4
        except (RuntimeError, OSError) as error:
            verdict, failed = f'FAILS: {error}', failed + 1
        print(f'{folder.name:20}', verdict, flush=True)
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
