#!/usr/bin/env python3
"""Small random checkpoints of every architecture, made by transformers itself.

    make_checkpoints.py OUT_DIR [NAME ...] [--seed N] [--random COUNT]      needs torch and transformers

A folder each: weights filled so that nothing is near zero or one by accident, saved whole or sharded, in BF16 or F32.
With --random, so many of every architecture are drawn by chance (random_cases.py). Beside them tokens.txt and logits.f32, what transformers computes from the saved folder in f32, and greedy.txt, the
32 likeliest tokens that follow.
"""
import argparse
import json
import pathlib
import shutil
import zlib

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from packed_weights import pack_weights, round_weights
from random_cases import random_cases
from reference import reference
from spelling import spell

torch.set_num_threads(1)  # the models are too small for more

TINY = dict(vocab_size=160, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0)
EXPERTS = dict(moe_intermediate_size=32, num_experts=6, num_experts_per_tok=2)
LINEAR = dict(linear_conv_kernel_dim=4, linear_key_head_dim=16, linear_value_head_dim=16, linear_num_key_heads=2,
              linear_num_value_heads=4, head_dim=32, full_attention_interval=2, num_hidden_layers=4,
              layer_types=['linear_attention', 'full_attention'] * 2)
MLA = dict(kv_lora_rank=32, q_lora_rank=48, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=24,
           num_key_value_heads=4, n_routed_experts=8, moe_intermediate_size=32, num_experts_per_tok=3,
           first_k_dense_replace=1)
YARN = dict(rope_type='yarn', factor=4.0, original_max_position_embeddings=64)
SLIDING6 = dict(num_hidden_layers=7, sliding_window=8,
                layer_types=['full_attention' if i % 6 == 5 else 'sliding_attention' for i in range(7)])

