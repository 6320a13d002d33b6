#!/usr/bin/env python3
"""usage: mediawiki.py EXTRACTS DUMP.xml [--pages N] [--seed N] [--expected EXPECTED.jsonl]

Makes a dump of a wiki as MediaWiki writes it (export-0.11): articles of EXTRACTS (a folder of WikiExtractor's output) with the markup put back that extraction takes away, pages that are
no articles, and hand-written pages of hard markup. With --expected, the text that WikiExtractor gets out of it, a page a line: {"title": ..., "text": ...}.
The fixture tests/golden/fixtures/mediawiki is
    mediawiki.py MPIBERT_DATA/wiki/enwiki_extracted dump.xml --pages 6 --seed 1 --expected expected.jsonl && bzip2 dump.xml
made with wikiextractor 3.1.0. Its options: --no-templates, because a dump of articles has no templates to expand; --html-safe '' leaves < and & as they are.
"""
import argparse
import gzip
import json
import pathlib
import random
import re
import subprocess
import sys
from xml.sax.saxutils import escape

# Title -> wikitext. Pages whose name begins with "Differs" are where mpibert does otherwise on purpose (datasets/pretraining/README.md).
HARD_PAGES = {
    "Nested": "{{Infobox|a={{b|{{{1|x}}}}}|c=[[d]]\n|e={{#if: f | {{g}} }}\n}}\n'''Nested''' is a {{IPA|[x]}} word ({{lang-de|Wort}}; {{small|y}}) with [[File:A.jpg|thumb|left|A "
              "[[caption]] with [[two|links]] and {{t}}, [http://a.example/b c]]] text.\n\nMore of it.",
    "Tables": "Before it.\n{| class=\"wikitable\"\n|-\n! a !! b\n|-\n| c || d <ref>e</ref>\n|\n{| style=\"x\"\n| inner || [[f]]\n|}\n|}\nAfter it.\n\n<table><tr><td>x</td></tr></table>\nThe end.",
    "References": "One.<ref>{{cite book|title=A [[b]]|url=http://x.example/?a=1&b=2}}</ref> Two.<ref name=\"q\" /> Three<ref name=r>plain</ref>, four.<ref group=\"n\" name=\"geo/18aug2018-1\">"
                  "a\nb\n\nc</ref>\n\nFive<!-- a comment\nover lines {{ --> six.\n\n<references />\n{{Reflist|30em|refs=\n<ref name=z>t</ref>\n}}",
    "Quotes": "'''Bold''', ''italic'', '''''both''''', ''\"quoted\"'' and it's the dogs' '''''mixed'' bold'''.\n\n''An [[italic|link]]'' and '''[[bold]]s''' here.",
    "Links": "A [[link]]s, [[a|b]], [[a#section|c]], [[wikt:word|word]], [[:Category:X|dropped]] and [[de:Hund]] [http://x.example label], [http://x.example], [https://x.example/a_(b)?c=d&e=f "
             "''it'' is], http://bare.example/x and [[Image:X.png]] [not a link] end.\n[[Category:Pages]]\n[[fr:Chien]]",
    "Headings": "Lead.\n\n== First ==\n=== Empty below ===\n== Second ==\n=== ''Deeper''? ===\n==== Deepest ====\nText of it.\n===Back===\n* only\n* a list\n== See also ==\n* [[x]]\n",
    "Lists": "Known are:\n* one\n** two\n# three\n; term\n: explained\nAfter the list.\n:::Indented more.\n(left out)\nThe end.",
    "Elements": "H<sub>2</sub>O and m<sup>2</sup>, <span style=\"color:red\">red</span>, <s>gone</s>, <br />a<br>b, <big>big</big> and <u>u</u>.\n\nIt holds that <math>a^{2}+b^{2}</math> "
                "is <math>c</math>; <math>a^{2}+b^{2}</math> and <code>x</code>.\n<gallery>\nFile:a.jpg|b\n</gallery>\n<timeline>\nx\n</timeline>\n<div class=\"y\">A division.</div>\n"
                "<blockquote>Said so.</blockquote>\n<center>Centre</center>\nAnd <small>small</small> print.",
    "Entities": "1&nbsp;km &ndash; 2&nbsp;km, &eacute;, &#8212;, &#x3b1;, AT&amp;T, &lt;tag&gt;, R&D; &unknown; 5 < 6 > 4.",
    "Spaces": "A ( {{x}} ), b ( , {{y}}) and c {{z}} , d . Dots ..... here  and   there.\t<<quoted>>\n__NOTOC__\n__NOEDITSECTION__Done.\n----\n\n—\n\nLast.",
    "Unbalanced quotes": "A '''bold without end.\n\nAn ''italic without end.\n\nFine.",
    "Differs: nowiki": "Write <nowiki>[[x]]</nowiki> for a link.\n\nSame here.",
    "Differs: colon": "See [[Star Trek: The Next Generation|the series]].\n\nSame here.",
    "Differs: code": "Such as\n<syntaxhighlight lang=\"c\">\nint x;\n</syntaxhighlight>\nSame here.",
    "Differs: commas": "One, {{a}}, {{b}}, two.\n\nSame here.",
    "Differs: open": "A {{template without end.\n\nMiddle {{closed}}.\n\nSame here.",
}


