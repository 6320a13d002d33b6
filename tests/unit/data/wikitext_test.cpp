#include "data/wikitext.h"

#include <chrono>

#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

namespace {

std::string text_of(std::string_view wikitext) {
  WikiNamespaces namespaces;
  namespaces.add("Datei");
  return plain_text_of_wikitext(wikitext, namespaces);
}

}  // namespace

TEST(Wikitext, LinksShowTheirLabels) {
  EXPECT_EQ(text_of("A [[dog]]s and [[cat|big ''cats'']], [[:fish]] [[a#b|c]]."), "A dogs and big \"cats\", fish c.\n");
  EXPECT_EQ(text_of("x[[File:a.png|thumb|200px|A [[dog]] in {{convert|3|m}} [http://a.b c]]]y [[datei:b.jpg]] [[Category:Dogs]] "
                    "[[de:Hund]] [[zh-yue:狗]]z"),
            "xy z\n");
  EXPECT_EQ(text_of("[[Star Trek: The Next Generation|TNG]] and [[2001: A Space Odyssey]]"), "TNG and 2001: A Space Odyssey\n");
  EXPECT_EQ(text_of("a [http://x.org/?q=1 the label] [https://x.org] [//x.org b] [mailto:a@b.c m] [not a link] b"),
            "a the label b m [not a link] b\n");
  EXPECT_EQ(text_of("[[a|b [[c|d]] e]] [[unclosed [[f]] ]] g]]"), "b d e unclosed f g]]\n");
  EXPECT_EQ(text_of("[[never closed and [[closed]] on"), "[[never closed and closed on\n");
}

TEST(Wikitext, TemplatesAndTablesGo) {
  EXPECT_EQ(text_of("a{{b|c={{d|{{{1|e}}}}}|f=[[g]]}} h {{{i}}} {j} }} {{ k"), "a h {j} }} {{ k\n");
  EXPECT_EQ(text_of("before\n{| class=\"x\"\n|-\n! h\n| c\n {|\n| inner\n |}\n| d\n|}\nafter"), "before\nafter\n");
  EXPECT_EQ(text_of("open\n{| class=\"x\"\n| cell\nafter"), "open\nafter\n");
}

TEST(Wikitext, ElementsAndCommentsGo) {
  EXPECT_EQ(text_of("a<ref name=\"x\">{{cite|y}} [[z]]</ref> b<ref name=q /> c<!-- {{ -->d<ref name=\"a > b\">e</ref>f"), "a b cdf\n");
  EXPECT_EQ(text_of("a<br>b<br />\nc <span style=\"x\">d</span> <SUP>2</SUP>e"), "a b\nc d 2e\n");
  EXPECT_EQ(text_of("m <math>x^{2}</math>, <math>y</math>, <math>x^{2}</math> and <code>a[[1]]</code>"),
            "m formula_1, formula_2, formula_1 and codice_1\n");
  EXPECT_EQ(text_of("a <gallery>\nFile:x.jpg|y\n</gallery>b<small>tiny</small> <ul><li>x</ul> c<ref>never closed"), "a b cnever closed\n");
  EXPECT_EQ(text_of("1 < 2 and 3 > 2, a <foo>bar</foo>"), "1 < 2 and 3 > 2, a <foo>bar</foo>\n");
  EXPECT_EQ(text_of("see <nowiki>[[x]] ''y'' {{z}} <b></nowiki> and a<nowiki/>b"), "see [[x]] ''y'' {{z}} <b> and ab\n");
  EXPECT_EQ(text_of("cut <!-- off"), "cut \n");
}

TEST(Wikitext, QuotesEntitiesAndSpaces) {
  EXPECT_EQ(text_of("'''Bold''' ''it'' '''''both''''' ''\"q\"'' it's l''''x'''"), "Bold \"it\" both \"q\" it's l'x\n");
  EXPECT_EQ(text_of("'''''a''''' '''''b'' c'''"), "a \"b\" c\n");
  EXPECT_EQ(text_of("a&nbsp;b &amp;lt; &lt;ref&gt; &eacute;&#8211;&#x4e00;&bogus; &#0;"),
            "a\xC2\xA0"
            "b &lt; <ref> é–一&bogus; &#0;\n");
  EXPECT_EQ(text_of("a ( {{x}}) b ( , c ) ,, d ..... e <<f>> __NOTOC__g __x__"), "a () b (, c), d... e «f» g __x__\n");
}

TEST(Wikitext, HeadingsListsAndRests) {
  EXPECT_EQ(text_of("Intro\n== A ==\n* item\n# item\n== B ==\n=== C? ===\ntext\n: indented\n; term\n== D ==\n"),
            "Intro\nB.\nC?\ntext\n indented\n");
  EXPECT_EQ(text_of("(dropped)\n----\n|rest\nx}\n—\nkept"), "kept\n");
}

TEST(Wikitext, NamespacesOfTheWikiAreKnown) {
  const WikiNamespaces namespaces;
  EXPECT_TRUE(namespaces.drops("file:x") && namespaces.drops(" Category_talk : x") && namespaces.drops(":Category:x") &&
              namespaces.drops("simple:Dog"));
  EXPECT_FALSE(namespaces.drops("Datei:x") || namespaces.drops("w:Dog") || namespaces.drops("Re: x") || namespaces.drops("dog") ||
               namespaces.drops(":dog"));
}

// Nesting, and marks without a partner, cost no more than their length.
TEST(Wikitext, TakesLinearTimeWhateverTheText) {
  for (const char* part : {"{{",   "[[",    "[[a|", "{|\n", "<ref>",    "<div><li>", "<ref name=\"", "<a \"", "<!--", "''",     "'''''a",
                           "[//a", "[[a]]", "]]",   "}}",   "</ref>",   "{{{",       "\"\"",         "==",    "\n=",  "<math>", "&amp",
                           "((",   "<<",    "__",   "__A",  "<nowiki>", "|}\n",      "<li></ul>",    "\n:",   ",",    "....."}) {
    std::string text;
    while (text.size() < 1'000'000) text += part;
    const auto begin = std::chrono::steady_clock::now();
    text_of(text);
    text_of(text + std::string(text.rbegin(), text.rend()));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    EXPECT_LT(seconds, 10) << part;  // half a second as a rule; a day where the square of the length is taken
  }
}

}  // namespace mpibert
