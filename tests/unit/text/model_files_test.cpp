#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mpibert/text/tokenizer.h"
#include "tests/support/files.h"
#include "tests/unit/text/thrown.h"

namespace mpibert {

using test::TemporaryFolder;
using test::thrown_by;
using test::write_text;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

const std::string kVocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nab\nAB\ne\n##e\n";

std::string tokenizer_json(const std::string& model = "WordPiece", const std::string& normalizer = "BertNormalizer") {
  return R"({"added_tokens": [{"id": 1, "content": "[UNK]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
                              {"id": 6, "content": "<e>", "single_word": false, "lstrip": true, "rstrip": false, "normalized": false, "special": true}],
             "normalizer": {"type": ")" +
         normalizer + R"(", "clean_text": true, "handle_chinese_chars": false, "strip_accents": null, "lowercase": false},
             "pre_tokenizer": {"type": "BertPreTokenizer"},
             "model": {"type": ")" +
         model + R"(", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 7,
                       "vocab": {"[UNK]": 1, "[PAD]": 0, "[SEP]": 3, "[CLS]": 2, "AB": 5}}})";
}

Error error_of(const TemporaryFolder& folder) {
  return thrown_by([&] { BertTokenizer::from_model(folder.path()); });
}

}  // namespace

TEST(ModelFolder, AListOfWholeWordsIsTakenWordByWord) {
  TemporaryFolder folder;
  write_text(folder / "vocab.json", R"(["<unk>", "<pad>", "<mask>", "<cls>", "<sep>", "play", "\u00e9t\u00e9", "."])");
  const BertTokenizer tokenizer = BertTokenizer::from_model(folder.path());
  EXPECT_THAT(tokenizer.ids("Play playing \xc3\x89t\xc3\xa9."), ElementsAre(5, 0, 6, 7))
      << "lower-cased, with its accents, and no piece of a longer word";
  EXPECT_THAT(tokenizer.encode("play", "play", 9).ids, ElementsAre(3, 5, 4, 5, 4));
  EXPECT_EQ(tokenizer.vocabulary().mask_id(), 2);
  for (const char* bad : {R"({"<unk>": 0})", R"(["<unk>", 7])", R"(["<unk>", "<pad>", "<mask>", "<cls>"])"}) {
    write_text(folder / "vocab.json", bad);
    const Error error = error_of(folder);
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(error.what(), HasSubstr("vocab.json"));
  }
}

TEST(ModelFolder, VocabTxtAloneIsUncased) {
  TemporaryFolder folder;
  write_text(folder / "vocab.txt", kVocab);
  EXPECT_THAT(BertTokenizer::from_model(folder.path()).ids("AB"), ElementsAre(5));
  EXPECT_EQ(Vocabulary::from_model(folder.path()).size(), 9);
}

TEST(ModelFolder, TokenizerConfigSetsTheOptions) {
  TemporaryFolder folder;
  write_text(folder / "vocab.txt", kVocab);
  write_text(folder / "tokenizer_config.json",
             R"({"do_lower_case": false, "strip_accents": true, "tokenize_chinese_chars": false, "split_special_tokens": true,
      "added_tokens_decoder": {"9": {"content": "Zz", "special": false}, "4": {"content": "[MASK]", "special": true, "lstrip": true}},
      "additional_special_tokens": ["<x>", "Zz"]})");
  const BertTokenizer tokenizer = BertTokenizer::from_model(folder.path());
  const TokenizerOptions& options = tokenizer.options();
  EXPECT_FALSE(options.do_lower_case);
  EXPECT_EQ(options.strip_accents, std::optional(true));
  EXPECT_FALSE(options.tokenize_chinese_chars);
  EXPECT_FALSE(options.match_special_tokens);
  EXPECT_THAT(options.added_tokens,
              ElementsAre(AddedToken{.content = "[MASK]", .lstrip = true},
                          AddedToken{.content = "Zz", .special = false, .normalized = true}, AddedToken{.content = "<x>"}));
  EXPECT_EQ(tokenizer.vocabulary().id("<x>"), 10);
  EXPECT_THAT(tokenizer.ids("AB Zz"), ElementsAre(6, 9));
}

TEST(ModelFolder, TokenizerJsonServesWithoutVocabTxt) {
  TemporaryFolder folder;
  write_text(folder / "tokenizer.json", tokenizer_json());
  const BertTokenizer tokenizer = BertTokenizer::from_model(folder.path());
  EXPECT_FALSE(tokenizer.options().do_lower_case);
  EXPECT_FALSE(tokenizer.options().tokenize_chinese_chars);
  EXPECT_EQ(tokenizer.options().max_input_chars_per_word, 7);
  EXPECT_THAT(tokenizer.ids("AB <e>ab"), ElementsAre(5, 6, 1));
  EXPECT_EQ(tokenizer.vocabulary().token(4), "");                              // an id that the file leaves out
  write_text(folder / "tokenizer_config.json", R"({"do_lower_case": true})");  // wins
  EXPECT_THAT(BertTokenizer::from_model(folder.path()).ids("AB"), ElementsAre(1));
}

