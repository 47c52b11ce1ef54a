#include "infer/model.hpp"

#include <algorithm>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

std::string architecture_of(const gguf::Reader& file) {
  if (const auto name = file.text("general.architecture")) return std::string{*name};
  throw Error{"the file does not say its architecture (key 'general.architecture')", file.path().string(),
              "name a GGUF model; an imatrix or an adapter cannot be run"};
}

/// The embedding has one row per token; a token list, where there is one, must agree.
int64_t vocabulary_of(const gguf::Reader& file) {
  const gguf::Tensor* embedding = file.find_tensor("token_embd.weight");
  if (!embedding)
    throw Error{"tensor 'token_embd.weight' is missing", file.path().string(), "is it a whole model?"};
  const int64_t rows = embedding->shape[1];
  const gguf::Array* tokens = file.array("tokenizer.ggml.tokens");
  if (tokens && static_cast<int64_t>(tokens->count) != rows)
    throw Error{str("the vocabulary has ", tokens->count, " tokens, the embedding ", rows, " rows"),
                file.path().string(), "tokenizer and weights come from different models; convert it again"};
  return rows;
}

}  // namespace

Model::Model(const std::filesystem::path& path) : file_{path} {
  const std::string name = architecture_of(file_);
  const auto known = known_architectures();
  const Keys keys{file_, name};
  hp_.architecture = name;
  Loader loader{file_, weights_};
  const Source source{keys, hp_, loader};
  if (std::find(known.begin(), known.end(), name) == known.end()) make_architecture(source);  // throws
  hp_ = read_hparams(keys, name);
  hp_.vocab = vocabulary_of(file_);
  for (int64_t l = hp_.layers; l < hp_.blocks; ++l) loader.skip(in_block(l, ""));
  architecture_ = make_architecture(source);
  loader.check_all_used();
}

const Weight* Model::find(std::string_view name) const {
  const auto found = weights_.find(name);
  return found == weights_.end() ? nullptr : &found->second;
}

bool Model::multiplies(std::string_view name) const {
  if (name.starts_with("per_layer_token_embd")) return false;
  return !name.starts_with("token_embd") || !find("output.weight");
}

}  // namespace snug::infer
