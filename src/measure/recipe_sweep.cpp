#include "measure/recipe_sweep.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/save_clock.hpp"
#include "base/str.hpp"
#include "infer/sweep.hpp"
#include "infer/weight_reads.hpp"
#include "measure/encoded_block.hpp"
#include "measure/row_divergence.hpp"
#include "model/roles.hpp"

namespace snug {
namespace {

using infer::Activations;

constexpr int64_t kHeadRows = 32;  // tokens whose logits exist at a time: bounds memory for large vocabularies
constexpr int kOutside = infer::WeightReads::kOutside;

class RecipeSweep {
 public:
  RecipeSweep(const infer::Model& model, const TextChunks& text, const TensorFormats& formats, const Encode& encode,
              const std::vector<RecipeVariant>& variants, const infer::SavedSweep& saved, double save_seconds)
      : model_{model},
        text_{text},
        formats_{formats},
        encode_{encode},
        variants_{variants},
        sweep_{model, {.context = text.context(), .batch = text.context()}, memory_for(MemoryUse::hidden_states)},
        reads_{model},
        own_(variants.size()),
        saved_{saved},
        clock_{save_seconds} {
    for (const RecipeVariant& variant : variants) chunks_.insert(variant.chunks.begin(), variant.chunks.end());
  }

  std::vector<std::vector<ChunkComparison>> run() {
    Progress progress{"judging, layer by layer", model_.layers() + 2, Progress::Unit::items};
    int block = begin();
    progress.advance_known(block);
    progress.advance(1);
    for (; block < model_.layers(); ++block) {
      go(block);
      progress.advance(1, str("block ", block));
      if (!saved_.path.empty() && clock_.due())
        clock_.run([&] { saved_.save(sweep_, sequences(), block + 1); });
    }
    auto comparisons = compare();
    saved_.remove();
    progress.advance(1);
    reads_.done_with(kOutside);
    reads_.tell("judging");
    return comparisons;
  }

 private:
  EncodedBlock of_variant(size_t v, const EncodedBlock& recipe, int64_t& in_memory) const {
    const RecipeVariant& variant = variants_[v];
    EncodedBlock block{{}, recipe.all};
    const infer::Weight* weight = model_.find(variant.tensor);
    block.all.erase(weight);
    if (weight && variant.format)
      block.add(model_, encode_(*model_.source().find(variant.tensor), *variant.format), in_memory);
    return block;
  }

  /// Where a variant leaves the recipe's way: kOutside for the embeddings, layers() for the head.
  int leaves_at(size_t variant) const {
    const std::string& tensor = variants_[variant].tensor;
    if (tensor.empty() || (role_of(tensor) == Role::output && layer_of(tensor) < 0)) return model_.layers();
    return layer_of(tensor);
  }

  EncodedBlock encoded(int block, int64_t& in_memory) const {
    return encode_block(model_, formats_, encode_, block, in_memory);
  }

  /// The block that comes next: the first, or that where an earlier run was saved.
  int begin() {
    set_out();
    bool moved = false;
    const auto resumed = saved_.load(sweep_, model_.layers(), [&](int block) {
      moved = true;
      leave_before(block);
      return sequences();
    });
    if (resumed) log_line(str("going on before block ", *resumed));
    if (!resumed && moved) start_over();
    return resumed.value_or(0);
  }

  /// What was saved turned out to be damaged: sequences may stand anywhere.
  void start_over() {
    for (const size_t sequence : sequences()) sweep_.end(sequence);
    own_.assign(variants_.size(), {});
    set_out();
  }

  /// All that are under way, in one order.
  std::vector<size_t> sequences() const {
    std::vector<size_t> all;
    for (const int64_t chunk : chunks_) all.insert(all.end(), {original_.at(chunk), recipe_.at(chunk)});
    for (const auto& of_variant : own_)
      for (const auto& [chunk, sequence] : of_variant) all.push_back(sequence);
    return all;
  }

  /// Sequences for variants that leave the recipe's way before `block`.
  void leave_before(int block) {
    for (size_t v = 0; v < variants_.size(); ++v)
      if (leaves_at(v) != kOutside && leaves_at(v) < block)
        for (const int64_t chunk : variants_[v].chunks) own_[v][chunk] = sweep_.branch(recipe_.at(chunk));
  }

  void set_out() {
    int64_t in_memory = 0;
    const EncodedBlock outside = encoded(kOutside, in_memory);
    for (const int64_t chunk : chunks_) {
      original_[chunk] = sweep_.begin(text_.tokens(chunk));
      recipe_[chunk] = sweep_.begin(text_.tokens(chunk), {nullptr, &outside.all});
    }
    for (size_t v = 0; v < variants_.size(); ++v) {
      if (leaves_at(v) != kOutside) continue;
      int64_t with_own = in_memory;  // which goes before the next comes
      const EncodedBlock own = of_variant(v, outside, with_own);
      for (const int64_t chunk : variants_[v].chunks)
        own_[v][chunk] = sweep_.begin(text_.tokens(chunk), {nullptr, &own.all});
    }
  }

