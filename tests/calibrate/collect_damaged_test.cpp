// Weights that are not finite or far too large, in every architecture: an Error that names a tensor, or an
// imatrix of finite sums; never a crash.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>

#include "base/progress.hpp"
#include "snug/model.hpp"
#include "calibrate/collect.hpp"
#include "imatrix/imatrix_file.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"
#include "tools/arch_models/arch_models.hpp"

namespace snug {
namespace {

class CollectDamaged : public testing::TestWithParam<size_t> {
 protected:

  /// Where the values of each tensor begin in the file.
  static std::vector<size_t> offsets(const ModelSource& file, const std::string& bytes) {
    std::vector<size_t> all;
    for (const Tensor& tensor : file.tensors())
      all.push_back(bytes.find(
          std::string_view{reinterpret_cast<const char*>(tensor.data), static_cast<size_t>(tensor.bytes())}));
    return all;
  }

  test::Scratch scratch_;
};

TEST_P(CollectDamaged, IsToldOrDoesNoHarm) {
  const std::filesystem::path whole = scratch_ / "whole.gguf", damaged = scratch_ / "damaged.gguf";
  tools::write_arch_model(tools::arch_models()[GetParam()], 0, whole);
  std::ifstream in{whole, std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{in}, {}};
  const std::vector<size_t> at = offsets(open_model(whole), bytes);
  CalibrationTokens text{{}, {}, "counting"};
  for (int i = 0; i < 12; ++i) text.tokens.push_back((i * 37 + 11) % 64);
  int told = 0;
  const float values[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          3e38f};
  for (size_t i = GetParam() % 5; i < at.size(); i += 5) {
    ASSERT_NE(at[i], std::string::npos);
    std::string changed = bytes;
    std::memcpy(changed.data() + at[i], &values[i % 3], sizeof(float));
    std::ofstream{damaged, std::ios::binary} << changed;
    try {
      const infer::Model model{open_model(damaged)};
      collect_imatrix(model, text, {.chunk_tokens = 12, .output = true, .full = i % 2 == 1},
                      scratch_ / "out.gguf", Existing::replace);
      read_imatrix(scratch_ / "out.gguf");  // throws where sums are not finite
    } catch (const Error& error) {
      EXPECT_FALSE(error.problem().empty());
      ++told;
    }
  }
  EXPECT_GT(told, 0);
}

INSTANTIATE_TEST_SUITE_P(Models, CollectDamaged, testing::Range(size_t{0}, tools::arch_models().size()),
                         [](const auto& model) {
                           return std::string{tools::arch_models()[model.param].name};
                         });

}  // namespace
}  // namespace snug
