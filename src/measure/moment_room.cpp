#include "measure/moment_room.hpp"

#include <map>
#include <set>
#include <tuple>

#include "measure/head_importance.hpp"
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

bool is_head(const gguf::Reader& model, const gguf::Tensor& tensor) {
  const Role role = role_of(tensor.name);
  return role == Role::output || (role == Role::token_embd && !model.find_tensor("output.weight"));
}

bool has_moments(const gguf::Reader& model, const gguf::Tensor& tensor) {
  return is_quantizable(tensor) && (role_of(tensor.name) != Role::token_embd || is_head(model, tensor));
}

/// Matrices that are collected for the tensor's input: of each expert, and of each group of rows of the head.
int64_t matrices(const gguf::Reader& model, const gguf::Tensor& tensor) {
  return tensor.experts() + (is_head(model, tensor) ? row_group_count(tensor.rows()) : 0);
}

}  // namespace

double feedback_seconds(const gguf::Reader& model, int64_t width) {
  double sum = 0;
  for (const gguf::Tensor& tensor : model.tensors())
    if (has_moments(model, tensor) && tensor.cols() <= width)
      sum += static_cast<double>(tensor.weights()) * static_cast<double>(tensor.cols());
  return sum * 1e-9;
}

int64_t widest_moments_within(const gguf::Reader& model, int64_t bytes) {
  std::set<std::tuple<int, Role, int64_t>> seen;
  std::map<int64_t, double> needed;  // by width; in double, for no shape to overflow
  for (const gguf::Tensor& tensor : model.tensors()) {
    if (!has_moments(model, tensor)) continue;
    const Role role = reader_of(tensor.name);
    const bool may_share = role == Role::attn_q || role == Role::ffn_gate || role == Role::ffn_gate_exps;
    if (may_share && !seen.emplace(layer_of(tensor.name), role, tensor.cols()).second) continue;
    const auto cols = static_cast<double>(tensor.cols());
    needed[tensor.cols()] += cols * cols * sizeof(float) * static_cast<double>(matrices(model, tensor));
  }
  int64_t width = 0;
  double sum = 0;
  for (const auto& [cols, size] : needed) {
    sum += size;
    if (sum > static_cast<double>(bytes)) break;
    width = cols;
  }
  return width;
}

}  // namespace snug
