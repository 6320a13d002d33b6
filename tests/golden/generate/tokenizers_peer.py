"""The BERT tokenizer of Hugging Face's `tokenizers`, built as transformers' BertTokenizerFast builds it, and hostile texts."""
import random

from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

SPECIAL_TOKENS = ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"]


def build(vocab_file, options):
    """`options`: the fields of TokenizerOptions (tests/golden/tokenizer_json.h)."""
    vocab = WordPiece.read_file(str(vocab_file))
    model = WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=options.get("max_input_chars_per_word", 100))
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = BertNormalizer(
        clean_text=options.get("clean_text", True), handle_chinese_chars=options.get("tokenize_chinese_chars", True),
        strip_accents=options.get("strip_accents"), lowercase=options.get("do_lower_case", True))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL_TOKENS])
    for token in options.get("added_tokens", []):
        added = AddedToken(token["content"], **{k: token.get(k, k == "special") for k in
                                               ("special", "normalized", "single_word", "lstrip", "rstrip")})
        (tokenizer.add_special_tokens if added.special else tokenizer.add_tokens)([added])
    tokenizer.encode_special_tokens = not options.get("match_special_tokens", True)
    cls, sep = vocab["[CLS]"], vocab["[SEP]"]
    tokenizer.post_processor = TemplateProcessing(single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
                                                  special_tokens=[("[CLS]", cls), ("[SEP]", sep)])
    return tokenizer


def answer(encoding):
    """What tests/golden/tokenizer_json.h writes of an Encoding, without bytes."""
    return {"ids": encoding.ids, "type_ids": encoding.type_ids, "offsets": [x for span in encoding.offsets for x in span],
            "word_ids": [-1 if w is None else w for w in encoding.word_ids], "special_tokens_mask": encoding.special_tokens_mask}


def encode(tokenizer, a, b=None, max_length=None, truncation="longest_first"):
    if max_length is None:
        tokenizer.no_truncation()
        return answer(tokenizer.encode(a, add_special_tokens=False))
    tokenizer.enable_truncation(max_length, strategy=truncation)
    try:
        return answer(tokenizer.encode(a) if b is None else tokenizer.encode(a, b))
    except BaseException as error:  # the crate panics where it cannot cut
        if isinstance(error, KeyboardInterrupt):
            raise
        return {"error": str(error)}


POOLS = {
    "ascii": list(range(0x20, 0x7F)), "letters": [ord(c) for c in "abcdeinorstABCDEIN"] * 3, "controls": [*range(0, 0x20), *range(0x7F, 0xA1)],
    "spaces": [0x20, 0x9, 0xA, 0xD, 0xB, 0xC, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200C), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF],
    "marks": [*range(0x300, 0x370), 0x344, 0x483, 0x591, 0x5B0, 0x64B, 0x93C, 0x94D, 0xE38, 0xF71, 0x302A, 0x302E, 0x3099, 0x1885, 0x1886, 0x1734,
              0xA9BD, 0x111C9, 0x1D165, 0x1D16D, 0x1DC0, 0x1DF6, 0x1DFB, 0x20D0, 0xFE20, 0x1E944, 0x1E000, 0x8D4, 0x8D3, 0x11A34, 0x10F46, 0x11938,
              0x1ABF, 0x1133B, 0x16FF0],
    "latin": [*range(0xC0, 0x250), 0x1E9E, *range(0x1E00, 0x1F00), 0x212A, 0x212B, 0x2126, 0x17F, 0x130, 0x131, 0xFB01, 0x2167, 0xFF21],
    "greek": [*range(0x370, 0x400), *range(0x1F00, 0x2000)], "cyrillic": list(range(0x400, 0x530)), "hebrew_arabic": list(range(0x590, 0x700)),
    "indic": list(range(0x900, 0xE80)), "hangul": [*range(0xAC00, 0xD7A4, 37), *range(0x1100, 0x1200, 3)], "kana": list(range(0x3040, 0x3100)),
    "cjk": [0x4E00, 0x4E2D, 0x56FD, 0x9FFF, 0x9FD0, 0x3400, 0x4DBF, 0x4DC0, 0x20000, 0x2A6DF, 0x2A6E0, 0x2A700, 0x2B73F, 0x2B740, 0x2B81F, 0x2B820,
            0x2B91F, 0x2B920, 0x2CEAF, 0x2CEB0, 0xF900, 0xFA1F, 0xFAFF, 0x2F800, 0x2FA1D, 0x2FA1F, 0x30000],
    "punctuation": [*range(0x2010, 0x2070), *range(0x3000, 0x3020), 0x166D, 0x2E43, 0x2E50, 0x111C9, 0xFF01, 0xFE30, 0x20AC, 0xB0, 0xD7, 0x1E95E],
    "format": [0xAD, *range(0x600, 0x606), 0x61C, 0x6DD, 0x70F, 0x890, 0x8E2, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F),
               *range(0x2060, 0x2070), 0xFFF9, 0xFFFB, 0xFFFD, 0x110BD, 0x110CD, 0x13430, 0x1BCA0, 0x1D173, 0xE0001, 0xE0020],
    "private": [0xE000, 0xF8FF, 0xF0000, 0xFFFFD, 0xFFFFE, 0x10FFFF, 0x100000, 0xFFFE, 0xFFFF, 0xFDD0],
    "unassigned": [0x378, 0x530, 0x2FE0, 0xE0080, 0x1FFFF, 0x50000], "emoji": [0x1F468, 0x1F469, 0x200D, 0x1F3FD, 0xFE0F, 0x1F600, 0x2764, 0x1F1E6],
    "new_case": [0x1C89, 0xA7CB, 0xA7CE, 0xA7DC, 0x10D50, 0x16EA0, 0x10A0, 0x13A0, 0x1E900, 0x118A0, 0x10400],
}
PIECES = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "[mask]", "[", "]", "##", "[[MASK]]", "...", "don't", "\r\n", "word", "##ing", "Yesterday"]


def hostile(rng, length=12):
    """A text of about `length` code points: one or a few pools, 40 % of the time many marks, now and then special tokens and any scalar at all."""
    pools = rng.sample(sorted(POOLS), rng.choice([1, 2, 3, 5]))
    if rng.random() < 0.4:
        pools += ["marks"] * 2
    text = ""
    while len(text) < length:
        draw = rng.random()
        if draw < 0.05:
            text += rng.choice(PIECES)
        elif draw < 0.10:
            c = rng.randrange(0x110000 - 0x800)
            text += chr(c if c < 0xD800 else c + 0x800)
        elif draw < 0.20:
            text += chr(rng.choice(POOLS["letters"]))
        elif draw < 0.25:
            text += " "
        else:
            text += chr(rng.choice(POOLS[rng.choice(pools)]))
    return text


def hostile_texts(seed, count):
    rng = random.Random(seed)
    return [hostile(rng, rng.choice([12, 12, 12, 1, 3, 40])) for _ in range(count)]
