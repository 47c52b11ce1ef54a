"""Configurations drawn by chance, of every architecture: odd sizes, and every feature that GGUF has words for.

random_cases(count, seed) gives such a table as make_checkpoints.CASES."""
import zlib

from random_ropes import Draw, default_rope, linear, llama3, longrope, rope, theta, yarn


def sizes(draw, layers=(1, 4), even_heads=True):
    """Hidden size a multiple of the heads, as most classes ask, and of nothing else."""
    heads = draw.choice([1, 2, 3, 4, 6, 8])
    hidden = heads * (draw.even(6, 24) if even_heads else draw.randint(5, 24))
    return dict(vocab_size=draw.randint(151, 337), hidden_size=hidden, intermediate_size=draw.randint(17, 131),
                num_hidden_layers=draw.randint(*layers), num_attention_heads=heads,
                num_key_value_heads=draw.divisor(heads), max_position_embeddings=1024, bos_token_id=1, eos_token_id=2,
                pad_token_id=0, tie_word_embeddings=draw.yes(0.4), rms_norm_eps=draw.choice([1e-5, 1e-6, 1e-3]))


def experts(draw, shared=False):
    count = draw.randint(2, 9)
    fields = dict(moe_intermediate_size=draw.randint(9, 45), num_experts=count,
                  num_experts_per_tok=draw.randint(1, count))
    return fields | (dict(shared_expert_intermediate_size=draw.randint(9, 60)) if shared else {})


def own_head(draw, low=8, high=40):
    return dict(head_dim=draw.even(low, high))


