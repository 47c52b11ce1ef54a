#include "infer/tokenizer/special_splitter.hpp"

#include <algorithm>
#include <utility>

namespace snug::infer {
namespace {

constexpr std::string_view kBlanks = " \t\n\v\f\r";

std::string_view without_leading_blanks(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text;
}

uint64_t edge(int32_t node, char byte) {
  return static_cast<uint64_t>(node) << 8 | static_cast<uint8_t>(byte);
}

}  // namespace

SpecialSplitter::SpecialSplitter(const Vocabulary& vocabulary) : vocabulary_{vocabulary}, ends_{-1} {
  for (int32_t id = 0; id < vocabulary.size(); ++id)
    if (vocabulary.is(id, Vocabulary::control | Vocabulary::user_defined | Vocabulary::unknown))
      candidates_.push_back(id);
  std::ranges::stable_sort(candidates_, std::greater{},
                           [&](int32_t id) { return vocabulary.text(id).size(); });
  for (size_t c = 0; c < candidates_.size(); ++c) {
    int32_t node = 0;
    for (const char byte : vocabulary.text(candidates_[c])) node = add_child(node, byte);
    ends_[static_cast<size_t>(node)] = static_cast<int32_t>(c);
  }
}

int32_t SpecialSplitter::child(int32_t node, char byte) const {
  if (node == 0) return first_[static_cast<uint8_t>(byte)];
  const auto found = edges_.find(edge(node, byte));
  return found == edges_.end() ? 0 : found->second;
}

int32_t SpecialSplitter::add_child(int32_t node, char byte) {
  int32_t& next = node == 0 ? first_[static_cast<uint8_t>(byte)] : edges_[edge(node, byte)];
  if (!next) {
    next = static_cast<int32_t>(ends_.size());
    ends_.push_back(-1);
  }
  return next;
}

std::vector<bool> SpecialSplitter::present_in(std::string_view text) const {
  std::vector<bool> present(candidates_.size());
  for (size_t begin = 0; begin < text.size(); ++begin)
    for (auto [node, at] = std::pair{int32_t{0}, begin}; at < text.size(); ++at) {
      node = child(node, text[at]);
      if (!node) break;
      if (const int32_t end = ends_[static_cast<size_t>(node)]; end >= 0)
        present[static_cast<size_t>(end)] = true;
    }
  return present;
}

std::vector<Fragment> SpecialSplitter::split(std::string_view text, bool parse_special) const {
  std::vector<Fragment> fragments, next;
  if (!text.empty()) fragments.push_back({text});
  const std::vector<bool> present = present_in(text);
  for (size_t c = 0; c < candidates_.size(); ++c) {
    const int32_t token = candidates_[c];
    if (!present[c]) continue;
    if (!parse_special && vocabulary_.is(token, Vocabulary::control | Vocabulary::unknown)) continue;
    const bool trims = vocabulary_.is(token, Vocabulary::trims_right);
    const std::string_view wanted = vocabulary_.text(token);
    next.clear();
    for (const Fragment& fragment : fragments) {
      std::string_view rest = fragment.text;
      for (size_t hit; fragment.token < 0 && (hit = rest.find(wanted)) != rest.npos;) {
        if (hit) next.push_back({rest.substr(0, hit)});
        next.push_back({wanted, token});
        rest.remove_prefix(hit + wanted.size());
        if (trims) rest = without_leading_blanks(rest);
      }
      if (!rest.empty()) next.push_back({rest, fragment.token});
    }
    fragments.swap(next);
  }
  return fragments;
}

}  // namespace snug::infer
