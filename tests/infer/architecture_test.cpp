// Small random models of every architecture, with other features than seed 0 has: what
// tests/interop/arch_test.cpp compares with llama.cpp, here held to itself; and keys that make no sense.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>

#include "infer/session.hpp"
#include "snug/error.hpp"
#include "support/arch_model_name.hpp"
#include "support/scratch.hpp"

namespace snug::infer {
namespace {

class Architectures : public testing::TestWithParam<tools::ArchModel> {
 protected:
  std::filesystem::path written(uint64_t seed) const {
    tools::write_arch_model(GetParam(), seed, scratch_ / "model.gguf");
    return scratch_ / "model.gguf";
  }

  /// Error or not, nothing worse.
  static void run_if_it_loads(const std::filesystem::path& file) {
    try {
      const Model model{open_model(file)};
      Session{model, {.context = 8}}.forward(std::vector<int32_t>{3, 1, 2});
    } catch (const Error& error) {
      EXPECT_FALSE(error.problem().empty());
    }
  }

  test::Scratch scratch_;
};

std::vector<int32_t> some_tokens(const Model& model, size_t count) {
  std::vector<int32_t> tokens(count);
  for (size_t i = 0; i < count; ++i)
    tokens[i] = static_cast<int32_t>(i * 37 + 11 * (i / 5)) % static_cast<int32_t>(model.vocabulary());
  return tokens;
}

TEST_P(Architectures, BatchesDoNotChangeABitAndFastIsNear) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    SCOPED_TRACE(testing::Message() << "make_arch_model " << GetParam().name << " --seed " << seed);
    const Model model{open_model(written(seed))};
    if (model.layers() > 20 && seed > 0) return;
    const std::vector<int32_t> tokens = some_tokens(model, 40);
    const Activations whole = Session{model, {.context = 40}}.forward(tokens);
    for (const int64_t batch : {1, 7}) {
      const Activations parts = Session{model, {.context = 40, .batch = batch}}.forward(tokens);
      EXPECT_TRUE(std::ranges::equal(parts.values(), whole.values())) << batch;
    }
    const Activations fast = Session{model, {.context = 40, .compute = Compute::fast}}.forward(tokens);
    std::vector<float> errors;  // by token: some are sent to other experts
    for (int64_t t = 0; t < whole.count(); ++t) {
      float worst = 0;
      for (int64_t i = 0; i < whole.width(); ++i)
        worst = std::max(worst, std::abs(fast.at(t)[i] - whole.at(t)[i]));
      errors.push_back(worst);
    }
    std::ranges::sort(errors);
    EXPECT_LE(errors[errors.size() / 2], 0.02f);
  }
}

/// Every number among the keys in turn, replaced by ones that do not go with the tensors.
TEST_P(Architectures, KeysThatDoNotFitAreToldOrDoNoHarm) {
  const std::filesystem::path whole = written(0), damaged = scratch_ / "damaged.gguf";
  if (Model{open_model(whole)}.layers() > 20) return;
  std::ifstream in{whole, std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{in}, {}};
  const std::string prefix = std::string{GetParam().arch} + ".";
  size_t tried = 0;
  for (size_t at = bytes.find(prefix); at != std::string::npos; at = bytes.find(prefix, at + 1)) {
    uint64_t length = 0;
    uint32_t type = 0;
    std::memcpy(&length, bytes.data() + at - sizeof(length), sizeof(length));
    if (length > 64) continue;  // not a key
    std::memcpy(&type, bytes.data() + at + length, sizeof(type));
    size_t value_at = at + length + sizeof(type);
    if (type == 9) {  // of an array of 32 bits, the last
      uint64_t count = 0;
      std::memcpy(&type, bytes.data() + value_at, sizeof(type));
      std::memcpy(&count, bytes.data() + value_at + sizeof(type), sizeof(count));
      value_at += sizeof(type) + sizeof(count) + (count - 1) * sizeof(uint32_t);
    }
    if (type != 4 && type != 5) continue;
    for (const uint32_t value : {0u, 2u, 4u, 64u, 65536u, 0x7fffffffu}) {
      SCOPED_TRACE(testing::Message() << bytes.substr(at, length) << " = " << value);
      std::string changed = bytes;
      std::memcpy(changed.data() + value_at, &value, sizeof(value));
      std::ofstream{damaged, std::ios::binary} << changed;
      run_if_it_loads(damaged);
      ++tried;
    }
  }
  EXPECT_GE(tried, 20u);
}

INSTANTIATE_TEST_SUITE_P(Models, Architectures,
                         testing::ValuesIn(tools::arch_models().begin(), tools::arch_models().end()),
                         [](const auto& model) { return std::string{model.param.name}; });

}  // namespace
}  // namespace snug::infer
