"""Golden token ids of transformers' CLIPTokenizer, and golden weights of a prompt.

    pip install transformers==5.23.* diffusers==0.42.* open_clip_torch "diffusion-prompt-embedder==0.4.*"
    python make.py                   # writes the files beside this one
    python make.py --full FOLDER     # all of it with 49,408 tokens, and random prompts

`diffusion-prompt-embedder` needs no dependency here (`pip install --no-deps`). The merges come
from bpe_simple_vocab_16e6.txt.gz, which the wheels of open_clip_torch and clip-anytorch ship; the
committed vocabulary has the first 1,000 of them. With `--full` the folder holds the same files,
which the golden test takes as `TWEEDIE_TOKENIZER_GOLDEN`.
"""
import argparse
import gzip
import importlib.util
import json
import random
import shutil
import tempfile
from pathlib import Path

import torch
from diffusers.loaders import TextualInversionLoaderMixin
from transformers import CLIPTokenizer

BOS, EOS = "<|startoftext|>", "<|endoftext|>"

WORDS = [
    "", " ", "   ", "\t", "\n\n", "\u00a0", "\u3000", "a", "A", "!", "!!", "a!", "hi!!! there!",
    "a photo of a cat", "A Photo Of A CAT", "  a   photo\tof\n\na cat  ", "a photo of an astronaut riding a horse on mars",
    "masterpiece, best quality, 1girl, solo, long hair, (detailed:1.2), [blurry], <lora:x:0.8>",
    "highly detailed, 8k, trending on artstation, by greg rutkowski, f/1.8 85mm",
    "the quick brown fox jumps over the lazy dog",
    "I'm you're he's we've they'll I'd don't", "I'M YOU'RE HE'S", "'s 't 're", "''s", "it’s “quoted” — dash…",
    "rock'n'roll 'tis o'clock y'all'd've",
    "0", "42", "1234567890", "3.14159", "1,000,000", "2nd 3rd 4th", "x86-64", "v1.5", "½ ⅓ ²³ ₁₂ Ⅳ ①②",
    "١٢٣ ४५६ ๑๒๓", "-1e-5 +3", "#ff00ff", "50% off @ $9.99 & more *now*",
    "http://example.com/a?b=c&d=e#f", "foo_bar.baz-qux", "a/b\\c|d", "{a} [b] <c> (d)", "&amp; &lt;b&gt; &#39;",
    "hello,world", "hello , world .", "...", "?!?!?!", "a--b---c", "~`^_=+",
    "café", "cafe\u0301", "CAFE\u0301", "naïve façade über Straße ẞ", "Å \u212b A\u030a", "ﬁ ﬂ ﬀ",
    "Ελληνικά ΣΊΣΥΦΟΣ ς", "Привет МИР Ё ё", "İstanbul I ı i̇", "ǅ ǈ ǋ", "Ǆungla", "đĐ ħĦ łŁ øØ",
    "\u0301", "a\u0301\u0301\u0301\u0301", "Z̸̢͑a̵l̷g̶o̵", "e\u0323\u0302 \u1ec7 e\u0302\u0323", "q\u0307\u0323 q\u0323\u0307",
    "中文", "一只猫的照片", "日本語テスト カタカナ ひらがな", "ｶﾞ ガ か\u3099", "한국어 \u1112\u1161\u11ab", "𠀀𠮷野家",
    "cat猫dog犬", "Ａｂｃ　１２３", "「引用」、。", "สวัสดีครับ", "नमस्ते क्षत्रिय", "தமிழ் எழுத்து", "မြန်မာ",
    "שלום עולם", "שָׁלוֹם", "مرحبا بالعالم", "السَّلامُ عَلَيْكُم", "\u202eevil\u202c \u200fabc\u200e", "\u2066iso\u2069lated",
    "😀", "😀😀", "a😀b", "😀 😃 😄", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈 🏴‍☠️", "🇩🇪🇫🇷", "1️⃣ #️⃣ *️⃣", "❤️ ❤ ♥︎", "🧑🏿‍🚀 in space",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "©®™", "♠♣♥♦ ☃ ☂", "→←↑↓ ⇒", "∀x∈ℝ: ⌈x⌉ ≥ ∑√2", "𝕳𝖊𝖑𝖑𝖔 𝓦𝓸𝓻𝓵𝓭 𝟙𝟚",
    "\u200b", "a\u200bb", "a\u200db", "a\u2060b\ufeffc", "\ufeffbom first", "soft\u00adhyphen", "a\u180eb",
    "a\u2028b\u2029c", "a\u0085b", "a\x0bb\x0cc", "a\x1cb\x1dc\x1ed\x1fe", "\x00", "a\x00b", "\x01\x02\x03", "bell\x07 esc\x1b[0m del\x7f", "\r\n a\rb",
    "\ufffd", "a\ufffdb", "\ufffe\uffff", "\U0010ffff", "\ue000 private \U000f0000", "\u0378 unassigned", "\U0001fae8\U0001faef",
    BOS, EOS, f"a {EOS} b", f"a{EOS}b", f"{BOS}{BOS}cat{EOS}", "<|ENDOFTEXT|>", "<|StartOfText|> x", "<|endoftext", "< |endoftext| >", "<|endoftext|>!<|endoftext|>", "<|end\u200boftext|>",
    "</w>", "a</w>", "cat</w> dog</w>", "Ġ", "Ġcat ĠĠ", "Ċ", "Ā ā", "ĠĊ</w>",
    "a" * 100, "ab" * 80, "!" * 90, "😀" * 40, "中" * 90, "1" * 100, "cat " * 74, "cat " * 75, "cat " * 76, "cat " * 100,
    "a very long prompt, " * 20, "x" * 700, " ".join(map(str, range(60))), "é" * 60, "'s" * 60,
]

