#include <algorithm>
#include <cmath>

#include "base/str.hpp"
#include "imatrix/container.hpp"
#include "imatrix/hessian.hpp"
#include "imatrix/imatrix_file.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

struct Part {
  ContainerTensor tensor;
  std::span<const float> values;
};

/// The tensors of one entry. A single matrix has no second dimension.
void add_parts(const std::string& name, const ImatrixSums& sums, std::vector<Part>& parts) {
  const int dims = sums.mats > 1 ? 2 : 1;
  const auto add = [&](const char* ending, int64_t cols, std::span<const float> values) {
    parts.push_back({{name + ending, FormatId::f32, dims, {cols, sums.mats, 1, 1}}, values});
  };
  add(".in_sum2", sums.cols, sums.in_sum2);
  add(".counts", 1, sums.counts);
  if (!sums.in_sum.empty()) add(".in_sum", sums.cols, sums.in_sum);
}

/// The tensors of one input's second moments.
void add_parts(const Hessian& moment, std::vector<ContainerTensor>& tensors) {
  const int64_t n = moment.dim, mats = moment.mats;
  if (static_cast<int64_t>(moment.counts.size()) != mats)
    throw Error{str("the second moments of '", moment.input, "' do not have ", mats, " counts")};
  tensors.push_back({moment.input + ".in_moment", FormatId::f32, mats > 1 ? 3 : 2, {n, n, mats, 1}});
  tensors.push_back({moment.input + ".moment_counts", FormatId::f32, 1, {mats, 1, 1, 1}});
  const auto rows = static_cast<int64_t>(moment.row_groups.size());
  if (rows > 0) tensors.push_back({moment.input + ".row_groups", FormatId::i32, 1, {rows, 1, 1, 1}});
}

/// From tensor `index` on; the tensor after those written.
size_t write_moment(ContainerWriter& writer, size_t index, const Hessian& moment,
                    const MatrixSource& source) {
  const auto values = static_cast<size_t>(moment.dim * moment.dim);
  for (int64_t mat = 0; mat < moment.mats; ++mat) {
    const std::span<const float> matrix = source(moment, mat);
    if (matrix.size() != values)
      throw Error{str("a second moment of '", moment.input, "' is not ", moment.dim, " x ", moment.dim)};
    writer.write(index, mat * static_cast<int64_t>(matrix.size_bytes()), std::as_bytes(matrix));
  }
  writer.write(index + 1, 0, std::as_bytes(std::span{moment.counts}));
  if (moment.row_groups.empty()) return index + 2;
  writer.write(index + 2, 0, std::as_bytes(std::span{moment.row_groups}));
  return index + 3;
}

std::vector<ContainerKey> keys_of(const Imatrix& imatrix) {
  return {{"general.type", std::string{"imatrix"}},
          {"imatrix.datasets", imatrix.datasets},
          {"imatrix.chunk_count", MetadataValue{static_cast<uint32_t>(imatrix.chunks)}},
          {"imatrix.chunk_size", MetadataValue{static_cast<uint32_t>(imatrix.chunk_tokens)}}};
}

std::vector<ContainerKey> keys_of(std::span<const Hessian> moments) {
  if (moments.empty()) return {};
  std::vector<std::string> tensors, inputs;
  for (const Hessian& moment : moments) {
    tensors.insert(tensors.end(), moment.tensors.begin(), moment.tensors.end());
    inputs.resize(tensors.size(), moment.input);
  }
  return {{"imatrix.moment_tensors", tensors}, {"imatrix.moment_inputs", inputs}};
}

template <class T>
void put(AtomicFile& file, const T& value) {
  file.write(std::as_bytes(std::span{&value, 1}));
}

void put_text(AtomicFile& file, std::string_view text) {
  put(file, static_cast<int32_t>(text.size()));
  file.write(text);
}

/// Mean squares times `calls`: what a legacy reader divides by the calls again.
std::vector<float> legacy_values(const ImatrixSums& sums, int32_t calls) {
  std::vector<float> values(sums.in_sum2.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const double count = sums.counts[i / static_cast<size_t>(sums.cols)];
    values[i] = static_cast<float>((count > 0 ? sums.in_sum2[i] / count : 1.0) * calls);
  }
  return values;
}

int32_t calls_of(const ImatrixSums& sums, const Imatrix& imatrix) {
  const double most = *std::ranges::max_element(sums.counts);
  const double chunk =
      imatrix.legacy || imatrix.chunk_tokens < 1 ? 1.0 : static_cast<double>(imatrix.chunk_tokens);
  return static_cast<int32_t>(
      std::min(std::ceil(most / chunk), 2147483520.0));  // the largest float in an i32
}

}  // namespace

void write_imatrix(const std::filesystem::path& path, const Imatrix& imatrix,
                   std::span<const Hessian> moments, const MatrixSource& source, Existing existing) {
  std::vector<Part> parts;
  for (const auto& [name, sums] : imatrix.tensors) add_parts(name, sums, parts);
  std::vector<ContainerTensor> tensors;
  for (const Part& part : parts) tensors.push_back(part.tensor);
  for (const Hessian& moment : moments) add_parts(moment, tensors);
  std::vector<ContainerKey> keys = keys_of(imatrix);
  for (ContainerKey& key : keys_of(moments)) keys.push_back(std::move(key));
  ContainerWriter writer = open_container(path, std::move(keys), std::move(tensors), existing);
  for (size_t i = 0; i < parts.size(); ++i) writer.write(i, 0, std::as_bytes(parts[i].values));
  size_t next = parts.size();
  for (const Hessian& moment : moments) next = write_moment(writer, next, moment, source);
  writer.commit();
}

void write_imatrix(const std::filesystem::path& path, const Imatrix& imatrix,
                   std::span<const Hessian> moments, Existing existing) {
  for (const Hessian& moment : moments)
    if (static_cast<int64_t>(moment.sums.size()) != moment.dim * moment.dim * moment.mats)
      throw Error{str("the second moments of '", moment.input, "' do not have their size")};
  const auto own = [](const Hessian& moment, int64_t mat) { return moment.matrix(mat); };
  write_imatrix(path, imatrix, moments, own, existing);
}

void write_imatrix(const std::filesystem::path& path, const Imatrix& imatrix, Existing existing) {
  write_imatrix(path, imatrix, {}, existing);
}

void write_legacy_imatrix(const std::filesystem::path& path, const Imatrix& imatrix, Existing existing) {
  AtomicFile file{path, existing};
  put(file, static_cast<int32_t>(imatrix.tensors.size()));
  for (const auto& [name, sums] : imatrix.tensors) {
    const int32_t calls = std::max(calls_of(sums, imatrix), 1);
    put_text(file, name);
    put(file, calls);
    put(file, static_cast<int32_t>(sums.in_sum2.size()));
    const std::vector<float> values = legacy_values(sums, calls);
    file.write(std::as_bytes(std::span{values}));
  }
  put(file, static_cast<int32_t>(imatrix.chunks));
  put_text(file, imatrix.datasets.empty() ? "" : imatrix.datasets.front());
  file.commit();
}

}  // namespace snug