# name: model type, fields of its configuration, how it is saved
CASES = {
    'llama': ('llama', dict(rope_parameters=dict(rope_type='default', rope_theta=50000.0)), {}),
    'llama-full': ('llama', dict(head_dim=24, attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
                                 rope_parameters=dict(rope_type='llama3', rope_theta=10000.0, factor=8.0,
                                                      low_freq_factor=1.0, high_freq_factor=4.0,
                                                      original_max_position_embeddings=64)), dict(shards=3)),
    'llama-f32': ('llama', dict(num_key_value_heads=4, rope_parameters=dict(rope_type='linear', factor=2.0,
                                                                            rope_theta=10000.0)), dict(f32=True)),
    'mistral': ('mistral', dict(sliding_window=None), {}),
    'mistral-full': ('mistral', dict(sliding_window=None, head_dim=32), dict(shards=2)),
    'mixtral': ('mixtral', dict(num_local_experts=4, num_experts_per_tok=2), {}),
    'mixtral-full': ('mixtral', dict(num_local_experts=5, num_experts_per_tok=3, tie_word_embeddings=True,
                                     num_key_value_heads=4), dict(shards=3)),
    'qwen2': ('qwen2', dict(tie_word_embeddings=True), {}),
    'qwen2-full': ('qwen2', dict(num_key_value_heads=4, rope_parameters=dict(rope_theta=1e6, **YARN)), dict(shards=2)),
    'qwen2_moe': ('qwen2_moe', dict(shared_expert_intermediate_size=48, **EXPERTS), {}),
    'qwen2_moe-full': ('qwen2_moe', dict(shared_expert_intermediate_size=64, tie_word_embeddings=True,
                                         **{**EXPERTS, 'num_experts': 5, 'num_experts_per_tok': 4}), dict(shards=3)),
    'qwen3': ('qwen3', dict(head_dim=32), {}),
    'qwen3-full': ('qwen3', dict(head_dim=24, tie_word_embeddings=True, rope_parameters=dict(rope_theta=1e6, **YARN)),
                   dict(shards=2)),
    'qwen3_moe': ('qwen3_moe', dict(head_dim=32, norm_topk_prob=True, **EXPERTS), {}),
    'qwen3_moe-full': ('qwen3_moe', dict(head_dim=24, norm_topk_prob=True, tie_word_embeddings=True,
                                         rope_parameters=dict(rope_theta=1e6, **YARN), **EXPERTS), dict(shards=3)),
    'gemma2': ('gemma2', dict(head_dim=16, query_pre_attn_scalar=16, sliding_window=8), {}),
    'gemma2-full': ('gemma2', dict(head_dim=32, query_pre_attn_scalar=32, sliding_window=16, num_hidden_layers=4),
                    dict(shards=2)),
    'gemma3': ('gemma3_text', dict(head_dim=16, query_pre_attn_scalar=16, **SLIDING6), {}),
    'gemma3-full': ('gemma3_text', dict(head_dim=24, query_pre_attn_scalar=24, **SLIDING6,
                                        rope_parameters=dict(
                                            full_attention=dict(rope_type='linear', factor=8.0, rope_theta=1e6),
                                            sliding_attention=dict(rope_type='default', rope_theta=10000.0))),
                    dict(shards=3)),
    'gemma3-multimodal': ('gemma3', dict(head_dim=16, query_pre_attn_scalar=16, **SLIDING6), {}),
    'phi3': ('phi3', {}, {}),
    'phi3-full': ('phi3', dict(max_position_embeddings=256, original_max_position_embeddings=16,
                               partial_rotary_factor=0.75,
                               rope_parameters=dict(rope_type='longrope', rope_theta=10000.0,
                                                    short_factor=[1.0 + i / 10 for i in range(6)],
                                                    long_factor=[1.5 + i / 4 for i in range(6)])), dict(shards=2)),
    'deepseek_v2': ('deepseek_v2', dict(n_shared_experts=2, topk_method='greedy', n_group=1, topk_group=1, **MLA), {}),
    'deepseek_v2-lite': ('deepseek_v2', dict(n_shared_experts=1, topk_method='greedy', num_hidden_layers=27,
                                             n_group=1, topk_group=1, **{**MLA, 'q_lora_rank': None}),
                         dict(shards=2)),
    'deepseek_v3': ('deepseek_v3', dict(n_shared_experts=1, n_group=2, topk_group=1, num_nextn_predict_layers=0, **MLA), {}),
    'deepseek_v3-full': ('deepseek_v3', dict(n_shared_experts=2, n_group=4, topk_group=2, norm_topk_prob=True,
                                             routed_scaling_factor=1.5, num_nextn_predict_layers=0,
                                             rope_parameters=dict(rope_theta=10000.0, mscale=1.0, mscale_all_dim=1.0,
                                                                  **YARN), **MLA), dict(shards=3)),
    'gpt_oss': ('gpt_oss', dict(head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=8,
                                num_hidden_layers=4, layer_types=['sliding_attention', 'full_attention'] * 2,
                                rope_parameters=dict(rope_type='default', rope_theta=150000.0)), {}),
    'gpt_oss-full': ('gpt_oss', dict(head_dim=32, num_local_experts=6, num_experts_per_tok=3, sliding_window=16,
                                     intermediate_size=64, num_hidden_layers=2,
                                     layer_types=['sliding_attention', 'full_attention'],
                                     rope_parameters=dict(rope_type='yarn', rope_theta=150000.0, factor=8.0,
                                                          beta_fast=32.0, beta_slow=1.0, truncate=True,
                                                          original_max_position_embeddings=64)), dict(shards=2)),
    # As published, with truncate false: GGUF's loaders round the bounds of the ramp all the same.
    'gpt_oss-truncate': ('gpt_oss', dict(head_dim=32, num_local_experts=4, num_experts_per_tok=2, sliding_window=16,
                                         intermediate_size=64, num_hidden_layers=2,
                                         layer_types=['sliding_attention', 'full_attention'],
                                         rope_parameters=dict(rope_type='yarn', rope_theta=150000.0, factor=8.0,
                                                              beta_fast=32.0, beta_slow=1.0, truncate=False,
                                                              original_max_position_embeddings=64)), {}),
    'glm4_moe-mtp': ('glm4_moe', dict(head_dim=16, n_routed_experts=6, n_shared_experts=1, moe_intermediate_size=32,
                                      num_experts_per_tok=2, first_k_dense_replace=1, num_nextn_predict_layers=1),
                     dict(predictor='model.layers.3.')),
    'deepseek_v3-mtp': ('deepseek_v3', dict(n_shared_experts=1, n_group=2, topk_group=1, num_nextn_predict_layers=1,
                                            **MLA), dict(predictor='model.layers.3.')),
    'qwen3_next-mtp': ('qwen3_next', dict(shared_expert_intermediate_size=48, mtp_num_hidden_layers=1, **EXPERTS,
                                          **LINEAR), dict(predictor='mtp.')),
    'qwen3_5-mtp': ('qwen3_5_text', dict(mtp_num_hidden_layers=1, **LINEAR), dict(predictor='mtp.')),
    'qwen3_5_moe-mtp': ('qwen3_5_moe_text', dict(shared_expert_intermediate_size=48, mtp_num_hidden_layers=1, **EXPERTS,
                                                 **LINEAR), dict(predictor='mtp.')),
    'ministral3': ('ministral3', dict(head_dim=32, rope_parameters=dict(
        rope_type='yarn', rope_theta=1e6, factor=4.0, original_max_position_embeddings=16, beta_fast=32.0, beta_slow=1.0,
        mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.1)), {}),
    'mistral3': ('mistral3', dict(sliding_window=None, head_dim=24), {}),
    'glm4_moe': ('glm4_moe', dict(head_dim=16, n_routed_experts=6, n_shared_experts=1, moe_intermediate_size=32,
                                  num_experts_per_tok=2, first_k_dense_replace=1, num_nextn_predict_layers=0), {}),
    'glm4_moe-full': ('glm4_moe', dict(head_dim=32, n_routed_experts=5, n_shared_experts=2, moe_intermediate_size=32,
                                       num_experts_per_tok=3, first_k_dense_replace=2, attention_bias=True,
                                       use_qk_norm=True, routed_scaling_factor=2.5, norm_topk_prob=True,
                                       num_nextn_predict_layers=0), dict(shards=3)),
    'qwen3_next': ('qwen3_next', dict(shared_expert_intermediate_size=48, **EXPERTS, **LINEAR), {}),
    'qwen3_next-full': ('qwen3_next', dict(shared_expert_intermediate_size=32, tie_word_embeddings=True, **EXPERTS,
                                           **{**LINEAR, 'linear_num_value_heads': 6, 'linear_key_head_dim': 8,
                                              'linear_value_head_dim': 8}), dict(shards=3)),
    'qwen3_5': ('qwen3_5_text', dict(**LINEAR), {}),
    'qwen3_5-full': ('qwen3_5_text', dict(tie_word_embeddings=True, **{**LINEAR, 'linear_num_value_heads': 6}),
                     dict(shards=2)),
    'qwen3_5_moe': ('qwen3_5_moe_text', dict(shared_expert_intermediate_size=48, **EXPERTS, **LINEAR), {}),
    'qwen3_5_moe-full': ('qwen3_5_moe_text', dict(shared_expert_intermediate_size=32, **EXPERTS,
                                                  **{**LINEAR, 'linear_num_value_heads': 2}), dict(shards=2)),
    'gemma4': ('gemma4_text', dict(head_dim=16, global_head_dim=32, hidden_size_per_layer_input=0,
                                   final_logit_softcapping=30.0, **SLIDING6), {}),
    'gemma4-ple': ('gemma4_text', dict(head_dim=16, global_head_dim=32, hidden_size_per_layer_input=16,
                                       vocab_size_per_layer_input=160, num_kv_shared_layers=3, num_hidden_layers=8,
                                       use_double_wide_mlp=True, sliding_window=8, final_logit_softcapping=30.0,
                                       layer_types=['sliding_attention', 'sliding_attention', 'full_attention',
                                                    'sliding_attention', 'full_attention', 'sliding_attention',
                                                    'sliding_attention', 'full_attention']), dict(shards=3)),
    'gemma4-moe': ('gemma4_text', dict(head_dim=16, global_head_dim=32, num_global_key_value_heads=1,
                                       attention_k_eq_v=True, enable_moe_block=True, num_experts=6, top_k_experts=2,
                                       moe_intermediate_size=32, hidden_size_per_layer_input=0,
                                       final_logit_softcapping=30.0, **SLIDING6), dict(shards=2)),
}
WITHOUT_ONE = ('gemma2', 'gemma3', 'qwen3_next', 'qwen3_5')  # norms are stored less 1


