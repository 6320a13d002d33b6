#include "mpibert/text/vocabulary.h"

#include <unordered_map>

#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/sha256.h"
#include "text/model_files.h"
#include "text/unicode.h"

namespace mpibert {

struct Vocabulary::Data {
  std::vector<std::string> tokens;                      // by id
  std::unordered_map<std::string_view, int32_t> id_of;  // views of `tokens`
  std::string sha256;
};

namespace {

constexpr size_t kMaxTokens = 1 << 24, kMaxBytes = 256 << 20;
constexpr const char* kWhatItIs =
    "; a BERT vocab.txt is UTF-8 text with one WordPiece token a line, among them [PAD], [UNK], [CLS], [SEP] and [MASK]";

std::string_view without_trailing_space(std::string_view line) {
  const auto& properties = unicode::PropertyTable::instance();
  while (!line.empty()) {
    size_t last = line.size() - 1;
    while (last > 0 && (line[last] & 0xC0) == 0x80) --last;
    if (!properties[unicode::decode(line.data() + last, line.data() + line.size()).value].is(unicode::kIsSpace)) break;
    line.remove_suffix(line.size() - last);
  }
  return line;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> tokens;
  while (!text.empty()) {
    const size_t length = text.find('\n');
    tokens.emplace_back(without_trailing_space(text.substr(0, length)));  // drops \r too
    text.remove_prefix(length == std::string_view::npos ? text.size() : length + 1);
  }
  return tokens;
}

}  // namespace

Vocabulary Vocabulary::from_file(const std::filesystem::path& path) {
  const std::string text = read_file(path, kMaxBytes);
  MPIBERT_CHECK(!text.empty(), kCorrupt, path.string(), " is empty", kWhatItIs);
  MPIBERT_CHECK(unicode::is_valid_utf8(text), kCorrupt, path.string(), " is not a vocabulary: it is not UTF-8", kWhatItIs);
  std::vector<std::string> tokens = split_lines(text);
  MPIBERT_CHECK(tokens.size() <= kMaxTokens, kCorrupt, path.string(), " is not a vocabulary: it has ", tokens.size(), " lines", kWhatItIs);
  Vocabulary vocabulary = from_tokens(std::move(tokens));
  for (const char* token : {"[UNK]", "[CLS]", "[SEP]"})
    MPIBERT_CHECK(vocabulary.id(token) >= 0, kCorrupt, path.string(), " is not a vocabulary: no line is ", token, kWhatItIs);
  return vocabulary;
}

Vocabulary Vocabulary::from_tokens(std::vector<std::string> tokens) {
  auto data = std::make_shared<Data>();
  data->tokens = std::move(tokens);
  data->id_of.reserve(data->tokens.size());
  Sha256 sha256;
  for (size_t i = 0; i < data->tokens.size(); ++i) {
    data->id_of[data->tokens[i]] = static_cast<int32_t>(i);
    sha256.update(data->tokens[i]).update("\n");
  }
  data->sha256 = sha256.hex();
  Vocabulary vocabulary;
  vocabulary.data_ = std::move(data);
  return vocabulary;
}

Vocabulary Vocabulary::from_model(const std::filesystem::path& folder) { return read_model_vocabulary(folder); }

int64_t Vocabulary::size() const { return static_cast<int64_t>(data_->tokens.size()); }

int32_t Vocabulary::id(std::string_view token) const {
  const auto found = data_->id_of.find(token);
  return found == data_->id_of.end() ? -1 : found->second;
}

const std::string& Vocabulary::token(int32_t id) const {
  MPIBERT_CHECK(id >= 0 && id < size(), kInvalidArgument, "token id ", id, " is outside the vocabulary, 0 .. ", size() - 1);
  return data_->tokens[static_cast<size_t>(id)];
}

const std::string& Vocabulary::sha256() const { return data_->sha256; }
const std::vector<std::string>& Vocabulary::tokens() const { return data_->tokens; }
int32_t Vocabulary::pad_id() const { return id("[PAD]"); }
int32_t Vocabulary::unk_id() const { return id("[UNK]"); }
int32_t Vocabulary::cls_id() const { return id("[CLS]"); }
int32_t Vocabulary::sep_id() const { return id("[SEP]"); }
int32_t Vocabulary::mask_id() const { return id("[MASK]"); }

}  // namespace mpibert
