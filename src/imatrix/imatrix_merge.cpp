#include "imatrix/imatrix_merge.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/str.hpp"
#include "base/printable.hpp"
#include "imatrix/imatrix_file.hpp"
#include "imatrix/hessian.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using std::filesystem::path;

constexpr const char* kOtherModel = "merge files of one model only";

void add_to(std::vector<float>& sum, const std::vector<float>& more, const std::string& tensor,
            const path& file) {
  for (size_t i = 0; i < sum.size(); ++i) {
    sum[i] = static_cast<float>(double{sum[i]} + more[i]);
    if (!std::isfinite(sum[i]))
      throw Error{str("the sums of '", printable(tensor), "' are too large to be added"), file.string(),
                  "make the imatrix again"};
  }
}

void add_sums(Imatrix& total, const std::string& name, ImatrixSums sums, const path& file,
              ImatrixMergeReport& report) {
  const auto [at, fresh] = total.tensors.try_emplace(name, std::move(sums));
  if (fresh) return;
  ImatrixSums& sum = at->second;
  if (sum.cols != sums.cols || sum.mats != sums.mats)
    throw Error{str("'", printable(name), "' has ", sums.cols, " columns x ", sums.mats,
                    ", before it had ", sum.cols, " x ", sum.mats),
                file.string(), kOtherModel};
  report.means_dropped += sum.in_sum.empty() != sums.in_sum.empty();
  if (sum.in_sum.empty() || sums.in_sum.empty()) sum.in_sum.clear();
  add_to(sum.in_sum2, sums.in_sum2, name, file);
  add_to(sum.in_sum, sums.in_sum, name, file);
  add_to(sum.counts, sums.counts, name, file);
}

/// In how many files each tensor is.
using Seen = std::map<std::string, size_t, std::less<>>;

void add_file(Imatrix& total, const path& file, Seen& seen, ImatrixMergeReport& report) {
  Imatrix imatrix = read_imatrix(file);
  if (imatrix.legacy)
    throw Error{"a legacy imatrix counts calls, not tokens, and cannot be added to others", file.string(),
                "convert it with llama-imatrix first"};
  if (total.chunk_tokens == 0) total.chunk_tokens = imatrix.chunk_tokens;
  report.differing_chunks |= imatrix.chunk_tokens != total.chunk_tokens;
  if (__builtin_add_overflow(total.chunks, imatrix.chunks, &total.chunks))
    throw Error{str("it says it has ", imatrix.chunks, " chunks"), file.string(), "make the imatrix again"};
  for (std::string& dataset : imatrix.datasets)
    if (std::ranges::find(total.datasets, dataset) == total.datasets.end())
      total.datasets.push_back(std::move(dataset));
  for (auto& [name, sums] : imatrix.tensors) {
    ++seen[name];
    add_sums(total, name, std::move(sums), file, report);
  }
}

/// The second moments of all files; one sum at a time is in memory.
class MergedMoments {
 public:
  explicit MergedMoments(std::span<const path> inputs) {
    for (const path& input : inputs) {
      files_.emplace_back(input);
      for (const auto& [name, moment] : files_.back().inputs()) add(moment, input);
    }
    for (const std::string& input : other_groups_) dropped_ += static_cast<int64_t>(sums_.erase(input));
  }
  std::vector<Hessian> shapes() const {
    std::vector<Hessian> all;
    for (const auto& [name, moment] : sums_) all.push_back(moment);
    return all;
  }
  int64_t dropped() const { return dropped_; }
  std::span<const float> matrix(const Hessian& moment, int64_t mat) {
    matrix_.assign(static_cast<size_t>(moment.dim * moment.dim), 0.0f);
    for (const Hessians& file : files_)
      if (const auto part = file.inputs().find(moment.input); part != file.inputs().end()) {
        const std::span<const float> more = part->second.matrix(mat);
        for (size_t i = 0; i < matrix_.size(); ++i) matrix_[i] += more[i];
      }
    return matrix_;
  }

 private:
  void add(const Hessian& moment, const path& file) {
    const auto [at, fresh] = sums_.try_emplace(moment.input, moment);
    Hessian& sum = at->second;
    sum.sums = {};
    if (fresh) return;
    if (sum.dim != moment.dim || sum.mats != moment.mats || sum.tensors != moment.tensors)
      throw Error{str("the second moments of '", printable(moment.input), "' have another shape here"),
                  file.string(), kOtherModel};
    if (sum.row_groups != moment.row_groups) other_groups_.push_back(moment.input);
    add_to(sum.counts, moment.counts, moment.input, file);
  }

  std::deque<Hessians> files_;
  std::map<std::string, Hessian, std::less<>> sums_;
  std::vector<std::string> other_groups_;  // inputs whose rows are grouped in more than one way
  int64_t dropped_ = 0;
  std::vector<float> matrix_;
};

}  // namespace

ImatrixMergeReport merge_imatrices(std::span<const path> inputs, const path& out, Existing existing) {
  AtomicFile{out, existing};
  ImatrixMergeReport report;
  Imatrix total;
  Seen seen;
  for (const path& input : inputs) add_file(total, input, seen, report);
  report.in_some_only =
      std::ranges::count_if(seen, [&](const auto& tensor) { return tensor.second < inputs.size(); });
  MergedMoments moments{inputs};
  const std::vector<Hessian> shapes = moments.shapes();
  write_imatrix(
      out, total, shapes, [&](const Hessian& m, int64_t mat) { return moments.matrix(m, mat); },
      existing);
  report.tensors = static_cast<int64_t>(total.tensors.size());
  report.chunks = total.chunks;
  report.inputs = static_cast<int64_t>(shapes.size());
  report.groups_dropped = moments.dropped();
  return report;
}

}  // namespace snug
