"""config.json as publishers spell it."""
import json

from transformers.models.auto.configuration_auto import CONFIG_MAPPING


def spell(file, kind, how):
    """config.json as publishers have it: silent about what the class supplies (terse), or rotary embeddings as
    transformers wrote them before its version 5 (old)."""
    config = json.loads(file.read_text())
    if how.get('old') and kind != 'gpt_oss':  # whose class takes yarn for a null
        rope = config.pop('rope_parameters', {})
        flat = rope.pop('full_attention', rope)
        sliding = rope.get('sliding_attention', {}).get('rope_theta')
        if 'gemma4' in kind or (sliding and kind != 'gemma3_text'):
            return
        config |= dict(rope_theta=flat.pop('rope_theta')) | (dict(rope_local_base_freq=sliding) if sliding else {})
        if 'partial_rotary_factor' in flat:
            config['partial_rotary_factor'] = flat.pop('partial_rotary_factor')
        config['rope_scaling'] = None if flat['rope_type'] == 'default' and len(flat) == 1 else flat
    if how.get('terse'):
        usual = CONFIG_MAPPING[kind]().to_dict()
        config = {k: v for k, v in config.items() if k in ('architectures', 'model_type') or k not in usual or usual[k] != v}
    file.write_text(json.dumps(config, indent=2))
