#pragma once

#include <filesystem>
#include <string_view>

#include "snug/state.hpp"

namespace snug {

/// A fit writes its recipe before the model. Stopped between the two it finds, started again, a file in its way that
/// it made itself: which file that is, is kept in the state until the model is there.
enum class OwnRecipe { unfinished, finished };

/// Puts the word of a recipe's text among the notes.
void note_own_recipe(Store& state, std::string_view text, OwnRecipe word);

/// Whether the file holds the text of an unfinished fit of that state. False where there is no file or no state.
bool is_unfinished_recipe(const std::filesystem::path& file, const std::filesystem::path& state);

}  // namespace snug
