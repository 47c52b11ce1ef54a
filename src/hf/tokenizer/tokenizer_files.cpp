#include "hf/tokenizer/tokenizer_files.hpp"

#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "hf/tokenizer/ranked_tokens.hpp"
#include "hf/tokenizer/sentencepiece.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

namespace fs = std::filesystem;

nlohmann::json object_in(const fs::path& file) {
  if (!fs::is_regular_file(file)) return {};
  nlohmann::json parsed = parse_json(read_file(file), file.string());
  if (!parsed.is_object()) throw Error{"an object was expected", file.string(), "download the file again"};
  return parsed;
}

}  // namespace

const char* TokenizerFiles::other_kind() const {
  for (const char* name : {"vocab.json", "vocab.txt", "spiece.model", "tokenizer.model"})
    if (fs::exists(folder / name)) return name;
  return nullptr;
}

TokenizerFiles read_tokenizer_files(const fs::path& folder) {
  TokenizerFiles files{.folder = folder,
                       .tokenizer = {},
                       .config = object_in(folder / "tokenizer_config.json"),
                       .added = object_in(folder / "added_tokens.json")};
  const fs::path json = folder / "tokenizer.json", tekken = folder / "tekken.json",
                 ranks = folder / "tiktoken.model";
  files.is_tekken = !fs::is_regular_file(json) && fs::is_regular_file(tekken);
  if (fs::is_regular_file(json))
    files.tokenizer = read_tokenizer_json(json);
  else if (files.is_tekken)
    files.tokenizer = read_tekken(tekken);
  else if (fs::is_regular_file(ranks))
    files.tokenizer = read_tiktoken(ranks, files.config);
  files.has_pieces = fs::is_regular_file(files.pieces()) && is_sentence_piece_model(files.pieces());
  return files;
}

}  // namespace snug::hf
