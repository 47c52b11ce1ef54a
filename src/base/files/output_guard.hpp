#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <vector>

#include "base/files/atomic_folder.hpp"
#include "base/files/output_path.hpp"

namespace snug {

/// All files that a command reads and writes, checked before it does any work. Files are told apart by what
/// they are (device and inode), whatever their names: links and hard links to an input are that input. Empty
/// paths stand for options that were not given.
class OutputGuard {
 public:
  using path = std::filesystem::path;

  /// `existing`: whether files that are there may be replaced (--force).
  explicit OutputGuard(Existing existing) : existing_(existing) {}

  OutputGuard& reads(std::span<const path> inputs);
  OutputGuard& reads(std::initializer_list<path> inputs);
  /// A file that will be replaced whole; `bytes` is the least it will take, 0 where that is not known.
  OutputGuard& writes(const path& output, int64_t bytes = 0);
  /// One with a word of its own on whether it may be replaced.
  OutputGuard& writes(const path& output, Existing existing);
  OutputGuard& writes(std::span<const path> outputs);
  /// A folder that will be replaced whole, or made.
  OutputGuard& writes_folder(const path& output, MayReplace may_replace);
  /// A file that is made where it is missing, else added to: a state.
  OutputGuard& keeps(const path& store);

  /// Throws Error of Fault::usage where an output is an input or another output, of Fault::io where one
  /// cannot be written (see output_path()) or the disk has no room.
  void check() const;

 private:
  struct Output {
    path file;
    int64_t bytes = 0;
    bool is_kept = false;
    Existing existing{};
    MayReplace may_replace = {};  // of a folder
  };

  void check_identities() const;
  void check_contents() const;
  void check_places() const;
  void check_room() const;

  Existing existing_;
  std::vector<path> inputs_;
  std::vector<Output> outputs_;
};

}  // namespace snug
