#include "hf/checkpoint.hpp"

#include <memory>

#include "base/str.hpp"
#include "hf/assemble.hpp"
#include "hf/mlx_codes.hpp"
#include "hf/tokenizer/tokenizer.hpp"
#include "hf/unsayable.hpp"
#include "safetensors/checkpoint.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

namespace fs = std::filesystem;

/// What the views of a finished model point into.
struct Kept {
  Config config;
  safetensors::Checkpoint weights;
};

/// Whether MLX wrote the folder: it names and orders some tensors in its own way.
bool is_mlx(const Config& config, const safetensors::Checkpoint& weights) {
  const auto format = weights.metadata().find("format");
  return (format != weights.metadata().end() && format->second == "mlx") || has_mlx_quantization(config);
}

void add_tokenizer_keys(const fs::path& folder, const Config& config, const Output& out, Keys& keys,
                        std::vector<std::string>& remarks) {
  const TokenizerContext context{keys.architecture(), out.find("token_embd.weight")->rows(), &config.file(),
                                 &config.text(), &remarks};
  add_tokenizer(folder, context, keys.metadata());
}

void remark_predictors(const Config& config, int64_t found, std::vector<std::string>& remarks) {
  const int64_t said = config.integer({"num_nextn_predict_layers", "mtp_num_hidden_layers"}).value_or(0);
  if (found != said && found + said > 0)
    remarks.push_back(str("config.json speaks of ", said, " layers that predict further tokens, the weights are there "
                          "of ", found));
}

}  // namespace

bool is_checkpoint(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) && fs::exists(path / "config.json", ignored);
}

ModelSource open_checkpoint(const fs::path& folder) {
  Config config{folder};
  const Family& family = family_of(config);
  ModelSource::Contents model;
  check_sayable(config, family.architecture, model.remarks);
  const auto kept = std::make_shared<const Kept>(Kept{std::move(config), safetensors::Checkpoint{folder}});
  const Sources sources{kept->weights, kept->config, family.rename, model.remarks};
  const int64_t layers = kept->config.layers();
  const Checkpoint checkpoint{kept->config, sources, layers, count_predictors(family, sources, layers), model.remarks};
  Output out{folder.string()};
  assemble(family, checkpoint, out);
  model.tensors = out.tensors();

  MetadataBuilder metadata;
  Keys keys{std::string{family.architecture}, metadata};
  add_general_keys(folder, main_format(model.tensors), keys);
  family.keys(checkpoint, layers + checkpoint.predictors, keys);
  add_tokenizer_keys(folder, kept->config, out, keys, model.remarks);
  if (family.keeps_predictors) remark_predictors(kept->config, checkpoint.predictors, model.remarks);

  model.path = folder;
  model.files.assign(kept->weights.files().begin(), kept->weights.files().end());
  model.bytes = kept->weights.bytes();
  model.container = is_mlx(kept->config, kept->weights) ? "safetensors of MLX" : "safetensors";
  model.metadata = metadata.finish(folder.string());
  model.storage = {kept, metadata.storage(), out.storage()};
  return ModelSource{std::move(model)};
}

}  // namespace snug::hf
