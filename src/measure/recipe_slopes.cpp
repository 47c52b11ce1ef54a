#include "measure/recipe_slopes.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "eval/divergence.hpp"
#include "infer/matmul.hpp"
#include "infer/reverse/reverse_pass.hpp"
#include "infer/sweep.hpp"
#include "infer/weight_reads.hpp"
#include "measure/hidden_states.hpp"

namespace snug {
namespace {

using infer::Activations;

constexpr int kOutside = infer::WeightReads::kOutside;

/// Sum over all rows of <a, b - c>, in double and in one order.
double inner_of_difference(const Activations& a, const Activations& b, const Activations& c) {
  double sum = 0;
  for (int64_t t = 0; t < a.count(); ++t)
    for (int64_t k = 0; k < a.width(); ++k)
      sum += static_cast<double>(a.at(t)[k]) * (static_cast<double>(b.at(t)[k]) - static_cast<double>(c.at(t)[k]));
  return sum;
}

/// By the logits, of the sum of KL(original || recipe) over rows, times `share`.
Activations divergence_gradients(const Activations& original, const Activations& recipe, double share) {
  Activations gradients = Activations::unset(recipe.count(), recipe.width());
  parallel_for(recipe.count(), [&](int64_t t) {
    const double base = infer::log_sum_exp(original.row(t)), now = infer::log_sum_exp(recipe.row(t));
    for (int64_t k = 0; k < recipe.width(); ++k)
      gradients.at(t)[k] = static_cast<float>(
          share * (std::exp(double{recipe.at(t)[k]} - now) - std::exp(double{original.at(t)[k]} - base)));
  });
  return gradients;
}

/// One chunk on its way there and back.
struct Traveller {
  int64_t chunk = 0;
  size_t original = 0, recipe = 0;  // sequences of the sweep
  std::unique_ptr<HiddenStates> hidden;
  infer::ReverseHooks hooks;
  std::unique_ptr<infer::ReversePass> pass;
  Slopes slopes;
};

constexpr const char* kStage = "correcting, there and back";

/// Through embeddings, blocks and head, and back.
int64_t steps_of(const infer::Model& model) {
  return 2 * model.layers() + 2;
}

class SlopeRun {
 public:
  SlopeRun(const infer::Model& model, const TextChunks& text, const StandIns& stand_ins, const KnownRuns& known,
           const SaveWay& saved, const Digest& key)
      : model_{model},
        text_{text},
        stand_ins_{stand_ins},
        known_{known},
        sweep_{model, {.context = text.context(), .batch = text.context()}, memory_for(MemoryUse::hidden_states) / 2},
        store_{memory_for(MemoryUse::hidden_states) / 2},
        reads_{model},
        way_{model, text.context(), saved, key} {}

  std::vector<Slopes> run(std::span<const int64_t> chunks) {
    progress_.emplace(kStage, steps_of(model_), Progress::Unit::items);
    travellers_.resize(chunks.size());
    for (size_t t = 0; t < travellers_.size(); ++t) travellers_[t].chunk = chunks[t];
    outside_ = stand_ins_(kOutside);
    come_back(set_out());
    way_.remove();
    std::vector<Slopes> slopes;
    for (Traveller& traveller : travellers_) slopes.push_back(std::move(traveller.slopes));
    return slopes;
  }

 private:
  void each(int64_t together, const std::function<void(Traveller&)>& step) {
    for (int64_t first = 0; first < std::ssize(travellers_); first += together)
      parallel_for(std::min(together, std::ssize(travellers_) - first), [&](int64_t i) {
        check_cancelled();
        step(travellers_[static_cast<size_t>(first + i)]);
      });
  }
  void each(const std::function<void(Traveller&)>& step) { each(std::ssize(travellers_), step); }

  /// The block that comes next on the way back: behind the last, or where an earlier run was saved.
  int set_out() {
    meet();
    const auto block = way_.go_on_back(passes<infer::ReversePass>(), hidden(), [this](NumberReader& read, size_t t) {
      read_slopes(read, travellers_[t].slopes);
    });
    if (block) {
      progress_->advance_known(2 * model_.layers() - *block);
      return *block;
    }
    meet();
    if (known_.recipe)
      take_known();
    else
      go_there();
    return model_.layers();
  }

