#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "base/files/saved_numbers.hpp"
#include "infer/reverse/reverse_pass.hpp"
#include "snug/digest.hpp"

namespace snug::infer {

/// Where passes stand on their way back, in a file: what a start after a kill goes on from.
struct SavedReverse {
  std::filesystem::path path;
  Digest key;  // of all that the passes depend on

  /// Replaces the file whole. The stage comes next; `besides` adds what else belongs to a pass.
  void save(int stage, const std::vector<const ReversePass*>& passes,
            const std::function<void(NumberWriter& write, size_t pass)>& besides) const;
  /// The stage that was saved, if it was of this key: passes, which have begun, are put there. Nothing where there is
  /// no such file or it is damaged, which is logged: passes may then stand anywhere.
  std::optional<int> load(const std::vector<ReversePass*>& passes,
                          const std::function<void(NumberReader& read, size_t pass)>& besides) const;
};

}  // namespace snug::infer
