#!/usr/bin/env python3
"""Loads the MLX folders that snug writes of checkpoint folders, with mlx_lm.

    compare_mlx.py SNUG FOLDER ...      needs mlx and mlx-lm

For each folder: unquantized and in several formats, what snug writes is loaded strictly and generates; the logits of the
unquantized one are `snug eval`'s of the folder itself; the logits of quantized ones are those of the same model with its
weights taken out of their planes by mlx. All in f32, so that only the order of sums differs.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_map, tree_unflatten
from mlx_lm.generate import generate_step
from mlx_lm.utils import load_model

FORMATS = ['mlx_q2_g32', 'mlx_q3_g32', 'mlx_q4_g32', 'mlx_q4_g64', 'mlx_q5_g32', 'mlx_q6_g128', 'mlx_q8_g32',
           'mlx_mxfp4', 'mlx_nvfp4', 'mlx_mxfp8']
TOKENS = 24
# Of logits, relative to their rms. Gemma's activation is rounded as llama.cpp's table is; weights in f32 become bf16, and
# so do norms with 1 added, of which the checkpoint has the rest alone.
TOLERANCE, ROUNDED, ROUNDED_NORMS = 2e-3, 5e-2, 2e-1


def run(*command):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr.strip())


def as_f32(model):
    """Computes in f32: quantized weights stay as they are, their scales become f32."""
    floats = (mx.bfloat16, mx.float16)
    model.update(tree_map(lambda p: p.astype(mx.float32) if p.dtype in floats else p, model.parameters()))
    return model


def plain(model):
    """The same model with every quantized module's weights as numbers."""
    def unpack(path, module):
        if not hasattr(module, 'bits'):
            return module
        weight = mx.dequantize(module.weight, module.scales, module.get('biases'), module.group_size, module.bits,
                               module.mode, dtype=mx.float32)
        if 'Embedding' in type(module).__name__:
            made = nn.Embedding(*weight.shape)
        elif 'MultiLinear' in type(module).__name__:
            from mlx_lm.models.mla import MultiLinear
            made = MultiLinear(weight.shape[2], weight.shape[1], weight.shape[0])
        elif weight.ndim == 3:
            from mlx_lm.models.switch_layers import SwitchLinear
            made = SwitchLinear(weight.shape[2], weight.shape[1], weight.shape[0], bias='bias' in module)
        else:
            made = nn.Linear(weight.shape[1], weight.shape[0], bias='bias' in module)
        made.weight = weight
        if 'bias' in module:
            made.bias = module.bias
        return made

    leaves = [(path, unpack(path, module)) for path, module in model.named_modules() if hasattr(module, 'bits')]
    model.update_modules(tree_unflatten(leaves))
    return model


def logits_of(model, tokens):
    return np.array(model(mx.array([tokens]))[0].astype(mx.float32))


def generates(model, tokens):
    said = [int(t) for t, _ in generate_step(mx.array(tokens), model, max_tokens=8)]
    return len(said) == 8


def error_of(got, wanted):
    return float(np.max(np.abs(got - wanted)) / np.sqrt(np.mean(wanted ** 2)))


def usual_error_of(got, wanted):
    """That of most positions: rounding may choose another expert at one."""
    return float(np.median(np.max(np.abs(got - wanted), -1)) / np.sqrt(np.mean(wanted ** 2)))


def divergence(got, wanted):
    def log_softmax(x):
        x = x.astype(np.float64) - x.max(-1, keepdims=True)
        return x - np.log(np.exp(x).sum(-1, keepdims=True))
    p, q = log_softmax(wanted), log_softmax(got)
    return float((np.exp(p) * (p - q)).sum(-1).mean())


def evaluated(snug, folder, tokens, scratch):
    run(snug, 'eval', folder, '--tokens', ','.join(map(str, tokens)), '--logits', scratch / 'logits', '--cache-type', 'f32',
        '--force', '--quiet')
    return np.fromfile(scratch / 'logits', np.float32).reshape(len(tokens), -1)


def allowed_of(config, of_f32):
    """Of what was written and read back, and of the source itself."""
    if config['model_type'].startswith('gemma'):
        return ROUNDED, ROUNDED
    if config['model_type'].startswith(('qwen3_next', 'qwen3_5')):
        return TOLERANCE, ROUNDED_NORMS
    return TOLERANCE, ROUNDED if of_f32 else TOLERANCE


def tokens_of(folder, vocabulary):
    file = folder / 'tokens.txt'
    if file.exists():
        return [int(t) for t in file.read_text().split(',')]
    return [int(t) for t in np.random.default_rng(1).integers(3, vocabulary, TOKENS)]


def check(snug, folder, scratch):
    run(snug, 'convert', folder, '--runtime', 'mlx', '-o', scratch / 'plain', '--quiet')
    model, config = load_model(scratch / 'plain')
    text = config.get('text_config', config)
    tokens = tokens_of(folder, text['vocab_size'])
    if config['model_type'] == 'gemma2':  # mlx_lm gives it no window
        tokens = tokens[:text['sliding_window']]
    if not generates(as_f32(model), tokens):  # mlx multiplies stacks of experts in f32 alone on the CPU
        yield 'unquantized: does not generate'
    whole = logits_of(model, tokens)
    is_f32 = json.loads((folder / 'config.json').read_text()).get('dtype') == 'float32'
    ignores_yarn = config['model_type'] == 'qwen3_moe' and text.get('rope_scaling')  # as mlx_lm does there
    check.divergences = {}
    for what, allowed in zip((scratch / 'plain', folder), allowed_of(config, is_f32)):
        ours = evaluated(snug, what, tokens, scratch)
        check.error = error_of(whole, ours) if allowed < ROUNDED_NORMS else usual_error_of(whole, ours)
        if not check.error <= allowed and not ignores_yarn:
            yield f'unquantized: logits differ by {check.error:.2g} of their rms from snug eval {what.name}'
    for name in FORMATS:
        out = scratch / name
        run(snug, 'quantize', folder, '--runtime', 'mlx', '--format', name, '-o', out, '--quiet')
        model, _ = load_model(out)
        if not generates(as_f32(model), tokens):
            yield f'{name}: does not generate'
        packed = logits_of(model, tokens)
        error = error_of(packed, logits_of(plain(model), tokens))
        check.divergences[name] = divergence(packed, whole)
        if not error <= TOLERANCE:
            yield f'{name}: logits differ by {error:.2g} of their rms from those of the unpacked weights'


def main():
    failed = 0
    for name in sys.argv[2:]:
        folder = pathlib.Path(name)
        try:
            with tempfile.TemporaryDirectory() as scratch:
                problems = list(check(sys.argv[1], folder, pathlib.Path(scratch)))
            kls = ' '.join(f'{n.removeprefix("mlx_")} {kl:.4f}' for n, kl in check.divergences.items())
            verdict = f'logits within {check.error:.1e}; KL {kls}'
        except Exception as error:
            problems = [f'{type(error).__name__}: {error}']
        failed += bool(problems)
        print(f'{folder.name:20}', verdict if not problems else 'DIFFERS', flush=True)
        for problem in problems[:12]:
            print('   ', problem)
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