FRAMED = ["", "a cat", "hi!!! there!", f"a {EOS} b", "cat " * 75, "cat " * 76, "!" * 90, "a very long prompt, " * 20, "😀" * 40]

LEARNED = {"<cat>": 3, "EasyNegative": 1, "xyzzy": 2, "<名前>": 2}
LEARNED_PROMPTS = [
    "<cat>", "a photo of <cat> on mars", "<cat><cat>", "<cat>s and a<cat>b", "easynegative, EasyNegative", "xyzzy <cat>, xyzzy!",
    "no learned word", "<名前> <cat>", "< cat >", "plughxyzzyplugh", "<cat>_9", "<cat>_1", "<|endoftext|><cat>",
]

WEIGHTED = [
    "", " ", "normal text", "an (important) word", "(unbalanced", "unbalanced)", "[less", "less]", "((very))", "[[little]]",
    "(a:1.5)", "(a:0.5) b", "(a: 1.5 )", "(a:+1.5)", "(a:-1)", "(a:.5)", "(a:1.)", "a:1.5", "a:1.5)", "(a:b:1.5)", "(a:)", "(a:x)", "[a:1.5]", "[a:0.5)",
    "(a (b:2) c:0.5)", "(((deep:1.2)):0.3)", "(a [b] c)", "[a (b) c]", "(a [b) c]", "()", "[]", "(:1.5)", ")(", "][", "(((((((((((",
    "\\(literal\\)", "\\[literal\\]", "\\(literal\\]", "a\\\\b", "a\\b", "\\", "\\\\", "(a\\):1.5)", "(a\\:1.5)", "(unnecessary)(parens)", "(a)(b:1.1)(c)",
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).", "(emoji 😀:1.3) and (中文:0.8)", "(line\nbreak:1.2)", "(a:1.2) (b:1.2)", "(a:1)(b:1.0)c", "x : y :: z", "(x : y : 2)", "(a:00.50)",
    "(a:1.5", "((a:1.5)", "(a:1.5))", "<lora:name:0.8> (cat:1.2)", "[from:to:0.5]", "a|b", "(\u00a0a :1.5)",
]


