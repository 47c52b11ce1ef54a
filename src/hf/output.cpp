#include "hf/output.hpp"

#include <algorithm>

#include "base/str.hpp"
#include "hf/rows.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

constexpr std::string_view kSmall[] = {"_norm.weight", "ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight",
                                       "ssm_conv1d.weight"};

bool becomes_f32(std::string_view name, const Tensor& tensor) {
  return tensor.dims < 2 || !name.ends_with(".weight") ||
         std::ranges::any_of(kSmall, [&](auto end) { return name.ends_with(end); });
}

}  // namespace

void Output::add(const std::string& name, const Tensor& tensor) {
  if (tensors_.contains(name))
    throw Error{str("two tensors of the checkpoint become '", name, "'"), where_,
                "the checkpoint holds the same weights under two names; remove one of them"};
  if (tensor.weights() == 0) throw Error{str("the tensor that becomes '", name, "' is empty"), where_};
  Tensor& added = tensors_[name];
  added = becomes_f32(name, tensor) && tensor.format != FormatId::mxfp4 ? as_f32(tensor) : tensor;
  added.name = names_->emplace_back(name);
  order_.push_back(name);
}

void Output::add_expert(const std::string& name, int64_t expert, const Tensor& tensor) {
  if (!experts_[name].emplace(expert, tensor).second)
    throw Error{str("expert ", expert, " of '", name, "' is there twice"), where_};
}

const Tensor* Output::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

void Output::stack_experts(int64_t experts) {
  for (auto& [name, members] : experts_) {
    std::vector<Tensor> parts;
    for (auto& [expert, tensor] : members) {
      if (expert != static_cast<int64_t>(parts.size())) break;
      if (!parts.empty() && (tensor.shape != parts[0].shape || tensor.format != parts[0].format))
        throw Error{str("expert ", expert, " of '", name, "' has another shape or type than expert 0"), where_};
      parts.push_back(std::move(tensor));
    }
    if (static_cast<int64_t>(parts.size()) != experts || parts.size() != members.size())
      throw Error{str("'", name, "' should have the experts 0 to ", experts - 1, "; expert ", parts.size(),
                      " is missing, or there are more"),
                  where_, "fetch all files of the checkpoint"};
    add(name, stacked(std::move(parts)));
  }
  experts_.clear();
}

std::vector<Tensor> Output::tensors() const {
  std::vector<Tensor> all;
  for (const std::string& name : order_) all.push_back(tensors_.find(name)->second);
  return all;
}

}  // namespace snug::hf
