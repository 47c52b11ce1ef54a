#pragma once

#include <optional>
#include <string>

#include "report/report.hpp"

namespace snug::report {

/// What a report says first of its recipe and of a preset of at most its size: both measured, or both predicted, never
/// one against the other.
struct Loss {
  double value = 0, error = 0;  // nats per token; error 0 where it is not known
  bool is_measured = false;
};

/// Measured where it was; nothing where nothing was.
std::optional<Loss> own_loss(const Report& report);

/// The formats of a preset of llama.cpp's, encoded by snug: not llama.cpp's own file.
struct ComparedPreset {
  std::string name;
  int64_t bytes = 0;
  double bits_per_weight = 0;
  Loss loss;
  double same_top = 0, perplexity = 0;  // 0 where nobody has said
};

/// The one of at most the recipe's size that loses least, of the same kind as own_loss(); nothing where there is none.
std::optional<ComparedPreset> compared_preset(const Report& report);

}  // namespace snug::report
