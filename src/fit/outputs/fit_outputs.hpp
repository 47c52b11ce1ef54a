#pragma once

#include <filesystem>
#include <span>
#include <utility>
#include <vector>

#include "artifact/quantize_model.hpp"
#include "fit/evidence.hpp"
#include "fit/outputs/output_store.hpp"
#include "snug/fit.hpp"

namespace snug {

/// The models and recipes that a fit writes, one of each a size. What the same call has written before, finished or
/// stopped on the way, is known by the notes of the state and not made again.
class FitOutputs {
 public:
  /// Throws Error for what can be refused before hours of work: names that are taken, inputs that would be lost. The
  /// model and the requests, one a size, outlive it; `state` may be missing.
  FitOutputs(const ModelSource& model, std::span<const FitRequest> requests, std::filesystem::path state);

  /// To be called before the model is written: the recipe is what the work was for. Nothing where none is asked for.
  void write_recipe(size_t size, const Recipe& recipe, Store& state) const;

  /// The model of that size, and whether it was there already.
  std::pair<WrittenModel, bool> write(size_t size, Evidence& evidence, const Recipe& recipe, const KnownBlocks& known) const;

 private:
  void recall();
  void check() const;
  void tell_of_room() const;
  bool is_known(size_t size) const;
  bool is_written(size_t size, const Evidence& evidence, const Recipe& recipe, const Hessians* moments) const;
  Existing existing_output(size_t size) const;
  Existing existing_recipe(const FitRequest& request) const;

  const ModelSource& model_;
  const std::span<const FitRequest> requests_;
  const std::filesystem::path state_;
  std::vector<KnownOutput> known_;
  std::vector<Existing> existing_recipes_;
};

}  // namespace snug
