#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "report/measured.hpp"
#include "snug/recipe.hpp"

namespace snug::report {

/// A model that a card lists: the one it is about, and others of the same original.
struct ListedModel {
  struct File {
    std::string name, sha256;
  };
  std::string name;             // of its first file, its folder or its recipe
  std::vector<File> files;      // none of a recipe alone
  int64_t bytes = 0;
  double bits_per_weight = 0;
  std::optional<Recipe::Measured> measured;
  std::optional<double> predicted;
  double perplexity = 0, same_top = 0;  // 0 where nobody has said
  double original_perplexity = 0;       // of the same text; 0 where nobody has said
  std::string recipe;                   // its recipe_digest()
  bool scored_elsewhere = false;        // perplexity and same_top are not of the text that the fit judged it on
};

ListedModel listed(const Recipe& recipe, std::string name, std::vector<ListedModel::File> files);

/// A model's name by that of its file, without ".gguf", or of its folder.
std::string label_of(const std::filesystem::path& model);
/// Of a file or a folder, which may be named with a slash behind it.
std::string name_of(const std::filesystem::path& model);

/// Takes to each model what its own fit measured, found by its recipe, and over that what was measured elsewhere, found by
/// label_of(), which goes from `points`.
void add_measured(std::vector<ListedModel>& models, std::vector<MeasuredPoint>& points);

}  // namespace snug::report
