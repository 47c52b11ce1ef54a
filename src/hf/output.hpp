#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "snug/model.hpp"

namespace snug::hf {

/// The tensors of the model in the making, under GGUF's names. Small ones become f32, as llama.cpp's converter has
/// it: vectors, norms, routers, convolutions, and whatever is no ".weight".
class Output {
 public:
  explicit Output(std::string where) : where_(std::move(where)) {}

  /// Throws Error where the name is taken, or the tensor is of a format that no weights have.
  void add(const std::string& name, const Tensor& tensor);
  /// A member of a tensor of experts, put together by finish().
  void add_expert(const std::string& name, int64_t expert, const Tensor& tensor);

  bool has(std::string_view name) const { return tensors_.contains(name); }
  const Tensor* find(std::string_view name) const;  // nullptr if missing

  /// Puts experts together. Throws Error where one is missing, or unlike the others.
  void stack_experts(int64_t experts);

  /// Everything added, and what its names point into.
  std::vector<Tensor> tensors() const;
  std::shared_ptr<const void> storage() const { return names_; }

 private:
  std::string where_;
  std::map<std::string, Tensor, std::less<>> tensors_;
  std::vector<std::string> order_;
  std::map<std::string, std::map<int64_t, Tensor>> experts_;
  std::shared_ptr<std::deque<std::string>> names_ = std::make_shared<std::deque<std::string>>();
};

}  // namespace snug::hf
