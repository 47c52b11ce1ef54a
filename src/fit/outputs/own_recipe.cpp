#include "fit/outputs/own_recipe.hpp"

#include <cstdint>
#include <span>
#include <string>

#include "base/digest.hpp"
#include "base/files/read_file.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr std::string_view kNote = "snug_own_recipe\n", kUnfinished = "unfinished\n", kFinished = "finished\n";
constexpr uintmax_t kMaxBytes = uintmax_t{1} << 30;  // what is larger is no recipe

Digest key_of(std::string_view text) {
  return Hasher{}.add("own recipe").add(text).finish();
}

std::string note_of(OwnRecipe word) {
  return str(kNote, word == OwnRecipe::unfinished ? kUnfinished : kFinished);
}

}  // namespace

void note_own_recipe(Store& state, std::string_view text, OwnRecipe word) {
  const std::string note = note_of(word);
  state.put(RecordKind::note, key_of(text), std::as_bytes(std::span{note}));
  state.sync();
}

bool is_unfinished_recipe(const std::filesystem::path& file, const std::filesystem::path& state) {
  namespace fs = std::filesystem;
  std::error_code unknown;
  if (!fs::is_regular_file(file, unknown) || !fs::is_regular_file(state, unknown)) return false;
  if (fs::file_size(file, unknown) > kMaxBytes || unknown) return false;
  try {
    const auto note = Store::open(state, Access::read).get(RecordKind::note, key_of(read_file(file)));
    if (!note) return false;
    return std::string_view{reinterpret_cast<const char*>(note->data()), note->size()} == note_of(OwnRecipe::unfinished);
  } catch (const Error&) {
    return false;  // no store: opening it for the work will say so
  }
}

}  // namespace snug
