#include "imatrix/hessian.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/files/mapped_file.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "imatrix/container.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr const char* kTensors = "imatrix.moment_tensors";
constexpr const char* kInputs = "imatrix.moment_inputs";
constexpr const char* kMatrix = ".in_moment";
constexpr const char* kCounts = ".moment_counts";
constexpr const char* kRows = ".rows";
constexpr const char* kRowGroups = ".row_groups";
constexpr const char* kRemedy = "make the imatrix again with second moments";
constexpr float kAsymmetry =
    1e-4f;  // of the geometric mean of the two diagonal values: rounding of other writers

bool is_gguf(const std::filesystem::path& path) {
  const MappedFile file{path};
  return file.bytes().size() >= 4 && std::memcmp(file.bytes().data(), "GGUF", 4) == 0;
}

[[noreturn]] void bad(const Hessian& moment, int64_t mat, const std::string& what) {
  throw Error{str("the second moment of '", printable(moment.input), "', matrix ", mat, ", ", what), "",
              kRemedy};
}

void check_diagonal(const Hessian& moment, int64_t mat, std::span<const float> sums) {
  for (int64_t i = 0; i < moment.dim; ++i)
    if (const float value = sums[static_cast<size_t>(i * moment.dim + i)];
        !(value >= 0 && std::isfinite(value)))
      bad(moment, mat, str("has ", value, " as the mean square of column ", i));
}

void check_symmetry(const Hessian& moment, int64_t mat, std::span<const float> sums) {
  const auto at = [&](int64_t i, int64_t j) { return sums[static_cast<size_t>(i * moment.dim + j)]; };
  for (int64_t i = 0; i < moment.dim; ++i)
    for (int64_t j = 0; j < i; ++j) {
      const float a = at(i, j), b = at(j, i);
      if (a == b) continue;
      const float scale = std::sqrt(at(i, i)) * std::sqrt(at(j, j));
      if (!(std::fabs(a - b) <= kAsymmetry * scale))
        bad(moment, mat, str("has ", a, " in row ", i, ", column ", j, " and ", b, " mirrored"));
    }
}

void divide(const Hessian& moment, int64_t mat, std::vector<float>& mean) {
  if (moment.divisors.empty()) return;
  const auto dim = static_cast<size_t>(moment.dim);
  const size_t first = moment.divisors.size() > dim ? static_cast<size_t>(mat) * dim : 0;
  const auto by = std::span{moment.divisors}.subspan(first, dim);
  for (size_t i = 0; i < dim; ++i)
    for (size_t j = 0; j < dim; ++j) mean[i * dim + j] /= by[i] * by[j];
}

}  // namespace

std::string rows_input(std::string_view weight_tensor) {
  return str(weight_tensor, kRows);
}

std::vector<float> mean_moment(const Hessian& moment, int64_t mat) {
  if (moment.mats == 1) mat = 0;
  const std::span<const float> sums = moment.matrix(mat);
  std::vector<float> mean(sums.size());
  const double count = moment.counts[static_cast<size_t>(mat)];
  if (count <= 0) return mean;
  check_diagonal(moment, mat, sums);
  check_symmetry(moment, mat, sums);
  for (size_t i = 0; i < mean.size(); ++i) {
    mean[i] = static_cast<float>(sums[i] / count);
    if (!std::isfinite(mean[i])) bad(moment, mat, str("holds ", sums[i]));
  }
  divide(moment, mat, mean);
  return mean;
}

Hessians::Hessians(const std::filesystem::path& path) {
  if (!is_gguf(path)) return;
  file_ = std::make_unique<ModelSource>(read_container(path));
  if (file_->metadata().find(kTensors)) read();
}

const Hessian* Hessians::find(std::string_view weight_tensor) const {
  const auto input = input_of_.find(weight_tensor);
  return input == input_of_.end() ? nullptr : &moments_.find(input->second)->second;
}

