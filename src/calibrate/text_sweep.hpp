#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "infer/sweep.hpp"
#include "infer/weight_reads.hpp"

namespace snug {

/// Tokens to run a model on, cut into chunks that start with `bos` in place of their first token.
struct CalibrationTokens {
  std::vector<int32_t> tokens;
  std::optional<int32_t> bos;
  std::string name;  // for the imatrix: a file, or how the text was made
};

/// How a text is run for its inputs to be seen.
struct TextRun {
  int64_t chunk_tokens = 512;
  bool output = false;  // the output matrix is one of those whose inputs are shown
  infer::Compute compute = infer::Compute::exact;
};

/// Chunks of a text, each a sequence of its own, on their way through a model together. Shows the inputs of all
/// matrix products stage by stage: those of the embeddings, of each block, of the head.
class TextSweep {
 public:
  /// inputs [tokens, weight.cols] of matrix `matrix`, as Hooks::on_linear has them.
  using Consumer = std::function<void(int64_t chunk, const infer::Weight& weight, int64_t matrix,
                                      Matrix<const float> inputs)>;
  /// logits [tokens, vocabulary] of some consecutive tokens of a chunk, made with `head`; all of a chunk come
  /// before the head's inputs.
  using LogitConsumer = std::function<void(const infer::Weight& head, const infer::Activations& logits)>;

  /// Chunks [first, last) of the text.
  TextSweep(const infer::Model& model, const CalibrationTokens& text, const TextRun& run, int64_t first, int64_t last);

  static constexpr int kEmbeddings = -1;
  int stage() const { return stage_; }  // that comes next; layers() is the head
  bool ended() const { return stage_ > model_.layers(); }
  /// Shows one stage, chunk after chunk. Unless it goes on, the same stage can be shown again.
  void show(const Consumer& consume, bool goes_on = true);
  LogitConsumer on_logits;  // with `output`, may be empty

  /// Where a chunk stands before a block, and how to stand there again.
  std::vector<infer::Activations> place(int64_t chunk) const;
  void stand(int stage, int64_t chunk, std::vector<infer::Activations> place);
  double model_reads() const { return reads_.times(); }

 private:
  void show_chunk(int64_t chunk, const Consumer& consume, bool goes_on);
  void embed(int64_t chunk, const infer::SweepStep& how, bool goes_on);
  std::vector<int32_t> tokens_of(int64_t chunk) const;

  const infer::Model& model_;
  const CalibrationTokens& text_;
  TextRun run_;
  int64_t first_, last_;
  int stage_ = kEmbeddings;
  infer::Sweep sweep_;
  std::vector<size_t> sequences_;
  infer::WeightReads reads_;
};

}  // namespace snug
