#pragma once

#include <filesystem>
#include <functional>

#include "snug/output.hpp"

namespace snug {

/// Whether a folder that is in the way is of the kind that may be replaced: what is in it will be lost.
using MayReplace = std::function<bool(const std::filesystem::path& folder)>;

/// Where a folder written under `path` will lie, links followed. Throws Error of Fault::io where that is no folder, where
/// the folder around it does not exist or cannot be written, and where it is there already with something in it, unless
/// `existing` says replace and `may_replace` agrees.
std::filesystem::path output_folder(const std::filesystem::path& path, Existing existing, const MayReplace& may_replace);

/// A folder that appears whole under its name or not at all: filled beside it, then renamed. Destroyed without commit()
/// it leaves nothing behind; killed, it may leave a folder whose name ends in .snug-part-??????, which the next one of
/// that path removes. Throws Error of Fault::io.
class AtomicFolder {
 public:
  AtomicFolder(const std::filesystem::path& path, Existing existing, const MayReplace& may_replace);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  const std::filesystem::path& part() const { return part_; }  // to be filled meanwhile
  const std::filesystem::path& path() const { return path_; }  // where it will lie
  void commit();

 private:
  void make_part();
  void remove_leftovers() const;

  std::filesystem::path path_, part_;
  Existing existing_;
  MayReplace may_replace_;
  int lock_ = -1;  // held while the folder is being filled: it is no leftover
};

}  // namespace snug