const Hessian* Hessians::find_rows(std::string_view weight_tensor) const {
  const Hessian* rows = find(rows_input(weight_tensor));
  return rows && !rows->row_groups.empty() ? rows : nullptr;
}

void Hessians::divide_inputs(std::string_view weight_tensor, std::span<const float> by) {
  const auto input = input_of_.find(weight_tensor);
  if (input == input_of_.end()) return;
  Hessian& moment = moments_.find(input->second)->second;
  if (std::cmp_greater(by.size(), moment.dim * moment.mats))  // each expert's own, of a moment that is all experts'
    input_of_.erase(input);
  else
    moment.divisors.assign(by.begin(), by.end());
}

void Hessians::read() {
  const std::string path = file_->path().string();
  const MetadataArray* inputs = file_->metadata().array(kInputs);
  const std::vector<std::string_view> tensors = file_->metadata().array(kTensors)->strings();
  if (!inputs || inputs->count != tensors.size())
    throw Error{str("'", kInputs, "' does not name an input for each of ", tensors.size(), " tensors"), path,
                kRemedy};
  const std::vector<std::string_view> names = inputs->strings();
  for (size_t i = 0; i < names.size(); ++i) {
    if (!input_of_.emplace(tensors[i], names[i]).second)
      throw Error{str("'", printable(tensors[i]), "' is there twice in '", kTensors, "'"), path,
                  kRemedy};
    Hessian& moment = moments_.try_emplace(std::string{names[i]}).first->second;
    moment.tensors.emplace_back(tensors[i]);
  }
  for (auto& [name, moment] : moments_) {
    moment.input = name;
    read_matrix(moment);
    read_row_groups(moment);
  }
}

void Hessians::read_matrix(Hessian& moment) const {
  const auto want = [&](const char* ending) -> const Tensor& {
    const Tensor* tensor = file_->find(moment.input + ending);
    if (tensor && tensor->format == FormatId::f32) return *tensor;
    throw Error{str("the imatrix has no '", printable(moment.input), ending, "' in F32"),
                file_->path().string(), kRemedy};
  };
  const Tensor& matrix = want(kMatrix);
  const Tensor& counts = want(kCounts);
  if (matrix.shape[0] != matrix.shape[1] || matrix.shape[3] != 1 || counts.weights() != matrix.shape[2])
    throw Error{str("'", printable(matrix.name), "' is not square, or does not fit its counts"),
                file_->path().string(), kRemedy};
  if (reinterpret_cast<uintptr_t>(matrix.data) % alignof(float) != 0)
    throw Error{str("'", printable(matrix.name), "' does not lie at a multiple of 4 bytes"),
                file_->path().string(), kRemedy};
  moment.dim = matrix.shape[0];
  moment.mats = matrix.shape[2];
  moment.counts.resize(static_cast<size_t>(moment.mats));
  std::memcpy(moment.counts.data(), counts.data, moment.counts.size() * sizeof(float));
  for (const float count : moment.counts)
    if (!std::isfinite(count) || count < 0)
      throw Error{str("'", printable(counts.name), "' holds ", count), file_->path().string(), kRemedy};
  moment.sums = {reinterpret_cast<const float*>(matrix.data), static_cast<size_t>(matrix.bytes()) / sizeof(float)};
}

void Hessians::read_row_groups(Hessian& moment) const {
  const Tensor* groups = file_->find(moment.input + kRowGroups);
  if (!groups) return;
  const auto refuse = [&](const std::string& what) {
    throw Error{str("'", printable(groups->name), "' ", what), file_->path().string(), kRemedy};
  };
  if (groups->format != FormatId::i32 || groups->rows() != 1) refuse("is not a row of I32");
  moment.row_groups.resize(static_cast<size_t>(groups->bytes()) / sizeof(int32_t));
  std::memcpy(moment.row_groups.data(), groups->data, static_cast<size_t>(groups->bytes()));
  for (const int32_t group : moment.row_groups)
    if (group < 0 || group >= moment.mats) refuse(str("names matrix ", group, " of ", moment.mats));
}

}  // namespace snug