def llama(draw):
    fields = sizes(draw) | (own_head(draw) if draw.yes() else {})
    pairs = fields.get('head_dim', fields['hidden_size'] // fields['num_attention_heads']) // 2
    fields |= rope(draw, llama3, llama3, lambda draw: longrope(draw, pairs))
    return fields | dict(attention_bias=draw.yes(), mlp_bias=draw.yes())


def mistral(draw):
    return sizes(draw) | own_head(draw) | rope(draw) | dict(sliding_window=draw.choice([None, 100]))


def mixtral(draw):
    count = draw.randint(2, 9)
    return sizes(draw) | own_head(draw) | rope(draw) | dict(num_local_experts=count, num_experts_per_tok=draw.randint(1, count))


def window_of_qwen(draw):
    """Longer than the texts compared: GGUF has no place for it."""
    return dict(use_sliding_window=True, sliding_window=100, max_window_layers=1) if draw.yes(0.3) else {}


def qwen2(draw):
    return sizes(draw) | rope(draw) | window_of_qwen(draw)


def qwen2_moe(draw):
    return sizes(draw) | rope(draw) | experts(draw, shared=True) | dict(qkv_bias=draw.yes(0.7)) | window_of_qwen(draw)


def qwen3(draw):
    return sizes(draw) | own_head(draw) | rope(draw) | window_of_qwen(draw)


def qwen3_moe(draw):
    return sizes(draw) | own_head(draw) | rope(draw) | experts(draw) | dict(norm_topk_prob=True)


def delta_net(draw):
    """With the class's number in norms: it is that of the norms of keys too, whatever is said."""
    keys, dim = draw.choice([1, 2, 3]), draw.choice([8, 16, 32])
    period = draw.choice([2, 3])
    return dict(num_hidden_layers=draw.randint(period, 5), rms_norm_eps=1e-6,
                linear_conv_kernel_dim=draw.choice([2, 3, 4]), linear_key_head_dim=dim,
                linear_value_head_dim=dim, linear_num_key_heads=keys, linear_num_value_heads=keys * draw.choice([1, 2, 3]),
                full_attention_interval=period, **own_head(draw, 16, 40))


def next_rope(draw, head):
    share = draw.choice([0.25, 0.5, 1.0])
    return dict(rope_parameters=default_rope(draw) | dict(partial_rotary_factor=share if head * share % 2 == 0 else 1.0))


def qwen3_next(draw):
    net = delta_net(draw)
    return sizes(draw, (1, 5)) | net | experts(draw, shared=True) | next_rope(draw, net['head_dim'])


def qwen3_5(draw):
    net = delta_net(draw)
    rotary = next_rope(draw, net['head_dim'])
    pairs = int(net['head_dim'] * rotary['rope_parameters']['partial_rotary_factor']) // 2
    rotary['rope_parameters'] |= dict(mrope_section=sections(pairs))
    return sizes(draw, (1, 5)) | net | rotary


def qwen3_5_moe(draw):
    return qwen3_5(draw) | experts(draw, shared=True)


def gemma2(draw):
    head = own_head(draw)
    return sizes(draw) | head | dict(
        query_pre_attn_scalar=draw.choice([head['head_dim'], 256, 24]), sliding_window=draw.choice([5, 8, 100]), tie_word_embeddings=True,
        attn_logit_softcapping=draw.choice([None, 20.0, 50.0]), final_logit_softcapping=draw.choice([None, 5.0, 30.0]))


def gemma3(draw):
    head = own_head(draw)
    rope_of_full = draw.choice([default_rope, linear])(draw)
    return sizes(draw, (1, 8)) | head | dict(
        query_pre_attn_scalar=draw.choice([head['head_dim'], 256, 24]), sliding_window=draw.choice([5, 8, 100]), tie_word_embeddings=draw.yes(0.8),
        final_logit_softcapping=draw.choice([None, 30.0]),
        rope_parameters=dict(full_attention=rope_of_full, sliding_attention=default_rope(draw)))


def gemma4(draw):
    chosen = sizes(draw, (1, 7))
    layers = chosen['num_hidden_layers']
    kinds = [draw.choice(['sliding_attention', 'full_attention']) for _ in range(layers - 1)] + ['full_attention']
    fields = dict(head_dim=draw.even(8, 32), global_head_dim=draw.even(16, 48), layer_types=kinds, sliding_window=draw.choice([5, 8, 100]),
                  tie_word_embeddings=True, final_logit_softcapping=draw.choice([None, 30.0]),
                  hidden_size_per_layer_input=draw.choice([0, 0, 7, 16]), vocab_size_per_layer_input=chosen['vocab_size'],
                  attention_k_eq_v=draw.yes(), num_global_key_value_heads=draw.choice([None, chosen['num_key_value_heads']]),
                  rope_parameters=dict(
                      full_attention=dict(rope_type='proportional', rope_theta=theta(draw),
                                          partial_rotary_factor=draw.choice([0.25, 0.5, 1.0])),
                      sliding_attention=default_rope(draw)))
    shared = draw.randint(0, layers - 1)
    if fields['hidden_size_per_layer_input'] and kinds[:layers - shared][-2:] == ['sliding_attention', 'full_attention']:
        fields |= dict(num_kv_shared_layers=shared, use_double_wide_mlp=draw.yes())
    if draw.yes(0.4):
        of_experts = experts(draw)
        fields |= dict(enable_moe_block=True, top_k_experts=of_experts.pop('num_experts_per_tok'), **of_experts)
    return chosen | fields


def phi3(draw):
    fields = sizes(draw)
    head = fields['hidden_size'] // fields['num_attention_heads']
    share = draw.choice([s for s in (0.5, 0.75, 1.0) if head * s % 2 == 0])
    pairs = int(head * share) // 2
    rotary = default_rope(draw) if draw.yes() else longrope(draw, pairs)
    original = rotary.pop('original_max_position_embeddings', 1024)
    return fields | dict(original_max_position_embeddings=original, partial_rotary_factor=share,
                         rope_parameters=rotary | dict(partial_rotary_factor=share),
                         sliding_window=draw.choice([None, 100]))


def latent_attention(draw):
    fields = sizes(draw)
    count = draw.choice([4, 6, 8])
    fields['num_key_value_heads'] = fields['num_attention_heads']
    rank = draw.choice([None, draw.randint(9, 60), draw.randint(9, 60)])
    if rank is None:
        fields['num_hidden_layers'] = draw.choice([26, 27])  # by which llama.cpp knows that there is none
    return fields | dict(
        rms_norm_eps=1e-6, kv_lora_rank=draw.even(8, 40), q_lora_rank=rank,
        qk_nope_head_dim=draw.even(6, 24), qk_rope_head_dim=draw.even(4, 16), v_head_dim=draw.randint(5, 24),
        n_routed_experts=count, num_experts_per_tok=draw.randint(1, count), moe_intermediate_size=draw.randint(9, 45),
        n_shared_experts=draw.randint(1, 2), first_k_dense_replace=draw.randint(0, fields['num_hidden_layers']),
        routed_scaling_factor=draw.choice([1.0, 2.5, 16.0]))


def latent_rope(draw):
    if draw.yes(0.4):
        return dict(rope_parameters=default_rope(draw))
    scale = draw.choice([0.707, 1.0])
    return dict(rope_parameters=dict(
        rope_type='yarn', rope_theta=10000.0, factor=draw.choice([4.0, 40.0]), mscale=scale, mscale_all_dim=scale,
        original_max_position_embeddings=draw.choice([16, 64]), beta_fast=32, beta_slow=1))


def deepseek_v2(draw):
    return latent_attention(draw) | latent_rope(draw) | dict(topk_method='greedy', norm_topk_prob=False)


def deepseek_v3(draw):
    fields = latent_attention(draw) | latent_rope(draw)
    groups = draw.choice([1, 2])
    chosen = draw.randint(1, groups)
    return fields | dict(n_group=groups, topk_group=chosen, rope_interleave=draw.yes(0.7), norm_topk_prob=draw.yes(),
                         num_nextn_predict_layers=0, num_experts_per_tok=draw.randint(1, fields['n_routed_experts'] // groups * chosen))


def gpt_oss(draw):
    chosen = experts(draw)
    fields = sizes(draw)
    return fields | own_head(draw, 16, 40) | dict(
        num_local_experts=chosen['num_experts'], num_experts_per_tok=chosen['num_experts_per_tok'],
        sliding_window=draw.choice([5, 8, 100]), rope_parameters=draw.choice([default_rope, yarn])(draw))


def glm4_moe(draw):
    fields = sizes(draw) | own_head(draw, 8, 32)
    count, groups = draw.choice([4, 6, 8]), draw.choice([1, 1, 2])
    return fields | dict(
        n_routed_experts=count, num_experts_per_tok=draw.randint(1, count // 2), moe_intermediate_size=draw.randint(9, 45),
        n_shared_experts=draw.randint(1, 2), first_k_dense_replace=draw.randint(0, fields['num_hidden_layers']),
        use_qk_norm=draw.yes(), attention_bias=draw.yes(), norm_topk_prob=draw.yes(0.7), n_group=groups, topk_group=1,
        routed_scaling_factor=draw.choice([1.0, 2.5]), num_nextn_predict_layers=0,
        rope_parameters=default_rope(draw) | dict(partial_rotary_factor=draw.choice([0.5, 1.0]) if
                                                  fields['head_dim'] % 4 == 0 else 1.0))


def sections(pairs):
    """M-RoPE's shares of the rotated pairs, for time, height and width, so that axes that take turns have all of them."""
    return [(pairs + 2) // 3, (pairs + 1) // 3, pairs // 3]


def qwen2_vl(draw):
    fields = sizes(draw)
    head = fields['hidden_size'] // fields['num_attention_heads']
    return fields | dict(rope_parameters=default_rope(draw) | dict(mrope_section=sections(head // 2)))


def qwen3_vl(draw):
    fields = sizes(draw) | own_head(draw, 8, 40)
    return fields | dict(rope_parameters=default_rope(draw) | dict(mrope_section=sections(fields['head_dim'] // 2)))


def qwen3_vl_moe(draw):
    return qwen3_vl(draw) | experts(draw)


KINDS = dict(llama=llama, mistral=mistral, mixtral=mixtral, qwen2=qwen2, qwen2_moe=qwen2_moe, qwen3=qwen3,
             qwen3_moe=qwen3_moe, qwen3_next=qwen3_next, qwen3_5_text=qwen3_5, qwen3_5_moe_text=qwen3_5_moe, gemma2=gemma2,
             gemma3_text=gemma3, gemma4_text=gemma4, phi3=phi3, deepseek_v2=deepseek_v2, deepseek_v3=deepseek_v3,
             gpt_oss=gpt_oss, glm4_moe=glm4_moe, qwen2_vl=qwen2_vl, qwen2_5_vl=qwen2_vl, qwen3_vl=qwen3_vl,
             qwen3_vl_moe=qwen3_vl_moe, qwen3_5=qwen3_5)


def saved(draw):
    """How a checkpoint lies on disk, and how its config.json is spelled."""
    return dict(dtype=draw.choice(['bfloat16', 'bfloat16', 'float16', 'float32']), terse=draw.yes(), old=draw.yes(0.4)) | (
        dict(shards=draw.randint(2, 4)) if draw.yes(0.4) else {})


def packed(draw, kind, fields):
    """Of some: weights as publishers quantize them, or turn them."""
    if kind == 'qwen3_vl_moe':
        return dict(turned=True)
    if kind in ('llama', 'qwen3', 'deepseek_v3') and draw.yes(0.3):
        return dict(fp8=[draw.choice([16, 32]), draw.choice([16, 32])], dtype='bfloat16')
    if kind == 'gpt_oss' and draw.yes():
        heads = fields['num_attention_heads']
        fields |= dict(hidden_size=32 * heads, intermediate_size=32 * draw.randint(1, 3))
        return dict(mxfp4=True, dtype='bfloat16')
    return {}


def random_cases(count, seed):
    cases = {}
    for kind, fields in KINDS.items():
        for i in range(count):
            draw = Draw(seed * 1000 + i + zlib.crc32(kind.encode()))
            drawn = fields(draw)
            cases[f'{kind}-random{i}'] = (kind, drawn, saved(draw) | packed(draw, kind, drawn))
    return cases
