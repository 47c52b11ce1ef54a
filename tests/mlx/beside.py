"""What the comparisons with mlx_lm share: running snug, and computing with both in f32."""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np


def run(*command):
    """Its output; a failure says the command and what it complained of."""
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f'{" ".join(map(str, command))}: {result.stderr.strip()[-2000:]}')
    return result.stdout


def evaluated(snug, model, tokens, file):
    """Logits by `snug eval`, a row a token."""
    run(snug, 'eval', model, '--tokens', ','.join(map(str, tokens)), '--logits', file, '--cache-type', 'f32', '--force', '--quiet')
    return np.fromfile(file, np.float32).reshape(len(tokens), -1)


def as_f32(model):
    """Computes in f32: quantized weights stay as they are, their scales become f32. mlx multiplies stacks of experts in
    f32 alone on the CPU."""
    import mlx.core as mx
    from mlx.utils import tree_map
    floats = (mx.bfloat16, mx.float16)
    model.update(tree_map(lambda p: p.astype(mx.float32) if p.dtype in floats else p, model.parameters()))
    return model


def logits_of(model, tokens):
    import mlx.core as mx
    return np.array(model(mx.array([tokens]))[0].astype(mx.float32))


def generates(model, tokens, count):
    import mlx.core as mx
    from mlx_lm.generate import generate_step
    return len([int(t) for t, _ in generate_step(mx.array(tokens), model, max_tokens=count)]) == count


def log_softmax(logits):
    logits = logits.astype(np.float64)
    logits -= logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def check_folders(usage, check):
    """Runs check(snug, folder, scratch) on each folder of the command line. It yields problems, and returns what is to be
    said where there are none."""
    if len(sys.argv) < 3:
        sys.exit(usage)
    failed = 0
    for folder in map(pathlib.Path, sys.argv[2:]):
        problems, verdict = [], 'DIFFERS'
        try:
            with tempfile.TemporaryDirectory() as scratch:
                work = check(sys.argv[1], folder, pathlib.Path(scratch))
                while True:
                    problems.append(next(work))
        except StopIteration as end:
            verdict = verdict if problems else end.value
        except Exception as error:
            problems.append(f'{type(error).__name__}: {error}')
        failed += bool(problems)
        print(f'{folder.name:20}', verdict, flush=True)
        for problem in problems[:12]:
            print('   ', problem)
    sys.exit(failed > 0)