# model type: class, type of the text model inside, tower, other fields
SIGLIP = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
PIXTRAL = dict(model_type='pixtral', hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2,
               head_dim=16, image_size=64, patch_size=8)
QWEN_TOWER = dict(depth=2, hidden_size=32, intermediate_size=48, num_heads=2, patch_size=8, spatial_merge_size=2,
                  num_position_embeddings=36)
IMAGE_TOKENS = dict(image_token_id=150, video_token_id=151, vision_start_token_id=152, vision_end_token_id=153)
MULTIMODAL = {
    'gemma3': ('Gemma3ForConditionalGeneration', 'gemma3_text', SIGLIP,
               dict(mm_tokens_per_image=4, image_token_index=150, boi_token_index=151, eoi_token_index=152)),
    'mistral3': ('Mistral3ForConditionalGeneration', 'mistral', PIXTRAL, dict(image_token_index=150)),
    'qwen2_vl': ('Qwen2VLForConditionalGeneration', 'qwen2_vl_text', dict(depth=2, embed_dim=32, num_heads=2, patch_size=8),
                 IMAGE_TOKENS),
    'qwen2_5_vl': ('Qwen2_5_VLForConditionalGeneration', 'qwen2_5_vl_text', QWEN_TOWER | dict(fullatt_block_indexes=[1]),
                   IMAGE_TOKENS),
    'qwen3_vl': ('Qwen3VLForConditionalGeneration', 'qwen3_vl_text', QWEN_TOWER | dict(deepstack_visual_indexes=[0, 1]),
                 IMAGE_TOKENS),
    'qwen3_vl_moe': ('Qwen3VLMoeForConditionalGeneration', 'qwen3_vl_moe_text',
                     QWEN_TOWER | dict(deepstack_visual_indexes=[1]), IMAGE_TOKENS),
    'qwen3_5': ('Qwen3_5ForConditionalGeneration', 'qwen3_5_text', QWEN_TOWER, IMAGE_TOKENS),
}


