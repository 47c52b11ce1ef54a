#include "measure/curvatures.hpp"

#include <algorithm>

#include "base/str.hpp"
#include "gguf/printable.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr size_t kKept = 2;
constexpr double kAlways =
    0.1;  // least KL on held-out text among 0.003 .. 0.4, for models dense and of experts
constexpr double kLookedUp = 0.3;  // of a table whose rows are also read one by one, as embeddings

}  // namespace

double Curvatures::shrink(int64_t dim, double tokens) {
  return std::min(1.0,
                  kAlways + static_cast<double>(dim) / (static_cast<double>(dim) + std::max(tokens, 0.0)));
}

std::shared_ptr<const Curvature> Curvatures::find(const gguf::Tensor& tensor, int64_t mat) {
  const SecondMoment* moment = moments_.find(tensor.name);
  if (!moment) return nullptr;
  if (moment->dim != tensor.cols() || (moment->mats != 1 && moment->mats != tensor.experts()))
    throw Error{
        str("the second moments of '", gguf::printable(tensor.name), "' are of ", moment->dim, " inputs and ",
            moment->mats, " matrices; the tensor has ", tensor.cols(), " and ", tensor.experts()),
        "", "use the imatrix made with this very model"};
  if (moment->mats == 1) mat = 0;
  const double tokens = moment->counts[static_cast<size_t>(mat)];
  if (tokens <= 0) return nullptr;
  double s = shrink(moment->dim, tokens);
  if (tensor.name == "token_embd.weight") s = std::max(s, kLookedUp);
  const auto found = std::ranges::find_if(
      kept_, [&](const Kept& k) { return k.mat == mat && k.input == moment->input && k.shrink == s; });
  if (found != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, found);
    return kept_.front().curvature;
  }
  const std::vector<float> mean = mean_moment(*moment, mat);
  auto made = std::make_shared<const Curvature>(make_curvature({mean.data(), moment->dim, moment->dim}, s));
  kept_.push_front({moment->input, mat, s, made});
  if (kept_.size() > kKept) kept_.pop_back();
  return made;
}

}  // namespace snug
