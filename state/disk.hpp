#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace snug::state {

/// An open file. Every failure is an Error of Fault::io that names the path.
class File {
 public:
  enum class Lock { taken, busy, replaced };  // replaced: another file lies under this one's path by now

  virtual ~File() = default;
  virtual int64_t size() const = 0;
  virtual size_t read_at(int64_t offset, std::span<std::byte> bytes) const = 0;  // fewer only at the end
  virtual void write_at(int64_t offset,
                        std::span<const std::byte> bytes) = 0;  // may have written part if it throws
  virtual void truncate(int64_t bytes) = 0;
  virtual void sync() = 0;                  // the bytes, and the size they need
  virtual Lock try_lock() = 0;              // against other writers, until the file is closed
  virtual int64_t lock_holder() const = 0;  // another process, where the system tells which, else 0
};

/// The few things a store asks of a filesystem. Tests put one in its place that fails and forgets.
class Disk {
 public:
  enum class Open { read, write, create };  // write and create: for reading as well

  struct NewFile {
    std::unique_ptr<File> file;
    std::filesystem::path name;
  };

  virtual ~Disk() = default;
  virtual std::unique_ptr<File> open(const std::filesystem::path& path, Open mode) = 0;
  /// A new file beside `path` under a name of its own, to be renamed over it: never one that was there, no
  /// link followed, the permissions of what it shall replace. Leftovers of killed processes are removed.
  virtual NewFile create_beside(const std::filesystem::path& path) = 0;
  virtual bool exists(const std::filesystem::path& path) = 0;
  virtual void rename(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
  virtual void remove(const std::filesystem::path& path) noexcept = 0;
  virtual void sync_folder_of(const std::filesystem::path& path) = 0;
};

Disk& real_disk();

/// Opens and locks. Throws Error that names the holder's process id where another writer has the lock.
std::unique_ptr<File> open_locked(Disk& disk, const std::filesystem::path& path, Disk::Open mode);

/// Disk::create_beside(), locked, so that nobody takes the file for a leftover.
Disk::NewFile create_locked_beside(Disk& disk, const std::filesystem::path& path);

}  // namespace snug::state
