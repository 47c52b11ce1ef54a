#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "infer/model.hpp"
#include "infer/tiny_llama.hpp"
#include "snug/state.hpp"
#include "support/scratch.hpp"

namespace snug::test {

inline std::vector<int32_t> random_tokens(int64_t count, int32_t vocabulary, uint64_t seed) {
  std::mt19937_64 random{seed};
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocabulary)));
  return tokens;
}

/// A random llama, whose rows of 64 and 96 fit only formats with short blocks, and a random text in chunks of 16.
template <class Options>
class OnTinyLlama : public testing::Test {
 protected:
  OnTinyLlama() {
    write_tiny_llama({}, scratch / "model.gguf");
    options.context = 16;
    options.bos = 1;
  }

  /// What measure(model, store) returns, with a state of that name.
  template <class Measure>
  auto with_state(const std::string& state, const Measure& measure) {
    const infer::Model model{open_model(scratch / "model.gguf")};
    Store store = Store::open(scratch / state, Access::write);
    auto results = measure(model, store);
    contents = store.contents_digest();
    return results;
  }

  Scratch scratch;
  Options options;
  std::vector<int32_t> tokens = random_tokens(100, 40, 7);
  Digest contents;  // of the state that was last used
};

}  // namespace snug::test
