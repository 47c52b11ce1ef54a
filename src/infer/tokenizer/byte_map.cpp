#include "infer/tokenizer/byte_map.hpp"

#include "infer/tokenizer/utf8.hpp"

namespace snug::infer {
namespace {

constexpr char32_t kFirstStandIn = 0x100, kStandIns = 68;

bool prints(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

}  // namespace

const std::array<std::string, 256>& printable_bytes() {
  static const std::array<std::string, 256> all = [] {
    std::array<std::string, 256> made;
    char32_t stand_in = kFirstStandIn;
    for (unsigned byte = 0; byte < 256; ++byte) append_utf8(made[byte], prints(byte) ? byte : stand_in++);
    return made;
  }();
  return all;
}

std::string bytes_of_printable(std::string_view text) {
  static const std::array<char, kStandIns> stood_for = [] {
    std::array<char, kStandIns> made{};
    size_t next = 0;
    for (unsigned byte = 0; byte < 256; ++byte)
      if (!prints(byte)) made[next++] = static_cast<char>(byte);
    return made;
  }();
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    if (c.valid && c.value < 256 && prints(c.value))
      out.push_back(static_cast<char>(c.value));
    else if (c.valid && c.value >= kFirstStandIn && c.value - kFirstStandIn < kStandIns)
      out.push_back(stood_for[c.value - kFirstStandIn]);
    else
      out.append(text.substr(at, c.bytes));
    at += c.bytes;
  }
  return out;
}

}  // namespace snug::infer
