#include "plan/predict_loss.hpp"

#include <algorithm>
#include <map>
#include <string_view>

namespace snug {
namespace {

constexpr double kPico = 1e-12;

}  // namespace

bool predict_loss(const Profile& profile, Recipe& recipe) {
  std::map<std::string_view, const ProfiledTensor*> tensors;
  for (const ProfiledTensor& tensor : profile.tensors) tensors[tensor.name] = &tensor;
  std::vector<double> losses;
  double sum = 0;
  for (const RecipeTensor& tensor : recipe.tensors) {
    losses.push_back(0);
    if (tensor.copied) continue;
    const auto found = tensors.find(tensor.name);
    if (found == tensors.end()) return false;
    const auto& candidates = found->second->candidates;
    const auto candidate = std::ranges::find(candidates, tensor.format, &Candidate::format);
    if (candidate == candidates.end()) return false;
    losses.back() = static_cast<double>(candidate->loss) * kPico;
    sum += losses.back();
  }
  for (size_t i = 0; i < losses.size(); ++i) recipe.tensors[i].loss = losses[i];
  recipe.predicted_loss = sum;
  recipe.loss_known = true;
  return true;
}

}  // namespace snug
