#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "base/digest.hpp"
#include "base/memory.hpp"
#include "base/progress.hpp"
#include "base/read_counter.hpp"
#include "model/finite_weights.hpp"
#include "snug/model.hpp"

namespace snug {
namespace {

constexpr size_t kPieceBytes = size_t{4} << 20;  // of a tensor whose rows are gathered to be hashed

void add_value(Hasher& hasher, const MetadataValue& value) {
  hasher.add(static_cast<uint64_t>(value.index()));
  std::visit(
      [&](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string_view>)
          hasher.add(v);
        else if constexpr (std::is_same_v<T, MetadataArray>)
          hasher.add(v.bytes);
        else
          hasher.add_array<T>({&v, 1});
      },
      value);
}

/// The same for the same rows, wherever they lie.
void add_weights(Hasher& hasher, const Tensor& tensor) {
  if (tensor.data) {
    hasher.add(tensor.contiguous());
    return;
  }
  hasher.begin(static_cast<uint64_t>(tensor.bytes()));
  const int64_t step = std::max<int64_t>(1, static_cast<int64_t>(kPieceBytes) / tensor.row_bytes());
  std::vector<std::byte> piece;
  for (int64_t r = 0; r < tensor.rows(); r += step) {
    const int64_t count = std::min(step, tensor.rows() - r);
    piece.resize(static_cast<size_t>(count * tensor.row_bytes()));
    tensor.read_blocks(r, count, piece);
    hasher.more(piece);
  }
}

Digest digest_of_shapes(const ModelSource::Contents& model) {
  Hasher hasher;
  for (const Tensor& tensor : model.tensors)
    hasher.add(tensor.name).add(static_cast<uint64_t>(tensor.format)).add_array<int64_t>(tensor.shape);
  return hasher.finish();
}

int64_t weights_bytes(const ModelSource::Contents& model) {
  int64_t bytes = 0;
  for (const Tensor& tensor : model.tensors) bytes += tensor.bytes();
  return bytes;
}

/// Of a model that does not stay in memory it is checked, too, that its weights are finite.
Digest digest_of_contents(const ModelSource::Contents& model) {
  Hasher hasher;
  const std::string architecture{model.metadata.text("general.architecture").value_or("")};
  hasher.add(architecture);
  for (const MetadataEntry& entry : model.metadata.entries()) {
    if (!entry.key.starts_with(architecture + ".")) continue;
    hasher.add(entry.key);
    add_value(hasher, entry.value);
  }
  const bool lets_go = !stays_in_memory(model.bytes);
  std::optional<Progress> progress;
  if (lets_go) progress.emplace("checking weights", weights_bytes(model), Progress::Unit::bytes);
  for (const Tensor& tensor : model.tensors) {
    if (lets_go) check_finite(tensor);  // while it is here: it is read from the disk once for both
    hasher.add(tensor.name).add(static_cast<uint64_t>(tensor.format)).add_array<int64_t>(tensor.shape);
    add_weights(hasher, tensor);
    if (!lets_go) continue;
    tensor.done_with();
    progress->advance(tensor.bytes(), std::string{tensor.name});
  }
  count_read("checking weights", weights_bytes(model));
  return hasher.finish();
}

}  // namespace

/// What is worked out from the contents when it is first asked for, once for all handles.
struct ModelSource::Shared {
  std::unordered_map<std::string_view, size_t> index;
  Digest shapes;
  std::once_flag hashed;
  Digest contents;
};

ModelSource::ModelSource(Contents contents)
    : contents_(std::make_shared<const Contents>(std::move(contents))), shared_(std::make_shared<Shared>()) {
  const auto& tensors = contents_->tensors;
  for (size_t i = 0; i < tensors.size(); ++i) shared_->index.emplace(tensors[i].name, i);
  shared_->shapes = digest_of_shapes(*contents_);
}

const Tensor* ModelSource::find(std::string_view tensor) const {
  const auto found = shared_->index.find(tensor);
  return found == shared_->index.end() ? nullptr : &contents_->tensors[found->second];
}

const Digest& ModelSource::shape_digest() const {
  return shared_->shapes;
}

const Digest& ModelSource::contents_digest() const {
  std::call_once(shared_->hashed, [&] { shared_->contents = digest_of_contents(*contents_); });
  return shared_->contents;
}

}  // namespace snug
