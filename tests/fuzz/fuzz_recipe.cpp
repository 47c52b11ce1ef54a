#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "recipe/export.hpp"
#include "snug/error.hpp"
#include "snug/recipe.hpp"

/// Any text is a recipe that comes back as it went out, or an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace snug;
  Recipe recipe;
  try {
    recipe = parse_recipe({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const Error&) {
    return 0;
  }
  if (parse_recipe(to_json(recipe), "again") != recipe) std::abort();
  recipe_digest(recipe);
  for (const std::string& name : export_names()) {
    const ExportTarget target = *export_target(name);
    try {
      export_recipe(recipe, target);
      export_command(recipe, target, "");
    } catch (const Error&) {
      continue;
    }
  }
  return 0;
}