def find_bpe():
    for package in ("open_clip", "clip"):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            file = Path(folder) / "bpe_simple_vocab_16e6.txt.gz"
            if file.exists():
                return file
    raise SystemExit("no bpe_simple_vocab_16e6.txt.gz: pip install open_clip_torch")


def vocabulary(bpe, merges):
    """vocab.json and merges.txt: symbols for the 256 bytes, the same at the end of a word, merges."""
    with gzip.open(bpe, "rt", encoding="utf-8") as f:
        merges = f.read().split("\n")[1:1 + merges]
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (chr(256 + i) for i in range(256 - len(shown)))
    symbols = [chr(b) for b in shown] + list(others)
    tokens = symbols + [s + "</w>" for s in symbols] + [m.replace(" ", "") for m in merges] + [BOS, EOS]
    return {t: i for i, t in enumerate(tokens)}, "#version: 0.2\n" + "\n".join(merges) + "\n"


def added(content, **more):
    return dict(content=content, lstrip=False, normalized=True, rstrip=False, single_word=False, **more)


def configs(vocab):
    """Files beside vocab.json and merges.txt, as published folders have them."""
    plain = dict(bos_token=BOS, eos_token=EOS, pad_token=EOS, unk_token=EOS)
    objects = dict(bos_token=added(BOS), eos_token=added(EOS), pad_token=EOS, unk_token=added(EOS))
    typed = {k: {"__type": "AddedToken", **v} if isinstance(v, dict) else v for k, v in objects.items()}
    rest = dict(do_lower_case=True, errors="replace", model_max_length=77, tokenizer_class="CLIPTokenizer")
    decoder = {str(vocab[t]): added(t, special=True) | dict(normalized=n)
               for t, n in (("!", False), (BOS, True), (EOS, True))}
    return {
        "bare": {},
        "strings": {"tokenizer_config.json": plain | rest, "special_tokens_map.json": plain},
        "sd15": {"tokenizer_config.json": typed | rest, "special_tokens_map.json": objects},
        "sd21": {"tokenizer_config.json": typed | rest, "special_tokens_map.json": objects | dict(pad_token="!")},
        "sdxl2": {"tokenizer_config.json": plain | rest | dict(pad_token="!", added_tokens_decoder=decoder),
                  "special_tokens_map.json": plain | dict(pad_token="!")},
        "words": {"tokenizer_config.json": plain | rest | dict(model_max_length=int(1e30)),
                  "special_tokens_map.json": plain | dict(additional_special_tokens=["<X>"]),
                  "added_tokens.json": {"<New>": len(vocab), "other word": len(vocab) + 1}},
    }


def build(folder, vocab, merges, files):
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text(merges, encoding="utf-8")
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return CLIPTokenizer.from_pretrained(folder)