def articles_of(folder):
    """(title, paragraphs) of every document, in order of path."""
    for path in sorted(pathlib.Path(folder).rglob("wiki_*")):
        opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8")
        with opened as file:
            for document in re.findall(r"<doc [^>]*>\n(.*?)</doc>", file.read(), re.S):
                title, *lines = [line for line in document.split("\n") if line.strip()]
                yield title, lines


def is_plain(line):
    """Text that is no markup to begin with."""
    return not re.search(r"[\[\]{}<>|*#=_&]|''|\"|^[:;(!]|\(\s*[),;]|  |http|\.\.\.\.|^\W*$", line) and line == line.strip()


class Markup:
    def __init__(self, rng):
        self.rng = rng
        self.references = 0

    def reference(self):
        self.references += 1
        number = self.references
        return self.rng.choice([
            f'<ref name="r{number}">{{{{cite web|url=http://example.org/{number}?a=b&c=d|title=The [[title]] {number}|date=May 2019}}}}</ref>',
            f"<ref>Smith, [[J. Smith|John]] (19{number % 100:02d}). ''A book''. p.&nbsp;{number}.</ref>", f'<ref name="r{number}" />', f"{{{{sfn|Smith|2001|p={number}}}}}", f"{{{{r|b{number}}}}}",
            "{{citation needed|date=June 2020}}"])

    def word(self, word):
        kind = self.rng.random()
        if not word.isalpha() or kind < 0.88:
            return word
        if kind < 0.94:
            return f"[[{word}]]"
        if kind < 0.97:
            return f"[[{word.capitalize()} ({self.rng.choice(['disambiguation', 'concept'])})|{word}]]"
        return self.rng.choice([f"[http://example.org/{word} {word}]", f"'''{word}'''", f"<span lang=\"en\">{word}</span>", f"{{{{efn|a note}}}}{word}", f"<!-- {word}? -->{word}", f"[[{word}|'''{word}''']]"])

    def paragraph(self, line):
        text = " ".join(self.word(word) for word in line.split(" "))
        return re.sub(r"\.( |$)", lambda m: "." + (self.reference() if self.rng.random() < 0.3 else "") + m.group(1), text)

    def extra(self):
        return self.rng.choice([
            "{{Main|Another page|Third page}}", "[[File:Picture.jpg|thumb|200px|right|A picture of [[something]], with a [[target|link]].<ref>Source</ref>]]",
            "{| class=\"wikitable sortable\"\n|-\n! Year !! Value\n|-\n| 1990 || [[a|b]]\n|-\n| 1991 || 3<ref>x</ref>\n|}", "* [[First]] item\n* second ''item''\n** nested", "# one\n# two",
            "<gallery>\nFile:A.jpg|One\nFile:B.jpg|[[Two]]\n</gallery>", "<!-- hidden\ntext -->", "{{Quote box\n|quote=A {{nowrap|long}} quote\n|source=[[Someone]]\n}}", "== Empty section ==\n{{Empty section}}"])

    def article(self, title, lines):
        parts = ["{{Short description|Page}}\n{{Infobox thing\n| name = " + title + "\n| image = X.jpg\n| data = {{plainlist|\n* a\n* b\n}}\n}}"]
        for i, line in enumerate(lines):
            if self.rng.random() < 0.3:
                parts.append(self.extra())
            if i and self.rng.random() < 0.2:
                level = "=" * self.rng.choice([2, 2, 3])
                parts.append(f"{level} Section {i} {level}")
            parts.append(self.paragraph(line))
        parts.append("== References ==\n{{Reflist}}\n<references />\n== External links ==\n* [http://example.org Site]\n{{Authority control}}\n[[Category:Things]]\n[[Category:" + title + "| ]]\n[[de:Ding]]")
        return "\n\n".join(parts)


