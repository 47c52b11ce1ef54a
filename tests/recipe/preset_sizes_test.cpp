#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/str.hpp"
#include "snug/model.hpp"
#include "model/roles.hpp"
#include "recipe/format_names.hpp"
#include "recipe/presets.hpp"
#include "support/gguf_bytes.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

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

test::GgufBytes llama_like(const std::string& architecture, uint32_t layers, uint32_t heads, uint32_t heads_kv) {
  test::GgufBytes file;
  file.key("general.architecture", architecture).key_u32(architecture + ".block_count", layers);
  file.key_u32(architecture + ".attention.head_count", heads).key_u32(architecture + ".attention.head_count_kv", heads_kv);
  return file;
}

void add_f16(test::GgufBytes& file, const std::string& name, int64_t cols, int64_t rows) {
  file.tensor(name, {cols, rows}, static_cast<uint32_t>(FormatId::f16), std::string(static_cast<size_t>(2 * cols * rows), 0));
}

/// Two public reports: Falcon's own rules, and the type of the embeddings of each layer.
class PresetReports : public testing::Test {
 protected:
  ModelSource falcon() const {
    test::GgufBytes file = llama_like("falcon", 10, 8, 1);
    add_f16(file, "token_embd.weight", 256, 8);
    add_f16(file, "output.weight", 256, 8);
    for (int layer = 0; layer < 10; ++layer)
      for (const char* part : {"attn_qkv", "attn_output", "ffn_up", "ffn_down"})
        add_f16(file, str("blk.", layer, ".", part, ".weight"), 256, 4);
    file.save(scratch_ / "falcon.gguf");
    return open_model(scratch_ / "falcon.gguf");
  }
  ModelSource tied() const {
    test::GgufBytes file = llama_like("llama", 1, 2, 1);
    add_f16(file, "token_embd.weight", 64, 300);
    for (const char* part : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
      add_f16(file, str("blk.0.", part, ".weight"), 64, 64);
    add_f16(file, "per_layer_token_embd.weight", 256, 64);
    file.save(scratch_ / "tied.gguf");
    return open_model(scratch_ / "tied.gguf");
  }

  test::Scratch scratch_;
};

TEST_F(PresetReports, TypesAreThoseOfLlamaQuantize) {
  const ModelSource falcon_model = falcon(), tied_model = tied();
  std::ifstream falcon_rows{test::data_folder() / "presets/falcon.csv"}, tied_rows{test::data_folder() / "presets/per_layer.csv"};
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
  std::ifstream in{test::data_folder() / "presets/baselines.csv"};
  std::string line, model, method, file_bytes, tensor_bytes;
  int compared = 0;
  std::getline(in, line);
  while (std::getline(in, line)) {
    std::istringstream fields{line};
    for (std::string* field : {&model, &method, &file_bytes, &tensor_bytes})
      std::getline(fields, *field, ',');
    const Preset* preset = find_preset(method);
    if (!preset || !std::filesystem::exists(test::trained_model(model))) continue;  // the fork's --target-bpw; no model
    const ModelSource reader = open_model(test::trained_model(model));
    EXPECT_EQ(preset_bytes(reader, *preset, true), std::stoll(tensor_bytes)) << model << " " << method;
    ++compared;
  }
  EXPECT_GE(compared, 18 * std::ssize(test::trained_models()));
}

}  // namespace
}  // namespace snug
