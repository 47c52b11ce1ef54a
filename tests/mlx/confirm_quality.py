#!/usr/bin/env python3
"""Whether mlx_lm finds of MLX folders what `snug eval` finds: perplexity, and KL divergence from the original.

    confirm_quality.py SNUG CHECKPOINT TEXT FOLDER ... [--chunks N] [--ctx N]

Both compute logits of the same tokens of the text, in f32, of the original and of each folder; the second half of each chunk
counts. Fails where a perplexity is off by more than 0.5 %, or a divergence by more than 2 % and 1e-5 nats.
Needs mlx and mlx-lm.
"""
import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np
from beside import as_f32, evaluated, log_softmax, logits_of, run
from mlx_lm.utils import load_model

PERPLEXITY, DIVERGENCE, NOTHING = 5e-3, 2e-2, 1e-5


def tokens_of(args):
    ids = json.loads(run(args.snug, 'tokenize', args.checkpoint, args.text, '--bare', '--json', '--quiet'))
    if len(ids) < args.chunks * args.ctx:
        sys.exit(f'the text has {len(ids)} tokens, too few for {args.chunks} chunks of {args.ctx}')
    return [ids[i * args.ctx:(i + 1) * args.ctx] for i in range(args.chunks)]


def by_snug(args, model, chunks):
    """Log probabilities of the scored positions, one array a chunk."""
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / 'logits'
        for chunk in chunks:
            yield log_softmax(evaluated(args.snug, model, chunk, file)[args.ctx // 2:-1])


def by_mlx_lm(args, model, chunks):
    loaded = as_f32(load_model(model)[0])
    for chunk in chunks:
        yield log_softmax(logits_of(loaded, chunk)[args.ctx // 2:-1])


def judged(args, chunks, original, model):
    """Perplexity and divergence from the original."""
    loss, divergence, count = 0.0, 0.0, 0
    for chunk, p, q in zip(chunks, original, model):
        wanted = chunk[args.ctx // 2 + 1:]
        loss -= q[np.arange(len(wanted)), wanted].sum()
        divergence += (np.exp(p) * (p - q)).sum()
        count += len(wanted)
    return float(np.exp(loss / count)), float(divergence / count)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('snug')
    for name in ('checkpoint', 'text'):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument('folders', type=pathlib.Path, nargs='+')
    parser.add_argument('--chunks', type=int, default=4)
    parser.add_argument('--ctx', type=int, default=256)
    args = parser.parse_args()
    chunks = tokens_of(args)
    original = list(by_snug(args, args.checkpoint, chunks))
    failed = 0
    print('| model | perplexity | of mlx_lm | | KL divergence | of mlx_lm | |\n|---|---:|---:|---:|---:|---:|---:|')
    for folder in args.folders:
        ours, kl = judged(args, chunks, original, by_snug(args, folder, chunks))
        theirs, their_kl = judged(args, chunks, original, by_mlx_lm(args, folder, chunks))
        off, kl_off = theirs / ours - 1, their_kl - kl
        failed += not (abs(off) <= PERPLEXITY and abs(kl_off) <= DIVERGENCE * kl + NOTHING)
        print(f'| {folder.name} | {ours:.4f} | {theirs:.4f} | {off:+.3%} | {kl:.6f} | {their_kl:.6f} | {kl_off:+.1e} |', flush=True)
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
