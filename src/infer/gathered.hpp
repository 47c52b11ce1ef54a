#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/files/mapped_scratch.hpp"

namespace snug::infer {

/// Bytes that were brought or worked out once and are read again and again: in memory, or in a scratch file that is
/// mapped like a model's own, where memory is short.
class Gathered {
 public:
  Gathered(int64_t bytes, bool in_memory) {
    if (in_memory)
      memory_.resize(static_cast<size_t>(bytes));
    else
      file_ = std::make_unique<MappedScratch>(bytes);
  }
  std::span<std::byte> bytes() { return file_ ? file_->bytes() : std::span{memory_}; }

 private:
  std::vector<std::byte> memory_;
  std::unique_ptr<MappedScratch> file_;
};

}  // namespace snug::infer