def page(number, title, text, ns=0, redirect=None):
    redirect = f'\n    <redirect title="{escape(redirect)}" />' if redirect else ""
    return (f"  <page>\n    <title>{escape(title)}</title>\n    <ns>{ns}</ns>\n    <id>{number}</id>{redirect}\n    <revision>\n      <id>{1000 + number}</id>\n      <parentid>{number}</parentid>\n"
            f"      <timestamp>2024-01-01T00:00:00Z</timestamp>\n      <contributor>\n        <username>User</username>\n        <id>7</id>\n      </contributor>\n      <model>wikitext</model>\n"
            f"      <format>text/x-wiki</format>\n      <text bytes=\"{len(text.encode())}\" xml:space=\"preserve\">{escape(text)}</text>\n      <sha1>x</sha1>\n    </revision>\n  </page>\n")


HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="0.11" xml:lang="en">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>enwiki</dbname>
    <base>https://en.wikipedia.org/wiki/Main_Page</base>
    <generator>MediaWiki</generator>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="6" case="first-letter">File</namespace>
      <namespace key="10" case="first-letter">Template</namespace>
      <namespace key="14" case="first-letter">Category</namespace>
      <namespace key="828" case="case-sensitive">Module</namespace>
    </namespaces>
  </siteinfo>
"""


def make_dump(extracts, pages, seed):
    rng = random.Random(seed)
    parts = [HEAD]
    number = 10
    for title, lines in articles_of(extracts):
        lines = [line for line in lines if is_plain(line)][: rng.randint(6, 30)]
        if len(lines) < 5 or not is_plain(title):
            continue
        number += 1
        if number - 10 > pages:
            break
        parts.append(page(number, title, Markup(rng).article(title, lines)))
        if number % 5 == 0:
            parts.append(page(1000 + number, "Old " + title, f"#REDIRECT [[{title}]]", redirect=title))
            parts.append(page(2000 + number, "Category:" + title, "A category.", ns=14))
    for i, (title, text) in enumerate(HARD_PAGES.items()):
        parts.append(page(5000 + i, title, text))
    return "".join(parts) + "</mediawiki>\n"


def wikiextractor(dump):
    """Its text of each article."""
    command = [sys.executable, "-m", "wikiextractor.WikiExtractor", str(dump), "--json", "--no-templates", "--html-safe", "", "--processes", "1", "--quiet", "-o", "-"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [{"title": article["title"], "text": article["text"]} for article in map(json.loads, out.splitlines())]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extracts")
    parser.add_argument("dump")
    parser.add_argument("--pages", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--expected")
    args = parser.parse_args()
    pathlib.Path(args.dump).write_text(make_dump(args.extracts, args.pages, args.seed), encoding="utf-8")
    if args.expected:
        with open(args.expected, "w", encoding="utf-8") as file:
            for article in wikiextractor(args.dump):
                file.write(json.dumps(article, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
