#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "base/files/output_path.hpp"
#include "snug/output.hpp"

namespace snug {

/// A file that appears whole under its name or not at all: written beside it, synced, renamed, its folder
/// synced. Destroyed without commit() it leaves nothing behind. Killed, it may: on a filesystem without
/// nameless files, or in the instant of the rename; the next one of that path removes it. A link stays: its
/// target is what is written. A file that is replaced gives its permissions to the new one; others get what
/// the umask leaves. Throws Error of Fault::io (a full disk included).
class AtomicFile {
 public:
  /// Refuses at once what output_path() refuses.
  /// expected_bytes > 0 reserves the space now, so that a full disk is told before the work, not after.
  AtomicFile(std::filesystem::path path, Existing existing, int64_t expected_bytes = 0);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);                     // at the end of what was written so far
  void write_at(int64_t offset, std::span<const std::byte> bytes);  // anywhere; threads may share
  void write(std::string_view text);
  int64_t size() const { return end_; }
  const std::filesystem::path& path() const { return path_; }  // where it will lie, links followed
  void sync();    // to the disk; lets several files be made safe before the first is put in place
  void commit();  // syncs and puts in place
  void commit_unsynced();  // puts in place what may be lost with the power

 private:
  void open_temporary();
  void open_named();
  void take_permissions();
  bool give_name();
  bool put_in_place();
  void discard() noexcept;

  std::filesystem::path path_;
  std::filesystem::path part_;  // the name meanwhile; empty while the file has none, as is usual
  int fd_ = -1;
  int64_t end_ = 0;
  Existing existing_;
};

/// Removes what killed writers of `path` left beside it, <path>.snug-part-??????, but nothing that is being
/// written.
void remove_leftovers(const std::filesystem::path& path);

/// A name beside `path` for what shall lie there, as remove_leftovers() knows it.
std::filesystem::path part_name(const std::filesystem::path& path, uint32_t number);

/// The whole of `text` under `path`, by AtomicFile.
void write_file(const std::filesystem::path& path, std::string_view text, Existing existing);

/// Syncs a folder, so that a rename in it survives a power cut.
void sync_directory(const std::filesystem::path& folder);

}  // namespace snug
