#pragma once

#include "hf/family.hpp"

namespace snug::hf {

/// The layers behind the last that the checkpoint has weights of, where the family keeps them.
int64_t count_predictors(const Family& family, const Sources& sources, int64_t layers);

/// All tensors of the model under GGUF's names. Throws Error where one has no place in the family, and where one that
/// every model of the family has is missing.
void assemble(const Family& family, const Checkpoint& checkpoint, Output& out);

/// What may stand behind the name of a rule.
inline constexpr std::string_view kSuffixes[] = {"", ".weight", ".bias"};

/// The rule that fits a name, with what it found; nullptr if none does.
struct Match {
  const Rule* rule = nullptr;
  std::string_view suffix;
  int64_t expert = -1;  // the number that '#' stands for
};
Match find_rule(std::span<const std::span<const Rule>> rules, std::string_view name,
                std::span<const std::string_view> suffixes = kSuffixes);

}  // namespace snug::hf