TEST(ModelFolder, AddedTokensJsonIsReadInTheOrderOfIds) {
  TemporaryFolder folder;
  write_text(folder / "vocab.txt", kVocab);
  write_text(folder / "added_tokens.json", R"({"second": 10, "first": 9})");
  EXPECT_THAT(BertTokenizer::from_model(folder.path()).ids("FIRST second"), ElementsAre(9, 10));
}

TEST(ModelFolder, ConfigJsonReadsBackAsTheSameOptions) {
  TokenizerOptions options{.do_lower_case = false,
                           .strip_accents = true,
                           .tokenize_chinese_chars = false,
                           .clean_text = false,
                           .max_input_chars_per_word = 50,
                           .match_special_tokens = false};
  options.added_tokens = {{.content = "[MASK]", .lstrip = true},
                          {.content = "Zz", .special = false, .normalized = true, .single_word = true, .rstrip = true}};
  TemporaryFolder folder;
  write_text(folder / "vocab.txt", kVocab);
  const BertTokenizer tokenizer(Vocabulary::from_file(folder / "vocab.txt"), options);
  write_text(folder / "tokenizer_config.json", tokenizer.config_json());
  const BertTokenizer again = BertTokenizer::from_model(folder.path());
  EXPECT_EQ(again.config_json(), tokenizer.config_json());
  EXPECT_EQ(again.options().strip_accents, options.strip_accents);
  EXPECT_EQ(again.options().clean_text, options.clean_text);
  EXPECT_EQ(again.options().max_input_chars_per_word, 50);
  EXPECT_EQ(again.options().match_special_tokens, false);
  EXPECT_EQ(again.options().added_tokens, options.added_tokens);
  EXPECT_THAT(BertTokenizer(tokenizer.vocabulary()).config_json(), HasSubstr(R"("strip_accents": null)"));
}

TEST(ModelFolder, AnEmptyOneIsNotFoundAndSaysWhatItNeeds) {
  TemporaryFolder folder;
  const Error error = error_of(folder);
  EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
  EXPECT_THAT(error.what(), HasSubstr("neither vocab.txt nor tokenizer.json"));
}

TEST(ModelFolder, JsonThatIsBrokenIsCorruptAndNamed) {
  const std::pair<std::string, std::string> cases[] = {{"{", "is not JSON"},
                                                       {"[]", "expected an object"},
                                                       {R"({"do_lower_case": "yes"})", "do_lower_case is string; expected true or false"},
                                                       {R"({"added_tokens_decoder": {"x": {}}})", "no token id"},
                                                       {R"({"added_tokens_decoder": {"99": {"content": "Q"}}})", "it would be 9"},
                                                       {R"({"max_input_chars_per_word": 1.5})", "expected an integer"}};
  for (const auto& [json, why] : cases) {
    TemporaryFolder folder;
    write_text(folder / "vocab.txt", kVocab);
    write_text(folder / "tokenizer_config.json", json);
    const Error error = error_of(folder);
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt) << json;
    EXPECT_THAT(error.what(), HasSubstr(why));
    EXPECT_THAT(error.what(), HasSubstr(folder.path().string()));
  }
}

TEST(ModelFolder, AnotherKindOfTokenizerIsRefused) {
  const std::pair<std::string, std::string> configs[] = {{R"({"tokenizer_class": "RobertaTokenizer"})", "RobertaTokenizer"},
                                                         {R"({"cls_token": "<s>"})", "cls_token is <s>"},
                                                         {R"({"mask_token": {"content": "<mask>"}})", "mask_token is <mask>"}};
  for (const auto& [json, why] : configs) {
    TemporaryFolder folder;
    write_text(folder / "vocab.txt", kVocab);
    write_text(folder / "tokenizer_config.json", json);
    const Error error = error_of(folder);
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument) << json;
    EXPECT_THAT(error.what(), HasSubstr(why));
  }
  for (const std::string& json : {tokenizer_json("BPE"), tokenizer_json("WordPiece", "NFC")}) {
    TemporaryFolder folder;
    write_text(folder / "tokenizer.json", json);
    EXPECT_EQ(error_of(folder).kind(), ErrorKind::kInvalidArgument);
  }
}

}  // namespace mpibert