  void go(int block) {
    int64_t in_memory = 0;
    const EncodedBlock encodings = encoded(block, in_memory);
    reads_.will_need(block + 1);
    std::deque<EncodedBlock> leaving;  // whose addresses stay
    std::vector<std::pair<size_t, const infer::Replacements*>> steps;  // a sequence, and what is in place for it
    for (size_t v = 0; v < variants_.size(); ++v) {
      if (leaves_at(v) > block) continue;
      const bool leaves = leaves_at(v) == block;
      if (leaves) leaving.push_back(of_variant(v, encodings, in_memory));
      for (const int64_t chunk : variants_[v].chunks) {
        if (leaves) own_[v][chunk] = sweep_.branch(recipe_.at(chunk));
        steps.emplace_back(own_[v].at(chunk), leaves ? &leaving.back().all : &encodings.all);
      }
    }
    for (const int64_t chunk : chunks_) {
      steps.emplace_back(original_.at(chunk), nullptr);
      steps.emplace_back(recipe_.at(chunk), &encodings.all);
    }
    parallel_for(std::ssize(steps), [&](int64_t i) {
      check_cancelled();
      const auto& [sequence, replaced] = steps[static_cast<size_t>(i)];
      sweep_.step(sequence, {nullptr, replaced});
    });
    reads_.done_with(block);
  }

  std::vector<std::vector<ChunkComparison>> compare() {
    int64_t in_memory = 0;
    const EncodedBlock outside = encoded(kOutside, in_memory);
    std::vector<std::vector<ChunkComparison>> all(variants_.size());
    for (size_t v = 0; v < variants_.size(); ++v) {
      const bool is_outside = layer_of(variants_[v].tensor) < 0;
      int64_t with_own = in_memory;
      const EncodedBlock own = is_outside ? of_variant(v, outside, with_own) : EncodedBlock{{}, outside.all};
      all[v].resize(variants_[v].chunks.size());
      parallel_for(std::ssize(variants_[v].chunks), [&](int64_t i) {
        const int64_t chunk = variants_[v].chunks[static_cast<size_t>(i)];
        const auto left = own_[v].find(chunk);
        all[v][static_cast<size_t>(i)] =
            comparison(chunk, left == own_[v].end() ? recipe_.at(chunk) : left->second, own.all);
      });
    }
    return all;
  }

  ChunkComparison comparison(int64_t chunk, size_t sequence, const infer::Replacements& replaced) const {
    const Activations original = sweep_.hidden(original_.at(chunk), text_.first_scored());
    const Activations last = sweep_.hidden(sequence, text_.first_scored());
    std::vector<infer::TokenPair> pairs(static_cast<size_t>(text_.scored()));
    for (int64_t begin = 0; begin < text_.scored(); begin += kHeadRows) {
      check_cancelled();
      const int64_t end = std::min(text_.scored(), begin + kHeadRows);
      const Activations base = sweep_.head(part(original, begin, end));
      const Activations logits = sweep_.head(part(last, begin, end), {nullptr, &replaced});
      compare_rows(model_, base.view(), {}, logits, text_.next(text_.tokens(chunk), begin, end),
                   std::span{pairs}.subspan(static_cast<size_t>(begin)));
    }
    return comparison_of(pairs);
  }

  static Activations part(const Activations& all, int64_t begin, int64_t end) {
    Activations rows = Activations::unset(end - begin, all.width());
    std::copy_n(all.at(begin), rows.values().size(), rows.at(0));
    return rows;
  }

  const infer::Model& model_;
  const TextChunks& text_;
  const TensorFormats& formats_;
  const Encode& encode_;
  const std::vector<RecipeVariant>& variants_;
  infer::Sweep sweep_;
  infer::WeightReads reads_;
  std::set<int64_t> chunks_;
  std::map<int64_t, size_t> original_, recipe_;   // sequences, by chunk
  std::vector<std::map<int64_t, size_t>> own_;  // of variants that have left the recipe's way
  const infer::SavedSweep& saved_;
  SaveClock clock_;
};

}  // namespace

std::vector<std::vector<ChunkComparison>> sweep_recipe(
    const infer::Model& model, const TextChunks& text, const TensorFormats& formats,
    const Encode& encode, const std::vector<RecipeVariant>& variants, const infer::SavedSweep& saved, double save_seconds) {
  return RecipeSweep{model, text, formats, encode, variants, saved, save_seconds}.run();
}

}  // namespace snug
