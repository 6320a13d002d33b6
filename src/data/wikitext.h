#pragma once

#include <set>
#include <string>
#include <string_view>

namespace mpibert {

// Which links of a wiki show no text in an article: those to files, categories and pages of the other namespaces but 0, and to other wikis.
class WikiNamespaces {
 public:
  WikiNamespaces();                 // the names that every wiki knows: File, Image, Category, Template, ...
  void add(std::string_view name);  // of the wiki's language, as <siteinfo> of its dump has it
  bool drops(std::string_view link_target) const;

 private:
  std::set<std::string, std::less<>> names_;  // lower case as far as ASCII goes, blanks for underscores
};

// The text of an article in MediaWiki's markup (https://www.mediawiki.org/wiki/Help:Formatting), a paragraph a line, by the rules of
// WikiExtractor 3 (https://github.com/attardi/wikiextractor) with --no-templates: left out are comments, references, templates, tables,
// lists, galleries, files and categories; of links the label stays, of ''italics'' the text in "double quotes", of <math> and <code> a word
// as formula_1, of a heading "Title." before the first paragraph under it. Where it does otherwise on purpose is written down in
// datasets/pretraining/README.md. Time is linear in the length, whatever the text; links nested more than 40 deep are left out.
std::string plain_text_of_wikitext(std::string_view wikitext, const WikiNamespaces& namespaces);

// The passes of which that is made, in order. Between them the characters 0x01 .. 0x1F that XML does not have stand for markup characters
// which are text (<nowiki>).
namespace wikitext {

inline constexpr std::string_view kMarkup = "[]{}'<>|=*#:;&_";
inline constexpr char kNothing = '\x1F';  // an empty <nowiki/>: keeps its neighbours apart
inline char protect(char markup) {        // markup character -> what stands for it; another -> itself
  const size_t i = kMarkup.find(markup);
  return i == std::string_view::npos ? markup : static_cast<char>(i < 8 ? 1 + i : 0x0E + i - 8);
}

std::string remove_tags(std::string_view text);       // comments, elements and their tags
std::string remove_templates(std::string_view text);  // {{...}} and {{{...}}}
std::string remove_tables(std::string_view text);     // {| at the start of a line ... |}
std::string replace_external_links(std::string_view text);
std::string replace_internal_links(std::string_view text, const WikiNamespaces& namespaces);
std::string text_of_lines(std::string_view text);  // quotes, entities, spaces; headings, lists, what is left of tables
void append_entity_decoded(std::string_view text, std::string& out);

}  // namespace wikitext

}  // namespace mpibert
