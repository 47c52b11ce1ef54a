#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "imatrix/importance.hpp"
#include "infer/model.hpp"
#include "measure/row_sample.hpp"
#include "measure/sensitivity/row_gradients.hpp"
#include "measure/sensitivity/sensitivity.hpp"
#include "measure/sensitivity/sensitivity_record.hpp"
#include "measure/text_chunks.hpp"
#include "snug/digest.hpp"
#include "snug/model.hpp"

namespace snug {

/// A reverse pass goes through stages: layers() is the head, then the blocks from the last one down, then this, the
/// look-up of embeddings.
inline constexpr int kLookUp = -1;

/// What mends a model that says no numbers.
inline constexpr const char* kDamagedModel = "weights or metadata of the model are damaged: copy or convert it again";

/// One tensor and what is known of it.
struct Subject {
  const Tensor* tensor = nullptr;
  const TensorImportance* importance = nullptr;
  std::vector<const Format*> formats;
  int first = 0, last = 0;  // stages that show its gradients
  Digest key;               // of everything but format and chunk
  Sampled sampled;
  std::vector<std::vector<SensitivityRecord>> records;  // [chunk][format]; empty where not known
  std::vector<bool> asked;                              // [chunk]: whether it is of this shard

  bool wants(int64_t chunk) const {
    return asked[static_cast<size_t>(chunk)] && records[static_cast<size_t>(chunk)].empty();
  }
  Sensitivity estimate(size_t format) const;
};

/// Of everything but format and chunk that the figures of a tensor depend on.
Digest key_of(const Subject& subject, const Digest& contents, const SensitivityOptions& options);

/// The first and the last stage that show gradients of the tensor: two where embeddings are the output matrix too.
std::pair<int, int> stages_of(const infer::Model& model, std::string_view tensor);

/// Embeddings and output matrices.
bool has_row_per_token(const infer::Model& model, const Tensor& tensor);
RowSample sample_of(const infer::Model& model, const Tensor& tensor, const TextChunks& text);

}  // namespace snug
