#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hf/config.hpp"
#include "hf/keys.hpp"
#include "hf/output.hpp"
#include "hf/sources.hpp"

// How a checkpoint of one kind becomes GGUF's tensors and keys: mostly tables of names.
namespace snug::hf {

/// What a checkpoint's own configuration and tensors say, for rules that need it.
struct Checkpoint {
  const Config& config;
  const Sources& sources;
  int64_t layers = 0;      // that are run
  int64_t predictors = 0;  // layers behind them, with weights, that only predict further tokens
  std::vector<std::string>& remarks;
};

/// One tensor on its way.
struct Piece {
  const Checkpoint& checkpoint;
  const Source& source;
  std::string block;           // "blk.3." or empty
  std::string_view to;         // of the rule: one name or several, separated by a blank
  std::string_view suffix;     // ".weight" or ".bias" where the rule's names have none of their own
  int64_t expert = -1;         // of a tensor that is one expert's

  const Config& config() const { return checkpoint.config; }
  const Tensor& weights() const { return source.need_weights(); }
  /// The GGUF name, the i-th of the rule.
  std::string name(size_t i = 0) const;
  /// Error naming the tensor unless its row-major shape has `dims` dimensions and, where not 0, these sizes.
  void need_shape(std::initializer_list<int64_t> shape) const;
};

using Transform = void (*)(const Piece& piece, Output& out);

/// A name in the checkpoint and what becomes of it. `from` is what stands behind "layers.N.", or the whole name; '#'
/// stands for the number of an expert. Names without a suffix take ".weight" and ".bias" alike.
struct Rule {
  std::string_view from, to;
  Transform transform = nullptr;  // null: unchanged
};

// Names that most families share: outside of layers, and in them.
extern const std::span<const Rule> kGlobalRules;
extern const std::span<const Rule> kAttentionRules, kPostAttentionIsFfnNorm, kDenseRules, kExpertRules;

/// A kind of checkpoint.
struct Family {
  std::string_view architecture;             // GGUF's name
  std::vector<std::span<const Rule>> rules;  // of names in a layer; the first that fits counts
  std::vector<std::span<const Rule>> globals = {kGlobalRules};  // of the others
  void (*keys)(const Checkpoint& checkpoint, int64_t blocks, Keys& keys);
  bool norms_plus_one = false;                // norms are stored less 1
  bool needs_head = false;                    // GGUF's loaders want the head stored, even where it is the embedding
  bool keeps_predictors = false;              // layers behind the last are kept, else left out
  std::string_view needed = "attn_norm attn_q attn_k attn_v attn_output ffn_norm";  // every block has: separated by blanks
  void (*generate)(const Checkpoint& checkpoint, Output& out) = nullptr;  // tensors that the checkpoint has not
  Rename rename = nullptr;                    // before everything else
};

/// The family of a model class; Error that names the known ones.
const Family& family_of(const Config& config);

// Each in families/<name>.cpp.
extern const Family kLlama, kMistral3, kQwen2, kQwen2Moe, kQwen3, kQwen3Moe, kQwen3Next, kQwen35, kQwen35Moe,
    kQwen2Vl, kQwen3Vl, kQwen3VlMoe, kGemma2, kGemma3, kGemma4, kPhi3, kGptOss, kGlm4Moe, kDeepseek2;

/// Whether norms that checkpoints store less 1 are stored whole: MLX's folders of models with delta nets, which are
/// known by their convolutions [channels, taps, 1].
bool stores_whole_norms(const Sources& sources);

// Transforms that several families share.
void leave_out(const Piece& piece, Output& out);
void add_expert(const Piece& piece, Output& out);        // one expert's matrix
void add_halves(const Piece& piece, const Tensor& weights, Output& out);  // of every matrix's rows, under its two names

/// Rows of each head (or of its bias) from halves, as checkpoints rotate them, to neighbouring pairs: all of them, or the
/// last `rotated`. Error unless they make heads of such a size.
Tensor paired_rows(const Piece& piece, int64_t heads, std::optional<int64_t> rotated = {});

}  // namespace snug::hf
