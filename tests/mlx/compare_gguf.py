#!/usr/bin/env python3
"""Compares the MLX folders that snug writes of GGUF files with those that it writes of the checkpoints they come from.

    compare_gguf.py SNUG FOLDER ...      needs mlx and mlx-lm

For each folder: as a GGUF file, written by snug and, where there is one, by llama.cpp's converter, it becomes an MLX folder
that mlx_lm loads strictly, with the words of config.json that its class reads the same as from the folder itself, and
the same logits. Where the folder has a tokenizer, both tokenizer.json give the same ids.
"""
import dataclasses
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / 'hf'))
import mixed_text  # noqa: E402

import numpy as np
from beside import as_f32, check_folders, generates, logits_of, run
from mlx_lm.utils import _get_classes, load_model

TEXTS = ['Hello world', ' two  blanks\tand a tab\n\n\nlines', "It's 12345 and 3.14: don't!", 'für Ärger, 中文字符 и русский 🙂👍🏽',
         'def f(x):\n    return x ** 2  # ok', '¹²³ ½ ٣٤٥ ①', 'a' * 50 + ' ' * 9 + '\r\n', '', '<|im_start|>user\nhi<|im_end|>\n',
         'e\u0301 and \u00e9', '<start_of_turn>user\nx<end_of_turn>', 'https://a.b/c?d=e&f=%20', 'ﬁ ｆｕｌｌ ＷＩＤＴＨ']
# Another spelling of rope_scaling and rope_theta; and in it one of its own name.
IGNORED, SPELLINGS = {'model_type', 'rope_parameters'}, {'type', 'rope_type'}


def arguments(folder):
    config = json.loads((folder / 'config.json').read_text())
    args = _get_classes(config)[1].from_dict(config)
    words = dataclasses.asdict(args)
    if isinstance(words.get('text_config'), dict) and config['model_type'].startswith('qwen3_5'):
        from mlx_lm.models.qwen3_5 import TextModelArgs
        words = dataclasses.asdict(TextModelArgs.from_dict(words['text_config']))
    scaling = words.get('rope_scaling')
    if scaling and (scaling.get('rope_type') or scaling.get('type')) == 'default':
        words['rope_scaling'] = None
    return {key: value for key, value in words.items() if key not in IGNORED}


def same(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        return all(same(a.get(key), b.get(key)) for key in (set(a) | set(b)) - SPELLINGS)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return abs(a - b) <= 1e-6 * max(abs(a), abs(b))
    return a == b or all(nothing is None or nothing is False or nothing == {} for nothing in (a, b))


def compare_ids(folder, made):
    from tokenizers import Tokenizer
    wanted, got = (Tokenizer.from_file(str(f / 'tokenizer.json')) for f in (folder, made))
    for text in TEXTS + mixed_text.records(1, 60_000, [], ' '.join(mixed_text.WORDS)):
        for special in (False, True):
            a, b = (t.encode(text, add_special_tokens=special) for t in (wanted, got))
            if a.ids != b.ids:
                yield f'{text!r} (special {special}): ids {b.ids[:12]}, not {a.ids[:12]}'
            elif wanted.decode(a.ids) != got.decode(b.ids):
                yield f'{text!r} is decoded as {got.decode(b.ids)!r}'


def check(snug, folder, scratch):
    run(snug, 'convert', folder, '--runtime', 'mlx', '-o', scratch / 'direct', '--quiet')
    run(snug, 'convert', folder, '-o', scratch / 'model.gguf', '--quiet')
    wanted = arguments(scratch / 'direct')
    tokens = [1, 7, 3, 11, 42, 5, 9, 2, 30, 17]
    direct = logits_of(as_f32(load_model(scratch / 'direct')[0]), tokens)
    files = list(filter(pathlib.Path.exists, (scratch / 'model.gguf', folder / 'converter.gguf')))
    for file in files:
        out = scratch / f'mlx-{file.stem}'
        run(snug, 'convert', file, '--runtime', 'mlx', '-o', out, '--quiet')
        got = arguments(out)
        for key in wanted:
            if not same(got.get(key), wanted[key]):
                yield f'{file.name}: {key} is {got.get(key)}, not {wanted[key]}'
        model = as_f32(load_model(out)[0])
        error = np.max(np.abs(logits_of(model, tokens) - direct)) / np.sqrt(np.mean(direct ** 2))
        if not generates(model, tokens, 4):
            yield f'{file.name}: does not generate'
        if not error <= 2e-3:
            yield f'{file.name}: logits differ by {error:.2g} of their rms'
        if (folder / 'tokenizer.json').exists():
            yield from (f'{file.name}: {problem}' for problem in compare_ids(folder, out))
    return 'the same by way of ' + ' and '.join(file.name for file in files)


if __name__ == '__main__':
    check_folders(__doc__, check)
