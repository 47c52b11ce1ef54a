#pragma once

#include <optional>
#include <string_view>

#include "snug/budget.hpp"
#include "snug/model.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// The choices of a recipe in the formats of another runtime: each tensor as near as can be to the bits per
/// weight that the recipe gives it, all of them within the budget. Where none is given it is the recipe's
/// own, else what the recipe takes. Of formats with the same bits the one that errs least counts; those that
/// another quantizer would want importance for only where the recipe has it. What is lost is not known.
/// Throws Error where recipe and model do not belong together, and of Fault::unreachable_budget where no
/// formats of the runtime are that small.
Recipe nearest_recipe(const ModelSource& model, const Recipe& recipe, std::string_view runtime,
                      const std::optional<Budget>& budget = {});

}  // namespace snug
