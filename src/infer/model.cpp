#include "infer/model.hpp"

#include <algorithm>
#include <utility>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

std::string architecture_of(const ModelSource& file) {
  if (const auto name = file.metadata().text("general.architecture")) return std::string{*name};
  throw Error{"the file does not say its architecture (key 'general.architecture')", file.path().string(),
              "name a GGUF model; an imatrix or an adapter cannot be run"};
}

/// The embedding has one row per token; a token list, where there is one, must agree.
int64_t vocabulary_of(const ModelSource& file) {
  const Tensor* embedding = file.find("token_embd.weight");
  if (!embedding)
    throw Error{"tensor 'token_embd.weight' is missing", file.path().string(), "is it a whole model?"};
  const int64_t rows = embedding->shape[1];
  const MetadataArray* tokens = file.metadata().array("tokenizer.ggml.tokens");
  if (tokens && static_cast<int64_t>(tokens->count) != rows)
    throw Error{str("the vocabulary has ", tokens->count, " tokens, the embedding ", rows, " rows"),
                file.path().string(), "tokenizer and weights come from different models; convert it again"};
  return rows;
}

}  // namespace

Model::Model(ModelSource source) : source_{std::move(source)} {
  const std::string name = architecture_of(source_);
  const auto known = known_architectures();
  const ArchMetadata keys{source_, name};
  hp_.architecture = name;
  Loader loader{source_, weights_, gathered_};
  const ArchitectureInputs inputs{keys, hp_, loader};
  if (std::find(known.begin(), known.end(), name) == known.end()) make_architecture(inputs);  // throws
  hp_ = read_hparams(keys, name);
  hp_.vocab = vocabulary_of(source_);
  for (int64_t l = hp_.layers; l < hp_.blocks; ++l) loader.skip(in_block(l, ""));
  architecture_ = make_architecture(inputs);
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
