#!/usr/bin/env python3
"""Loads the MLX folders that snug writes of checkpoint folders, with mlx_lm.

    compare_mlx.py SNUG FOLDER ...      needs mlx and mlx-lm

For each folder: unquantized and in several formats, what snug writes is loaded strictly and generates; the logits of the
unquantized one are `snug eval`'s of the folder itself; the logits of quantized ones are those of the same model with its
weights taken out of their planes by mlx. All in f32, so that only the order of sums differs.
"""
import json

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from beside import as_f32, check_folders, evaluated, generates, log_softmax, logits_of, run
from mlx.utils import tree_unflatten
from mlx_lm.utils import load_model

FORMATS = ['mlx_q2_g32', 'mlx_q3_g32', 'mlx_q4_g32', 'mlx_q4_g64', 'mlx_q5_g32', 'mlx_q6_g128', 'mlx_q8_g32',
           'mlx_mxfp4', 'mlx_nvfp4', 'mlx_mxfp8']
TOKENS = 24
# Of logits, relative to their rms. Gemma's activation is rounded as llama.cpp's table is; weights in f32 become bf16, and
# so do norms with 1 added, of which the checkpoint has the rest alone.
TOLERANCE, ROUNDED, ROUNDED_NORMS = 2e-3, 5e-2, 2e-1


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


def error_of(got, wanted):
    return float(np.max(np.abs(got - wanted)) / np.sqrt(np.mean(wanted ** 2)))


def usual_error_of(got, wanted):
    """That of most positions: rounding may choose another expert at one."""
    return float(np.median(np.max(np.abs(got - wanted), -1)) / np.sqrt(np.mean(wanted ** 2)))


def divergence(got, wanted):
    p, q = log_softmax(wanted), log_softmax(got)
    return float((np.exp(p) * (p - q)).sum(-1).mean())


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
    if not generates(as_f32(model), tokens, 8):
        yield 'unquantized: does not generate'
    whole = logits_of(model, tokens)
    is_f32 = json.loads((folder / 'config.json').read_text()).get('dtype') == 'float32'
    ignores_yarn = config['model_type'] == 'qwen3_moe' and text.get('rope_scaling')  # as mlx_lm does there
    errors, divergences = [], []
    for what, allowed in zip((scratch / 'plain', folder), allowed_of(config, is_f32)):
        ours = evaluated(snug, what, tokens, scratch / 'logits')
        errors.append(error_of(whole, ours) if allowed < ROUNDED_NORMS else usual_error_of(whole, ours))
        if not errors[-1] <= allowed and not ignores_yarn:
            yield f'unquantized: logits differ by {errors[-1]:.2g} of their rms from snug eval {what.name}'
    for name in FORMATS:
        out = scratch / name
        run(snug, 'quantize', folder, '--runtime', 'mlx', '--format', name, '-o', out, '--quiet')
        model, _ = load_model(out)
        if not generates(as_f32(model), tokens, 8):
            yield f'{name}: does not generate'
        packed = logits_of(model, tokens)
        error = error_of(packed, logits_of(plain(model), tokens))
        divergences.append(f'{name.removeprefix("mlx_")} {divergence(packed, whole):.4f}')
        if not error <= TOLERANCE:
            yield f'{name}: logits differ by {error:.2g} of their rms from those of the unpacked weights'
    written, source = errors
    return f'logits within {written:.1e} of what was written, {source:.1e} of the source; KL {" ".join(divergences)}'


if __name__ == '__main__':
    check_folders(__doc__, check)
