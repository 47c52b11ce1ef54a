#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/files/saved_numbers.hpp"
#include "infer/model.hpp"
#include "infer/reverse/reverse.hpp"
#include "infer/session.hpp"

namespace snug::infer {

/// Logits of a pass that exist at a time, beside their gradients of each draw.
inline constexpr int64_t kLogitsAtOnce = int64_t{1} << 24;

/// Whether a reverse pass reaches the tensor: every block from the last one down to the first that reads it has
/// a way back.
bool differentiable(const Model& model, std::string_view tensor);
/// The lowest block that a pass reaches; 0: the embeddings too.
int lowest_differentiable(const Model& model);

/// One chunk of text on its way back through a model, with the gradients of several losses (draws). First head(),
/// then layer() from the last block down, then embed(). Exact mode; the same bits on any number of threads.
class ReversePass {
 public:
  /// The pass of a session of `context` positions over `tokens` from position 0 on, on the weights of the model or
  /// those that stand in for them from the start. `lender` gives the stream before blocks that lend() keys and values,
  /// if there are any.
  ReversePass(const Model& model, std::span<const int32_t> tokens, int64_t draws, const ReverseHooks& hooks,
              std::function<const Activations&(int layer)> lender = {}, Replacements replaced = {});
  ReversePass(const ReversePass&) = delete;
  ReversePass& operator=(const ReversePass&) = delete;

  /// From now on these stand in for weights of the model, and no others.
  void replace(Replacements replaced) { replaced_ = std::move(replaced); }
  const Weight& current(const Weight& weight) const { return step_.current(weight); }

  /// hidden [tokens, embedding] behind the last block. `gradients` is called for some tokens at a time: logits of
  /// tokens [first, first + logits.count()), `first` >= first_scored, and returns [draws * count, vocabulary].
  using LogitGradients = std::function<Activations(int64_t first, const Activations& logits)>;
  void head(const Activations& hidden, int64_t first_scored, const LogitGradients& gradients);
  /// hidden [tokens, embedding] before block `layer`.
  void layer(int layer, const Activations& hidden);
  void embed();

  /// What of the pass is to be kept for a later start, and how one that has begun alike is put there, where read throws
  /// Error for what cannot be of this pass.
  void write_place(NumberWriter& write) const;
  void read_place(NumberReader& read);

  /// By the residual stream where the pass has come to: [draws * tokens, embedding].
  const Activations& gradients() const { return gradients_; }

 private:
  void read_lent(NumberReader& read);

  const Model& model_;
  std::vector<int32_t> tokens_;
  SequenceState memory_;
  Hooks none_;
  Replacements replaced_;
  Batch step_;
  Reverse reverse_;
  Activations gradients_;
};

}  // namespace snug::infer
