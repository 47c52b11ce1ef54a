#include "artifact/recipe_file.hpp"

#include <fstream>

#include "artifact/gguf_recipe.hpp"
#include "base/files/read_file.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

bool is_gguf(const fs::path& path) {
  char magic[4]{};
  std::ifstream in{path, std::ios::binary};
  return in.read(magic, sizeof magic) && std::string_view{magic, sizeof magic} == "GGUF";
}

Recipe recipe_of_model(const fs::path& path) {
  if (auto recipe = recipe_of_file(open_model(path))) return *std::move(recipe);
  throw Error{"the file does not say by what recipe it was made", path.string(),
              "name the recipe itself; models that an earlier snug or another program made do not hold it", Fault::usage};
}

}  // namespace

Recipe read_recipe(const fs::path& path, const std::string& remedy) {
  std::error_code unknown;
  if (is_gguf(path)) return recipe_of_model(path);
  const fs::path file = fs::exists(path / kRecipeInFolder, unknown) ? path / kRecipeInFolder : path;
  return parse_recipe(read_file(file, remedy), file.string());
}

}  // namespace snug
