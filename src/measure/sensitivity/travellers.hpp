#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/memory.hpp"
#include "base/progress.hpp"
#include "infer/model.hpp"
#include "infer/reverse/reverse_pass.hpp"
#include "infer/row_store.hpp"
#include "infer/sweep.hpp"
#include "infer/weight_reads.hpp"
#include "measure/hidden_states.hpp"
#include "measure/sensitivity/row_gradients.hpp"
#include "measure/sensitivity/saved_way.hpp"
#include "measure/sensitivity/sensitivity.hpp"
#include "measure/sensitivity/sensitivity_subject.hpp"
#include "measure/text_chunks.hpp"

namespace snug {

/// One chunk on its way.
struct Traveller {
  int64_t chunk = 0;
  std::unique_ptr<HiddenStates> hidden;
  infer::ReverseHooks hooks;
  std::unique_ptr<infer::ReversePass> pass;
  std::map<size_t, RowGradients> gradients;  // of subjects

  /// Nothing where the pass showed none.
  const RowGradients* gradients_of(size_t subject) const {
    const auto found = gradients.find(subject);
    return found == gradients.end() ? nullptr : &found->second;
  }
};

/// The way of chunks there and back through the original, with the gradients of what is wanted of the subjects, which
/// live longer: some chunks together, then others.
class Travellers {
 public:
  Travellers(const infer::Model& model, const TextChunks& text, const std::vector<Subject>& subjects,
             const SensitivityOptions& options, Progress& progress);

  /// Takes these there, or to where an earlier run was saved. Returns the stage that comes next on the way back.
  int set_out(std::span<const int64_t> chunks);
  /// One stage back.
  void go(int stage);
  /// Saves that all before the stage is done and recorded, if it is time.
  void save(int stage);
  /// They have arrived.
  void arrive() { way_->remove(); }

  std::vector<Traveller>& all() { return travellers_; }
  infer::WeightReads& reads() { return reads_; }
  double forward_seconds() const { return forward_seconds_; }

 private:
  void meet(std::span<const int64_t> chunks);
  void listen(Traveller& t);
  RowGradients* gradients_of(Traveller& t, const infer::Weight& weight) const;
  template <class Pass>
  std::vector<Pass*> passes() const;
  SavedWay::Hidden hidden() const;
  Digest key() const;
  void read_gradients(NumberReader& read, Traveller& t) const;
  bool nothing_is_missing(int stage) const;
  void run_there();
  std::vector<size_t> begin(infer::Sweep& sweep) const;
  void step(infer::Sweep& sweep, const std::vector<size_t>& sequences, int block);
  int64_t together(int stage) const;
  void head(Traveller& t) const;

  const infer::Model& model_;
  const TextChunks& text_;
  const std::vector<Subject>& subjects_;
  const SensitivityOptions& options_;
  Progress& progress_;
  std::map<const infer::Weight*, size_t> index_;
  const bool sweeps_;
  infer::RowStore store_;  // of the travellers' gradients and hidden states
  std::vector<Traveller> travellers_;
  std::optional<SavedWay> way_;
  infer::WeightReads reads_;
  double forward_seconds_ = 0;
};

}  // namespace snug
