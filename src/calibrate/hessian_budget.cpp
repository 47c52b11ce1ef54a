#include "calibrate/hessian_budget.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "calibrate/head_importance.hpp"
#include "model/roles.hpp"

namespace snug {
namespace {

/// Tensors of a block with the same answer read the same input.
Role reader_of(std::string_view name) {
  switch (const Role role = role_of(name)) {
    case Role::attn_k:
    case Role::attn_v:
      return Role::attn_q;
    case Role::ffn_up:
      return Role::ffn_gate;
    case Role::ffn_up_exps:
      return Role::ffn_gate_exps;
    default:
      return role;
  }
}

bool is_head(const ModelSource& model, const Tensor& tensor) {
  const Role role = role_of(tensor.name);
  return role == Role::output || (role == Role::token_embd && !model.find("output.weight"));
}

bool has_moments(const ModelSource& model, const Tensor& tensor) {
  return is_quantizable(tensor) && (role_of(tensor.name) != Role::token_embd || is_head(model, tensor));
}

/// Matrices that are collected for the tensor's input: of each expert, and of each group of rows of the head.
int64_t matrices(const ModelSource& model, const Tensor& tensor) {
  return tensor.experts() + (is_head(model, tensor) ? row_group_count(tensor.rows()) : 0);
}

/// Processor seconds of encode_second_order(), measured at widths of 512 and 4096 in q4_K and iq3_s (AVX2).
double encoding_seconds(const Tensor& tensor) {
  return static_cast<double>(tensor.weights()) * (6e-7 + 3.3e-10 * static_cast<double>(tensor.cols()));
}

struct Need {
  double bytes = 0, seconds = 0;  // in double, for no shape to overflow
};

/// What the inputs of each width take.
std::map<int64_t, Need> needs_of(const ModelSource& model) {
  std::set<std::tuple<int, Role, int64_t>> seen;
  std::map<int64_t, Need> needed;
  for (const Tensor& tensor : model.tensors()) {
    if (!has_moments(model, tensor)) continue;
    Need& need = needed[tensor.cols()];
    need.seconds += encoding_seconds(tensor);
    const Role role = reader_of(tensor.name);
    const bool may_share = role == Role::attn_q || role == Role::ffn_gate || role == Role::ffn_gate_exps;
    if (may_share && !seen.emplace(layer_of(tensor.name), role, tensor.cols()).second) continue;
    const auto cols = static_cast<double>(tensor.cols());
    need.bytes += cols * cols * sizeof(float) * static_cast<double>(matrices(model, tensor));
  }
  return needed;
}

}  // namespace

int64_t max_hessian_width(const ModelSource& model, const HessianBudget& room) {
  int64_t width = 0;
  Need sum;
  for (const auto& [cols, need] : needs_of(model)) {
    const auto wide = static_cast<double>(cols);
    if (wide * wide * sizeof(float) > static_cast<double>(room.matrix_bytes)) break;
    sum.bytes += need.bytes;
    sum.seconds += need.seconds;
    if (sum.bytes > static_cast<double>(room.bytes) || sum.seconds > room.seconds) break;
    width = cols;
  }
  return width;
}

int64_t hessian_bytes(const ModelSource& model, int64_t width) {
  constexpr double kMost = 9e18;
  double bytes = 0;
  for (const auto& [cols, need] : needs_of(model))
    if (cols <= width) bytes += need.bytes;
  return static_cast<int64_t>(std::min(bytes, kMost));
}

double feedback_seconds(const ModelSource& model, int64_t width) {
  double seconds = 0;
  for (const auto& [cols, need] : needs_of(model))
    if (cols <= width) seconds += need.seconds;
  return seconds;
}

}  // namespace snug
