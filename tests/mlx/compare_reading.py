#!/usr/bin/env python3
"""Compares what snug reads in folders that real mlx_lm wrote with what mlx_lm itself computes.

    compare_reading.py SNUG SCRATCH CHECKPOINT ...      needs mlx and mlx-lm from PyPI, on the CPU
    SNUG_MODES=mxfp4,affine-4-64 in the environment: these modes alone

mlx_lm converts every checkpoint in every mode; `snug eval` on the folder must give the logits that mlx_lm gives,
its arithmetic set to f32. Where a mode quantizes nothing (rows too short), it is named as such.
"""
import json
import os
import pathlib
import shutil
import sys
import tempfile

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from beside import evaluated
from mlx.utils import tree_map_with_path
from mlx_lm.convert import mixed_quant_predicate_builder
from mlx_lm.utils import _get_classes, load_model, quantize_model, save_config, save_model

mx.set_default_device(mx.cpu)

# Embeddings of the floating-point modes are decoded to bf16, exactly; what follows would be rounded to it.
looked_up = nn.QuantizedEmbedding.__call__
nn.QuantizedEmbedding.__call__ = lambda self, x: looked_up(self, x).astype(mx.float32)

# Of logits, relative to their rms: sums of f32 in another order.
TOLERANCE = 1e-4
# Gemma's activation is rounded to f16 as llama.cpp's table is, which alone changes logits by some thousandths.
ROUNDED = 2e-2
TOKENS = [1, 7, 3, 11, 42, 5, 9, 2, 30, 17, 4, 8, 25, 13, 6, 19]

MODES = {
    'unquantized': dict(),
    'affine-4-64': dict(quantize=True, q_bits=4, q_group_size=64),
    'affine-2-32': dict(quantize=True, q_bits=2, q_group_size=32),
    'affine-3-32': dict(quantize=True, q_bits=3, q_group_size=32),
    'affine-5-32': dict(quantize=True, q_bits=5, q_group_size=32),
    'affine-6-64-f16': dict(quantize=True, q_bits=6, q_group_size=64, dtype='float16'),
    'affine-8-32-f32': dict(quantize=True, q_bits=8, q_group_size=32, dtype='float32'),
    'mxfp4': dict(quantize=True, q_bits=4, q_group_size=32, q_mode='mxfp4'),
    'nvfp4': dict(quantize=True, q_bits=4, q_group_size=16, q_mode='nvfp4'),
    'mxfp8': dict(quantize=True, q_bits=8, q_group_size=32, q_mode='mxfp8'),
    'mixed-3-6': dict(quantize=True, q_group_size=64, quant_predicate='mixed_3_6'),
}


def flat_config(config):
    """transformers 5 writes some values in forms that mlx_lm does not read, and takes its own defaults for instead."""
    text = config.get('text_config', config)
    rope = text.get('rope_parameters') or {}
    full = rope.get('full_attention', rope)
    if 'rope_theta' in full:
        text.setdefault('rope_theta', full['rope_theta'])
    if 'sliding_attention' in rope:
        text.setdefault('rope_local_base_freq', rope['sliding_attention']['rope_theta'])
    if full.get('rope_type', 'default') not in ('default', 'proportional'):
        text.setdefault('rope_scaling', {**full, 'type': full['rope_type']})
    if 'partial_rotary_factor' in full:
        text.setdefault('partial_rotary_factor', full['partial_rotary_factor'])
    if 'num_local_experts' in text:
        text.setdefault('num_experts', text['num_local_experts'])
    if text.get('model_type', '').startswith(('qwen3_moe', 'qwen3_next')):
        text.setdefault('mlp_only_layers', [])
    for layer in (text.get('per_layer_config') or {}).values():
        text.setdefault('global_head_dim', layer.get('head_dim'))
        text.setdefault('num_global_key_value_heads', layer.get('num_key_value_heads'))
    config = {k: v for k, v in config.items() if v is not None}
    config.setdefault('rope_scaling', None)
    if config['model_type'].startswith('qwen3_5') and config['model_type'].endswith('_text'):
        config = {'architectures': config['architectures'], 'model_type': config['model_type'][:-5], 'text_config': config}
    return config


def random_model(config):
    """Of kinds whose unquantized checkpoints mlx_lm does not load (gpt_oss)."""
    model_class, args_class = _get_classes(config)
    model = model_class(args_class.from_dict(config))
    mx.random.seed(7)
    model.update(tree_map_with_path(lambda name, v: (mx.random.normal(v.shape) * 0.1).astype(mx.bfloat16),
                                    model.parameters()))
    return model


def convert(checkpoint, folder, dtype=None, quantize=False, q_group_size=None, q_bits=None, q_mode='affine',
            quant_predicate=None):
    """What mlx_lm.convert does, of checkpoints without a tokenizer too."""
    config = flat_config(json.loads((checkpoint / 'config.json').read_text()))
    source = folder.parent / 'source'
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    for file in checkpoint.resolve().glob('model*.safetensors*'):
        (source / file.name).symlink_to(file)
    (source / 'config.json').write_text(json.dumps(config))
    try:
        model, config = load_model(source, lazy=True)
    except ValueError:
        model = random_model(config)
    if dtype:
        keeps = getattr(model, 'cast_predicate', lambda name: True)
        model.update(tree_map_with_path(lambda name, v: v.astype(getattr(mx, dtype)) if keeps(name) else v,
                                        model.parameters()))
    if quant_predicate:
        quant_predicate = mixed_quant_predicate_builder(quant_predicate, model, q_group_size)
    if quantize:
        model, config = quantize_model(model, config, q_group_size, q_bits, mode=q_mode, quant_predicate=quant_predicate)
    folder.mkdir()
    save_model(folder, model, donate_model=True)
    save_config(config, folder / 'config.json')


def theirs(folder):
    model, config = load_model(folder)
    count = sum(1 for name, module in model.named_modules() if hasattr(module, 'bits'))
    model.set_dtype(mx.float32)
    logits = model(mx.array([TOKENS]))[0].astype(mx.float32)
    return np.array(logits), count


def compare(snug, scratch, checkpoint, mode, options):
    folder = scratch / 'mlx'
    shutil.rmtree(folder, ignore_errors=True)
    convert(checkpoint, folder, **options)
    want, count = theirs(folder)
    got = evaluated(snug, folder, TOKENS, scratch / 'logits')
    error = np.sqrt(np.mean((got - want) ** 2) / np.mean(want ** 2))
    return error, count


def main():
    snug = sys.argv[1]
    pathlib.Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=sys.argv[2]) as scratch:
        compare_all(snug, pathlib.Path(scratch))


def compare_all(snug, scratch):
    bad = done = 0
    for checkpoint in map(pathlib.Path, sys.argv[3:]):
        limit = ROUNDED if 'gemma' in (checkpoint / 'config.json').read_text() else TOLERANCE
        for mode in os.environ.get('SNUG_MODES', ','.join(MODES)).split(','):
            options = MODES[mode]
            try:
                error, count = compare(snug, scratch, checkpoint, mode, options)
            except Exception as problem:
                print(f'{checkpoint.name} {mode}: {type(problem).__name__}: {str(problem).splitlines()[0]}', flush=True)
                bad += 1
                continue
            bad += not error <= limit
            done += 1
            print(f'{checkpoint.name} {mode}: {count} quantized modules, logits differ by {error:.2g}'
                  f'{"" if error <= limit else " TOO MUCH"}', flush=True)
    print(f'{done} folders compared, {bad} bad')
    sys.exit(bad > 0)


main()