def config_of(kind, fields):
    fields = {**TINY, **fields}
    if kind not in MULTIMODAL:
        return AutoConfig.for_model(kind, **fields)
    _, text, tower, more = MULTIMODAL[kind]
    if 'qwen' in kind:
        tower = tower | dict(hidden_size=fields['hidden_size']) if kind == 'qwen2_vl' else \
            tower | dict(out_hidden_size=fields['hidden_size'])
    return AutoConfig.for_model(kind, text_config=dict(model_type=text, **fields), vision_config=tower, **more)


def fill(model, kind, generator):
    """Random weights: matrices that keep the size of what passes, norms around one, other vectors around zero."""
    def noise(tensor):
        return torch.randn(tensor.shape, generator=generator, dtype=torch.float32)
    for name, tensor in list(model.named_parameters()) + list(model.named_buffers()):
        if not tensor.is_floating_point() or tensor.dim() == 0 or 'inv_freq' in name:
            continue
        plain_norm = not kind.startswith(WITHOUT_ONE) or 'linear_attn.norm' in name
        if name.endswith('A_log'):
            value = torch.rand(tensor.shape, generator=generator) * 2
        elif name.endswith('layer_scalar') or name.endswith('scale'):
            value = 1 + 0.1 * noise(tensor)
        elif 'norm' in name and tensor.dim() == 1:
            value = (1 if plain_norm else 0) + 0.1 * noise(tensor)
        elif tensor.dim() == 1 or name.endswith('bias'):
            value = 0.1 * noise(tensor)
        elif 'embed' in name:
            value = noise(tensor) * (tensor.shape[-1] ** -0.5 if 'gemma' in kind else 1)
        elif 'conv1d' in name:
            value = 0.5 * noise(tensor)
        else:
            inputs = tensor.shape[-2] if kind == 'gpt_oss' and 'experts' in name else tensor.shape[-1]
            value = noise(tensor) * inputs ** -0.5
        tensor.data.copy_(value)


