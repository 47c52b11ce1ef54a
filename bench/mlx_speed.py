#!/usr/bin/env python3
"""Tokens per second of `snug bench`, and of mlx on the CPU for those models that are folders of MLX.

    mlx_speed.py SNUG MODEL... [-n TOKENS] [--mlx-tokens TOKENS] [-r ROUNDS] [--threads N] [--without-mlx]

Models take turns, round by round, snug and then mlx, so that what else the machine does meets all alike. Prints a table
of medians of decoding, one token after the other.
Needs mlx and mlx-lm.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time


def bytes_of(model):
    files = model.glob('*.safetensors') if model.is_dir() else [model]
    return sum(file.stat().st_size for file in files)


def by_snug(args, model):
    """Of one run of its own: decoding, tokens a second."""
    command = [args.snug, 'bench', model, '-p', '0', '-n', args.tokens, '-r', '1', '--threads', args.threads, '--json', '--quiet']
    report = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
    return json.loads(report)['results'][0]['tokens_per_second']


def by_mlx(model, tokens):
    import mlx.core as mx
    from mlx_lm.generate import generate_step
    start = time.perf_counter()
    count = sum(1 for _ in generate_step(mx.array([1]), model, max_tokens=tokens))
    return count / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('snug')
    parser.add_argument('models', type=pathlib.Path, nargs='+')
    parser.add_argument('-n', dest='tokens', type=int, default=64)
    parser.add_argument('-r', dest='rounds', type=int, default=3)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--mlx-tokens', type=int, default=8)
    parser.add_argument('--without-mlx', action='store_true')
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:args.threads])
    theirs = {}
    if not args.without_mlx:
        from mlx_lm.utils import load_model
        theirs = {model: load_model(model)[0] for model in args.models if model.is_dir()}
        for loaded in theirs.values():
            by_mlx(loaded, 2)
    found = {model: ([], []) for model in args.models}
    for _ in range(args.rounds):
        for model, (ours, mlx) in found.items():
            ours.append(by_snug(args, model))
            if model in theirs:
                mlx.append(by_mlx(theirs[model], args.mlx_tokens))
    print('| model | MB | snug, tokens/s | mlx, tokens/s | ratio |\n|---|---:|---:|---:|---:|')
    for model, (ours, mlx) in found.items():
        speed, size = statistics.median(ours), bytes_of(model)
        other = f'{statistics.median(mlx):.2f} | {speed / statistics.median(mlx):.1f}' if mlx else ' | '
        print(f'| {model.name} | {size / 1e6:.1f} | {speed:.1f} | {other} |')


if __name__ == '__main__':
    main()