  void meet() {
    for (Traveller& traveller : travellers_) {
      traveller.slopes.clear();
      traveller.hidden = std::make_unique<HiddenStates>(store_);
      listen(traveller);
      traveller.pass = std::make_unique<infer::ReversePass>(
          model_, text_.tokens(traveller.chunk), 1, traveller.hooks,
          [&traveller](int layer) -> const Activations& { return traveller.hidden->before_lender(layer); }, outside_);
    }
  }

  template <class Pass>
  std::vector<Pass*> passes() const {
    std::vector<Pass*> all;
    for (const Traveller& traveller : travellers_) all.push_back(traveller.pass.get());
    return all;
  }
  SavedWay::Hidden hidden() const {
    SavedWay::Hidden all;
    for (const Traveller& traveller : travellers_) all.push_back(traveller.hidden.get());
    return all;
  }

  static void write_slopes(NumberWriter& write, const Slopes& slopes) {
    write(std::ssize(slopes));
    for (const auto& [name, slope] : slopes) write(std::string{name}), write(std::bit_cast<int64_t>(slope));
  }
  static void read_slopes(NumberReader& read, Slopes& slopes) {
    int64_t count = 0;
    read(count);
    for (int64_t i = 0; i < count; ++i) {
      std::string name;
      int64_t slope = 0;
      read(name), read(slope);
      if (!std::isfinite(slopes[name] = std::bit_cast<double>(slope))) read.fail("a slope is no number");
    }
  }

  /// No block was to be run: only the embeddings are.
  void take_known() {
    for (Traveller& traveller : travellers_) {
      traveller.recipe = sweep_.begin(text_.tokens(traveller.chunk), {nullptr, &outside_});
      traveller.hidden->keep(sweep_.hidden(traveller.recipe));
      for (int block = 1; block <= model_.layers(); ++block) traveller.hidden->keep(known_rows(traveller.chunk, block));
    }
    progress_->advance_known(model_.layers());
  }

  /// Of tokens whose rows are not known, which nobody reads: zeros.
  Activations known_rows(int64_t chunk, int block) const {
    const Matrix<const float> known = known_.recipe(chunk, block);
    Activations rows{std::ssize(text_.tokens(chunk)), known.cols};
    std::copy_n(known.data, known.rows * known.cols, rows.at(rows.count() - known.rows));
    return rows;
  }

  /// Those of recipes, and of originals that are not known.
  std::vector<size_t> begin() {
    std::vector<size_t> all;
    for (Traveller& traveller : travellers_) {
      if (!known_.original) all.push_back(traveller.original = sweep_.begin(text_.tokens(traveller.chunk)));
      all.push_back(traveller.recipe = sweep_.begin(text_.tokens(traveller.chunk), {nullptr, &outside_}));
    }
    return all;
  }

  void go_there() {
    std::vector<size_t> sequences = begin();
    const auto known = way_.go_on_there(sweep_, sequences, hidden());
    if (!known) {
      for (const size_t sequence : sequences) sweep_.end(sequence);
      for (Traveller& traveller : travellers_) traveller.hidden = std::make_unique<HiddenStates>(store_);
      sequences = begin();
    }
    progress_->advance_known(known.value_or(0));
    for (int block = known.value_or(0); block < model_.layers(); ++block) {
      const infer::Replacements& replaced = stand_ins_(block);
      reads_.will_need(block + 1);
      each([&](Traveller& traveller) {
        traveller.hidden->keep(sweep_.hidden(traveller.recipe));
        if (!known_.original) sweep_.step(traveller.original);
        sweep_.step(traveller.recipe, {nullptr, &replaced});
      });
      reads_.done_with(block);
      progress_->advance(1, str("block ", block));
      if (way_.due()) way_.save_there(sweep_, sequences, block + 1, hidden());
    }
    for (Traveller& traveller : travellers_) traveller.hidden->keep(sweep_.hidden(traveller.recipe));
  }

  void come_back(int block) {
    if (block == model_.layers()) {
      for (Traveller& traveller : travellers_) sweep_.end(traveller.recipe);
      each(heads_together(), [&](Traveller& traveller) { head(traveller); });
      progress_->advance(1);
      save_before(--block);
    }
    for (; block >= infer::lowest_differentiable(model_); --block) {
      go_back(block);
      save_before(block - 1);
    }
    if (infer::lowest_differentiable(model_) == 0) each([&](Traveller& traveller) {
      traveller.pass->replace(outside_);
      traveller.pass->embed();
    });
    reads_.done_with(kOutside);
    reads_.tell("the way there and back");
    progress_->advance(1);
  }

