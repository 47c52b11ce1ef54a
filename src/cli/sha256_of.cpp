#include "cli/sha256_of.hpp"

#include <algorithm>
#include <optional>

#include "base/events.hpp"
#include "base/files/mapped_file.hpp"
#include "base/progress.hpp"
#include "base/sha256.hpp"

namespace snug::cli {

std::string sha256_of(const std::filesystem::path& file) {
  constexpr size_t kPiece = size_t{16} << 20, kLong = size_t{1} << 30;  // takes seconds
  const MappedFile mapped{file};
  std::span<const std::byte> rest = mapped.bytes();
  std::optional<Progress> progress;
  if (rest.size() >= kLong) progress.emplace("digesting", std::ssize(rest), Progress::Unit::bytes);
  Sha256 digest;
  while (!rest.empty()) {
    check_cancelled();
    const auto piece = rest.first(std::min(kPiece, rest.size()));
    digest.add(piece);
    if (progress) progress->advance(std::ssize(piece));
    rest = rest.subspan(piece.size());
  }
  return std::move(digest).hex();
}

}  // namespace snug::cli
