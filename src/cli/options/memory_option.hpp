#pragma once

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <string>

#include "base/memory.hpp"
#include "base/units.hpp"

namespace snug::cli {

/// --memory: what a model's run may take beside the page cache.
class MemoryOption {
 public:
  void add_to(CLI::App& command) {
    if (const char* named = std::getenv("SNUG_MEMORY")) size_ = named;
    command.add_option("--memory", size_,
                       "most memory to take, e.g. 8GB (default: what is free). A model that is larger is read layer by "
                       "layer, and all of the text goes through a layer before the next is read");
  }
  void apply() const {  // before the work
    if (!size_.empty()) set_memory_limit(parse_size(size_));
  }

 private:
  std::string size_;
};

}  // namespace snug::cli
