#pragma once

#include <optional>
#include <vector>

#include "artifact/quantize_model.hpp"
#include "fit/evidence.hpp"
#include "fit/outputs/output_store.hpp"
#include "snug/fit_request.hpp"
#include "snug/output.hpp"

namespace snug {

/// The models and recipes that a fit writes, one of each a size. What the same call has written before, finished or
/// stopped on the way, is known by the notes of the state and not made again.
class FitOutputs {
 public:
  /// Throws Error for what can be refused before hours of work: names that are taken, inputs that would be lost. The
  /// model and the request, whose state may be missing, outlive it.
  FitOutputs(const ModelSource& model, const FitRequest& request);

  /// A model, and whether it was there already; nothing in a dry run.
  struct Output {
    std::optional<WrittenModel> model{};
    bool was_known = false;
  };

  /// The recipe of that size first, where one is asked for: it is what the work was for. Then the model.
  Output write(size_t size, Evidence& evidence, const Recipe& recipe, const KnownBlocks& known) const;

 private:
  const FitSize& size_at(size_t size) const { return request_.sizes[size]; }
  void recall();
  void check() const;
  void tell_of_room() const;
  bool is_known(size_t size) const;
  bool is_written(size_t size, const Evidence& evidence, const Recipe& recipe, const QuantizeOptions& options) const;
  Existing existing_output(size_t size) const;
  Existing existing_recipe(const FitSize& size) const;
  void write_recipe(size_t size, const std::string& text, Store& state) const;
  WrittenModel write_model(size_t size, const Evidence& evidence, const Recipe& recipe,
                           const QuantizeOptions& options) const;

  const ModelSource& model_;
  const FitRequest& request_;
  std::vector<KnownOutput> known_;
  std::vector<Existing> existing_recipes_;
};

}  // namespace snug