  void go_back(int block) {
    const infer::Replacements& replaced = stand_ins_(block);
    reads_.will_need(block - 1);
    each([&](Traveller& traveller) {
      traveller.pass->replace(replaced);
      traveller.pass->layer(block, traveller.hidden->before(block));
    });
    reads_.done_with(block);
    progress_->advance(1, str("block ", block));
  }

  void save_before(int block) {
    if (!way_.due()) return;
    way_.save_back(block, passes<const infer::ReversePass>(), hidden(), [this](NumberWriter& write, size_t t) {
      write_slopes(write, travellers_[t].slopes);
    });
  }

  /// So many that what exists of their logits at a time fits into its share of memory; one at least.
  int64_t heads_together() const {
    const int64_t logits = std::min(infer::kLogitsAtOnce, text_.scored() * model_.vocabulary());
    return std::max<int64_t>(1, memory_for(MemoryUse::hidden_states) / (3 * logits * int64_t{sizeof(float)}));
  }

  void head(Traveller& traveller) {
    const double share = 1.0 / static_cast<double>(text_.scored());
    traveller.pass->head(traveller.hidden->before(model_.layers()), text_.first_scored(),
                         [&](int64_t first, const Activations& logits) {
                           return divergence_gradients(original_logits(traveller, first, logits.count()), logits, share);
                         });
    if (!known_.original) sweep_.end(traveller.original);
  }

  Activations original_logits(const Traveller& traveller, int64_t first, int64_t count) const {
    if (known_.original) {
      const Matrix<const float> known = known_.original(traveller.chunk);
      return sweep_.head(some_rows(known.row(first - text_.first_scored()).data(), count, known.cols));
    }
    const Activations from = sweep_.hidden(traveller.original, first);
    return sweep_.head(some_rows(from.at(0), count, from.width()));
  }

  static Activations some_rows(const float* first, int64_t count, int64_t width) {
    Activations rows = Activations::unset(count, width);
    std::copy_n(first, count * width, rows.at(0));
    return rows;
  }

  void listen(Traveller& traveller) const {
    traveller.hooks.on_linear = [&traveller](const infer::Weight& weight, int64_t matrix, const Activations& inputs,
                                                   const Activations& gradients) {
      const infer::Weight& now = traveller.pass->current(weight);
      if (&now == &weight) return;
      traveller.slopes[weight.name] +=
          inner_of_difference(gradients, infer::matmul(now, matrix, inputs, infer::Compute::exact),
                              infer::matmul(weight, matrix, inputs, infer::Compute::exact));
    };
    traveller.hooks.on_look_up = [this, &traveller](const infer::Weight& table, const Activations& gradients) {
      const infer::Weight& now = traveller.pass->current(table);
      if (&now == &table) return;
      const std::span<const int32_t> tokens = text_.tokens(traveller.chunk);
      traveller.slopes[table.name] += inner_of_difference(gradients, rows_of(now, tokens), rows_of(table, tokens));
    };
  }

  static Activations rows_of(const infer::Weight& table, std::span<const int32_t> tokens) {
    Activations rows = Activations::unset(std::ssize(tokens), table.cols);
    for (int64_t t = 0; t < rows.count(); ++t)
      infer::decode_row(table, 0, tokens[static_cast<size_t>(t)], {rows.at(t), static_cast<size_t>(table.cols)});
    return rows;
  }

  const infer::Model& model_;
  const TextChunks& text_;
  const StandIns& stand_ins_;
  const KnownRuns& known_;
  infer::Sweep sweep_;
  infer::RowStore store_;  // of the recipe's hidden states before every block
  infer::WeightReads reads_;
  SavedWay way_;
  infer::Replacements outside_;
  std::vector<Traveller> travellers_;
  std::optional<Progress> progress_;
};

}  // namespace

std::vector<Slopes> recipe_slopes(const infer::Model& model, const TextChunks& text, std::span<const int64_t> chunks,
                                  const StandIns& stand_ins, const KnownRuns& known, const SaveWay& saved,
                                  const Digest& key) {
  return SlopeRun{model, text, stand_ins, known, saved, key}.run(chunks);
}

void tell_slopes_known(const infer::Model& model) {
  Progress{kStage, steps_of(model), Progress::Unit::items}.advance_known(steps_of(model));
}

}  // namespace snug
