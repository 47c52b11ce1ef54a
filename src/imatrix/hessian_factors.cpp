#include "imatrix/hessian_factors.hpp"

#include <algorithm>

#include "base/files/mapped_file.hpp"
#include "base/memory.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr size_t kKept = 2;  // where memory allows: tensors that read the same input follow each other
constexpr int64_t kKeptBytes = int64_t{128} << 20;  // and all within so much, for recipes to come
constexpr double kAlways =
    0.1;  // least KL on held-out text among 0.003 .. 0.4, for models dense and of experts
constexpr double kLookedUp = 0.3;  // of a table whose rows are also read one by one, as embeddings
constexpr double kPrior = 10;      // tokens; 3 to 50 give the same KL within 3 %
constexpr const char* kRemedy = "use the imatrix made with this very model";

double shrink_of(const Tensor& tensor, double tokens) {
  const double shrink = HessianFactors::shrink(tensor.cols(), tokens);
  return tensor.name == "token_embd.weight" ? std::max(shrink, kLookedUp) : shrink;
}

}  // namespace

double HessianFactors::shrink(int64_t dim, double tokens) {
  return std::min(1.0,
                  kAlways + static_cast<double>(dim) / (static_cast<double>(dim) + std::max(tokens, 0.0)));
}

std::shared_ptr<const HessianFactor> HessianFactors::keep(const Hessian& moment, int64_t mat, double shrink,
                                                  const std::function<std::vector<float>()>& mean) {
  const auto found = std::ranges::find_if(
      kept_, [&](const Kept& k) { return k.mat == mat && k.input == moment.input && k.shrink == shrink; });
  if (found != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, found);
    return kept_.front().curvature;
  }
  const int64_t room = memory_for(MemoryUse::hessians) / 4;  // the mean and the factor made of it take as much again, each
  const auto bytes = [](int64_t dim) { return dim * dim * int64_t{sizeof(float)}; };
  int64_t held = 0;
  for (const Kept& k : kept_) held += bytes(k.dim);
  const auto too_much = [&, made = bytes(moment.dim)] {
    return std::max(held, made) > room || (kept_.size() >= kKept && held + made > std::min(room, kKeptBytes));
  };
  for (; !kept_.empty() && too_much(); kept_.pop_back()) held -= bytes(kept_.back().dim);
  const std::vector<float> values = mean();
  MappedFile::done_with(std::as_bytes(moment.matrix(moment.mats == 1 ? 0 : mat)));
  auto made =
      std::make_shared<const HessianFactor>(make_curvature({values.data(), moment.dim, moment.dim}, shrink));
  kept_.push_front({moment.input, mat, moment.dim, shrink, made});
  return made;
}

std::shared_ptr<const HessianFactor> HessianFactors::find(const Tensor& tensor, int64_t mat) {
  const Hessian* moment = moments_.find(tensor.name);
  if (!moment) return nullptr;
  if (moment->dim != tensor.cols() || (moment->mats != 1 && moment->mats != tensor.experts()))
    throw Error{
        str("the second moments of '", printable(tensor.name), "' are of ", moment->dim, " inputs and ",
            moment->mats, " matrices; the tensor has ", tensor.cols(), " and ", tensor.experts()),
        "", kRemedy};
  if (moment->mats == 1) mat = 0;
  const double tokens = moment->counts[static_cast<size_t>(mat)];
  if (tokens <= 0) return nullptr;
  return keep(*moment, mat, shrink_of(tensor, tokens), [&] { return mean_moment(*moment, mat); });
}

/// The groups of the tensor's rows; nullptr where there are none, or nothing to draw them towards.
const Hessian* HessianFactors::row_groups(const Tensor& tensor) const {
  const Hessian* rows = moments_.find_rows(tensor.name);
  const Hessian* whole = moments_.find(tensor.name);
  if (!rows || !whole || whole->counts.front() <= 0) return nullptr;
  if (rows->dim != tensor.cols() || whole->dim != rows->dim || whole->mats != 1 ||
      static_cast<int64_t>(rows->row_groups.size()) != tensor.rows())
    throw Error{
        str("the second moments of '", printable(tensor.name), "' are of ", rows->row_groups.size(),
            " rows of ", rows->dim, "; the tensor has ", tensor.rows(), " of ", tensor.cols()),
        "", kRemedy};
  return rows;
}

std::vector<std::vector<int64_t>> HessianFactors::row_sets(const Tensor& tensor) const {
  const Hessian* groups = row_groups(tensor);
  if (!groups) return matrix_rows(tensor);
  std::vector<std::vector<int64_t>> sets(static_cast<size_t>(groups->mats));
  for (int64_t r = 0; r < tensor.rows(); ++r)
    sets[static_cast<size_t>(groups->row_groups[static_cast<size_t>(r)])].push_back(r);
  std::erase_if(sets, [](const auto& rows) { return rows.empty(); });
  return sets;
}

std::vector<std::vector<int64_t>> matrix_rows(const Tensor& tensor) {
  std::vector<std::vector<int64_t>> sets(static_cast<size_t>(tensor.experts()));
  for (int64_t r = 0; r < tensor.rows(); ++r) sets[static_cast<size_t>(r / tensor.shape[1])].push_back(r);
  return sets;
}

std::shared_ptr<const HessianFactor> HessianFactors::find_row(const Tensor& tensor, int64_t row) {
  const Hessian* groups = row_groups(tensor);
  if (!groups) return find(tensor, row / tensor.shape[1]);
  const Hessian& whole = *moments_.find(tensor.name);
  const int64_t group = groups->row_groups[static_cast<size_t>(row)];
  return keep(*groups, group, shrink_of(tensor, whole.counts.front()),
              [&] { return group_moment(whole, *groups, group); });
}

/// Drawn towards the moment of all tokens as far as the group saw few: sums of both, the latter as kPrior
/// tokens. How many a group saw is its trace beside theirs.
std::vector<float> HessianFactors::group_moment(const Hessian& whole, const Hessian& rows,
                                            int64_t group) const {
  std::vector<float> mean = mean_moment(whole, 0);
  if (rows.counts[static_cast<size_t>(group)] <= 0) return mean;
  const std::vector<float> own = mean_moment(rows, group);
  double mean_trace = 0, own_trace = 0;
  for (size_t i = 0; i < mean.size(); i += static_cast<size_t>(rows.dim) + 1) {
    mean_trace += mean[i];
    own_trace += own[i];
  }
  if (!(mean_trace > 0)) return mean;
  const double own_tokens = own_trace / mean_trace * rows.counts[static_cast<size_t>(group)];
  const auto of_own = static_cast<float>(rows.counts[static_cast<size_t>(group)] / (own_tokens + kPrior));
  const auto of_mean = static_cast<float>(kPrior / (own_tokens + kPrior));
  for (size_t i = 0; i < mean.size(); ++i) mean[i] = of_own * own[i] + of_mean * mean[i];
  return mean;
}

}  // namespace snug