def save(name, case, out, seed):
    kind, fields, how = case
    config = config_of(kind, fields)
    config.get_text_config().tie_word_embeddings = config.tie_word_embeddings = fields.get('tie_word_embeddings', 'gemma' in kind)
    torch.manual_seed(seed)
    model = getattr(transformers, MULTIMODAL[kind][0])(config) if kind in MULTIMODAL else \
        AutoModelForCausalLM.from_config(config)
    fill(model, kind, torch.Generator().manual_seed(seed + zlib.crc32(name.encode())))
    model.tie_weights()
    model = model.to(getattr(torch, how.get('dtype', 'float32' if how.get('f32') else 'bfloat16')))
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    folder = out / name
    model.save_pretrained(folder, max_shard_size=size // how['shards'] + 1 if 'shards' in how else '5GB')
    if 'predictor' in how:
        add_predictor(folder, how['predictor'], config)
    if kind not in MULTIMODAL:
        spell(folder / 'config.json', kind, how)
    return folder, kind


def add_predictor(folder, prefix, config):
    """A layer behind the last, which predicts a token further: transformers knows none, publishers keep it in a file of
    its own. It is like the last layer, with a projection of two states into one in front."""
    weights = load_file(folder / 'model.safetensors')
    last, inside = f'model.layers.{config.num_hidden_layers - 1}.', prefix + ('layers.0.' if prefix == 'mtp.' else '')
    extra = {inside + name.removeprefix(last): t.flip(0).contiguous() for name, t in weights.items() if name.startswith(last)}
    norm, embedding = weights['model.norm.weight'], weights['model.embed_tokens.weight']
    names = dict(fc='fc', e='pre_fc_norm_embedding', h='pre_fc_norm_hidden', last='norm') if prefix == 'mtp.' else \
        dict(fc='eh_proj', e='enorm', h='hnorm', last='shared_head.norm')
    extra[f'{prefix}{names["fc"]}.weight'] = torch.cat([weights[last + 'self_attn.o_proj.weight'][:, :1] * embedding[0],
                                                        embedding[:64, :64]], 1).contiguous()
    for i, key in enumerate(('e', 'h', 'last')):
        extra[f'{prefix}{names[key]}.weight'] = norm.roll(i + 1)
    if prefix != 'mtp.':
        extra[prefix + 'embed_tokens.weight'], extra[prefix + 'shared_head.head.weight'] = embedding, embedding.flip(0)
        extra = {name: t.clone() for name, t in extra.items()}
    save_file(extra, folder / 'mtp.safetensors', metadata=dict(format='pt'))
    files = dict.fromkeys(weights, 'model.safetensors') | dict.fromkeys(extra, 'mtp.safetensors')
    (folder / 'model.safetensors.index.json').write_text(json.dumps(dict(metadata={}, weight_map=files)))


def make(name, case, out, seed):
    folder, kind = save(name, case, out, seed)
    stored = round_weights(folder, case[2])
    load = getattr(transformers, MULTIMODAL[kind][0]) if kind in MULTIMODAL else AutoModelForCausalLM
    logits = reference(folder, load, seed, 'gemma' in kind)
    pack_weights(folder, stored, case[2])
    return logits


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('out', type=pathlib.Path)
    parser.add_argument('names', nargs='*')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--random', type=int, default=0, metavar='COUNT', help='of every architecture, drawn by chance')
    args = parser.parse_args()
    cases = random_cases(args.random, args.seed) if args.random else CASES
    for name in args.names or cases:
        try:
            logits = make(name, cases[name], args.out, args.seed)
            print(f'{name:20} logits rms {logits.square().mean().sqrt():.3f}', flush=True)
        except Exception as error:  # of what is drawn by chance transformers itself cannot run all: said, no reason to stop
            if not args.random:
                raise
            shutil.rmtree(args.out / name, ignore_errors=True)
            print(f'{name:20} NOT made: {error!r}'[:300], flush=True)


if __name__ == '__main__':
    main()
