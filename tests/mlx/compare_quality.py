#!/usr/bin/env python3
"""How far a fitted MLX model is from its original, beside what mlx_lm makes of it in the same bytes or fewer.

    compare_quality.py SNUG CHECKPOINT TEXT FOLDER [--recipes LIST] [--sizes LIST] [--chunks N] [--ctx N] [-- FIT OPTIONS]

mlx_lm quantizes the checkpoint by each published recipe (`snug plan --preset` says which module gets what), snug fits it into
the sizes of the files that come of it, and `snug eval` judges all of them: KL divergence from the original in nats per token,
exact mode. Prints a table; a ratio above 0.5 is what is still to be won. What lies in FOLDER is not made again.
Needs mlx and mlx-lm.
"""
import argparse
import json
import pathlib
import shutil
import sys

from beside import run

RECIPES = ('mlx_default_4_64,mixed_2_6,mixed_3_4,mixed_3_6,mixed_4_6,brlin_mixed_4_8,configi_published,ud_q2,ud_q3,ud_q4,'
           'ud_q5,ud_q6,ud_q8,ud_mxfp4,ud_nvfp4,ud2_q4,fixed_mxfp4,fixed_nvfp4')


def quantization_of(module):
    """As mlx_lm's predicates say it; False: left as it is."""
    if module['mode'] not in ('affine', 'mxfp4', 'nvfp4', 'mxfp8'):
        return False
    return {'group_size': module['group_size'], 'bits': module['bits'], 'mode': module['mode']}


def quantize_by_mlx_lm(snug, checkpoint, recipe, out):
    from mlx_lm.utils import load_model, quantize_model, save_config, save_model
    plan = json.loads(run(snug, 'plan', checkpoint, '--preset', recipe, '--runtime', 'mlx', '--json', '--quiet'))
    wanted = {module['module']: quantization_of(module) for module in plan['modules']}
    model, config = load_model(checkpoint)
    model, config = quantize_model(model, config, 32, 4, quant_predicate=lambda path, _: wanted.get(path, False))
    save_model(out, model)
    save_config(config, out / 'config.json')
    for file in checkpoint.glob('*token*'):
        shutil.copy(file, out)


def divergence(snug, model, args):
    report = json.loads(run(snug, 'eval', model, '-f', args.text, '--base', args.checkpoint, '--chunks', args.chunks,
                            '--ctx', args.ctx, '--json', '--quiet'))
    return report['kl_nats']['value']


def weight_bytes(folder):
    return sum(file.stat().st_size for file in folder.glob('*.safetensors'))


def judged(snug, folder, args):
    """Bytes and divergence of a model, kept beside it."""
    kept = folder / f'judged-{args.chunks}x{args.ctx}.json'
    if not kept.exists():
        kept.write_text(json.dumps([weight_bytes(folder), divergence(snug, folder, args)]))
    return json.loads(kept.read_text())


def baselines(args):
    made = []
    for recipe in args.recipes.split(','):
        out = args.folder / 'mlx_lm' / recipe
        if not (out / 'config.json').exists():
            quantize_by_mlx_lm(args.snug, args.checkpoint, recipe, out)
        made.append((*judged(args.snug, out, args), recipe))
        print(f'{recipe:20} {made[-1][0]:>12,} bytes, KL {made[-1][1]:.5f}', file=sys.stderr, flush=True)
    return sorted(made)


def fits(sizes, args):
    """The divergence of the fit of each size; those not there are made in one go."""
    missing = [size for size in sizes if not (args.folder / 'fit' / str(size)).exists()]
    if missing:
        (args.folder / 'fit').mkdir(exist_ok=True)
        outs = ','.join(map(str, missing))
        pattern = args.folder / 'fit' / ('{size}' if len(missing) > 1 else outs)
        run(args.snug, 'fit', args.checkpoint, '--runtime', 'mlx', '--size', outs, '-o', pattern, '--quiet', *args.fit)
    return {size: judged(args.snug, args.folder / 'fit' / str(size), args)[1] for size in sizes}


def main():
    own, fit = sys.argv[1:], []
    if '--' in own:
        own, fit = own[:own.index('--')], own[own.index('--') + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ('snug', 'checkpoint', 'text', 'folder'):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument('--recipes', default=RECIPES)
    parser.add_argument('--sizes', help='bytes, comma-separated; those of the recipes if not given')
    parser.add_argument('--chunks', type=int, default=16)
    parser.add_argument('--ctx', type=int, default=256)
    args = parser.parse_args(own)
    args.fit = fit
    args.folder.mkdir(parents=True, exist_ok=True)
    made = baselines(args)
    sizes = sorted({int(size) for size in args.sizes.split(',')} if args.sizes else {size for size, *_ in made})
    fitted = fits(sizes, args)
    print('| bytes | fit | best of mlx_lm | | ratio |\n|---:|---:|---:|---|---:|')
    for size in sizes:
        best, name = min((kl, name) for bytes_, kl, name in made if bytes_ <= size)
        print(f'| {size:,} | {fitted[size]:.4g} | {best:.4g} | {name} | {fitted[size] / best:.3f} |')


if __name__ == '__main__':
    main()
