"""Texts that tell tokenizers apart: languages, code, emoji, control characters, line ends, blanks of all kinds,
digits, and the added tokens of a vocabulary written out."""
import random
import unicodedata

WORDS = """the of and Hello world Don't WE'VE it's I'll they'd you're can't O'Neill camelCase snake_case HTTPServer
naïve café Straße ÜBER Ångström œuvre İstanbul ΑΒΓ λόγος Привет мир ЁЛКА нещо Български українська
こんにちは 世界 カタカナ 東京都 中文 你好 漢字かな交じり文 한국어 안녕하세요 नमस्ते हिन्दी বাংলা தமிழ் ไทย ភាសាខ្មែរ العربية עברית
አማርኛ ქართული հայերեն Ελληνικά việt nghiêng Türkçe ﬁnal ² ½ Ⅷ ٣٤٥ १२३ ₿ € £ 𝔘𝔫𝔦 🚀 😶‍🌫️ 👩‍👩‍👧‍👦 🏳️‍🌈 ✅ 🦙 ñ é x̂
... ,, ;; ?! !!! --- === ++ -> => :: // /* */ {} [] () <> "" '' `` @user #tag $var %d ^ & | ~ \\n \\t 3.14 1,234,567
0x1F 1e-9 12345678901234567890 1 22 333 4444 55555 666666 <b> </div> <br/> &amp; http://a.b/c?d=e&f=g a@b.cd""".split()
GAPS = [" "] * 30 + ["\n", "\n\n", "\r\n", "\t", "  ", "   ", "    ", "        ", " \n", "\n ", " \t ", "\r", "",
                     "\u00a0", "\u3000", "\u2003", "\u200b", "\u200d", "\ufeff", "\u2028", "\x0b", "\x0c", "\x85", "\x00",
                     "\x01", "\x1b[0m", "\x7f", "▁", "Ġ", "\ufffd", "\u202e", " " * 33, "\n" * 9]
CODE = ["def f(x):\n    return x**2  # ok\n", "for (int i = 0; i < n; ++i) {\n\t\tsum += a[i];\n}\n",
        "SELECT * FROM t WHERE a='b' AND c<>1;\r\n", "#include <vector>\n\nint main(){return 0;}\n",
        "{\"key\": [1, 2.5, null, true], \"k2\": \"v\\n\"}", "$ ls -la | grep '^d' > /dev/null 2>&1\n",
        "fn main() { println!(\"{:?}\", x?); }\n", "<p class=\"a\">x &lt; y</p>\n", "\\frac{a}{b}_{i=0}^{n} \\alpha\n"]


def character(rng: random.Random) -> str:
    """Any assigned character, most of them from the first planes; no surrogates."""
    while True:
        c = chr(rng.choice([rng.randrange(0x250), rng.randrange(0x3000), rng.randrange(0x10000), rng.randrange(0x20000)]))
        if unicodedata.category(c) not in ("Cs", "Cn", "Co"):
            return c


def record(rng: random.Random, words: list, added: list, corpus: str) -> str:
    parts = []
    for _ in range(rng.randrange(1, 60)):
        kind = rng.random()
        if kind < 0.70:
            parts.append(rng.choice(words))
        elif kind < 0.78:
            at = rng.randrange(len(corpus))
            parts.append(corpus[at:at + rng.randrange(300)])
        elif kind < 0.84:
            parts.append("".join(character(rng) for _ in range(rng.randrange(1, 6))))
        elif kind < 0.92:
            parts.append(rng.choice(CODE))
        elif added:
            parts.append(rng.choice(added))
        parts.append(rng.choice(GAPS))
    return "".join(parts)


def records(seed: int, total: int, added: list, corpus: str) -> list:
    """Texts of `total` bytes together."""
    rng = random.Random(seed)
    words = WORDS + ["".join(rng.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ") for _ in range(rng.randrange(1, 14)))
                     for _ in range(300)]
    made, size = [], 0
    while size < total:
        made.append(record(rng, words, added, corpus))
        size += len(made[-1].encode())
    return made
