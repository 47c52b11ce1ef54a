#!/usr/bin/env python3
"""Renders chat templates with snug and with Python's Jinja as transformers sets it up, and compares the texts.

    compare_templates.py --probe build/release/chat_probe FOLDER      needs the package jinja2

FOLDER holds .jinja files, such as llama.cpp's models/templates (in the source package of llama-cpp-python). Exit
code 1 where a text differs, or snug refuses what Python renders. Where Python refuses a template without tools or
with a system message, snug may render it all the same: that is told apart.
"""
import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

CONVERSATIONS = {
    "plain": [{"role": "user", "content": "Hello, who are you?"}],
    "system": [{"role": "system", "content": "Be brief and kind."}, {"role": "user", "content": "What is 2 + 2?"}],
    "turns": [{"role": "system", "content": "You are a poet."}, {"role": "user", "content": "Write a line."},
              {"role": "assistant", "content": "The sea is <b>blue</b> & \"deep\"."},
              {"role": "user", "content": "  And another one?\nPlease. "}],
}


class Generation(Extension):
    """{% generation %} marks what the assistant says; it changes nothing in the text."""
    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return env


def expected(env, source: str, messages: list) -> dict:
    try:
        return {"text": env.from_string(source).render(messages=messages, tools=None, documents=None,
                                                       add_generation_prompt=True, bos_token="<s>", eos_token="</s>")}
    except Exception as error:  # whatever a template runs into
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--probe", required=True)
    args = parser.parse_args()
    env, files, wrong, extra, equal = environment(), sorted(args.folder.glob("*.jinja")), 0, 0, 0
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(CONVERSATIONS, file)
        file.flush()
        got = json.loads(subprocess.run([args.probe, args.folder, file.name], capture_output=True, text=True, check=True).stdout)
    for path in files:
        source = path.read_bytes().decode()
        for name, messages in CONVERSATIONS.items():
            key, wanted = f"{path.name}/{name}", expected(env, source, messages)
            if "error" in wanted:
                extra += 1
                print(f"{key}: Python: {wanted['error'][:70]}; snug: {json.dumps(got[key])[:110]}")
            elif got[key].get("text") == wanted["text"]:
                equal += 1
            else:
                wrong += 1
                print(f"{key} DIFFERS: {json.dumps(got[key])[:300]}\n  wanted {json.dumps(wanted)[:300]}")
    print(f"{len(files)} templates, {len(CONVERSATIONS)} conversations: {equal} equal, {wrong} wrong, {extra} that Python refuses")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    sys.exit(main())