def words(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def framed(tokenizer, text):
    """Ids and the text that was cut off, as StableDiffusionPipeline.encode_prompt has them."""
    ids = tokenizer(text, padding="max_length", max_length=77, truncation=True)["input_ids"]
    longer = tokenizer(text, padding="longest")["input_ids"]
    cut = tokenizer.decode(longer[76:-1]) if len(longer) > 77 else None
    return dict(prompt=text, ids=ids, cut=cut)


def random_text(rng):
    pools = ["abcdefgh ABC'st,.!0123456789", "áéñçüßøåæœ \u0301\u0323\u200d\ufe0f", "中文字ひらカ한글 ", "😀👍🏽👩🇩🇪❤\u200d",
             "אבגדابتث\u064e\u05b0 ", "<|endoftext|> </w>", "\x00\x07\x1c\n\t\u0085\u2028\u00a0 "]
    out = []
    for _ in range(rng.randint(1, 12)):
        pool = rng.choice(pools)
        if rng.random() < 0.2:
            code = rng.choice([0x300, 0x3000, 0x30000])
            out.append(chr(rng.randrange(code)) if code < 0xd800 else chr(rng.randrange(0xe000, 0x1ffff)))
        else:
            out.append("".join(rng.choices(pool, k=rng.randint(1, 6))))
    return "".join(out)


def tokenizer_cases(tokenizers, prompts):
    """The ids of `bare`, and of the others where they differ."""
    cases = []
    for prompt in prompts:
        ids = {name: words(t, prompt) for name, t in tokenizers.items()}
        common = ids["bare"]
        other = {name: i for name, i in ids.items() if i != common}
        text = tokenizers["bare"].decode(common)
        cases.append(dict(prompt=prompt, ids=common, decoded=text) | (dict(other=other) if other else {}))
    return cases


def learned_cases(tokenizer):
    """Ids of prompts with words of several vectors, by diffusers' own way to write them out."""
    mixin = TextualInversionLoaderMixin()
    names, _ = mixin._extend_tokens_and_embeddings(
        list(LEARNED), [torch.zeros(n, 8) for n in LEARNED.values()], tokenizer)
    for name in names:
        tokenizer.add_tokens(name)
    return [dict(prompt=p, ids=words(tokenizer, mixin.maybe_convert_prompt(p, tokenizer))) for p in LEARNED_PROMPTS]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", type=Path)
    parser.add_argument("--bpe", type=Path)
    args = parser.parse_args()
    out = args.full or Path(__file__).parent
    out.mkdir(exist_ok=True)
    vocab, merges = vocabulary(args.bpe or find_bpe(), 48894 if args.full else 1000)
    prompts = list(WORDS) + ["<New> thing <new>", "some other WORD here", "<X><x>"]
    if args.full:
        rng = random.Random(0)
        prompts += [random_text(rng) for _ in range(3000)]
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        files = configs(vocab)
        tokenizers = {name: build(scratch / name, vocab, merges, f) for name, f in files.items()}
        # As transformers 5 saves it: tokenizer.json and tokenizer_config.json.
        tokenizers["sdxl2"].save_pretrained(scratch / "saved")
        tokenizers["saved"] = CLIPTokenizer.from_pretrained(scratch / "saved")
        saved = {f: json.loads((scratch / "saved" / f).read_text("utf-8"))
                 for f in ("tokenizer.json", "tokenizer_config.json")}
        # The vocabulary and the merges are those of the other files: the test puts them in again.
        model = saved["tokenizer.json"]["model"]
        assert model.pop("vocab") == vocab
        assert model.pop("merges") == [m.split(" ") for m in merges.split("\n")[1:-1]]
        files["saved"] = saved
        golden = dict(
            configs=files,
            cases=tokenizer_cases(tokenizers, prompts),
            framed={name: [framed(tokenizers[name], p) for p in FRAMED] for name in ("bare", "sdxl2")},
        )
        golden["learned"] = dict(tokens=list(LEARNED.items()), cases=learned_cases(tokenizers["strings"]))
        shutil.copy(scratch / "bare/vocab.json", out / "vocab.json")
        shutil.copy(scratch / "bare/merges.txt", out / "merges.txt")
    text = json.dumps(golden, separators=(",", ":")).replace('{"prompt"', '\n{"prompt"')
    (out / "ids.json").write_text(text + "\n", encoding="utf-8")
    if not args.full:
        with tempfile.TemporaryDirectory() as scratch:
            vocab, merges = vocabulary(args.bpe or find_bpe(), 48894)
            whole = build(Path(scratch) / "whole", vocab, merges, {})
        cases = [dict(prompt=p, ids=words(whole, p)) for p in WORDS]
        text = json.dumps(cases, separators=(",", ":")).replace('{"prompt"', '\n{"prompt"')
        (out / "clip.json").write_text(text + "\n", encoding="utf-8")
        from diffusion_prompt_embedder import parse_prompt_attention
        weights = [[p, parse_prompt_attention(p)] for p in WEIGHTED]
        text = json.dumps(weights, separators=(",", ":")).replace("]],[", "]],\n[")
        (out / "weights.json").write_text(text + "\n", encoding="utf-8")
    print(len(prompts), "prompts;", {f.name: f.stat().st_size for f in out.glob("*.*")})


if __name__ == "__main__":
    main()
