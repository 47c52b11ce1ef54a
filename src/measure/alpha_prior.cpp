#include "measure/alpha_prior.hpp"

#include <algorithm>
#include <array>

namespace snug {
namespace {

/// What one tensor of a role is worth, for roles inside blocks summed over all layers.
struct RolePrior {
  Role role;
  double alpha;
};

/// Fitted by bench/fit_priors to probes of three small trained models (llama dense, MoE, tied embeddings) and
/// to published per-tensor divergences of Qwen3 4B, Qwen3.5 35B-A3B and DeepSeek V3.1, models weighed
/// equally, medians throughout. A model left out is foretold within a factor of 1.6 to 3.2 for the median
/// tensor (docs/loss.md): single tensors stray far further, which is why probes go before priors wherever
/// there are any.
constexpr std::array kRoles{
    RolePrior{Role::output, 0.63},         RolePrior{Role::token_embd, 0.053},
    RolePrior{Role::attn_q, 0.095},        RolePrior{Role::attn_k, 0.107},
    RolePrior{Role::attn_v, 0.080},        RolePrior{Role::attn_qkv, 0.144},
    RolePrior{Role::attn_output, 0.091},   RolePrior{Role::attn_other, 0.101},
    RolePrior{Role::ffn_down, 0.170},      RolePrior{Role::ffn_gate, 0.152},
    RolePrior{Role::ffn_up, 0.067},        RolePrior{Role::ffn_down_exps, 0.128},
    RolePrior{Role::ffn_gate_exps, 0.122}, RolePrior{Role::ffn_up_exps, 0.113},
    RolePrior{Role::ffn_shexp, 0.079},     RolePrior{Role::ssm, 0.023},
};
/// Token embeddings that are the output matrix too: far more than the two alone add up to.
constexpr double kTied = 2.27;

/// Factors on roles inside blocks, by position; from the same fit.
constexpr double kFirstLayerAttention = 0.5;
constexpr double kFirstLayerFfnDown = 2.2;
constexpr double kLastLayerFfn = 1.35;
constexpr double kLastSharedExpert = 16;
constexpr double kSmallest = 0.05;  // a role not listed

/// A block that drafts tokens (MTP) changes nothing the model says, only how many drafts are accepted: no run can tell
/// what it is worth. It stands for itself, with its own head, as the last block of a model of this depth: in a deeper
/// one its share would starve it, and drafts that are never accepted are bytes wasted.
constexpr int64_t kDraftDepth = 8;
constexpr double kDraftProjection = 0.15;  // what joins the hidden state and the last token: all of the draft's input

bool is_ffn(Role role) {
  switch (role) {
    case Role::ffn_gate:
    case Role::ffn_up:
    case Role::ffn_down:
    case Role::ffn_gate_exps:
    case Role::ffn_up_exps:
    case Role::ffn_down_exps:
    case Role::ffn_shexp:
      return true;
    default:
      return false;
  }
}

bool is_attention(Role role) {
  switch (role) {
    case Role::attn_q:
    case Role::attn_k:
    case Role::attn_v:
    case Role::attn_qkv:
    case Role::attn_output:
    case Role::attn_other:
      return true;
    default:
      return false;
  }
}

/// Its head and embeddings, where it has its own, are whole.
double draft_alpha(Role role, double alpha, const ModelShape& shape) {
  if (role == Role::output || role == Role::token_embd) return alpha;
  const double own = role == Role::other ? kDraftProjection : alpha;
  return own / static_cast<double>(std::min(shape.layers, kDraftDepth));
}

double role_alpha(Role role) {
  const auto* found = std::ranges::find(kRoles, role, &RolePrior::role);
  return found == kRoles.end() ? kSmallest : found->alpha;
}

}  // namespace

double alpha_prior(Role role, int layer, const ModelShape& shape) {
  if (role == Role::token_embd && shape.tied_output) return kTied;
  double alpha = role_alpha(role);
  if (layer < 0) return alpha;
  if (shape.drafts(layer)) return draft_alpha(role, alpha, shape);
  alpha /= static_cast<double>(std::max<int64_t>(shape.layers, 1));
  if (layer == 0 && is_attention(role)) alpha *= kFirstLayerAttention;
  if (layer == 0 && (role == Role::ffn_down || role == Role::ffn_down_exps)) alpha *= kFirstLayerFfnDown;
  if (layer + 1 == shape.layers - shape.draft_layers && is_ffn(role))
    alpha *= role == Role::ffn_shexp ? kLastSharedExpert : kLastLayerFfn;
  return alpha;
}

}  // namespace snug
