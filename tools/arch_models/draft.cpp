#include "tools/arch_models/draft.hpp"

#include <cmath>

#include "tools/random_bits.hpp"

namespace snug::tools {
namespace {

/// Mean 0, variance 1: four uniform numbers added up.
float normal(uint64_t bits) {
  uint64_t sum = 0;
  for (int i = 0; i < 4; ++i) sum += (bits >> (16 * i)) & 0xffff;
  return (static_cast<float>(sum) / 65536.0f - 2.0f) * 1.7320508f;
}

float uniform(uint64_t bits) {
  return static_cast<float>(bits >> 40) / 16777216.0f;
}

float draw(Fill fill, uint64_t bits, int64_t cols) {
  switch (fill) {
    case Fill::matrix:
      return 1.2f * normal(bits) / std::sqrt(static_cast<float>(cols));
    case Fill::embedding:
      return normal(bits);
    case Fill::norm:
      return 1 + 0.2f * normal(bits);
    case Fill::bias:
      return 0.2f * normal(bits);
    case Fill::factor:
      return 1 + 3 * uniform(bits);
    case Fill::decay:
      return -0.1f - 1.4f * uniform(bits);
    case Fill::first_ones:
      break;
  }
  return 0;
}

std::vector<float> values_of(const gguf::OutputTensor& tensor, Fill fill, uint64_t stream) {
  std::vector<float> values(static_cast<size_t>(tensor.shape[0] * tensor.shape[1] * tensor.shape[2]));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = fill == Fill::first_ones ? (i < (values.size() + 3) / 4 ? 1.0f : 1e30f)
                                         : draw(fill, mix_bits(stream + i), tensor.shape[0]);
  return values;
}

}  // namespace

Draft::Draft(std::string arch, uint64_t seed, uint64_t stream)
    : arch_{std::move(arch)}, seed_{seed}, state_{mix_bits(seed ^ stream << 32)} {
  keys_.push_back({"general.architecture", arch_});
  keys_.push_back({"tokenizer.ggml.model", std::string{"no_vocab"}});
}

uint64_t Draft::next() {
  return mix_bits(state_++);
}

bool Draft::on() {
  return next() % 2 == 0 || seed_ == 0;
}

int64_t Draft::pick(std::initializer_list<int64_t> of) {
  const size_t at = next() % of.size();
  return of.begin()[seed_ == 0 ? 0 : at];
}

void Draft::counts(const std::string& name, std::vector<int32_t> values) {
  const std::vector<int32_t>& kept = arrays_.emplace_back(std::move(values));
  key(name, MetadataArray{MetadataType::i32, kept.size(), std::as_bytes(std::span{kept})});
}

void Draft::flags(const std::string& name, const std::vector<bool>& values) {
  const std::vector<uint8_t>& kept = flag_arrays_.emplace_back(values.begin(), values.end());
  key(name, MetadataArray{MetadataType::boolean, kept.size(), std::as_bytes(std::span{kept})});
}

void Draft::matrix(const std::string& name, int64_t cols, int64_t rows, int64_t matrices, Fill fill) {
  tensors_.push_back({name, FormatId::f32, matrices > 1 ? 3 : 2, {cols, rows, matrices, 1}});
  fills_.push_back(fill);
}

void Draft::vector(const std::string& name, int64_t size, Fill fill) {
  tensors_.push_back({name, FormatId::f32, 1, {size, 1, 1, 1}});
  fills_.push_back(fill);
}

void Draft::linear(const std::string& base, int64_t cols, int64_t rows, bool bias) {
  matrix(base + ".weight", cols, rows);
  if (bias) vector(base + ".bias", rows, Fill::bias);
  output_scale(base, 1);
}

void Draft::output_scale(const std::string& base, int64_t matrices) {
  if (scaled_) vector(base + ".scale", matrices, Fill::norm);
}

void Draft::write(const std::filesystem::path& path) const {
  gguf::Writer writer{gguf::plan_layout(path, keys_, tensors_), Existing::replace};
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const std::vector<float> values =
        values_of(tensors_[i], fills_[i], mix_bits(seed_ ^ (uint64_t{i} << 40)));
    writer.write(i, 0, std::as_bytes(std::span{values}));
  }
  writer.commit();
}

}  // namespace snug::tools
