#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mpibert {

// token <-> id of a BERT vocabulary. Ids are line numbers of vocab.txt, or the numbers of model.vocab in a tokenizer.json.
class Vocabulary {
 public:
  // vocab.txt: lines end in \n; one \r before it and trailing Unicode white space are dropped; of equal lines the last wins, as in the
  // tokenizers crate. Throws kNotFound without the file, kCorrupt if it is no vocabulary: not UTF-8, empty, or without [UNK], [CLS] or
  // [SEP] (the message says which, and what such a file looks like).
  static Vocabulary from_file(const std::filesystem::path& path);
  static Vocabulary from_tokens(std::vector<std::string> tokens);  // token i has id i
  // vocab.txt of a model folder, or else model.vocab of its tokenizer.json (an id that it leaves out is the empty token), or else
  // vocab.json, a list of whole words ("Dive into Deep Learning") whose <pad>, <unk>, <cls>, <sep> and <mask> become BERT's. Throws
  // kNotFound with none, kCorrupt, and kInvalidArgument for a model that is not BERT's WordPiece.
  static Vocabulary from_model(const std::filesystem::path& folder);

  int64_t size() const;                            // largest id + 1
  int32_t id(std::string_view token) const;        // -1 if it is not there
  const std::string& token(int32_t id) const;      // throws kInvalidArgument outside 0 .. size-1
  const std::string& sha256() const;               // of the canonical text: every token by id, each followed by \n
  const std::vector<std::string>& tokens() const;  // by id
  // Ids of the special tokens; -1 where a vocabulary lacks one.
  int32_t pad_id() const, unk_id() const, cls_id() const, sep_id() const, mask_id() const;

 private:
  struct Data;
  std::shared_ptr<const Data> data_;
};

}  // namespace mpibert
