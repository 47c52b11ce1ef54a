#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "artifact/convert_model.hpp"
#include "artifact/mlx_artifact.hpp"
#include "artifact/quantize_model.hpp"
#include "base/files/read_file.hpp"
#include "hf/tiny_checkpoint.hpp"
#include "plan/baseline_recipes.hpp"
#include "safetensors/checkpoint.hpp"

namespace snug::test {

namespace fs = std::filesystem;
using nlohmann::json;

/// A checkpoint's folder and the folder of MLX that is made of it.
class MlxFolder : public testing::Test {
 protected:
  void save(const TinyCheckpoint& checkpoint) {
    fs::create_directory(source_);
    checkpoint.save(source_);
    std::ofstream{source_ / "chat_template.jinja"} << "{{ messages }}";
    std::ofstream{source_ / "notes.md"} << "not part of the model";
  }
  ModelSource model() const { return hf::open_checkpoint(source_); }
  WrittenModel convert() const {
    ConvertOptions options;
    options.runtime = "mlx";
    return convert_model(model(), out_, options);
  }
  WrittenModel quantize(const Recipe& recipe, Existing existing = Existing::refuse) const {
    const ModelSource source = model();
    const WrittenModel written = quantize_model(source, nullptr, recipe, out_, existing);
    verify_written(source, nullptr, recipe, written);
    return written;
  }
  Recipe uniform(const std::string& format) const { return uniform_recipe(model(), format, "mlx"); }
  json config() const { return json::parse(read_file(out_ / "config.json")); }

  /// Every tensor of the output is, byte for byte, the one of that name in the source.
  void expect_same_as_source() const {
    const safetensors::Checkpoint source{source_}, written{out_};
    ASSERT_EQ(written.tensors().size(), source.tensors().size());
    for (const safetensors::Tensor& tensor : source.tensors()) {
      const safetensors::Tensor* got = written.find(tensor.name);
      ASSERT_NE(got, nullptr) << tensor.name;
      EXPECT_EQ(got->dtype, tensor.dtype) << tensor.name;
      EXPECT_EQ(got->shape, tensor.shape) << tensor.name;
      EXPECT_TRUE(std::ranges::equal(got->bytes, tensor.bytes)) << tensor.name;
    }
  }

  Scratch scratch_;
  fs::path source_ = scratch_ / "source", out_ = scratch_ / "out";
};

}  // namespace snug::test
