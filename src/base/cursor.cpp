#include "base/cursor.hpp"

#include <utility>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr const char* kCutShort =
    "the file is cut short or damaged; compare its size with the source and copy it again";
constexpr uint64_t kLongestString = uint64_t{1} << 30;

}  // namespace

std::span<const std::byte> Cursor::take(uint64_t count, const char* what) {
  if (count > remaining())
    fail(offset_, str("the file ends within ", what, ": needs ", count, " bytes, has ", remaining()),
         kCutShort);
  const auto taken = bytes_.subspan(offset_, count);
  offset_ += count;
  return taken;
}

std::string_view Cursor::string(const char* what) {
  const uint64_t start = offset_;
  const auto length = number<uint64_t>(what);
  if (length > kLongestString)
    fail(start, str("the length of ", what, " is absurd: ", length, " bytes"), kCutShort);
  const auto text = take(length, what);
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

void Cursor::check_count(uint64_t count, uint64_t least_bytes, const char* what) const {
  if (count > remaining() / least_bytes)
    fail(offset_,
         str("the file says it has ", count, " ", what, ", more than its ", remaining(), " bytes can hold"),
         kCutShort);
}

void Cursor::fail(uint64_t offset, std::string problem, std::string remedy) const {
  throw Error{std::move(problem), str(path_, ": byte ", offset), std::move(remedy)};
}

}  // namespace snug
