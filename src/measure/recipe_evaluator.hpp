#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "encode/encoded_tensors.hpp"
#include "eval/divergence.hpp"
#include "imatrix/hessian_factors.hpp"
#include "imatrix/importance.hpp"
#include "infer/model.hpp"
#include "measure/recipe_slopes.hpp"
#include "measure/recipe_sweep.hpp"
#include "measure/reference_run.hpp"
#include "measure/tensor_formats.hpp"
#include "snug/state.hpp"

namespace snug {

class Progress;

/// Tensors that are kept encoded for recipes to come take so many times the model, at most.
constexpr int64_t kKeptModels = 2;

/// Measures whole recipes: the model with every tensor encoded as planned, compared with the original token
/// by token on chunks of a text. Exact mode, deterministic on any thread count. What is measured becomes
/// records of `state`; what is there already is not run again. Keeps the encoded tensors of the last recipe in
/// memory, and of others as far as there is room, for recipes to come; unless model and recipe together do not fit
/// there: then a layer is encoded when the run gets to it.
class RecipeEvaluator {
 public:
  /// Throws Error if the text is shorter than two chunks.
  RecipeEvaluator(const infer::Model& model, const Importance* importance, Effort effort, Store& state,
              std::span<const int32_t> tokens, const ProbeOptions& options);

  /// With moments, which stay as they are until others are set, recipes are encoded by encode_second_order() from
  /// now on; null: as before.
  void set_moments(const Hessians* moments);

  Effort effort() const { return effort_; }
  int64_t chunks() const { return base_.chunks(); }
  int64_t scored() const { return base_.scored(); }  // tokens of a chunk

  /// The tensors of a recipe stay encoded from now on, as they are encoded now, whatever else is measured.
  void keep_encoded(const TensorFormats& formats);
  /// All blocks of a tensor as they would be encoded now, if they are in memory; empty if not. Until the next recipe is
  /// measured.
  std::span<const std::byte> blocks_of(std::string_view tensor, FormatId format);

  /// Whether the model's own run uses a tensor: not those of blocks that only draft (MTP). What it does not
  /// use is left out where recipes are judged.
  bool runs(std::string_view tensor) const { return model_.find(tensor) != nullptr; }

  /// Mean KL divergence of chunks [first, last), nats per token, one figure a chunk.
  std::vector<double> divergence(const TensorFormats& formats, int64_t first, int64_t last);
  /// What those runs told besides; nothing where one of them was of an earlier snug, which kept the divergence alone.
  std::optional<TextScores> scores(const TensorFormats& formats, int64_t first, int64_t last) const;
  /// The divergence with `tensor` as in the original. The difference is the tensor's marginal loss within this recipe.
  std::vector<double> divergence_without(const TensorFormats& formats, std::string_view tensor, int64_t first,
                                         int64_t last);
  /// recipe_slopes() of the tensors that a reverse pass reaches, each the mean over chunks [first, last).
  Slopes slopes(const TensorFormats& formats, int64_t first, int64_t last);
  /// Runs together what divergence_without() will be asked of these tensors, where that spares reading the model for
  /// each of them.
  void run_ahead(const TensorFormats& formats, const std::vector<std::string>& without, int64_t first, int64_t last);

 private:
  /// One figure wanted, and what the state says of it.
  struct Wanted {
    Digest key;
    int64_t chunk = 0;
    std::optional<double> known;
  };
  std::vector<Wanted> wanted(const Digest& recipe, int64_t first, int64_t last) const;
  void keep(const Wanted& figure, std::string_view without, const ChunkComparison& found);
  std::map<std::string, std::vector<Wanted>, std::less<>> wanted_slopes(const TensorFormats& formats, int64_t first,
                                                                        int64_t last) const;
  std::vector<Slopes> run_slopes(const TensorFormats& formats, std::span<const int64_t> chunks);
  void keep_slope(const Wanted& figure, std::string_view tensor);
  int64_t bytes_with(const TensorFormats& formats) const;
  bool sweeps(const TensorFormats& formats) const;
  int64_t room_beside(const TensorFormats& formats) const;
  EncodedTensors::Key encoding_of(std::string_view tensor, FormatId format) const;
  void hold_kept();
  void put_in_place(const TensorFormats& formats);
  Encoded encoded(const Tensor& tensor, const Format& format);
  void run_in_sweep(const TensorFormats& formats, std::span<const std::string> without,
                    std::vector<std::vector<Wanted>>& figures);
  void run_in_memory(const TensorFormats& formats, std::string_view without, std::vector<Wanted>& figures);
  Digest key_of(const TensorFormats& formats, std::string_view without) const;
  std::vector<double> measure(const TensorFormats& formats, std::string_view without, int64_t first,
                              int64_t last);
  TensorFormats only_run(const TensorFormats& formats) const;
  void stand_on(const TensorFormats& formats, Progress* progress);
  int64_t items_of(const TensorFormats& formats, int64_t chunks) const;

  const infer::Model& model_;
  const Importance* importance_;
  Effort effort_;
  Store& state_;
  const Hessians* moments_ = nullptr;
  std::optional<HessianFactors> curvatures_;  // of the moments that were set last
  bool feedback_ = false;                     // they are in use
  ReferenceRun base_;
  Digest moments_digest_;
  Digest origin_;  // of the model's contents, the importance and the effort
  EncodedTensors encoded_;
  TensorFormats ground_;  // the recipe that is in place
  std::vector<EncodedTensors::Held> in_place_;
  std::vector<Encoded> decoded_;  // the same, where there is room
  std::vector<EncodedTensors::Key> kept_;
  std::vector<EncodedTensors::Held> held_;  // those that are there of kept_
  std::filesystem::path resume_;  // where a sweep under way is saved
};

/// Mean over chunks and its standard error.
infer::Estimate mean_of(std::span<const double> chunks);
/// Of a - b, chunk by chunk.
infer::Estimate paired_difference(std::span<const double> a, std::span<const double> b);

}  // namespace snug
