#include "artifact/recipe_file.hpp"

#include "artifact/gguf_recipe.hpp"
#include "base/files/file_kind.hpp"
#include "base/files/read_file.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

Recipe recipe_of_model(const fs::path& path) {
  if (auto recipe = recipe_of_file(open_model(path))) return *std::move(recipe);
  throw Error{"the file does not say by what recipe it was made", path.string(),
              "name the recipe itself; models that an earlier snug or another program made do not hold it", Fault::usage};
}

}  // namespace

Recipe read_recipe(const fs::path& path, const std::string& remedy) {
  std::error_code unknown;
  const fs::path file = fs::exists(path / kRecipeInFolder, unknown) ? path / kRecipeInFolder : path;
  if (fs::is_regular_file(file, unknown) && file_kind(file) == FileKind::gguf) return recipe_of_model(file);
  return parse_recipe(read_file(file, remedy), file.string());
}

}  // namespace snug
