#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "infer/model.hpp"
#include "infer/step.hpp"

namespace snug::infer {

inline constexpr int64_t kLongestContext = int64_t{1} << 24;  // that a session takes

struct SessionOptions {
  int64_t context = 0;             // positions it can hold; 0: as many as the model was trained for
  int64_t batch = 512;             // tokens that go through the model together
  FormatId cache = FormatId::f32;  // f32, f16 or q8_0
  Compute compute = Compute::exact;
};

/// With the context and batch that will be used. Throws Error where nobody says how long the context is, or it is
/// beyond kLongestContext.
SessionOptions settled(SessionOptions options, const Model& model);
/// What Batch::context is.
int64_t rounded_context(const SessionOptions& options);
/// Throws Error of Fault::usage unless keys and values can be kept in it.
const Format& cache_format(FormatId id);
/// Cells of a layer's cache: all positions, or what a batch's queries can see through the window.
int64_t cache_cells(const LayerCacheShape& layer, const SessionOptions& options);
/// What stands in for a matrix of the model: of the same shape, `data` packed in `format`, which the caller keeps.
/// Throws Error where there is no such matrix or the bytes are not as many.
Weight stand_in(const Model& model, std::string_view tensor, const Format& format, std::span<const std::byte> data);
/// Throws Error where a token is not in the model's vocabulary.
void check_tokens(const Model& model, std::span<const int32_t> tokens);

/// One sequence of tokens going through a model: its memory, and what is to be different from the model as it
/// is. Exact mode gives the same bits for every batch size and thread count. Not for use by several threads
/// at once.
class Session {
 public:
  Session(const Model& model, const SessionOptions& options);

  /// Appends tokens. Returns logits [tokens.size() - first_wanted, vocabulary] of the tokens from index
  /// first_wanted on (each row predicts the token after it); none if first_wanted == tokens.size(). Throws
  /// Error where a token is not in the vocabulary or the context is full; the session is then as before.
  Activations forward(std::span<const int32_t> tokens, int64_t first_wanted = 0);

  /// The next token of each of several sequences: tokens[i] is appended to sessions[i], and the weights are read
  /// once for all of them. Returns logits [sessions.size(), vocabulary]; in exact mode the same bits as from
  /// forward() one by one. The sessions are of one model and one way to compute, and have neither hooks nor
  /// replaced weights. Throws Error as forward() does, or where they do not go together.
  static Activations forward_each(std::span<Session* const> sessions, std::span<const int32_t> tokens);

  /// forward() from the rows that stood before block `layer` (see Hooks::on_boundary), [tokens.size(),
  /// embedding]. The earlier blocks are not run, so `layer` must be one that Architecture::restart() gives.
  Activations resume(int layer, std::span<const int32_t> tokens, Matrix<const float> hidden,
              int64_t first_wanted = 0);

  /// Bytes that keys and values would take with `options`, once the context is full.
  static int64_t cache_bytes(const Model& model, const SessionOptions& options);

  /// Forgets everything: the next token has position 0. Hooks and replaced weights stay.
  void reset();
  /// A place to come back to, as often as wanted, from anywhere behind it: texts that begin alike share their
  /// beginning. Holds copies of what the layers with a window or a state would overwrite.
  struct Mark {
    int64_t position = 0;
    std::map<size_t, KvCache> windows;
    std::vector<RecurrentState> states;
  };
  Mark mark() const;
  void rewind(const Mark& mark);
  int64_t position() const { return position_; }
  int64_t context() const { return options_.context; }
  int64_t memory_bytes() const;
  const Model& model() const { return model_; }
  const SessionOptions& options() const { return options_; }

  Hooks hooks;
  /// From now on `data` stand in for the named tensor: same shape, packed in `format`. The caller keeps them
  /// alive. Tokens already seen keep their keys and values.
  void replace(std::string_view tensor, const Format& format, std::span<const std::byte> data);
  void restore(std::string_view tensor);
  void restore_all() { replaced_.clear(); }
  const Replacements& replaced() const { return replaced_; }

 private:
  void check(std::span<const int32_t> tokens) const;
  Activations run(int layer, std::span<const int32_t> tokens, const Matrix<const float>* hidden,
           int64_t first_wanted);

  const Model& model_;
  SessionOptions options_;
  SequenceState memory_;
  Replacements replaced_;
  int64_t position_ = 0;
};

}  // namespace snug::infer
