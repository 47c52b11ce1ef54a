"""Weights as some publishers quantize them: fp8 with a scale for every block, gpt-oss's experts as MXFP4.

round_weights() changes a saved checkpoint to numbers that the format has, so that transformers can say what they
give; pack_weights() then stores the same numbers as codes and scales.
"""
import json

import torch
from safetensors.torch import load_file, save_file

E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])


def is_fp8(name, tensor):
    plain = ('embed', 'lm_head', 'norm', 'mlp.gate.', 'router')
    return name.endswith('.weight') and tensor.dim() == 2 and not any(part in name for part in plain)


def fp8_of(tensor, block):
    """Codes [rows, cols], and the scale of every block; the last ones may be cut short."""
    rows, cols = tensor.shape
    scales = torch.empty(-(-rows // block[0]), -(-cols // block[1]))
    codes = torch.empty(rows, cols, dtype=torch.float8_e4m3fn)
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            part = (slice(i * block[0], (i + 1) * block[0]), slice(j * block[1], (j + 1) * block[1]))
            scales[i, j] = tensor[part].abs().max().clamp(min=1e-6) / 448
            codes[part] = (tensor[part] / scales[i, j]).to(torch.float8_e4m3fn)
    return codes, scales


def decoded_fp8(codes, scales, block):
    whole = scales.repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)
    return (codes.float() * whole[:codes.shape[0], :codes.shape[1]]).to(torch.bfloat16)


def mxfp4_of(tensor):
    """[experts, inputs, outputs] as codes [experts, outputs, blocks of 32 inputs, 32] and a power of 2 for each block."""
    blocks = tensor.float().transpose(1, 2).unflatten(2, (-1, 32))
    powers = (blocks.abs().amax(-1).clamp(min=1e-6) / 6).log2().ceil()
    scaled = blocks / powers.exp2().unsqueeze(-1)
    codes = (scaled.abs().unsqueeze(-1) - E2M1).abs().argmin(-1) + 8 * (scaled < 0)
    return codes.to(torch.uint8), (powers + 127).to(torch.uint8)


def decoded_mxfp4(codes, powers):
    values = E2M1[(codes & 7).long()] * (1 - 2.0 * (codes >= 8))
    return (values * (powers.float() - 127).exp2().unsqueeze(-1)).flatten(2).transpose(1, 2).contiguous().to(torch.bfloat16)


def is_of_experts(name):
    return name.endswith(('experts.gate_up_proj', 'experts.down_proj'))


def packed(name, tensor, how):
    """A tensor as it is stored, under one name or two, and what it means."""
    if how.get('fp8') and is_fp8(name, tensor):
        codes, scales = fp8_of(tensor.float(), how['fp8'])
        return {name: codes, name + '_scale_inv': scales}, decoded_fp8(codes, scales, how['fp8'])
    if how.get('mxfp4') and is_of_experts(name):
        codes, powers = mxfp4_of(tensor)
        stored = {name + '_blocks': codes[..., ::2] | codes[..., 1::2] << 4, name + '_scales': powers}
        return {k: v.contiguous() for k, v in stored.items()}, decoded_mxfp4(codes, powers)
    return {name: tensor}, tensor


def turn_experts(folder):
    """Qwen 3 VL's experts input by input, as they are published."""
    for file in folder.glob('*.safetensors'):
        turned = {name: t.transpose(1, 2).contiguous() if is_of_experts(name) else t for name, t in load_file(file).items()}
        save_file(turned, file, metadata=dict(format='pt'))


def round_weights(folder, how):
    """The files to store in the end."""
    stored = {}
    if how.get('turned'):
        turn_experts(folder)
    if not how.get('fp8') and not how.get('mxfp4'):
        return stored
    for file in folder.glob('*.safetensors'):
        pairs = {name: packed(name, tensor, how) for name, tensor in load_file(file).items()}
        stored[file] = {name: tensor for pack, _ in pairs.values() for name, tensor in pack.items()}
        save_file({name: value for name, (_, value) in pairs.items()}, file, metadata=dict(format='pt'))
    return stored


def pack_weights(folder, stored, how):
    for file, tensors in stored.items():
        save_file(tensors, file, metadata=dict(format='pt'))
    if not stored:
        return
    if (index := folder / 'model.safetensors.index.json').exists():
        files = {name: file.name for file, tensors in stored.items() for name in tensors}
        index.write_text(json.dumps(dict(metadata={}, weight_map=files)))
    config = json.loads((folder / 'config.json').read_text())
    config['quantization_config'] = dict(quant_method='mxfp4') if how.get('mxfp4') else \
        dict(quant_method='fp8', fmt='e4m3', activation_scheme='dynamic', weight_block_size=how['fp8'])
    (folder / 'config.json').write_text(json.dumps(config, indent=2))
