#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace snug {

/// A whole file mapped read-only. Pages come and go with the page cache; nothing is copied.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);  // throws Error of Fault::io
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

  /// Tells the kernel that a part of bytes() will be read soon, or will not be needed again.
  static void will_need(std::span<const std::byte> part) noexcept;
  static void done_with(std::span<const std::byte> part) noexcept;

 private:
  std::filesystem::path path_;
  std::unique_ptr<const std::string> name_;  // stays where it is when the file is moved
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace snug
