#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>

#include "artifact/artifact.hpp"
#include "artifact/output_journal.hpp"
#include "imatrix/hessian.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// All blocks of a tensor in a format where they were encoded before, exactly as a recipe's are; empty where not.
using KnownBlocks = std::function<std::span<const std::byte>(const Tensor& tensor, const Format& format)>;

struct QuantizeOptions {
  const Hessians* moments = nullptr;  // of inputs, for encode_second_order()
  KnownBlocks known{};                // is not encoded again
  OutputJournal* journal = nullptr;   // begun before the files get their names
};

/// Writes the model as `recipe` says: the same bytes for the same model, importance and recipe on every machine and
/// thread count. The files appear whole or not at all; rows are read, encoded and written in pieces, so memory stays
/// flat. Tensors with second moments are encoded by encode_second_order(); their memory is that of two matrices
/// [cols, cols] more. Throws Error where recipe and model do not belong together, and on NaN or infinity (tensor, row,
/// column).
WrittenModel quantize_model(const ModelSource& model, const Importance* importance, const Recipe& recipe,
                            const std::filesystem::path& out, Existing existing, const QuantizeOptions& options = {});

/// Throws Error unless every tensor of the recipe is in the model with a row length its format fits, and the reverse.
void check_recipe_fits(const ModelSource& model, const Recipe& recipe);

/// Throws Error where the files, as `recipe` says, would be larger than the budget that it names: it was
/// changed by hand. The recipe fits the model.
void check_within_budget(const ModelSource& model, const Importance* importance, const Recipe& recipe);

/// Opens what was written and compares a few rows of every tensor with what is known, or encodes them again: throws Error
/// if anything differs.
void verify_written(const ModelSource& model, const Importance* importance, const Recipe& recipe,
                    const WrittenModel& written, const QuantizeOptions& options = {});

}  // namespace snug
