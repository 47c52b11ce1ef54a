#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/files/read_file.hpp"
#include "imatrix/importance.hpp"
#include "infer/model.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "snug/state.hpp"
#include "support/scratch.hpp"

namespace snug {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A model to try something on, the text to run it on, and a state that is gone afterwards.
struct BenchSubject {
  /// "-" for imatrix: without importance. Throws Error where they do not belong together.
  BenchSubject(const std::string& path, const std::string& imatrix, const std::string& text)
      : model{open_model(path)}, state{Store::open(scratch / "state", Access::write)} {
    if (imatrix != "-") loaded_.emplace(Importance::load(imatrix));
    if (loaded_) loaded_->check_against(model.source());
    const infer::Tokenizer tokenizer{model.source()};
    if (tokenizer.adds_bos() && tokenizer.bos() >= 0) bos = tokenizer.bos();
    tokens = tokenizer.encode(read_file(text), true, false);
  }

  const Importance* importance() const { return loaded_ ? &*loaded_ : nullptr; }

  test::Scratch scratch;
  infer::Model model;
  Store state;
  std::optional<int32_t> bos;
  std::vector<int32_t> tokens;

 private:
  std::optional<Importance> loaded_;
};

}  // namespace snug
