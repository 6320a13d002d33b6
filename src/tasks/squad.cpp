#include "mpibert/tasks/squad.h"

#include <nlohmann/json.hpp>
#include <set>

#include "data/line_reader.h"
#include "interop/strict_json.h"
#include "mpibert/base/error.h"
#include "tasks/character_index.h"

namespace mpibert {

namespace {

using nlohmann::json;

const json& list(const json& object, const char* key, const std::string& where) {
  const json& value = json_member(object, key, where);
  MPIBERT_CHECK(value.is_array(), kCorrupt, where, ": \"", key, "\" is not a list but ", value.type_name());
  return value;
}

std::string numbered(const std::string& where, const char* key, size_t i) { return str_cat(where, ".", key, "[", i, "]"); }

SquadAnswer read_answer(const json& object, const CharacterIndex& context, const std::string& where) {
  SquadAnswer answer{.text = json_string(object, "text", where), .start = json_count(object, "answer_start", where)};
  const int64_t length = character_count(answer.text), end = answer.start + length;
  MPIBERT_CHECK(answer.start <= context.size() && length <= context.size() - answer.start, kCorrupt, where, ": the answer, characters ",
                answer.start, " to ", end, ", lies outside the context, which has ", context.size());
  const std::string_view found = context.text(answer.start, end);
  if (found == answer.text) return answer;
  const std::optional<int64_t> place = context.find(answer.text);
  throw Error(ErrorKind::kCorrupt,
              str_cat(where, ": the context has \"", found, "\" at answer_start ", answer.start, ", expected the answer, \"", answer.text,
                      "\"", place ? str_cat(", which stands at ", *place) : std::string(", which is nowhere in it")));
}

SquadQuestion read_question(const json& object, size_t context_number, const CharacterIndex& context, const std::string& where) {
  SquadQuestion question{.id = json_string(object, "id", where), .text = json_string(object, "question", where), .context = context_number};
  question.has_answers = object.contains("answers");
  if (question.has_answers) {
    const json& answers = list(object, "answers", where);
    for (size_t i = 0; i < answers.size(); ++i) question.answers.push_back(read_answer(answers[i], context, numbered(where, "answers", i)));
  }
  question.impossible = question.has_answers && question.answers.empty();
  if (const auto found = object.find("is_impossible"); found != object.end()) {
    MPIBERT_CHECK(found->is_boolean(), kCorrupt, where, ": \"is_impossible\" is not true or false but ", found->type_name());
    question.impossible = found->get<bool>();
  }
  return question;
}

}  // namespace

SquadData parse_squad(std::string_view text, const std::string& name) {
  const json root = parse_strict_json(text, name);
  SquadData data;
  std::set<std::string> ids;
  const json& articles = list(root, "data", name);
  for (size_t a = 0; a < articles.size(); ++a) {
    const std::string article = str_cat(name, ": data[", a, "]");
    const json& paragraphs = list(articles[a], "paragraphs", article);
    for (size_t p = 0; p < paragraphs.size(); ++p) {
      const std::string paragraph = numbered(article, "paragraphs", p);
      data.contexts.push_back(json_string(paragraphs[p], "context", paragraph));
      const CharacterIndex context(data.contexts.back());
      const json& questions = list(paragraphs[p], "qas", paragraph);
      for (size_t q = 0; q < questions.size(); ++q) {
        const std::string where = numbered(paragraph, "qas", q);
        data.questions.push_back(read_question(questions[q], data.contexts.size() - 1, context, where));
        MPIBERT_CHECK(ids.insert(data.questions.back().id).second, kCorrupt, where, ": the id \"", data.questions.back().id,
                      "\" is that of an earlier question");
      }
    }
  }
  MPIBERT_CHECK(!data.questions.empty(), kCorrupt, name, ": no question in \"data\"");
  return data;
}

std::string read_squad_text(const std::filesystem::path& path) {
  LineReader lines(path);
  std::string text;
  for (std::string line; lines.next(line);) text += line + "\n";
  return text;
}

namespace {

// The members of an object of equal kinds, by name.
template <class Value, class Take>
std::map<std::string, Value> read_members(const std::filesystem::path& path, const char* kind, const Take& take) {
  const json root = parse_strict_json(read_squad_text(path), path.string());
  MPIBERT_CHECK(root.is_object(), kCorrupt, path.string(), ": expected an object, {\"id\": ", kind, ", ..}, found ", root.type_name());
  std::map<std::string, Value> members;
  for (const auto& [id, value] : root.items()) {
    MPIBERT_CHECK(take(value), kCorrupt, path.string(), ": \"", id, "\": expected ", kind, ", found ", value.type_name());
    members[id] = value.template get<Value>();
  }
  return members;
}

}  // namespace

SquadPredictions read_squad_predictions(const std::filesystem::path& path) {
  return read_members<std::string>(path, "a text", [](const json& value) { return value.is_string(); });
}

NullOdds read_null_odds(const std::filesystem::path& path) {
  return read_members<double>(path, "a number", [](const json& value) { return value.is_number(); });
}

}  // namespace mpibert
