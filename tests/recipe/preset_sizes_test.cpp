#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/str.hpp"
#include "snug/model.hpp"
#include "model/roles.hpp"
#include "recipe/presets.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

int64_t preset_bytes(const ModelSource& model, const Preset& preset, bool has_imatrix) {
  const ModelShape shape = shape_of(model);
  std::vector<PresetTensor> tensors;
  for (const Tensor& t : model.tensors())
    tensors.push_back({t.name, t.cols(), t.experts(), t.format, is_quantizable(t)});
  const PresetModel asked{shape.architecture, shape.layers,  shape.heads,
                          shape.heads_kv,     shape.experts, has_imatrix};
  const std::vector<FormatId> formats = preset_formats(preset, asked, tensors);
  int64_t bytes = 0;
  for (size_t i = 0; i < formats.size(); ++i) {
    const BlockShape block = block_shape(formats[i]);
    bytes += model.tensors()[i].weights() / block.block_weights * block.block_bytes;
  }
  return bytes;
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
