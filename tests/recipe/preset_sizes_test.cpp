#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/str.hpp"
#include "snug/model.hpp"
#include "model/roles.hpp"
#include "recipe/format_names.hpp"
#include "recipe/presets.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

std::vector<FormatId> formats_of(const ModelSource& model, const Preset& preset, bool has_imatrix) {
  const ModelShape shape = shape_of(model);
  std::vector<PresetTensor> tensors;
  for (const Tensor& t : model.tensors())
    tensors.push_back({t.name, t.cols(), t.experts(), t.format, is_quantizable(t)});
  const PresetModel asked{shape.architecture, shape.layers,  shape.heads,
                          shape.heads_kv,     shape.experts, has_imatrix};
  return preset_formats(preset, asked, tensors);
}

int64_t preset_bytes(const ModelSource& model, const Preset& preset, bool has_imatrix) {
  const std::vector<FormatId> formats = formats_of(model, preset, has_imatrix);
  int64_t bytes = 0;
  for (size_t i = 0; i < formats.size(); ++i) {
    const BlockShape block = block_shape(formats[i]);
    bytes += model.tensors()[i].weights() / block.block_weights * block.block_bytes;
  }
  return bytes;
}

/// The type of a tensor of a model under a preset.
std::string type_of(const ModelSource& model, const std::string& preset, const std::string& tensor) {
  const std::vector<FormatId> formats = formats_of(model, *find_preset(preset), false);
  for (size_t i = 0; i < formats.size(); ++i)
    if (model.tensors()[i].name == tensor) return std::string{format_name(formats[i])};
  return "missing";
}

/// Two public reports: Falcon's own rules, and the type of the embeddings of each layer.
TEST(PresetReports, TypesAreThoseOfLlamaQuantize) {
  const auto shared = test::shared_folder();
  if (shared.empty()) GTEST_SKIP() << "needs the shared folder beside the project";
  const std::filesystem::path falcon = shared / "cases/reports/falcon-presets";
  const std::filesystem::path per_layer = shared / "cases/reports/per-layer-embd-preset";
  const ModelSource falcon_model = open_model(falcon / "falcon.gguf"), tied_model = open_model(per_layer / "tied.gguf");
  std::ifstream falcon_rows{falcon / "expected.csv"}, tied_rows{per_layer / "expected.csv"};
  std::string line, preset, tensor, type;
  int compared = 0;
  std::getline(falcon_rows, line);
  for (; std::getline(falcon_rows, preset, ',') && std::getline(falcon_rows, tensor, ',') &&
         std::getline(falcon_rows, type);
       ++compared)
    EXPECT_TRUE(same_letters(type_of(falcon_model, preset, tensor), type)) << preset << " " << tensor << " " << type;
  std::getline(tied_rows, line);
  for (; std::getline(tied_rows, preset, ',') && std::getline(tied_rows, type); ++compared)
    EXPECT_TRUE(same_letters(type_of(tied_model, preset, "per_layer_token_embd.weight"), type)) << preset;
  EXPECT_EQ(compared, 240);
}

/// The baselines were made by llama-quantize with each model's imatrix; dense, with tied embeddings, and with
/// 8 experts.
TEST(PresetSizes, AreThoseOfTheFilesLlamaQuantizeMade) {
  const auto shared = test::shared_folder();
  if (shared.empty()) GTEST_SKIP() << "needs the shared folder beside the project";
  std::ifstream in{shared / "cases/baselines.csv"};
  std::string line, model, method, file_bytes, tensor_bytes;
  int compared = 0;
  std::getline(in, line);
  while (std::getline(in, line)) {
    std::istringstream fields{line};
    for (std::string* field : {&model, &method, &file_bytes, &tensor_bytes})
      std::getline(fields, *field, ',');
    const Preset* preset = find_preset(method);
    if (!preset) continue;  // the fork's --target-bpw
    const ModelSource reader = open_model(shared / "models" / str(model, "-f16.gguf"));
    EXPECT_EQ(preset_bytes(reader, *preset, true), std::stoll(tensor_bytes)) << model << " " << method;
    ++compared;
  }
  EXPECT_GE(compared, 54);
}

}  // namespace
}  // namespace snug
