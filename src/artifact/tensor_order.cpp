#include "artifact/tensor_order.hpp"

#include <algorithm>
#include <utility>

#include "model/roles.hpp"

namespace snug {

std::vector<const Tensor*> in_recipe_order(const ModelSource& model) {
  std::vector<const Tensor*> order;
  for (const Tensor& tensor : model.tensors()) order.push_back(&tensor);
  std::ranges::stable_sort(order, {}, [](const Tensor* tensor) {
    return std::pair<int, std::string_view>{layer_of(tensor->name), tensor->name};
  });
  return order;
}

}  // namespace snug
