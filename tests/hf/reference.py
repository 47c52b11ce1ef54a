"""What transformers computes from a checkpoint."""
import torch


class RoundedGelu(torch.nn.Module):
    """By a table of f16 numbers, as llama.cpp has it, and snug with it."""

    def forward(self, x):
        y = torch.nn.functional.gelu(x.half().float(), approximate='tanh').half().float()
        return torch.where(x <= -10, torch.zeros_like(x), torch.where(x >= 10, x, y))


def round_activations(model):
    for module in model.modules():
        if hasattr(module, 'act_fn'):
            module.act_fn = RoundedGelu()


def reference(folder, load, seed, rounds):
    """What transformers makes of the saved folder, in f32; `rounds`: with its GELU rounded."""
    model = load.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager', experts_implementation='eager').eval()
    if rounds:
        round_activations(model)
    vocabulary = model.config.get_text_config().vocab_size
    tokens = torch.randint(3, min(vocabulary, 149), (1, 24), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        logits = model(input_ids=tokens, use_cache=False).logits[0].float()
        longer, said = tokens, []
        for _ in range(32):
            likeliest = model(input_ids=longer, use_cache=False).logits[0, -1].argmax()
            said.append(int(likeliest))
            longer = torch.cat([longer, likeliest.view(1, 1)], 1)
    (folder / 'tokens.txt').write_text(','.join(map(str, tokens[0].tolist())))
    (folder / 'greedy.txt').write_text(','.join(map(str, said)))
    (folder / 'logits.f32').write_bytes(logits.numpy().tobytes())
    return logits
