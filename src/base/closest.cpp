#include "base/closest.hpp"

#include <algorithm>
#include <cctype>
#include <utility>
#include <vector>

#include "base/str.hpp"

namespace snug {
namespace {

std::string lower(std::string_view text) {
  std::string letters{text};
  for (char& c : letters) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return letters;
}

/// Letters to leave out, put in, change, or swap with their neighbour until `a` is `b`.
size_t slips_between(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> slips(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) slips[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) slips[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i)
    for (size_t j = 1; j <= b.size(); ++j) {
      slips[i][j] =
          std::min({slips[i - 1][j] + 1, slips[i][j - 1] + 1, slips[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) slips[i][j] = std::min(slips[i][j], slips[i - 2][j - 2] + 1);
    }
  return slips[a.size()][b.size()];
}

}  // namespace

std::string_view closest(std::string_view word, std::span<const std::string_view> known) {
  constexpr size_t kLong = 64;  // nobody means a name by a whole sentence
  if (word.empty() || word.size() > kLong) return {};
  const std::string wanted = lower(word);
  std::string_view best;
  std::pair least{std::max<size_t>(1, word.size() / 3) + 1, false};  // then those that begin alike
  for (const std::string_view candidate : known) {
    const std::string name = lower(candidate);
    const std::pair slips{slips_between(wanted, name), !name.starts_with(wanted)};
    if (slips >= least || slips.first >= std::max(word.size(), candidate.size())) continue;
    least = slips;
    best = candidate;
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> known,
                         std::string otherwise) {
  const std::string_view meant = closest(word, known);
  return meant.empty() ? std::move(otherwise) : str("did you mean '", meant, "'?");
}

}  // namespace snug
