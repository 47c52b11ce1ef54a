#pragma once

#include <initializer_list>
#include <string>

#include "tools/arch_models/draft.hpp"

namespace snug::tools {

std::string in_block(int64_t layer, const std::string& base);  // "blk.<layer>.<base>"

/// Sizes that are multiples of nothing; those of Sizes at seed 0. `filled`: the heads fill the embedding.
Sizes draw_sizes(Draft& d, bool filled = false);

/// The keys every architecture reads.
void add_common_keys(Draft& d, const Sizes& s);
/// Sometimes sliding_window_pattern: a period out of `periods`, or a list.
void add_pattern(Draft& d, const Sizes& s, std::initializer_list<int64_t> periods);
/// token_embd, output_norm and, unless the head is tied, output.
void add_ends(Draft& d, const Sizes& s, bool output);

/// attn_q, attn_k, attn_v, or the three in one.
struct AttentionParts {
  bool bias = false, out_bias = false, fused = false, head_norms = false;
  bool scaled = false;  // where the feed-forward networks are not
};
/// attn_q with `q` rows, attn_k and attn_v with `kv`, or attn_qkv.
void add_qkv(Draft& d, int64_t embedding, int64_t layer, int64_t q, int64_t kv, const AttentionParts& parts);
void add_attention(Draft& d, const Sizes& s, int64_t layer, const AttentionParts& parts);

void add_dense_ffn(Draft& d, const Sizes& s, int64_t layer, bool bias = false);

struct ExpertSizes {
  int64_t experts = 8, used = 3, width = 24, shared = 40;
};
enum class SharedExpert { none, plain, gated };
struct ExpertParts {
  bool bias = false;            // of router and experts
  bool fused = false;           // gate and up in one tensor
  bool selection_bias = false;  // exp_probs_b
  SharedExpert shared = SharedExpert::none;
};
ExpertSizes draw_expert_sizes(Draft& d);
void add_expert_keys(Draft& d, const ExpertSizes& e);
void add_experts(Draft& d, const Sizes& s, int64_t layer, const ExpertSizes& e, const ExpertParts& parts);

enum class Scaling { none, frequencies, linear, old_linear, yarn, long_factors };
Scaling draw_scaling(Draft& d);  // one that is keys alone
/// Keys and tensors of a rope scaling over `dims` rotated elements.
void add_scaling(Draft& d, Scaling scaling, int64_t dims);

}  // namespace snug::tools
